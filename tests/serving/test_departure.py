"""The runner ends after its callers: what that relies on of the pinned uvicorn, and what it does."""

import asyncio
import inspect
import socket
import subprocess
import sys

import uvicorn

from serving.departure import Presence, _called, _paths, after_the_callers
from tests.shared import ROOT

CALLER = """
import sys, time
from serving.departure import Presence
caller = Presence(sys.argv[1])
print("here", flush=True)
time.sleep(60)
"""


def test_the_pinned_server_shuts_down_by_the_method_that_is_replaced():
    assert list(inspect.signature(uvicorn.Server.shutdown).parameters) == ["self", "sockets"]
    assert inspect.iscoroutinefunction(uvicorn.Server.shutdown)
    assert "await self.shutdown(sockets=sockets)" in inspect.getsource(uvicorn.Server._serve)


async def test_who_nobody_calls_does_not_wait(tmp_path):
    await asyncio.wait_for(after_the_callers(str(tmp_path / "r.sock")), 1)
    Presence(str(tmp_path / "r.sock")).end()
    await asyncio.wait_for(after_the_callers(str(tmp_path / "r.sock")), 1)


async def test_it_waits_for_the_last_caller(tmp_path):
    path = str(tmp_path / "r.sock")
    callers = [Presence(path), Presence(path)]
    waiting = asyncio.create_task(after_the_callers(path))
    for caller in callers:
        await asyncio.sleep(0.15)
        assert not waiting.done()
        caller.end()
        caller.end()  # as often as one likes
    await asyncio.wait_for(waiting, 5)


async def test_it_does_not_wait_for_ever(tmp_path):
    caller = Presence(str(tmp_path / "r.sock"))
    await asyncio.wait_for(after_the_callers(str(tmp_path / "r.sock"), 0.2), 5)
    caller.end()


def test_a_caller_that_is_killed_is_not_waited_for(tmp_path):
    path = str(tmp_path / "r.sock")
    command = [sys.executable, "-c", CALLER, path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as caller:
        assert caller.stdout.readline() == b"here\n"
        assert _called(path)
        caller.kill()
        caller.wait()
        asyncio.run(asyncio.wait_for(after_the_callers(path), 10))


def test_the_lock_is_its_owner_s_alone(tmp_path):
    caller = Presence(str(tmp_path / "r.sock"))
    assert (tmp_path / "r.sock.callers").stat().st_mode & 0o777 == 0o600
    caller.end()


def test_a_server_on_a_port_is_not_waited_for():
    with socket.socket() as one:
        assert _paths([one]) == []
