"""A collector: takes what an exporter of spans posts, over real HTTP, as protobuf, and keeps it."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

__all__ = ["Got", "SpanSink", "span_sink"]


@dataclass(frozen=True)
class Got:
    """One span, as the collector knows it."""

    name: str
    trace: str
    id: str
    parent: str  # empty: none
    service: str
    attributes: dict[str, Any]
    began: int  # nanoseconds since 1970
    ended: int


class SpanSink(http.server.ThreadingHTTPServer):
    """Keeps the bodies that are posted to it; answers with ``status`` after ``seconds``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Keep)
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.status, self.seconds = 200, 0.0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"

    def settings(self, sample: float = 1.0, by: str = "") -> dict[str, str]:
        """What makes the service send its spans to here, directly or ``by`` the address of a proxy."""
        return {"PAT_OTLP_ENDPOINT": by or self.url, "PAT_OTLP_SAMPLE": str(sample)}

    def spans(self, trace: str = "") -> list[Got]:
        """Return what has arrived, of one trace or of all."""
        found = [span for body in list(self.bodies) for span in _read(body)]
        return [span for span in found if not trace or span.trace == trace]

    def wait(self, enough: Callable[[SpanSink], bool], seconds: float = 30) -> None:
        """Wait until ``enough`` has arrived, as long as that may take on a loaded machine."""
        deadline = time.monotonic() + seconds
        while not enough(self) and time.monotonic() < deadline:
            time.sleep(0.1)


class _Keep(http.server.BaseHTTPRequestHandler):
    server: SpanSink

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.server.seconds)
        if self.server.status < 300:
            self.server.bodies.append(body)
            self.server.headers.append(dict(self.headers))
        with contextlib.suppress(ConnectionError):
            self.send_response(self.server.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def _read(body: bytes) -> Iterator[Got]:
    for of_service in ExportTraceServiceRequest.FromString(body).resource_spans:
        named = {one.key: one.value.string_value for one in of_service.resource.attributes}
        for of_scope in of_service.scope_spans:
            for span in of_scope.spans:
                yield Got(
                    name=span.name,
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    service=named.get("service.name", ""),
                    attributes={one.key: _value(one.value) for one in span.attributes},
                    began=span.start_time_unix_nano,
                    ended=span.end_time_unix_nano,
                )


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


@contextlib.contextmanager
def span_sink() -> Iterator[SpanSink]:
    with SpanSink() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
