"""The stations of the pipeline by name, for whoever traces them, and what passes them, for whoever watches.

Nothing here knows a tracer or a counter: a station is a span of OpenTelemetry's interface, which is nothing
where no tracer was set up; a watcher is called with raw weeks while somebody watches, in the same context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from opentelemetry import trace

from preprocessing.scaling import Calibration, Weeks

__all__ = ["Watcher", "passed", "station", "watching"]

F = TypeVar("F", bound=Callable[..., Any])
Watcher = Callable[[Weeks, Calibration], None]  # raw weeks (N, 10_080), NaN = missing
_tracer = trace.get_tracer("pat")
_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


def station(name: str) -> Callable[[F], F]:
    """Let each call of a function, coroutines too, be the station ``name``; no exception is kept of it."""
    return _tracer.start_as_current_span(name, record_exception=False)


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Let ``watcher`` see the weeks that are standardised meanwhile."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def passed(weeks: Weeks, calibration: Calibration) -> None:
    """Show raw ``weeks`` to whoever watches."""
    if (watcher := _watcher.get()) is not None:
        watcher(weeks, calibration)
