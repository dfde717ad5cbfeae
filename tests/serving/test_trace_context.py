"""Services that are asked on a caller's behalf can go on with the trace, and hear nothing else of it."""

import httpx
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider

from serving.fhir_push import FhirServer, Unavailable
from serving.health_exchange import Deadline, Exchange, Token
from tests.doubles.bundles import transaction

MARKER = "canary4711"
TRACE = 0x0AF7651916CD43DD8448EB211C80319C


class Asked(list):
    """Finds nothing, and takes nothing."""

    async def __call__(self, request):
        self.append(request)
        if request.method == "GET":
            said = b'{"resourceType": "Bundle", "type": "searchset", "data": []}'
            return httpx.Response(200, stream=httpx.ByteStream(said))
        return httpx.Response(503, stream=httpx.ByteStream(b""))


@pytest.fixture
def asked():
    return Asked()


@pytest.fixture
def client(asked):
    return httpx.AsyncClient(transport=httpx.MockTransport(asked), base_url="https://other.example")


@pytest.fixture
def door():
    """A request is answered, whose caller sent a trace with a state and baggage."""
    state = trace.TraceState([("a", MARKER)])
    came = trace.SpanContext(TRACE, 0xDEF, is_remote=True, trace_flags=trace.TraceFlags(1), trace_state=state)
    parent = baggage.set_baggage("subject", MARKER, trace.set_span_in_context(trace.NonRecordingSpan(came)))
    token = context.attach(parent)
    with TracerProvider().get_tracer("asgi").start_as_current_span("POST /analyze") as span:
        yield span
    context.detach(token)


async def test_the_health_data_service_is_sent_the_trace(client, asked, door):
    exchange = Exchange(client, 10_000)
    await exchange.read("/data", {}, Token("t"), Deadline.within(5))
    await exchange.write("/data", b"{}", Token("t"), Deadline.within(5))
    for request in asked:
        assert request.headers["traceparent"].split("-")[1] == f"{TRACE:032x}"
        assert MARKER not in repr(request.headers)
        assert not {"tracestate", "baggage"} & set(request.headers)


async def test_the_fhir_server_is_sent_the_trace(client, asked, door):
    server = FhirServer("https://other.example", client)
    with pytest.raises(Unavailable):
        await server.deliver(transaction("one"))
    assert [request.method for request in asked] == ["GET", "POST"]
    for request in asked:
        assert request.headers["traceparent"].split("-")[1] == f"{TRACE:032x}"
        assert MARKER not in repr(request.headers)


async def test_where_nothing_is_traced_nothing_is_said(client, asked):
    await Exchange(client, 10_000).read("/data", {}, Token("t"), Deadline.within(5))
    assert "traceparent" not in asked[0].headers
