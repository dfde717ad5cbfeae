"""Several workers: the bytes of one process, nothing lost or doubled when one dies, and out of reach."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.cohorts.inputs import contents, folder, rows_of
from tests.shared import ROOT, missing

pytestmark = pytest.mark.slow
N = 40
COMMAND = [sys.executable, "-c", "import sys, cli; sys.exit(cli.main())", "cohort", "run", "--per-file", "1"]
SECONDS = 240


@pytest.fixture(scope="module", autouse=True)
def installed():
    if importlib.util.find_spec("ray") is None:
        missing("Ray is not installed (pip install -e '.[cohort]')")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    root = folder(tmp_path_factory.mktemp("cohort") / "in", N)
    (root / "notes.txt").write_text("no recording")
    return root


@pytest.fixture(scope="module")
def straight(source, tmp_path_factory):
    """What one process writes."""
    output = tmp_path_factory.mktemp("straight") / "out"
    subprocess.run([*COMMAND, *where(source, output)], cwd=ROOT, capture_output=True, check=False)
    return contents(output)


def where(source, output):
    return ["--input", str(source), "--output", str(output)]


def started(source, output, workers=2):
    command = [*COMMAND, *where(source, output), "--engine", "ray", "--workers", str(workers)]
    return subprocess.Popen(
        command, cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ended(process):
    """The exit status and what was printed."""
    out, _ = process.communicate(timeout=SECONDS)
    return process.returncode, out


def family(process):
    """The run's process and all below it."""
    top = psutil.Process(process.pid)
    return [top, *top.children(recursive=True)]


def workers_of(process):
    found = []
    with contextlib.suppress(psutil.Error):
        for child in family(process):
            with contextlib.suppress(psutil.Error):
                if " ".join(child.cmdline()).startswith("ray::_Actor"):
                    found.append(child)
    return found


def until_written(output, files, process):
    """Wait until a run, which still goes on, has written some parts."""
    while process.poll() is None and len(list(output.glob("set-aside-*"))) < files:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()[0]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_write_the_bytes_of_one_process(source, straight, tmp_path, workers):
    status, out = ended(started(source, tmp_path / "out", workers))
    assert status == 3, out
    assert contents(tmp_path / "out") == straight


def test_a_worker_that_is_killed_loses_and_doubles_nothing(source, straight, tmp_path):
    process = started(source, tmp_path / "out")
    until_written(tmp_path / "out", 3, process)
    victim = workers_of(process)[0]
    victim.send_signal(signal.SIGKILL)
    status, out = ended(process)
    assert status == 3, out
    assert contents(tmp_path / "out") == straight
    names = [row["id"] for row in rows_of(tmp_path / "out", "recordings")]
    assert len(names) == len(set(names)) == N


def test_workers_that_die_again_and_again_end_the_run_and_it_can_go_on(source, straight, tmp_path):
    process = started(source, tmp_path / "out")
    until_written(tmp_path / "out", 2, process)
    while process.poll() is None:
        for worker in workers_of(process):
            worker.send_signal(signal.SIGKILL)
        time.sleep(0.1)
    status, out = ended(process)
    assert status == 1
    assert "workers died more than 3 times" in out.splitlines()[-1]
    assert ended(started(source, tmp_path / "out"))[0] == 3
    assert contents(tmp_path / "out") == straight


def test_a_killed_run_leaves_no_worker_and_goes_on_in_one_process(source, straight, tmp_path):
    process = started(source, tmp_path / "out")
    until_written(tmp_path / "out", 3, process)
    workers = workers_of(process)
    process.kill()
    process.communicate(timeout=SECONDS)
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert len(workers) == 2
    assert alive == []
    subprocess.run([*COMMAND, *where(source, tmp_path / "out")], cwd=ROOT, capture_output=True, check=False)
    assert contents(tmp_path / "out") == straight


@pytest.mark.security
def test_ray_listens_on_the_loopback_interface_only_and_is_told_to_ask_for_a_token(source, tmp_path):
    process = started(source, tmp_path / "out")
    until_written(tmp_path / "out", 1, process)
    addresses = {socket.laddr.ip for child in family(process) for socket in listening(child)}
    tokens = {worker.environ().get("RAY_AUTH_TOKEN", "") for worker in workers_of(process)}
    modes = {worker.environ().get("RAY_AUTH_MODE") for worker in workers_of(process)}
    process.terminate()
    ended(process)
    assert addresses
    assert addresses <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    assert [len(token) for token in tokens] == [64]
    assert modes == {"token"}


@pytest.mark.security
def test_who_has_no_token_or_that_of_another_run_is_refused_and_who_has_it_is_not():
    with program("hold") as process:
        address, token = process.stdout.readline().split()
        other = said("enter", address, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * len(token))
        none = said("enter", address, RAY_AUTH_MODE="disabled")
        its_own = said("enter", address, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token)
        process.communicate(timeout=SECONDS)
    assert other.startswith("AuthenticationError: RPC error: InvalidAuthToken")
    assert none.startswith("AuthenticationError: RPC error: InvalidAuthToken")
    assert its_own == "1 node"


def test_a_start_that_fails_half_way_leaves_no_process_and_no_folder():
    found = json.loads(said("fail", "3"))
    assert found["running"] == [["gcs_server", "raylet"]] * 3
    assert (found["result"], found["left"], found["folder"]) == ("WorkersLost", [], False)


def test_a_start_that_failed_is_tried_again():
    found = json.loads(said("fail", "1"))
    assert found["running"] == [["gcs_server", "raylet"]] * 2
    assert (found["result"], found["left"], found["folder"]) == ("1 node", [], False)


def program(*words, **environment):
    command = [sys.executable, "-m", "tests.cohorts.ray_programs", *words]
    env = {**os.environ, **environment}
    return subprocess.Popen(
        command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def said(*words, **environment):
    """What a program printed first."""
    with program(*words, **environment) as process:
        out, _ = process.communicate(timeout=SECONDS)
    return out.splitlines()[0]


def listening(child):
    try:
        return [found for found in child.net_connections("inet") if found.status == psutil.CONN_LISTEN]
    except psutil.Error:
        return []
