"""A collector: keeps the spans, log lines and metrics that are posted to it, over real HTTP, as protobuf."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.certificates import Pair

__all__ = ["Got", "GotLine", "GotSeries", "SpanSink", "span_sink"]


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


@dataclass(frozen=True)
class GotLine:
    """One log line."""

    body: str
    severity: tuple[int, str]
    logger: str
    service: str
    attributes: dict[str, Any]
    trace: str  # empty: none
    span: str
    written: int


@dataclass(frozen=True)
class GotSeries:
    """The one point of one series in one report."""

    name: str
    kind: str  # sum, gauge, histogram
    labels: dict[str, str]
    instance: str
    value: float  # of a histogram, its sum
    counts: tuple[int, ...]  # of a histogram, by bucket
    bounds: tuple[float, ...]
    began: int  # 0: a gauge has no beginning
    told: int

    @property
    def key(self) -> tuple[str, frozenset[tuple[str, str]]]:
        """What tells it from others of the instance."""
        return self.name, frozenset(self.labels.items())


class SpanSink(http.server.ThreadingHTTPServer):
    """Keeps the bodies that are posted to it; answers with ``status`` after ``seconds``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Keep)
        self.bodies: list[bytes] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.status, self.seconds, self.scheme = 200, 0.0, "http"
        self.keeping = threading.Lock()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def settings(self, sample: float = 1.0, by: str = "") -> dict[str, str]:
        """What makes the service send everything to here, directly or ``by`` the address of a proxy."""
        return {"PAT_OTLP_ENDPOINT": by or self.url, "PAT_OTLP_SAMPLE": str(sample)}

    def spans(self, trace: str = "") -> list[Got]:
        """Return what has arrived, of one trace or of all."""
        found = [span for body in self.taken("traces") for span in _read(body)]
        return [span for span in found if not trace or span.trace == trace]

    def lines(self, logger: str = "") -> list[GotLine]:
        """Return the log lines that have arrived, of one logger or of all."""
        found = [line for body in self.taken("logs") for line in _read_lines(body)]
        return [line for line in found if not logger or line.logger == logger]

    def reports(self) -> list[list[GotSeries]]:
        """Return the reports of metrics that have arrived, each with all its series."""
        return [list(_read_series(body)) for body in self.taken("metrics")]

    def taken(self, signal: str) -> list[bytes]:
        """Return the bodies of one door."""
        pairs = zip(list(self.paths), list(self.bodies), strict=False)
        return [body for path, body in pairs if path == f"/v1/{signal}"]

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
            with self.server.keeping:
                self.server.paths.append(self.path)
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


def _read_lines(body: bytes) -> Iterator[GotLine]:
    for of_service in ExportLogsServiceRequest.FromString(body).resource_logs:
        named = _named(of_service.resource.attributes)
        for of_scope in of_service.scope_logs:
            for line in of_scope.log_records:
                yield GotLine(
                    body=line.body.string_value,
                    severity=(line.severity_number, line.severity_text),
                    logger=of_scope.scope.name,
                    service=named["service.name"],
                    attributes=_named(line.attributes),
                    trace=line.trace_id.hex(),
                    span=line.span_id.hex(),
                    written=line.time_unix_nano,
                )


def _read_series(body: bytes) -> Iterator[GotSeries]:
    for of_service in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        named = _named(of_service.resource.attributes)
        for of_scope in of_service.scope_metrics:
            for metric in of_scope.metrics:
                kind = metric.WhichOneof("data")
                data = getattr(metric, kind)
                if kind != "gauge":
                    assert data.aggregation_temporality == 2  # cumulative
                    assert kind == "histogram" or data.is_monotonic
                for point in data.data_points:
                    yield GotSeries(
                        name=metric.name,
                        kind=kind,
                        labels=_named(point.attributes),
                        instance=named["service.instance.id"],
                        value=point.sum if kind == "histogram" else point.as_double,
                        counts=tuple(getattr(point, "bucket_counts", ())),
                        bounds=tuple(getattr(point, "explicit_bounds", ())),
                        began=point.start_time_unix_nano,
                        told=point.time_unix_nano,
                    )


def _named(attributes: Any) -> dict[str, Any]:
    return {one.key: _value(one.value) for one in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return (
        [_value(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)
    )


@contextlib.contextmanager
def span_sink(pair: Pair | None = None) -> Iterator[SpanSink]:
    """Run one, over TLS where there is a certificate."""
    with SpanSink() as server:
        if pair is not None:
            server.scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair.certificate, pair.key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
