"""What the cache is to one request: wanted or not (``Cache-Control``), and what it was (``X-PAT-Cache``)."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from opentelemetry.trace import get_current_span
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import current_access
from serving import under_way
from serving.cache import Use
from serving.cache_keys import Owner

__all__ = ["HEADER", "CacheHeader", "note", "owner", "wanted"]

HEADER = "X-PAT-Cache"
_AROUND = {"no-store", "no-cache"}  # directives of a caller who wants it computed, and nothing kept


@dataclass
class _Asked:
    """One request: whether the cache may be asked, and what it was."""

    wanted: bool
    use: Use | None = None


_current: ContextVar[_Asked | None] = ContextVar("cache", default=None)


def wanted() -> bool:
    """Whether the cache may be asked for what is being done."""
    asked = _current.get()
    return asked is None or asked.wanted


def note(use: Use | None) -> None:
    """Say what the cache was, to the caller, the audit trail and the span; None says nothing."""
    if use is None:
        return
    if (asked := _current.get()) is not None:
        asked.use = use
    if (access := current_access()) is not None:
        access.cache = use.value
    if (request := under_way.current()) is not None:
        request.cache = use.value
    get_current_span().set_attribute("pat.cache", use.value)


def owner() -> Owner:
    """Return whose the values of this request are: the subject's, or the caller's who brings them.

    A patient who names nobody brings data of their own.
    """
    if (access := current_access()) is None:
        return Owner()
    tenant, caller = access.caller.tenant, access.caller
    subject = access.subject
    if not subject and caller.subject:
        subject = access.subjects.pseudonym(tenant, caller.subject)
    return Owner(tenant, subject) if subject else Owner(tenant, caller=caller.uid)


@dataclass(frozen=True)
class CacheHeader:
    """The middleware that reads what a caller wants of the cache and says what it was."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = _Asked(wanted=not _AROUND & _directives(scope))

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start" and asked.use is not None:
                headers = MutableHeaders(raw=list(message["headers"]))
                headers[HEADER] = asked.use.value
                message = {**message, "headers": headers.raw}
            await send(message)

        token = _current.set(asked)
        try:
            await self.app(scope, receive, told)
        finally:
            _current.reset(token)


def _directives(scope: Scope) -> set[str]:
    given = (value for name, value in scope["headers"] if name.lower() == b"cache-control")
    return {part.strip().lower() for value in given for part in value.decode("latin-1").split(",")}
