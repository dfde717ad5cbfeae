"""Servers that are measured against each other: asleep between their turns, and gone at the end."""

import sys
import time

import psutil

from benchmarks.servers import program

PARENT = """
import http.server, subprocess, sys
subprocess.Popen(["sleep", "300"], start_new_session=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def soon(holds):
    deadline = time.monotonic() + 10
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


def test_a_server_ends_asleep_with_all_its_processes_whatever_group_they_are_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with program([sys.executable, "-c", PARENT], "/") as server:
        every = server.processes()
        assert len(every) == 2
        server.sleep()
        assert soon(lambda: {process.status() for process in every} == {psutil.STATUS_STOPPED})
        with server.awake():
            assert soon(lambda: psutil.STATUS_STOPPED not in {process.status() for process in every})
    assert soon(lambda: not any(process.is_running() for process in every))
