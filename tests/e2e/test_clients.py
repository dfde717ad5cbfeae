"""Each program of examples/clients works as it is: with an open service, a guarded one, and when refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.guarded import bearer, guarded
from tests.fhir_tools import installed
from tests.shared import ROOT, missing

pytestmark = [pytest.mark.e2e, pytest.mark.fhir, pytest.mark.slow]

CLIENTS = ROOT / "examples" / "clients"
PYTHON = ("bentoml_sync.py", "bentoml_async.py", "fhir_httpx.py")
NAMES = (*PYTHON, "analyze.sh", "analyze.ts")
SAYS = {
    "bentoml_sync.py": "total_sleep_time 4",
    "bentoml_async.py": "week 2024-05-14",
    "fhir_httpx.py": "Total sleep time",
    "analyze.sh": "interdaily_stability 0.5",
    "analyze.ts": "total_sleep_time 4",
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The TypeScript client as JavaScript, by a strict compiler."""
    tool, folder = installed(ROOT / "tests" / "typescript-5.9.3"), tmp_path_factory.mktemp("compiled")
    source = folder / "analyze.mts"
    shutil.copyfile(CLIENTS / "analyze.ts", source)
    command = ["node", tool / "node_modules/typescript/bin/tsc", "--strict", "--noUncheckedIndexedAccess"]
    command += ["--erasableSyntaxOnly", "--target", "es2022", "--module", "nodenext", "--types", "node"]
    command += ["--typeRoots", tool / "node_modules/@types", source]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    return folder / "analyze.mjs"


@pytest.fixture
def ran(request, tmp_path):
    """Runs a client as its user does, in a folder of its own."""

    def ran(name: str, *arguments: object, token: str = "") -> subprocess.CompletedProcess[str]:
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "BENTOML_HOME") if key in os.environ}
        given = {**kept, "BENTOML_DO_NOT_TRACK": "True", **({"ACCESS_TOKEN": token} if token else {})}
        command = [*_program(name, request), *map(str, arguments)]
        return subprocess.run(
            command, cwd=ROOT, env=given, capture_output=True, text=True, timeout=120, check=False
        )

    return ran


def _program(name, request):
    if name.endswith(".ts"):
        return ["node", str(request.getfixturevalue("compiled"))]
    if name.endswith(".sh"):
        if shutil.which("curl") is None:
            missing("curl is not on this machine (Debian: apt-get install curl)")
        return ["sh", str(CLIENTS / name)]
    return [sys.executable, str(CLIENTS / name)]


@pytest.fixture(scope="module")
def closed(home, tmp_path_factory):
    """A service that identifies its callers."""
    with guarded(home, tmp_path_factory.mktemp("clients")) as served:
        yield served


@pytest.fixture
def wrong(tmp_path, week):
    """A recording whose unit nobody knows."""
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps({**week, "unit": "furlongs"}))
    return path


def test_every_program_is_here():
    assert {path.name for path in CLIENTS.iterdir()} == set(NAMES) == SAYS.keys()


@pytest.mark.parametrize("name", NAMES)
def test_a_client_prints_numbers(served, ran, name):
    done = ran(name, served.url)
    assert done.returncode == 0, done.stderr
    assert SAYS[name] in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("name", NAMES)
def test_a_client_sends_its_token(closed, ran, name):
    token = bearer(roles=["service"])["Authorization"].removeprefix("Bearer ")
    done = ran(name, closed.url, token=token)
    assert done.returncode == 0, done.stderr
    assert SAYS[name] in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_a_client_says_why_it_was_refused(served, ran, wrong, name):
    done = ran(name, served.url, wrong)
    assert (done.returncode, done.stdout) == (1, "")
    assert ("actiwatch_counts" if name == "fhir_httpx.py" else "unit") in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 2000


@pytest.mark.parametrize("name", NAMES)
def test_a_client_without_a_token_says_so_where_one_is_wanted(closed, ran, name):
    done = ran(name, closed.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert ("schema" if name.startswith("bentoml") else "token") in done.stderr
    assert "Traceback" not in done.stderr


def test_the_typescript_client_is_short():
    assert len((CLIENTS / "analyze.ts").read_text().splitlines()) <= 65


def test_the_pages_name_every_client():
    for page in ("README.md", "docs/api.md"):
        text = (ROOT / page).read_text()
        assert "examples/clients" in text
    assert all(name in text for name in NAMES)


def test_the_compiler_is_the_one_that_its_folder_names():
    folder = ROOT / "tests" / "typescript-5.9.3"
    pinned = json.loads((folder / "package.json").read_text())["dependencies"]["typescript"]
    assert Path(folder).name == f"typescript-{pinned}"
