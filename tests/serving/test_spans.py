"""What a span may say: markers are put wherever a caller can put one, and none leaves."""

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.responses import PlainTextResponse

from serving import spans

pytestmark = pytest.mark.security
MARKER = "canary4711"
ROUTES = {"/analyze", "/livez"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def unguarded(monkeypatch):
    """OpenTelemetry as it comes; whatever a test installs is taken away again."""
    add = TracerProvider.add_span_processor
    monkeypatch.setattr(TracerProvider, "add_span_processor", getattr(add, "__wrapped__", add))


def exported():
    """A provider and what it exports."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "PatService", "host.name": MARKER}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, lambda: [span.to_json() for span in exporter.get_finished_spans()]


async def fails(scope, receive, send):
    span = trace.get_current_span()
    span.set_attributes({"subject": MARKER, "pat.weeks": 2, "pat.cache": MARKER, "error.type": "KeyError"})
    span.add_event(MARKER, {"value": MARKER})
    try:
        raise ValueError(f"input_value={MARKER}")
    except ValueError as error:
        span.record_exception(error)
        span.set_status(trace.StatusCode.ERROR, MARKER)
    await PlainTextResponse("failed", 500)(scope, receive, send)


async def ask(provider, path=f"/analyze?q={MARKER}", headers=None):
    app = OpenTelemetryMiddleware(fails, tracer_provider=provider)
    transport = httpx.ASGITransport(app, client=(MARKER, 1))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{MARKER}") as client:
        given = {"traceparent": TRACE, "tracestate": f"a={MARKER}", "User-Agent": MARKER, **(headers or {})}
        await client.get(path, headers=given)
        await client.get(f"/{MARKER}", headers=given)
        await client.request(MARKER.upper(), "/analyze", headers=given)


@pytest.mark.usefixtures("unguarded")
async def test_without_the_allow_list_markers_leave():
    provider, found = exported()
    await ask(provider)
    assert sum(span.lower().count(MARKER) for span in found()) > 8


@pytest.mark.usefixtures("unguarded")
async def test_with_it_none_leaves_and_what_is_named_does():
    spans.install(ROUTES)
    provider, found = exported()
    await ask(provider)
    everything = "".join(found())
    assert MARKER not in everything.lower()
    for named in (
        "GET /analyze",
        "(other)",
        '"http.response.status_code": 500',
        '"pat.weeks": 2',
        "KeyError",
    ):
        assert named in everything
    assert '"exception.type": "ValueError"' in everything
    assert "0af7651916cd43dd8448eb211c80319c" in everything  # the trace is the caller's


@pytest.mark.usefixtures("unguarded")
def test_a_name_or_a_link_of_a_span_of_ours_is_held_to_it_too():
    spans.install(ROUTES)
    provider, found = exported()
    tracer = provider.get_tracer("pat")
    link = trace.Link(trace.SpanContext(1, 2, True), {"why": MARKER})  # its third field
    tracer.start_span(MARKER, links=[link]).end()
    tracer.start_span("pat.encode").end()
    [hidden, named] = found()
    assert MARKER not in hidden
    assert '"links": []' in hidden
    assert '"name": "pat.encode"' in named


@pytest.mark.usefixtures("unguarded")
def test_to_install_it_twice_is_to_install_it_once():
    spans.install(ROUTES)
    once = TracerProvider.add_span_processor
    spans.install(ROUTES)
    assert TracerProvider.add_span_processor is once


@pytest.mark.usefixtures("unguarded")
def test_a_tracer_that_was_there_before_is_refused(monkeypatch):
    monkeypatch.setattr(trace, "get_tracer_provider", TracerProvider)
    with pytest.raises(spans.AlreadyExporting, match="opentelemetry-instrument"):
        spans.install(ROUTES)


@pytest.mark.usefixtures("unguarded")
def test_flushing_and_shutting_down_reach_the_exporter():
    spans.install(ROUTES)
    provider, found = exported()
    provider.get_tracer("pat").start_span("pat.encode").end()
    assert provider.force_flush()
    assert len(found()) == 1
    provider.shutdown()
