"""Gives BentoML's request spans and our own the one tracer provider that leads to the operator's collector.

BentoML makes a provider from its own settings, of which each process has one; where ``PAT_OTLP_ENDPOINT``
names a collector ``install`` puts ours in its place. Without a collector spans of ours are not made at all.
What is relied on of the pinned version is written down in tests/api/test_tracing.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.context import server_context
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from simple_di import providers

from serving.otlp import Collector
from serving.settings import Settings, Signal
from serving.tracing import provider

__all__ = ["begin", "install"]


def install(settings: Settings) -> None:
    """Let the services of this process be traced; call before one is served. Raises HeadersUnusable."""
    if (collector := Collector.of(settings, Signal.TRACES)) is not None:
        BentoMLContainer.tracer_provider = providers.SingletonFactory(lambda: _made(collector))


def _made(collector: Collector) -> TracerProvider:
    from serving.otlp_telemetry import of_process  # noqa: PLC0415  # asks at import where metrics go

    dropped = partial(of_process().dropped, Signal.TRACES)
    return provider(collector, server_context.service_name or "pat-service", dropped)


def begin(settings: Settings) -> Callable[[], None]:
    """Let the stations of this process be traced as well; return what sends the rest and ends that."""
    if not settings.otlp_endpoint or Signal.TRACES not in settings.signals:
        return _nothing
    made: TracerProvider = BentoMLContainer.tracer_provider.get()
    trace.set_tracer_provider(made)
    return made.shutdown


def _nothing() -> None:
    """End what never began."""
