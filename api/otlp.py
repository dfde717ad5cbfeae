"""Begins and ends what leaves a process for the operator's collector: spans, log lines, metrics."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bentoml._internal.context import server_context

from api import tracing
from serving import otlp, otlp_logs
from serving.otlp import Collector
from serving.settings import Settings, Signal

__all__ = ["begin", "begin_with_metrics"]

End = Callable[[], None]


def begin(settings: Settings) -> End:
    """Let spans and log lines of this process leave; return what sends the rest and ends that."""
    return _together([tracing.begin(settings), _logs(settings)])


def begin_with_metrics(settings: Settings) -> End:
    """Let what all processes counted leave as well: one entry process does that for the instance."""
    return _together([tracing.begin(settings), _logs(settings), _metrics(settings)])


def _together(ends: list[End]) -> End:
    return lambda: otlp.ended_in_time(ends)


def _logs(settings: Settings) -> End:
    if (at := Collector.of(settings, Signal.LOGS)) is None:
        return _nothing
    return otlp_logs.begin(at, server_context.service_name or "pat-service", _dropped(Signal.LOGS))


def _metrics(settings: Settings) -> End:
    from serving import otlp_metrics  # noqa: PLC0415  # the runner needs none of it
    from serving.state_telemetry import counted_in  # noqa: PLC0415  # asks at import where metrics go

    at, folder = Collector.of(settings, Signal.METRICS), counted_in()
    if at is None or folder is None:
        return _nothing
    return otlp_metrics.begin(at, folder, settings.otlp_metrics_seconds, _dropped(Signal.METRICS))


def _dropped(signal: Signal) -> Callable[[int], None]:
    from serving.otlp_telemetry import of_process  # noqa: PLC0415  # same

    return partial(of_process().dropped, signal)


def _nothing() -> None:
    """End what never began."""
