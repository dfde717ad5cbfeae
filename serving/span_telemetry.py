"""What Prometheus is told of spans."""

from __future__ import annotations

from functools import cache

from prometheus_client import REGISTRY, CollectorRegistry, Counter

__all__ = ["SpanTelemetry", "of_process"]


class SpanTelemetry:
    """Spans that no collector got."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._dropped = Counter(
            "pat_spans_dropped", "Spans that did not reach the collector", registry=registry
        )

    def dropped(self, spans: int) -> None:
        """Say how many were lost."""
        self._dropped.inc(spans)


@cache
def of_process() -> SpanTelemetry:
    """Return the one of this process."""
    return SpanTelemetry()
