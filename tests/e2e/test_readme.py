"""What the README and docs/api.md tell a reader to do works as written."""

import contextlib
import io
import json
import re
import shlex
import subprocess

import numpy as np
import pytest

from tests.e2e.server import BIN, environment
from tests.shared import ROOT

pytestmark = pytest.mark.e2e


def blocks(page, language):
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / page).read_text(), flags=re.M | re.S)
    return [body for marked, body in fenced if marked == language]


def test_the_python_of_the_readme_prints_metrics(served, monkeypatch):
    monkeypatch.chdir(ROOT)
    (code,) = blocks("README.md", "python")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code.replace("http://127.0.0.1:3000", served.url), {})
    assert "total_sleep_time" in printed.getvalue()


@pytest.mark.parametrize("page", ["README.md", "docs/api.md"])
def test_every_curl_of_the_page_gets_an_answer(served, page, tmp_path):
    commands = [block for block in blocks(page, "") if block.startswith("curl")]
    assert commands
    for command in commands:
        line = command.replace("\\\n", " ").replace("http://127.0.0.1:3000", served.url)
        arguments = shlex.split(line.replace("@night.awd", "@examples/week.awd"))
        done = subprocess.run([*arguments, "-s"], cwd=ROOT, capture_output=True, check=True, timeout=60)
        assert json.loads(done.stdout)["schema"] == "pat-analysis/1"


@pytest.mark.fhir
def test_every_curl_of_the_fhir_page_gets_a_resource(served):
    commands = [block for block in blocks("docs/fhir.md", "") if block.startswith("curl")]
    assert len(commands) == 2
    for command in commands:
        arguments = shlex.split(command.replace("http://127.0.0.1:3000", served.url))
        done = subprocess.run([*arguments, "-s"], cwd=ROOT, capture_output=True, check=True, timeout=60)
        assert json.loads(done.stdout)["resourceType"] in ("Bundle", "CapabilityStatement")


def test_every_pat_command_of_the_readme_works(home, tmp_path):
    np.save(tmp_path / "weeks.npy", np.zeros((1, 10_080), np.float32))
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (block,) = [block for block in blocks("README.md", "") if "pat analyze" in block]
    for line in block.strip().splitlines():
        program, *arguments = shlex.split(line)
        assert program == ".venv/bin/pat"
        subprocess.run(
            [str(BIN / "pat"), *arguments],
            cwd=tmp_path,
            env=environment(home),
            check=True,
            capture_output=True,
            timeout=120,
        )
    assert (tmp_path / "bundle.json").exists()
    assert (tmp_path / "embeddings.npz").exists()


def test_the_recording_of_the_api_page_is_answered(client):
    recording = next(json.loads(b) for b in blocks("docs/api.md", "json") if '"values"' in b)
    assert client.post("/analyze", json=recording).status_code == 200


def test_the_python_of_the_api_page_embeds(served):
    (code,) = blocks("docs/api.md", "python")
    names = {}
    exec(code.replace("http://127.0.0.1:3000", served.url), names)
    assert names["embeddings"].shape == (64, 96)
    assert np.isfinite(names["embeddings"]).all()


def test_every_page_the_readme_links_to_exists():
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / link).exists(), link
