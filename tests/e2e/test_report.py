"""The report of the running service: a page for a file, the same refusals as beside it."""

import json

import pytest

from postprocessing.report import CONTENT_POLICY
from tests.e2e.server import pat
from tests.shared import ROOT

pytestmark = pytest.mark.e2e
WEEK = ROOT / "examples" / "week.awd"
DOOR = "/v1/recordings:report"


def test_a_device_file_becomes_a_page_with_pictures(client):
    answer = client.post(DOOR, content=WEEK.read_bytes(), headers={"X-PAT-Zone": "Europe/Berlin"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith(CONTENT_POLICY)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.text.startswith("<!DOCTYPE html>")
    assert "Double-plotted actogram" in answer.text
    assert "Attention received over the week" in answer.text
    assert "SYNTH0001" not in answer.text


def test_the_same_file_gets_the_same_bytes_and_attention_only_where_wanted(client, week):
    asked = {"content": json.dumps(week), "headers": {"X-PAT-Profile": "false"}}
    first, second = (client.post(DOOR, **asked).content for _ in range(2))
    assert first == second
    assert b"Attention received over the week" not in first


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Accept": "application/json"}, 406, "not_acceptable"),
        ({"X-PAT-Subject": "Patient/1"}, 422, "invalid_field"),
        ({"X-PAT-Zone": "Mars/Olympus"}, 422, "no_time_zone"),
    ],
)
def test_a_refusal_is_a_problem_and_never_a_page(client, headers, status, code):
    answer = client.post(DOOR, content=WEEK.read_bytes(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_command_writes_the_report_of_a_file(home, tmp_path):
    target = tmp_path / "report.html"
    pat(
        *("analyze", str(WEEK), "--zone", "Europe/Berlin", "--format", "html", "--output", str(target)),
        home=home,
    )
    html = target.read_text()
    assert html.endswith("</html>\n")
    assert "Attention received over the week" in html
    refused = pat("analyze", str(WEEK), "--format", "html", "--subject", "Patient/1", home=home, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
