"""Log lines on their way to a collector: what standard output has, no more, and not at the caller's cost."""

import json
import logging
import threading
import time
from types import SimpleNamespace

import pytest
from opentelemetry.sdk.trace import TracerProvider

from serving import otlp_logs
from serving.logs import ValueFreeFormatter, protect
from serving.otlp import THREAD, Collector, Room
from serving.under_way import begun
from tests.e2e.server import free_port

CANARY = "canary-7d1f"
OURS = logging.getLogger("pat.test")


@pytest.fixture(autouse=True)
def protected():
    """Our logger with its handler, which is taken away again."""
    logger = logging.getLogger("pat")
    before = (logger.handlers[:], logger.level, logger.propagate)
    protect()
    yield
    logger.handlers[:], logger.level, logger.propagate = before
    logging.captureWarnings(False)


def sent(sink, lost, write):
    end = otlp_logs.begin(Collector(sink.url), "PatService", lost)
    write()
    end()
    return sink.lines()


def test_a_line_arrives_with_its_message_its_severity_and_its_time(sink, lost):
    before = time.time_ns()
    [line] = sent(sink, lost, lambda: OURS.warning("%d things", 3))
    assert (line.body, line.severity, line.logger) == ("3 things", (13, "WARNING"), "pat.test")
    assert (line.service, line.attributes, line.trace, line.span) == ("PatService", {}, "", "")
    assert before - 10**9 <= line.written <= time.time_ns()
    assert lost.spans == 0


def test_its_attributes_are_the_fields_of_the_line_on_standard_output(sink, lost):
    fields = {
        "weeks": 2,
        "ms": 1.5,
        "reasons": ["a", "b"],
        "whole": True,
        "checkpoint": None,
        "verb": "analyze",
    }
    [line] = sent(sink, lost, lambda: OURS.info("inference", extra={"fields": fields}))
    assert line.attributes == {name: value for name, value in fields.items() if value is not None}


def test_a_line_of_a_request_has_its_trace_and_the_span_it_was_written_in(sink, lost):
    tracer = TracerProvider().get_tracer("pat")

    def write():
        with tracer.start_as_current_span("pat.read") as span, begun("POST", "/analyze") as request:
            context = span.get_span_context()
            request.trace, request.request = f"{context.trace_id:032x}", "1" * 16
            OURS.info("said")
            request.trace = "2" * 32  # of another trace: its span is not this one
            OURS.info("said")
        write.ids = f"{context.trace_id:032x}", f"{context.span_id:016x}"

    first, second = sent(sink, lost, write)
    assert (first.trace, first.span) == write.ids
    assert (second.trace, second.span) == ("2" * 32, "")
    assert first.attributes == {"request": "1" * 16, "route": "/analyze"}


def test_an_exception_is_named_by_type_and_place_alone(sink, lost):
    def write():
        try:
            raise ValueError(CANARY)
        except ValueError:
            OURS.exception("failed")

    [line] = sent(sink, lost, write)
    assert line.attributes["exception.type"] == "ValueError"
    assert line.attributes["exception.at"].startswith(__file__)
    assert CANARY.encode() not in sink.bodies[0]


def test_foreign_lines_lose_their_values(sink, lost):
    foreign = logging.getLogger("bentoml.test")
    handler = logging.StreamHandler()
    foreign.addHandler(handler)
    try:
        lines = sent(
            sink, lost, lambda: foreign.error("argument %s", CANARY, extra={"fields": {"a": CANARY}})
        )
    finally:
        foreign.removeHandler(handler)
    assert [line.body for line in lines if line.logger == "bentoml.test"][:1] == ["argument %s"]
    assert CANARY.encode() not in b"".join(sink.bodies)


def test_standard_output_keeps_every_line_and_the_end_takes_the_handler_away(sink, lost):
    seen = []

    class Kept(logging.Handler):
        def emit(self, record):
            seen.append(json.loads(ValueFreeFormatter().format(record))["message"])

    handler = Kept()
    logging.getLogger("pat").addHandler(handler)
    sent(sink, lost, lambda: OURS.info("one"))
    OURS.info("two")
    assert seen == ["one", "two"]
    assert [line.body for line in sink.lines()] == ["one"]


def test_a_record_whose_arguments_do_not_fit_is_counted_and_raises_nothing(sink, lost):
    handler = otlp_logs.CollectorHandler(None, lost)
    handler.handle(logging.LogRecord("pat.test", logging.INFO, __file__, 1, "%d", ("x",), None))
    assert lost.spans == 1


def test_what_is_said_on_the_way_out_is_not_sent(lost):
    put = []
    handler = otlp_logs.CollectorHandler(SimpleNamespace(put=put.append), lost)
    record = logging.LogRecord("pat.test", logging.INFO, __file__, 1, "said", (), None)
    handler.handle(record)
    thread = threading.Thread(target=handler.handle, args=(record,), name=THREAD)
    thread.start()
    thread.join()
    assert len(put) == 1


def test_of_a_collector_that_is_down_every_line_is_counted(lost):
    end = otlp_logs.begin(Collector(f"http://127.0.0.1:{free_port()}"), "PatService", lost)
    for _ in range(5):
        OURS.info("said")
    end()
    assert lost.spans == 5


def test_whoever_writes_does_not_wait_for_a_collector_that_hangs(sink, lost):
    sink.seconds = 3600
    end = otlp_logs.begin(Collector(sink.url), "PatService", lost, Room(waiting=4, batch=4))
    began = time.monotonic()
    for _ in range(100):
        OURS.info("said")
    assert time.monotonic() - began < 60  # not a hundred times what one batch may take
    assert lost.spans >= 90
    end()
    assert lost.spans == 100
