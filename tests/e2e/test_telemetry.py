"""The served process, observed: its metrics are those that are documented, its lines are JSON."""

import json
import re
import time

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.auth import Role
from tests.e2e.guarded import bearer, guarded
from tests.e2e.server import free_port
from tests.shared import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
PAGE = (ROOT / "docs" / "operations.md").read_text()
NOBODY = "http://127.0.0.1:9/fhir"  # so that the courier runs, and nothing is delivered
SUBJECT = "anna-canary-1970"


class Observed:
    """A guarded service that was asked for this and that, and where its metrics are."""

    def __init__(self, served, address):
        self.served, self.address = served, address

    def families(self):
        text = httpx.get(f"http://{self.address}/metrics").text
        return {family.name: family for family in text_string_to_metric_families(text)}

    def value(self, name, **labels):
        found = [s for family in self.families().values() for s in family.samples if s.name == name]
        values = [s.value for s in found if labels.items() <= s.labels.items()]
        return sum(values) if values else None

    def lines(self):
        return [json.loads(line) for line in self.served.log.read_text().splitlines() if line]


@pytest.fixture(scope="module")
def observed(home, tmp_path_factory):
    folder, address = tmp_path_factory.mktemp("observed"), f"127.0.0.1:{free_port()}"
    settings = {"PAT_METRICS_ADDRESS": address, "PAT_FHIR_SERVER_URL": NOBODY, "PAT_API_WORKERS": "2"}
    with guarded(home, folder, settings) as served:
        made = Observed(served, address)
        asked_for_this_and_that(served)
        wait_until(lambda: made.value("pat_process_resident_bytes", process="entry"))
        yield made


def asked_for_this_and_that(served):
    week = json.loads((ROOT / "examples" / "week.json").read_text())
    who = bearer()
    computed = {**who, "Cache-Control": "no-store"}
    with served.client() as client:
        for _ in range(60):
            assert client.post("/analyze", json=week, headers=computed).status_code == 200
        assert client.post("/analyze", json={**week, "unit": SUBJECT}, headers=who).status_code == 422
        assert client.post("/analyze", json=week).status_code == 401
        assert client.get(f"/{SUBJECT}", headers=who).status_code == 404
        glass = {"subject": SUBJECT, "reason": "found unconscious at home"}
        assert client.post("/v1/emergencies", json=glass, headers=bearer(roles=[Role.CLINICIAN])).is_success


def wait_until(true, seconds=60):
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.3)
    assert true()


def test_every_metric_that_is_documented_is_there_and_no_other(observed):
    documented = dict(re.findall(r"^\| `(pat_\w+)` \| (.*?) \|", PAGE, re.MULTILINE))
    assert len(documented) > 25
    found = {name: family for name, family in observed.families().items() if name.startswith("pat_")}
    named = {name + "_total" if family.type == "counter" else name: family for name, family in found.items()}
    assert set(named) == set(documented)
    for name, family in named.items():
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert labels == set(re.findall(r"`(\w+)`", documented[name])), name


def test_what_was_asked_is_counted_by_template_and_by_our_own_codes(observed):
    assert observed.value("pat_http_requests_total", route="/analyze", status="200") == 60
    assert observed.value("pat_http_request_seconds_count", route="/analyze") == 62
    assert observed.value("pat_http_requests_total", route="/nowhere", status="404") == 1
    assert observed.value("pat_rejected_inputs_total", reason="unknown_unit") == 1
    assert observed.value("pat_inferences_total", status="encoded") == 60
    assert observed.value("pat_absences_total", reason="no_sleep_log") >= 60
    assert observed.value("pat_break_glass_total") == 1
    assert observed.value("pat_auth_failures_total") == 1
    assert observed.value("pat_model_info", engine="native") or observed.value("pat_model_info") == 1
    assert observed.value("pat_integrity_checks_total", kind="golden", outcome="passed") == 1
    assert observed.value("pat_drift_weeks") == 60


def test_no_metric_holds_what_was_sent(observed):
    assert SUBJECT not in httpx.get(f"http://{observed.address}/metrics").text


def test_a_worker_that_is_killed_no_longer_counts_among_the_living(observed):
    [*runners] = [
        p for p in psutil.Process(observed.served.process.pid).children(recursive=True) if is_runner(p)
    ]
    before = observed.value("pat_process_resident_bytes", process="runner")
    for runner in runners:
        runner.kill()
    wait_until(lambda: observed.value("pat_model_loads_total", outcome="loaded") == 2)
    wait_until(lambda: observed.value("pat_process_resident_bytes", process="runner") < 1.7 * before)
    assert observed.value("pat_model_info") == 1


def is_runner(process):
    try:
        return "PatRunner" in process.cmdline()
    except psutil.Error:
        return False


def test_every_line_of_the_service_is_one_json_object_of_known_fields(observed):
    lines = observed.lines()
    assert len(lines) > 60
    for line in lines:
        assert {"time", "level", "logger", "message"} <= line.keys()
        assert isinstance(line["message"], str)
    assert SUBJECT not in json.dumps(lines)


def test_lines_of_a_request_name_its_trace_its_id_and_its_door(observed):
    week = json.loads((ROOT / "examples" / "week.json").read_text())
    ids = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    with observed.served.client() as client:
        answer = client.post("/analyze", json=week, headers={**bearer(), **ids})
    wanted = {
        "trace": "0af7651916cd43dd8448eb211c80319c",
        "request": answer.headers["x-bentoml-request-id"],
        "route": "/analyze",
    }
    wait_until(lambda: len(lines_of(observed, wanted)) >= 2)
    assert {line["logger"] for line in lines_of(observed, wanted)} >= {"pat.inference", "bentoml.access"}


def lines_of(observed, wanted):
    return [line for line in observed.lines() if wanted.items() <= line.items()]


def test_every_inference_leaves_one_line_with_fingerprints_and_no_values(observed):
    made = [line for line in observed.lines() if line["logger"] == "pat.inference"]
    assert len([line for line in made if line["outcome"] == "done"]) >= 60
    first = made[0]
    assert (first["weeks"], first["encoded"], first["missing_share"]) == (1, 1, 0.0)
    assert {line["input"] for line in made[:60]} == {first["input"]}  # the same recording
    assert re.fullmatch(r"[0-9a-f]{32}", first["input"])
    assert re.fullmatch(r"[0-9a-f]{32}", first["output"])
    assert first["input"] != first["output"]
    known = {"time", "level", "logger", "message", "trace", "request", "route", "verb", "outcome", "weeks"}
    known |= {"encoded", "missing_share", "calibration", "reasons", "pipeline", "ms", "input", "output"}
    known |= {"checkpoint", "sha256", "engine", "precision", "cache"}
    assert set(first) <= known
