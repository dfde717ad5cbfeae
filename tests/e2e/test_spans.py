"""The served process with tracing on: a collector gets spans, and none of what callers send."""

import http.server
import threading
import time

import pytest
import yaml

from tests.e2e.server import serve

pytestmark = [pytest.mark.e2e, pytest.mark.security]
MARKER = "canary4711"


class Sink(http.server.ThreadingHTTPServer):
    """Keeps what is posted to it."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Keep)
        self.bodies = []


class Keep(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def sink():
    with Sink() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_collector_learns_the_door_and_the_status_and_nothing_that_was_sent(home, sink, tmp_path, week):
    endpoint = f"http://127.0.0.1:{sink.server_port}/v1/traces"
    tracing = {
        "exporter_type": "otlp",
        "sample_rate": 1.0,
        "otlp": {"protocol": "http", "endpoint": endpoint},
    }
    config = tmp_path / "bentoml.yaml"
    config.write_text(yaml.safe_dump({"services": {"tracing": tracing}}))
    with serve(home, {"BENTOML_CONFIG": str(config)}) as served, served.client() as client:
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
