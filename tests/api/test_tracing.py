"""The one tracer provider: what is relied on of the pinned version, and what is done without one."""

import inspect
from dataclasses import replace

import pytest
from _bentoml_impl.server.app import ServiceAppFactory
from bentoml._internal.configuration.containers import BentoMLContainer
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from api import tracing
from serving import otlp_telemetry, spans
from serving.settings import Settings

AT = Settings(otlp_endpoint="http://127.0.0.1:9")


@pytest.fixture(autouse=True)
def as_it_comes(monkeypatch):
    """Whatever a test installs is taken away again."""
    monkeypatch.setattr(BentoMLContainer, "tracer_provider", BentoMLContainer.tracer_provider)
    monkeypatch.setattr(trace, "set_tracer_provider", lambda _: None)
    monkeypatch.setattr(TracerProvider, "add_span_processor", TracerProvider.add_span_processor)
    spans.install(())


def test_bentoml_asks_its_container_for_the_provider_when_a_service_is_built():
    assert "BentoMLContainer.tracer_provider.get()" in inspect.getsource(ServiceAppFactory.middlewares.fget)


def test_there_is_one_provider_and_its_end_is_handed_out(monkeypatch):
    tracing.install(AT)
    seen = []
    monkeypatch.setattr(trace, "set_tracer_provider", seen.append)
    end = tracing.begin(AT)
    assert seen == [BentoMLContainer.tracer_provider.get()]
    assert isinstance(seen[0], TracerProvider)
    before = lost()
    seen[0].get_tracer("pat").start_span("pat.read").end()
    end()
    assert lost() == before + 1  # nobody is there


def lost():
    return otlp_telemetry.of_process()._dropped.labels("traces")._value.get()


def test_where_traces_are_not_wanted_there_is_no_provider_of_ours(monkeypatch):
    before, without = BentoMLContainer.tracer_provider, replace(AT, otlp_signals="metrics,logs")
    tracing.install(without)
    assert BentoMLContainer.tracer_provider is before
    monkeypatch.setattr(trace, "set_tracer_provider", pytest.fail)
    tracing.begin(without)()


def test_without_a_collector_bentoml_keeps_its_own_and_no_station_is_traced(monkeypatch):
    before = BentoMLContainer.tracer_provider
    tracing.install(Settings())
    assert BentoMLContainer.tracer_provider is before
    monkeypatch.setattr(trace, "set_tracer_provider", pytest.fail)
    tracing.begin(Settings())()
