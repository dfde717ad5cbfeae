"""Spans on their way to a collector (serving/otlp.py): which traces are sampled, and what is put on the way.

Errors:

    Unguarded                spans would leave past the allow-list
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
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
from serving.otlp import Collector, Outbound, Room, Sender
from serving.settings import Signal

__all__ = ["QueuedSpans", "Unguarded", "provider"]

_NOISE = (" http send", " http receive")  # a span for each message of a request says nothing more


class Unguarded(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """There is no allow-list."""


class QueuedSpans(SpanProcessor):
    """Puts spans that end and are sampled on their way."""

    def __init__(self, at: Collector, dropped: Callable[[int], None], room: Room | None = None) -> None:
        self._way = Outbound(Sender(at, Signal.TRACES), _encoded, dropped, room)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span that is sampled, if there is room."""
        if span.context and span.context.trace_flags.sampled:
            self._way.put(span)

    def shutdown(self) -> None:
        """Send what is left, in time."""
        self._way.close()


def _encoded(ended: Sequence[ReadableSpan]) -> bytes:
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans  # noqa: PLC0415  # only where spans leave

    return bytes(encode_spans(ended).SerializeToString())


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
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)  # what is lost is counted, not told
    made = TracerProvider(
        sampler=_Sampler(at.sample),
        resource=Resource({SERVICE_NAME: service}),
        span_limits=SpanLimits(max_span_attributes=32, max_events=4, max_links=0),
        shutdown_on_exit=True,
    )
    made.add_span_processor(QueuedSpans(at, dropped))
    return made
