"""Spans that say which door, how it ended and how long it took, and nothing that a caller sent.

A span as OpenTelemetry makes it holds the address and query of the request, the client's address, and the
message of every exception. ``install`` puts the allow-list between every tracer of the process and whatever
exports: what is not named here does not leave.

Errors:

    AlreadyExporting         a tracer with an exporter was there before the allow-list
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import Any, TypeVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, TraceFlags

__all__ = [
    "AllowListProcessor",
    "AlreadyExporting",
    "allowed",
    "install",
    "installed",
    "parent_of",
    "station",
    "traceparent",
]

F = TypeVar("F", bound=Callable[..., Any])
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST = re.compile(r"(?P<method>[A-Z]+) (?P<path>\S+)(?P<part> http (?:send|receive))?")
_OURS = re.compile(r"pat\.[a-z_.]{1,60}")  # names of our own spans are constants
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,80}")  # of a class, as in error.type
_TAG = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}(?::[a-z0-9._-]{1,60})?")  # of a checkpoint
_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")  # W3C Trace Context, version 00
_OTHER = "(other)"
_VALUES: Mapping[str, Any] = {  # attribute -> what its value must be
    "http.request.method": _METHODS,
    "http.response.status_code": int,
    "asgi.event.type": frozenset(
        {"http.request", "http.response.start", "http.response.body", "http.disconnect"}
    ),
    "error.type": _NAME,
    "exception.type": _NAME,
    "pat.weeks": int,
    "pat.samples": int,
    "pat.model": _TAG,
    "pat.cache": frozenset({"hit", "miss", "bypass", "corrupt"}),
    "pat.batch_weeks": int,
    "pat.tries": int,
}
_RENAMED = {"http.method": "http.request.method", "http.status_code": "http.response.status_code"}
_PATHS = ("http.route", "url.path", "http.target")  # where an instrumentation puts the address


class AlreadyExporting(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """Spans of this process are exported already, past the allow-list."""


class AllowListProcessor(SpanProcessor):
    """Hands an ended span on with what is allowed of it; ``inner`` never sees a living one."""

    def __init__(self, inner: SpanProcessor, routes: Collection[str]) -> None:
        self._inner, self._routes = inner, routes

    def on_end(self, span: ReadableSpan) -> None:
        """Hand on what is allowed."""
        self._inner.on_end(allowed(span, self._routes))

    def shutdown(self) -> None:
        """Pass on."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Pass on."""
        return self._inner.force_flush(timeout_millis)


def allowed(span: ReadableSpan, routes: Collection[str]) -> ReadableSpan:
    """Return a copy of ``span`` that holds what the allow-list names."""
    return ReadableSpan(
        name=_name(span, routes),
        context=_bare(span.context),
        parent=_bare(span.parent),
        resource=_resource(span.resource),
        attributes=_attributes(span, routes),
        events=[_event(event) for event in span.events if event.name == "exception"],
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _name(span: ReadableSpan, routes: Collection[str]) -> str:
    if _OURS.fullmatch(span.name):
        return span.name
    if (found := _REQUEST.fullmatch(span.name)) is None:
        return _OTHER
    method = found["method"] if found["method"] in _METHODS else _OTHER
    return f"{method} {_route(found['path'], routes)}{found['part'] or ''}"


def _route(path: str, routes: Collection[str]) -> str:
    return path if path in routes else _OTHER


def _attributes(span: ReadableSpan, routes: Collection[str]) -> dict[str, Any]:
    given = {_RENAMED.get(name, name): value for name, value in (span.attributes or {}).items()}
    kept = {name: value for name, value in given.items() if _is_allowed(name, value)}
    path = next((str(given[name]) for name in _PATHS if name in given), None)
    return kept if path is None else {**kept, "http.route": _route(path, routes)}


def _is_allowed(name: str, value: Any) -> bool:
    match _VALUES.get(name):
        case None:
            return False
        case re.Pattern() as pattern:
            return isinstance(value, str) and pattern.fullmatch(value) is not None
        case type() as kind:
            return type(value) is kind
        case known:
            return isinstance(value, str) and value in known


def _event(event: Event) -> Event:
    kept = {name: value for name, value in (event.attributes or {}).items() if _is_allowed(name, value)}
    return Event("exception", kept, event.timestamp)


def _bare(context: SpanContext | None) -> SpanContext | None:
    """Return the ids; a trace state is what a caller wrote."""
    return context and SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags)


def _resource(resource: Resource) -> Resource:
    wanted = (SERVICE_NAME, SERVICE_VERSION)
    return Resource({name: resource.attributes[name] for name in wanted if name in resource.attributes})


def install(routes: Collection[str]) -> None:
    """Put the allow-list before every processor that is added to a tracer provider of this process from now.

    Raises AlreadyExporting where a provider is there already, whose processors it cannot come before.
    """
    if isinstance(trace.get_tracer_provider(), TracerProvider):
        raise AlreadyExporting(
            "expected no tracer provider before the service, found one; start it without "
            "opentelemetry-instrument and configure BentoML's tracing instead"
        )
    if not installed():
        TracerProvider.add_span_processor = _guarded(  # type: ignore[method-assign]  # the one door to an exporter
            TracerProvider.add_span_processor, frozenset(routes)
        )


def installed() -> bool:
    """Say whether the allow-list is before every processor that is added."""
    return hasattr(TracerProvider.add_span_processor, "__wrapped__")


def _guarded(add: Any, routes: Collection[str]) -> Any:
    @wraps(add)
    def add_span_processor(self: TracerProvider, span_processor: SpanProcessor) -> None:
        add(self, AllowListProcessor(span_processor, routes))

    return add_span_processor


def station(name: str) -> Callable[[F], F]:
    """Let each call of a function, coroutines too, be a span ``name``; no exception is kept of it."""
    return trace.get_tracer("pat").start_as_current_span(name, record_exception=False)


def traceparent() -> dict[str, str]:
    """Return the header that lets another service go on with this trace; none where there is no trace.

    Of what a caller sent only the ids go on: a trace state or baggage could hold anything.
    """
    at = trace.get_current_span().get_span_context()
    if not at.is_valid:
        return {}
    return {"traceparent": f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags & 1:02x}"}


def parent_of(header: str) -> Context | None:
    """Return the context that a ``traceparent`` names, if it is sampled; None for whatever else it is."""
    if (found := _PARENT.fullmatch(header)) is None or not int(found[3], 16) & 1:
        return None
    at = SpanContext(int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=TraceFlags(1))
    return trace.set_span_in_context(NonRecordingSpan(at)) if at.is_valid else None
