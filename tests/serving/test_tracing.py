"""Spans on their way to a collector: what arrives, what is lost and counted, and when it ends."""

import time

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from serving import spans, tracing
from serving.otlp import Collector, Room, headers_of
from serving.tracing import QueuedSpans
from tests.e2e.server import free_port

MARKER = "canary4711"


@pytest.fixture(autouse=True)
def guarded(monkeypatch):
    """The allow-list, which is taken away again."""
    monkeypatch.setattr(TracerProvider, "add_span_processor", TracerProvider.add_span_processor)
    spans.install({"/analyze"})


@pytest.fixture
def unguarded(monkeypatch):
    """OpenTelemetry as it comes."""
    monkeypatch.setattr(TracerProvider, "add_span_processor", TracerProvider.add_span_processor.__wrapped__)


def made(at, lost, **options):
    return tracing.provider(Collector(at, **options), "PatService", lost)


def test_what_ends_arrives_with_the_name_of_the_service(sink, lost):
    provider = made(sink.url, lost)
    with provider.get_tracer("pat").start_as_current_span("pat.read"):
        pass
    provider.shutdown()
    [span] = sink.spans()
    assert (span.name, span.service, span.parent) == ("pat.read", "PatService", "")
    assert span.began <= span.ended
    assert sink.headers[0]["Content-Type"] == "application/x-protobuf"
    assert lost.spans == 0


@pytest.mark.usefixtures("unguarded")
def test_there_is_no_way_out_without_the_allow_list(sink, lost):
    with pytest.raises(tracing.Unguarded):
        made(sink.url, lost)


def test_only_what_is_allowed_arrives(sink, lost):
    provider = made(sink.url, lost)
    tracer = provider.get_tracer("pat")
    with tracer.start_as_current_span("pat.read", attributes={"subject": MARKER, "pat.weeks": 2}):
        pass
    with tracer.start_as_current_span(MARKER):
        pass
    provider.shutdown()
    assert {span.name for span in sink.spans()} == {"pat.read", "(other)"}
    assert MARKER.encode() not in b"".join(sink.bodies)


@pytest.mark.parametrize("status", [307, 400, 500, 503])
def test_what_a_collector_does_not_take_is_sent_once_and_counted(sink, lost, status):
    sink.status = status
    provider = made(sink.url, lost)
    provider.get_tracer("pat").start_span("pat.read").end()
    provider.shutdown()
    assert (sink.bodies, lost.spans) == ([], 1)


def test_of_a_collector_that_is_down_every_span_is_counted(lost):
    provider = made(f"http://127.0.0.1:{free_port()}", lost)
    for _ in range(5):
        provider.get_tracer("pat").start_span("pat.read").end()
    provider.shutdown()
    assert lost.spans == 5


def test_a_full_queue_takes_no_more_and_whoever_ends_a_span_does_not_wait(sink, lost):
    sink.seconds = 3600
    provider = TracerProvider()
    provider.add_span_processor(QueuedSpans(Collector(sink.url), lost, Room(waiting=4, batch=4)))
    began = time.monotonic()
    for _ in range(100):
        provider.get_tracer("pat").start_span("pat.read").end()
    assert lost.spans >= 90
    assert time.monotonic() - began < 60  # not a hundred times what one batch may take
    provider.shutdown()
    assert lost.spans == 100


def test_a_collector_that_hangs_is_given_up_when_the_process_ends(sink, lost):
    sink.seconds = 3600
    provider = made(sink.url, lost)
    for _ in range(1500):
        provider.get_tracer("pat").start_span("pat.read").end()
    began = time.monotonic()
    provider.shutdown()
    assert time.monotonic() - began < 25  # OpenTelemetry's own would wait for thirty seconds
    provider.get_tracer("pat").start_span("pat.read").end()  # nothing raises


def test_messages_of_a_request_are_no_spans_of_their_own(sink, lost):
    provider = made(sink.url, lost)
    tracer = provider.get_tracer("asgi")
    with tracer.start_as_current_span("POST /analyze"):
        tracer.start_span("POST /analyze http send").end()
        tracer.start_span("POST /analyze http receive").end()
    provider.shutdown()
    assert [span.name for span in sink.spans()] == ["POST /analyze"]


def test_a_trace_that_is_not_sampled_has_ids_all_the_same(sink, lost):
    provider = made(sink.url, lost, sample=0.0)
    tracer = provider.get_tracer("pat")
    with tracer.start_as_current_span("POST /analyze") as door:
        assert door.is_recording()
        assert door.get_span_context().is_valid
        with tracer.start_as_current_span("pat.read") as inner:
            assert not inner.is_recording()
    provider.shutdown()
    assert sink.spans() == []


def test_a_span_of_the_callers_trace_is_sent_whatever_the_share(sink, lost):
    parent = spans.parent_of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    provider = made(sink.url, lost, sample=0.0)
    provider.get_tracer("pat").start_span("POST /analyze", parent).end()
    provider.shutdown()
    [span] = sink.spans()
    assert (span.trace, span.parent) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


@pytest.mark.parametrize(
    "header",
    [
        "",
        MARKER,
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",  # not recorded
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
    ],
)
def test_what_is_no_recorded_parent_is_none(header):
    assert spans.parent_of(header) is None


def test_of_a_trace_only_its_ids_go_on(sink, lost):
    assert spans.traceparent() == {}
    provider = made(sink.url, lost)
    state = trace.TraceState([("a", MARKER)])
    came = trace.SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=trace.TraceFlags(1), trace_state=state)
    parent = trace.set_span_in_context(trace.NonRecordingSpan(came))
    with provider.get_tracer("pat").start_as_current_span("pat.hop", parent) as span:
        sent = spans.traceparent()
    assert sent == {"traceparent": f"00-{0xABC:032x}-{span.get_span_context().span_id:016x}-01"}
    provider.shutdown()


def test_headers_for_the_collector_are_read_and_sent(sink, lost, tmp_path):
    file = tmp_path / "headers"
    file.write_text("Authorization: Bearer abc\n\nX-Scope: pat\n")
    file.chmod(0o400)
    headers = headers_of(file)
    assert headers == {"Authorization": "Bearer abc", "X-Scope": "pat"}
    provider = made(sink.url, lost, headers=headers)
    provider.get_tracer("pat").start_span("pat.read").end()
    provider.shutdown()
    assert sink.headers[0]["Authorization"] == "Bearer abc"
