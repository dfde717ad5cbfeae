"""`pat serve` refuses before anything starts, puts files in memory and cleans up after the dead."""

import subprocess
import sys

import pytest

import cli
from serving import start
from serving.settings import Settings
from tests.shared import ROOT

pytestmark = pytest.mark.security

HOLD = """
import sys; from pathlib import Path; from serving.start import scratch
print(scratch(Path(sys.argv[1])), flush=True); sys.stdin.read()
"""


def holder(memory):
    """A process that has a folder of its own in ``memory`` until its standard input ends."""
    command = [sys.executable, "-c", HOLD, str(memory)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, text=True, **pipes)


def test_a_start_removes_what_a_killed_one_left_and_nothing_of_a_living_one(tmp_path):
    foreign = tmp_path / "pat-serve-without-lock"
    foreign.mkdir()
    living, killed = holder(tmp_path), holder(tmp_path)
    kept, left = (process.stdout.readline().strip() for process in (living, killed))
    killed.kill()
    killed.wait()
    assert {str(p) for p in tmp_path.iterdir()} == {kept, left, str(foreign)}
    made = start.scratch(tmp_path)
    assert {str(p) for p in tmp_path.iterdir()} == {kept, str(made), str(foreign)}
    assert made.stat().st_mode & 0o777 == 0o700
    living.communicate("")
    living.wait()


def test_the_environment_of_the_service_is_the_caller_s_with_what_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = start.environment(
        {"PAT_TLS_KEY_FILE": "server.key"},
        {"PAT_PORT": "4000", "BENTOML_HOST": "0.0.0.0", "PAT_STATE_FOLDER": "", "HOME": "/h"},
    )
    assert made == {
        "PAT_TLS_KEY_FILE": str(tmp_path / "server.key"),
        "PAT_PORT": "4000",
        "PAT_STATE_FOLDER": "",
        "HOME": "/h",
        "BENTOML_DO_NOT_TRACK": "True",
    }


def test_the_command_serves_this_package_on_the_address_that_was_set():
    line = start.command(Settings(host="127.0.0.1", port=4000))
    assert line[:5] == [sys.executable, "-m", "bentoml", "serve", "service:PatService"]
    assert line[5:9] == ["--host", "127.0.0.1", "--port", "4000"]
    assert (ROOT / "service.py").samefile(f"{line[10]}/service.py")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--host", "0.0.0.0"], "PAT_HOST must be"),
        (["--certificate", "c.pem"], "need each other"),
        (["--certificate", "no.pem", "--key", "no.key"], "cannot be used"),
        (["--client-ca", "ca.pem"], "need each other"),
        (["--port", "many"], "PAT_PORT"),
    ],
)
def test_the_command_refuses_what_must_not_start(arguments, reason, capsys, monkeypatch):
    monkeypatch.setattr("os.execve", lambda *_: pytest.fail("it started"))
    assert cli.main(["serve", *arguments]) == 1
    assert reason in capsys.readouterr().err
