"""The served service under a real Prometheus and a real Alertmanager, with the files of deploy/."""

import json
import re
import time

import httpx
import pytest

from tests.deploy.exported import TARGETS, exported
from tests.deploy.processes import Receiver, alertmanager, prometheus, until
from tests.deploy.test_grafana import queries
from tests.e2e.guarded import asked, bearer, guarded
from tests.e2e.server import free_port, home_with_demo_weights, serve, stop
from tests.shared import ROOT

AT_AN_EVENT = {  # what is told only once it happens
    "pat_auth_failures_total",
    "pat_deliveries_total",
    "pat_input_drift",
    "pat_outbox_entries",
    "pat_output_drift",
    "pat_rejected_inputs_total",
}

pytestmark = [pytest.mark.slow, pytest.mark.e2e]


@pytest.fixture(scope="module")
def home():
    with home_with_demo_weights() as path:
        yield path


@pytest.fixture(scope="module")
def week():
    """The example week, as a caller sends it."""
    return json.loads((ROOT / "examples" / "week.json").read_text())


@pytest.fixture(scope="module")
def receiver():
    made = Receiver()
    with made.running():
        yield made


@pytest.fixture(scope="module")
def metrics():
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def served(home, tmp_path_factory, metrics):
    with guarded(home, tmp_path_factory.mktemp("guarded"), {"PAT_METRICS_ADDRESS": metrics}) as running:
        yield running


@pytest.fixture(scope="module")
def watched(served, tmp_path_factory, metrics, receiver):
    """Prometheus, which asks ``served`` and tells an Alertmanager, which tells ``receiver``."""
    with (
        alertmanager(tmp_path_factory.mktemp("alertmanager"), receiver) as manager,
        prometheus(tmp_path_factory.mktemp("prometheus"), metrics, manager.url) as running,
    ):
        yield running


def value(watched, query):
    """The values that Prometheus has for a query now."""
    answer = watched.get("/api/v1/query", query=query)
    assert answer["status"] == "success", answer
    return [float(one["value"][1]) for one in answer["data"]["result"]]


def names(watched):
    return set(watched.get("/api/v1/label/__name__/values")["data"])


def test_the_service_is_up_and_what_our_code_tells_arrives(watched, served, week):
    assert until(lambda: value(watched, 'up{job="pat-service"}') == [1.0])
    for _ in range(5):
        assert asked(served, "/analyze", week, **bearer()).status_code == 200
    assert until(lambda: value(watched, "job:pat_http_request_seconds:p95_rate5m"))
    told = {name for name in names(watched) if name.startswith("pat_") and not name.endswith("_created")}
    assert told <= set(exported())
    assert set(exported()) - told <= AT_AN_EVENT


def test_its_series_have_the_labels_that_the_code_gives_them(watched):
    for name in (
        "pat_model_info",
        "pat_queue_weeks",
        "pat_degraded",
        "pat_process_resident_bytes",
        "pat_jobs",
    ):
        for series in watched.get("/api/v1/series", **{"match[]": name})["data"]:
            assert series.keys() == exported()[name].labels | TARGETS | {"__name__"}, name


def test_of_a_service_that_is_well_nothing_is_told(watched):
    slow = "Pat(ApiSlow|LatencyBudget.*|.*Slow|QueueWaitLong|CpuHigh)"  # which a busy machine may be
    time.sleep(10)  # longer than the patience of the hasty rules
    assert value(watched, f'ALERTS{{alertstate="firing",alertname!~"{slow}"}}') == []


def test_every_query_of_the_dashboard_is_answered(watched):
    silent = [query for query in queries() if not value(watched, query)]
    events = re.compile("|".join((*AT_AN_EVENT, "ALERTS", re.escape("[45].."))))
    assert [query for query in silent if not events.search(query)] == []


def test_an_emergency_is_told_to_who_reviews_it(watched, served, receiver):
    reason = {"subject": "patient-1", "reason": "unconscious in the emergency room"}
    assert asked(served, "/v1/emergencies", reason, **bearer()).status_code < 300
    assert until(lambda: receiver.heard("privacy", "PatBreakGlass"))
    [alert] = receiver.heard("privacy", "PatBreakGlass")[:1]
    assert alert["annotations"]["runbook"] == "docs/runbook.md#patbreakglass"
    assert "patient-1" not in str(receiver.got)


def test_callers_who_are_not_identified_again_and_again_are_told(watched, served, receiver):
    def one_more_burst():
        with served.client() as client:
            assert {client.get("/v1/status").status_code for _ in range(60)} == {401}
        return receiver.heard("tickets", "PatAuthFailures")

    assert until(one_more_burst, 60)
    assert receiver.heard("tickets", "PatAuthFailures")[0]["labels"]["severity"] == "warning"


def test_a_service_that_ends_is_told_and_heals_when_it_is_back(watched, served, receiver, metrics):
    stop(served.process)
    assert until(lambda: receiver.heard("pager", "PatServiceDown"))
    assert receiver.heard("pager", "PatServiceDown")[0]["labels"]["instance"] == metrics
    assert value(watched, 'ALERTS{alertname="PatServiceDown",alertstate="firing"}') == [1.0]


def test_a_service_without_its_weights_is_told(home, tmp_path, receiver):
    address = f"127.0.0.1:{free_port()}"
    settings = {"PAT_CHECKPOINT": "pat-s-nowhere:latest", "PAT_METRICS_ADDRESS": address}
    with (
        serve(home, settings, wait_ready=False) as served,
        alertmanager(tmp_path, receiver) as manager,
        prometheus(tmp_path, address, manager.url) as watched,
    ):
        assert httpx.get(f"{served.url}/readyz").status_code == 503
        assert until(lambda: value(watched, 'up{job="pat-service"}') == [1.0])
        assert until(lambda: receiver.heard("pager", "PatNoModel"))
        assert receiver.heard("pager", "PatNoModel")[-1]["labels"]["instance"] == address
