"""The served process with a collector: it gets the whole way of a request, and none of what callers send."""

import re
import time

import httpx
import pytest

from tests.doubles.span_sink import span_sink
from tests.e2e.server import free_port, serve

pytestmark = [pytest.mark.e2e, pytest.mark.security, pytest.mark.slow]
MARKER = "canary4711"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE, PARENT = CALLER.split("-")[1:3]
STATIONS = ["pat.clinical", "pat.hop", "pat.postprocess", "pat.read", "pat.standardise", "pat.wear"]


@pytest.fixture(scope="module")
def sink():
    with span_sink() as server:
        yield server


@pytest.fixture(scope="module")
def traced(home, sink):
    with serve(home, sink.settings()) as served, served.client() as client:
        yield client


def test_a_collector_learns_the_door_and_the_status_and_nothing_that_was_sent(traced, sink, week):
    headers = {"X-PAT-Marker": MARKER, "User-Agent": MARKER, "tracestate": f"a={MARKER}"}
    headers |= {"baggage": f"subject={MARKER}"}
    assert traced.post(f"/analyze?q={MARKER}", json=week, headers=headers).status_code == 200
    assert traced.post("/analyze", json={**week, "unit": MARKER}, headers=headers).status_code == 422
    assert traced.post("/analyze", json={**week, MARKER: 1}, headers=headers).status_code == 422
    assert traced.get(f"/{MARKER}", headers=headers).status_code == 404
    assert traced.post("/v1/recordings:analyze", content=MARKER, headers=headers).status_code == 422
    sink.wait(lambda at: any(span.name == "GET (other)" for span in at.spans()))
    sink.wait(lambda at: any(span.name == "POST /v1/recordings:analyze" for span in at.spans()))
    everything = b"".join(sink.bodies)
    for said in (b"POST /analyze", b"GET (other)", b"POST /v1/recordings:analyze", b"PatService"):
        assert said in everything
    assert MARKER.encode() not in everything
    assert b"127.0.0.1" not in everything


def test_the_tree_of_a_request_is_whole_and_hangs_on_the_callers_span(traced, sink, week):
    headers = {"traceparent": CALLER, "Cache-Control": "no-store"}  # the same was asked before
    assert traced.post("/analyze_fhir", json=week, headers=headers).status_code == 200
    sink.wait(lambda at: {"pat.batch", "POST /analyze_fhir"} <= {span.name for span in at.spans(TRACE)})
    spans = {span.name: span for span in sink.spans(TRACE)}
    door = spans["POST /analyze_fhir"]
    assert (door.parent, door.service) == (PARENT, "PatService")
    assert door.attributes["http.response.status_code"] == 200
    assert sorted(span.name for span in spans.values() if span.parent == door.id) == sorted(
        [*STATIONS, "pat.fhir"]
    )
    batch = spans["pat.batch"]
    assert (batch.parent, batch.service) == (spans["pat.hop"].id, "PatRunner")
    assert batch.attributes == {"pat.weeks": 1, "pat.batch_weeks": 1}
    assert spans["pat.hop"].began <= batch.began <= batch.ended <= spans["pat.hop"].ended
    assert len(sink.spans(TRACE)) == len(STATIONS) + 3


def test_a_trace_that_its_caller_does_not_record_is_not_recorded_here(traced, sink, week):
    trace = "1" * 32
    unsampled = {"traceparent": f"00-{trace}-{PARENT}-00"}
    assert traced.post("/analyze", json=week, headers=unsampled).status_code == 200
    assert traced.post("/explain", json=week).status_code == 200  # for which is waited instead
    sink.wait(lambda at: any(span.name == "POST /explain" for span in at.spans()))
    assert sink.spans(trace) == []


def test_of_traces_that_begin_here_none_is_sent_at_a_share_of_none(home, week):
    with span_sink() as sink, serve(home, sink.settings(0.0)) as served, served.client() as client:
        assert client.post("/analyze", json=week).status_code == 200
        assert client.post("/analyze", json=week, headers={"traceparent": CALLER}).status_code == 200
        sink.wait(lambda at: any(span.name == "POST /analyze" for span in at.spans()))
    assert {span.trace for span in sink.spans()} == {TRACE}


def test_a_collector_that_is_down_costs_no_request_and_its_loss_is_counted(home, week):
    address = f"127.0.0.1:{free_port()}"
    settings = {"PAT_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}", "PAT_METRICS_ADDRESS": address}
    with serve(home, settings) as served, served.client() as client:
        answers = [client.post("/analyze", json=week).status_code for _ in range(20)]
        assert answers == [200] * 20
        lost = wait_for_loss(address)
        said = served.log.read_text()
    assert set(lost) == {"traces", "metrics", "logs"}
    assert "opentelemetry" not in said
    assert served.process.returncode == 0


def wait_for_loss(address, seconds=60):
    """Return of which signals something was lost, once something was of each."""
    lost, deadline = {}, time.monotonic() + seconds
    while len(lost) < 3 and time.monotonic() < deadline:
        time.sleep(0.3)
        pattern = r'^pat_telemetry_dropped_total{signal="(\w+)"} ([\d.]+)'
        found = re.findall(pattern, httpx.get(f"http://{address}/metrics").text, re.M)
        lost = {signal: float(many) for signal, many in found if float(many)}
    return lost


def test_a_collector_that_hangs_holds_up_no_request_and_no_end(home, week):
    with span_sink() as sink:
        sink.seconds = 3600
        with serve(home, sink.settings()) as served, served.client() as client:
            for _ in range(20):
                assert client.post("/analyze", json=week).status_code == 200
        assert served.process.returncode == 0  # it ended by itself, before it would have been killed
