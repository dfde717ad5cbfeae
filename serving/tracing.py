"""Spans on their way to a collector (OTLP over HTTP): few at a time, and nobody waits for them.

What ends is put into a bounded queue and sent by a thread. A span that finds the queue full, or that the
collector does not take, is counted and gone; nothing is sent twice. A collector that is down, slow or hung
costs a request nothing, and the end of the process four seconds at most.

Errors:

    HeadersUnusable          the file of headers for the collector must not be used as it is
    Unguarded                spans would leave past the allow-list
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    StaticSampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import get_current_span

from serving import spans
from serving.settings import Settings, SettingsError

if TYPE_CHECKING:
    import httpx

__all__ = [
    "BoundedProcessor",
    "Collector",
    "HeadersUnusable",
    "OtlpExporter",
    "Unguarded",
    "headers_of",
    "provider",
]

QUEUE_SPANS, BATCH_SPANS = 2_048, 512
_SEND_SECONDS = 2.0  # for one batch
_END_SECONDS = 4.0  # for all that is left when the process ends
_OTHERS = 0o077
_PATH = "/v1/traces"
_NOISE = (" http send", " http receive")  # a span for each message of a request says nothing more


class HeadersUnusable(ValueError):  # noqa: N818  # it says what is the case, as KeyError does
    """The headers must not be used as they are."""


class Unguarded(RuntimeError):  # noqa: N818  # same
    """There is no allow-list."""


@dataclass(frozen=True, repr=False)
class Collector:
    """Where spans go: ``sample`` of the traces that begin here, and every one that its caller records."""

    endpoint: str
    sample: float = 1.0
    ca_file: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> Collector | None:
        """Return the one of the settings, None where they name none.

        Raises HeadersUnusable, or SettingsError for certificates that cannot be read.
        """
        if not settings.otlp_endpoint:
            return None
        file = settings.otlp_headers_file
        headers = headers_of(Path(file)) if file else {}
        made = cls(settings.otlp_endpoint, settings.otlp_sample, settings.otlp_ca_file, headers)
        try:
            made.trusted()
        except OSError:  # ssl.SSLError is one
            raise SettingsError("PAT_OTLP_CA_FILE: expected certificates in a PEM file") from None
        return made

    def trusted(self) -> ssl.SSLContext:
        """Return whom the service believes to be the collector; OSError for a file that is none."""
        return ssl.create_default_context(cafile=self.ca_file or None)

    @property
    def url(self) -> str:
        """The address that takes spans."""
        base = self.endpoint.rstrip("/")
        return base if base.endswith(_PATH) else base + _PATH


def headers_of(path: Path) -> dict[str, str]:
    """Read lines of ``Name: value``, such as a token for the collector; raises HeadersUnusable."""
    try:
        mode, text = path.stat().st_mode, path.read_text("ascii")
    except (OSError, ValueError):
        raise HeadersUnusable("PAT_OTLP_HEADERS_FILE: expected a readable text file") from None
    if mode & _OTHERS:
        raise HeadersUnusable("PAT_OTLP_HEADERS_FILE: expected a file its owner alone may read; chmod 400 it")
    parted = [line.partition(":") for line in text.splitlines() if line.strip()]
    if not all(colon and name.strip() and value.strip() for name, colon, value in parted):
        raise HeadersUnusable("PAT_OTLP_HEADERS_FILE: expected lines of the form Name: value")
    return {name.strip(): value.strip() for name, _, value in parted}


class OtlpExporter(SpanExporter):
    """Posts spans once, as protobuf; ``dropped`` hears how many did not arrive."""

    def __init__(self, at: Collector, dropped: Callable[[int], None]) -> None:
        self._at, self._dropped = at, dropped
        self._client: httpx.Client | None = None
        self._until = float("inf")
        self.taken = 0  # spans that came here, whatever became of them

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send ``spans``, in time or not at all."""
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans  # noqa: PLC0415  # only where spans leave

        self.taken += len(spans)
        left = min(_SEND_SECONDS, self._until - time.monotonic())
        if left > 0 and self._sent(encode_spans(spans).SerializeToString(), left):
            return SpanExportResult.SUCCESS
        self._dropped(len(spans))
        return SpanExportResult.FAILURE

    def hurry(self, seconds: float) -> None:
        """Send what is left within ``seconds``; what is later is dropped."""
        self._until = time.monotonic() + seconds

    def shutdown(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def _sent(self, body: bytes, seconds: float) -> bool:
        import httpx  # noqa: PLC0415  # only where spans leave

        try:
            with self._connected().stream("POST", self._at.url, content=body, timeout=seconds) as answer:
                return answer.is_success
        except (httpx.HTTPError, OSError, RuntimeError):  # closed meanwhile
            return False

    def _connected(self) -> httpx.Client:
        if self._client is None:
            import httpx  # noqa: PLC0415  # same

            headers = {"Content-Type": "application/x-protobuf", "User-Agent": "pat-service"}
            self._client = httpx.Client(
                verify=self._at.trusted(),
                trust_env=False,
                follow_redirects=False,
                headers={**headers, **self._at.headers},
            )
        return self._client


class BoundedProcessor(BatchSpanProcessor):
    """OpenTelemetry's queue and thread, with a count of what finds the queue full and an end in time."""

    def __init__(
        self, exporter: OtlpExporter, dropped: Callable[[int], None], queue: int = QUEUE_SPANS
    ) -> None:
        super().__init__(
            exporter,
            max_queue_size=queue,
            schedule_delay_millis=1_000,
            max_export_batch_size=min(BATCH_SPANS, queue),
        )
        self._exporter, self._count, self._most = exporter, dropped, queue
        self._queued = 0

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span that is sampled, if there is room."""
        if not (span.context and span.context.trace_flags.sampled):
            return
        if self._queued - self._exporter.taken >= self._most:
            self._count(1)
            return
        self._queued += 1
        super().on_end(span)

    def shutdown(self) -> None:
        """Send what is left, in time."""
        self._exporter.hurry(_END_SECONDS / 2)
        ending = threading.Thread(target=super().shutdown, daemon=True)  # it waits half a minute by itself
        ending.start()
        ending.join(_END_SECONDS)


class _Roots(TraceIdRatioBased):
    """Samples a share of traces; of the others the ids are still there, for answers, logs and the trail."""

    def should_sample(self, *asked: Any, **named: Any) -> SamplingResult:
        """Decide."""
        made = super().should_sample(*asked, **named)
        return SamplingResult(Decision.RECORD_ONLY) if made.decision is Decision.DROP else made


class _Sampler(Sampler):
    """As the caller's trace says, or a share of the traces that begin here; no spans for single messages."""

    def __init__(self, share: float) -> None:
        self._asked = ParentBased(
            _Roots(share),
            remote_parent_sampled=ALWAYS_ON,
            remote_parent_not_sampled=StaticSampler(Decision.RECORD_ONLY),
            local_parent_sampled=ALWAYS_ON,
            local_parent_not_sampled=ALWAYS_OFF,
        )

    def should_sample(
        self, parent_context: Context | None, trace_id: int, name: str, *more: Any, **named: Any
    ) -> SamplingResult:
        """Decide."""
        if name.endswith(_NOISE) and get_current_span(parent_context).get_span_context().is_valid:
            return SamplingResult(Decision.DROP)
        return self._asked.should_sample(parent_context, trace_id, name, *more, **named)

    def get_description(self) -> str:
        """Name it."""
        return "as the caller, or a share"


def provider(at: Collector, service: str, dropped: Callable[[int], None]) -> TracerProvider:
    """Return what makes the spans of ``service`` and sends them to ``at``; ``dropped`` counts the lost.

    Raises Unguarded unless ``serving.spans.install`` came before.
    """
    if not spans.installed():
        raise Unguarded("expected the allow-list of serving/spans.py before a way out for spans; install it")
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)  # a queue that is full is counted, not told
    made = TracerProvider(
        sampler=_Sampler(at.sample),
        resource=Resource({SERVICE_NAME: service}),
        span_limits=SpanLimits(max_span_attributes=32, max_events=4, max_links=0),
        shutdown_on_exit=True,
    )
    made.add_span_processor(BoundedProcessor(OtlpExporter(at, dropped), dropped))
    return made
