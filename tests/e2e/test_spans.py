"""The served process with tracing on: a collector gets spans, and none of what callers send."""

import time

import pytest

from tests.doubles.span_sink import span_sink
from tests.e2e.server import serve

pytestmark = [pytest.mark.e2e, pytest.mark.security, pytest.mark.slow]
MARKER = "canary4711"


@pytest.fixture
def sink():
    with span_sink() as server:
        yield server


def test_a_collector_learns_the_door_and_the_status_and_nothing_that_was_sent(home, sink, tmp_path, week):
    with serve(home, sink.settings(tmp_path)) as served, served.client() as client:
        headers = {"X-PAT-Marker": MARKER, "User-Agent": MARKER, "tracestate": f"a={MARKER}"}
        assert client.post(f"/analyze?q={MARKER}", json=week, headers=headers).status_code == 200
        assert client.post("/analyze", json={**week, "unit": MARKER}, headers=headers).status_code == 422
        assert client.post("/analyze", json={**week, MARKER: 1}, headers=headers).status_code == 422
        assert client.get(f"/{MARKER}", headers=headers).status_code == 404
        assert client.post("/v1/recordings:analyze", content=MARKER, headers=headers).status_code == 422
        deadline = time.monotonic() + 30
        while not any(b"(other)" in body for body in sink.bodies) and time.monotonic() < deadline:
            time.sleep(0.2)
    everything = b"".join(sink.bodies)
    for said in (b"POST /analyze", b"GET (other)", b"POST /v1/recordings:analyze", b"PatService"):
        assert said in everything
    assert MARKER.encode() not in everything
    assert b"127.0.0.1" not in everything
