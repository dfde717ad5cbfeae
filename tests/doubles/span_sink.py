"""Takes what an exporter of spans posts, over real HTTP, and keeps it as it came."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

__all__ = ["SpanSink", "span_sink"]


class SpanSink(http.server.ThreadingHTTPServer):
    """Keeps the bodies that are posted to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Keep)
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def settings(self, folder: Path, by: str = "") -> dict[str, str]:
        """What makes BentoML export every span to here, directly or ``by`` the address of a proxy."""
        tracing = {
            "exporter_type": "otlp",
            "sample_rate": 1.0,
            "otlp": {"protocol": "http", "endpoint": f"{by or self.url}/v1/traces"},
        }
        config = folder / "bentoml.yaml"
        config.write_text(yaml.safe_dump({"services": {"tracing": tracing}}))
        return {"BENTOML_CONFIG": str(config)}


class _Keep(http.server.BaseHTTPRequestHandler):
    server: SpanSink

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def span_sink() -> Iterator[SpanSink]:
    with SpanSink() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
