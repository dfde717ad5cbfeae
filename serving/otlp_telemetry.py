"""What Prometheus is told of telemetry that leaves by OTLP."""

from __future__ import annotations

from functools import cache

from prometheus_client import REGISTRY, CollectorRegistry, Counter

from serving.settings import Signal

__all__ = ["ExportTelemetry", "of_process"]


class ExportTelemetry:
    """Spans, log lines and reports of metrics that no collector got."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._dropped = Counter(
            "pat_telemetry_dropped",
            "Spans, log lines and reports of metrics that did not reach the collector",
            ["signal"],
            registry=registry,
        )
        for signal in Signal:
            self._dropped.labels(signal.value)

    def dropped(self, signal: Signal, many: int) -> None:
        """Say how many of a signal were lost."""
        self._dropped.labels(signal.value).inc(many)


@cache
def of_process() -> ExportTelemetry:
    """Return the one of this process."""
    return ExportTelemetry()
