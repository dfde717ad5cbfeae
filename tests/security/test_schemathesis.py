"""Thousands of generated requests, by each role and by nobody: the service fails at none, as documented."""

import json
import subprocess

import pytest

from api.app import build
from api.openapi import Description
from serving.auth import Role
from tests.e2e.guarded import bearer
from tests.e2e.server import BIN
from tests.shared import missing

pytestmark = [pytest.mark.e2e, pytest.mark.security, pytest.mark.slow, pytest.mark.timeout(900)]

CASES, EXAMPLES = 5_000, 5  # wanted in all; of each operation and caller, beside the cases of boundaries
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
CHECKS += ",response_headers_conformance,negative_data_rejection"
CONFIG = """
hooks = "hooks.py"
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 406, 413, 415, 422]
"""
HOOKS = """
import schemathesis

@schemathesis.serializer("application/x-ndjson")
def as_it_is(context, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
"""
CALLERS = ("nobody", *(role.value for role in Role))


@pytest.fixture(scope="module")
def reports(asked, tmp_path_factory):
    """What schemathesis found, by caller; and that each of its requests is in the trail."""
    if not (BIN / "st").exists():
        missing("schemathesis is not installed (make setup)")
    folder, before = tmp_path_factory.mktemp("schemathesis"), len(asked.events())
    (folder / "openapi.json").write_text(json.dumps(Description(build()).document))
    (folder / "schemathesis.toml").write_text(CONFIG)
    (folder / "hooks.py").write_text(HOOKS)
    found = {name: ran(folder, asked.served.url, name) for name in CALLERS}
    assert len(asked.events()) - before >= CASES
    assert asked.report().faults == []
    assert asked.served.process.poll() is None
    return found


def ran(folder, url, name):
    headers = {} if name == "nobody" else bearer(roles=[name], sid="p-own")
    command = [str(BIN / "st"), "--config-file", "schemathesis.toml", "run", "openapi.json", "--url", url]
    command += ["--checks", CHECKS, "--max-examples", str(EXAMPLES), "--seed", "1"]
    command += ["--workers", "1"]  # with more, ast in Python 3.11 is at times used by two threads and fails
    command += ["--phases", "examples,coverage,fuzzing", "--generation-database", "none", "--no-color"]
    command += ["--continue-on-failure", "--no-shrink", "--report-json-path", f"{name}.json"]
    command += [part for header, value in headers.items() for part in ("--header", f"{header}: {value}")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert (folder / f"{name}.json").exists(), done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads((folder / f"{name}.json").read_text()), done.stdout


@pytest.mark.parametrize("name", CALLERS)
def test_nothing_is_found(reports, name):
    report, said = reports[name]
    assert report["complete"], said[-3000:]
    assert (report["failures"], report["errors"]) == ([], []), said[-6000:]
    assert report["operations"]["tested"] == report["operations"]["total"]


def test_there_were_enough_cases(reports):
    assert sum(report["test_cases"]["generated"] for report, _ in reports.values()) >= CASES
