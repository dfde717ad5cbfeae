"""Log lines on their way to a collector: what a line on standard output says, and no more (serving/logs.py).

The message is the body, every other field an attribute; a line of a request has its trace, and the span in
which it was written.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import get_current_span

from serving.logs import line_of, protected
from serving.otlp import THREAD, Collector, Outbound, Room, Sender
from serving.settings import Signal

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

__all__ = ["CollectorHandler", "begin"]

_SEVERITIES = {"DEBUG": 5, "INFO": 9, "WARNING": 13, "ERROR": 17, "CRITICAL": 21}
_ELSEWHERE = ("time", "level", "logger", "message", "trace")  # fields that OTLP has a place for
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class _Said:
    """One line, when it was written, and the span it was written in; 0: none."""

    line: Mapping[str, object]
    created: float
    span: int
    flags: int


class CollectorHandler(logging.Handler):
    """Puts lines on their way; those of the way itself stay here."""

    def __init__(self, way: Outbound[_Said], dropped: Callable[[int], None]) -> None:
        super().__init__()
        self._way, self._dropped = way, dropped

    def emit(self, record: logging.LogRecord) -> None:
        """Queue what may be said of ``record``, if there is room."""
        if threading.current_thread().name == THREAD:
            return
        try:
            said = _said(record)
        except Exception:  # of a foreign record, whose arguments do not fit: logging it raises nothing
            self._dropped(1)
        else:
            self._way.put(said)


def _said(record: logging.LogRecord) -> _Said:
    line, at = line_of(record), get_current_span().get_span_context()
    inside = at.is_valid and line.get("trace") == f"{at.trace_id:032x}"
    span, flags = (at.span_id, int(at.trace_flags)) if inside else (0, 0)
    return _Said(line, record.created, span, flags)


def begin(
    at: Collector, service: str, dropped: Callable[[int], None], room: Room | None = None
) -> Callable[[], None]:
    """Let what the loggers here write go to ``at`` as well; return what sends the rest and ends that."""

    def encode(said: Sequence[_Said]) -> bytes:
        return _encoded(said, service)

    way = Outbound(Sender(at, Signal.LOGS), encode, dropped, room)
    handler, loggers = CollectorHandler(way, dropped), protected()
    for logger in loggers:
        logger.addHandler(handler)

    def end() -> None:
        for logger in loggers:
            logger.removeHandler(handler)
        way.close()

    return end


def _encoded(said: Sequence[_Said], service: str) -> bytes:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (  # noqa: PLC0415  # only where lines leave
        ExportLogsServiceRequest,
    )

    request = ExportLogsServiceRequest()
    of_service = request.resource_logs.add()
    of_service.resource.attributes.extend(_attributes({"service.name": service}))
    for logger in dict.fromkeys(one.line["logger"] for one in said):
        scope = of_service.scope_logs.add()
        scope.scope.name = str(logger)
        scope.log_records.extend(_record(one) for one in said if one.line["logger"] == logger)
    return bytes(request.SerializeToString())


def _record(said: _Said) -> LogRecord:
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord  # noqa: PLC0415  # same

    written = round(said.created * _NANOSECONDS)
    return LogRecord(
        time_unix_nano=written,
        observed_time_unix_nano=written,
        severity_number=_SEVERITIES.get(str(said.line["level"]), 0),  # type: ignore[arg-type]  # the stubs want the enum's own
        severity_text=str(said.line["level"]),
        body=_value(said.line["message"]),
        attributes=_attributes({k: v for k, v in said.line.items() if k not in _ELSEWHERE}),
        trace_id=bytes.fromhex(str(said.line.get("trace", ""))),
        span_id=said.span.to_bytes(8, "big") if said.span else b"",
        flags=said.flags,
    )


def _attributes(fields: Mapping[str, Any], prefix: str = "") -> Iterator[KeyValue]:
    """Yield ``fields``; those of an inner object by ``outer.inner``, absent ones not at all."""
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue  # noqa: PLC0415  # same

    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _attributes(value, f"{prefix}{name}.")
        elif value is not None:
            yield KeyValue(key=prefix + name, value=_value(value))


def _value(value: Any) -> AnyValue:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue  # noqa: PLC0415  # same

    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case list() | tuple():
            return AnyValue(array_value=ArrayValue(values=map(_value, value)))
        case _:
            return AnyValue(string_value=str(value))
