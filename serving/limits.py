"""Doors: which body each path takes, how large, how fast, and what is refused before anything reads it.

Pure ASGI. Headers that arrive slowly are seen by no application: a server starts one with the last of them
(serving/protocol.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.json_shape import DEEPEST, Fault, fault

__all__ = ["WHOLE", "BodyLimits", "Door", "HeaderLimits", "Pace", "Refuse"]

WHOLE = "pat.whole"  # where a scope keeps what is awaited once the whole body is here; what it raises goes on
Refuse = Callable[[int, str, str], ASGIApp]  # (status, code, detail) -> an app that answers so

_FAULTS: Mapping[Fault, tuple[int, str, str]] = {
    Fault.TOO_DEEP: (400, "unparsable", f"expected JSON of at most {DEEPEST} levels"),
    Fault.NOT_A_NUMBER: (
        400,
        "unparsable",
        "expected complete JSON without NaN or Infinity; null means missing",
    ),
    Fault.NAME_TWICE: (422, "invalid_field", "expected each field once, found one twice; remove a copy"),
}


@dataclass(frozen=True)
class Door:
    """One path's body: at most ``limit_bytes``; ``json_only`` doors take application/json alone."""

    limit_bytes: int
    json_only: bool
    larger: str  # where a larger body goes


@dataclass(frozen=True)
class Pace:
    """How long a body may take: ``seconds`` in all, and less if less than ``bytes_a_second`` arrive."""

    seconds: float
    grace_seconds: float = 5.0
    bytes_a_second: float = 1_000.0

    def allowed(self, received: int) -> float:
        """Return the seconds after which a body of which ``received`` bytes came is too slow."""
        return min(self.seconds, self.grace_seconds + received / self.bytes_a_second)


@dataclass(frozen=True)
class BodyLimits:
    """Refuses compressed, wrongly typed, oversized, slow and misshapen bodies: 415, 413, 408, 400, 422."""

    app: ASGIApp
    doors: Mapping[str, Door]
    default: Door
    refuse: Refuse
    pace: Pace = Pace(30)
    door_of: Callable[[str], str] = str  # the name of the door that a path leads to

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the headers, then watch the body while it is read; a JSON door's is read here."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        door = self.doors.get(self.door_of(scope["path"]), self.default)
        watched = _Watched(receive, send, door, self.pace)
        watched.whole = scope.get(WHOLE, watched.whole)
        try:
            _check_headers(scope, door)
            if door.json_only and scope["method"] == "POST":
                await watched.read_json()
            await self.app(scope, watched.receive, watched.send)
        except _Refused as refused:
            if watched.answered:
                raise
            await self.refuse(*refused.why)(scope, receive, send)


class _Refused(Exception):  # noqa: N818  # a signal inside this module, not an error for callers
    def __init__(self, status: int, code: str, detail: str) -> None:
        self.why = status, code, detail


def _check_headers(scope: Scope, door: Door) -> None:
    headers = _headers(scope)
    json_door = scope["method"] == "POST" and door.json_only
    if headers.get(b"content-encoding", b"identity").strip().lower() not in (b"", b"identity"):
        raise _Refused(415, "content_encoding", "expected an uncompressed body; do not compress it")
    kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if json_door and kind != b"application/json":
        raise _Refused(415, "content_type", "expected Content-Type application/json")
    length = headers.get(b"content-length", b"0")
    if json_door and headers.get(b"content-length") == b"0":
        raise _Refused(400, "unparsable", "expected a JSON object, found an empty body")
    if not length.isdigit():
        raise _Refused(400, "content_length", "expected a decimal Content-Length")
    if int(length[:20]) > door.limit_bytes:
        raise _too_large(door)


async def _whole() -> None:
    """Await nothing."""


def _too_large(door: Door) -> _Refused:
    return _Refused(413, "body_too_large", f"this door takes at most {door.limit_bytes} bytes; {door.larger}")


class _Watched:
    """A body on its way: counted and timed, and what becomes of it if it breaks a limit."""

    def __init__(self, receive: Receive, send: Send, door: Door, pace: Pace) -> None:
        self._receive, self._send, self._door, self._pace = receive, send, door, pace
        self._began, self._count, self._complete = asyncio.get_running_loop().time(), 0, False
        self._refused: _Refused | None = None
        self._held: list[Message] = []
        self.answered = False
        self.whole: Callable[[], Awaitable[None]] = _whole

    async def receive(self) -> Message:
        """Return the next part; raises where it comes too late or is too much."""
        if self._held:
            return self._held.pop()
        if self._complete:  # what is waited for now is the client's going away
            return await self._receive()
        message = await self._in_time()
        self._count += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._count > self._door.limit_bytes:
            raise self._refusal(_too_large(self._door))
        if self._complete and message["type"] == "http.request":
            await self.whole()
        return message

    async def read_json(self) -> None:
        """Read the whole body, look at its shape, and hold it for the application."""
        parts: list[bytes] = []
        while not self._complete:
            message = await self.receive()
            if message["type"] != "http.request":
                self._held = [message]
                return
            parts.append(message.get("body", b""))
        body = b"".join(parts)
        if (found := fault(body)) is not None:
            raise self._refusal(_Refused(*_FAULTS[found]))
        self._held = [{"type": "http.request", "body": body, "more_body": False}]

    async def send(self, message: Message) -> None:
        """Pass an answer on, unless the application turned our signal into one of its own."""
        if self._refused is not None:
            raise self._refused
        self.answered = True
        await self._send(message)

    async def _in_time(self) -> Message:
        try:
            async with asyncio.timeout_at(self._began + self._pace.allowed(self._count)):
                return await self._receive()
        except TimeoutError:
            why = "the body came too slowly; send it faster, or less of it"
            raise self._refusal(_Refused(408, "body_too_slow", why)) from None

    def _refusal(self, refused: _Refused) -> _Refused:
        self._refused = refused
        return refused


@dataclass(frozen=True)
class HeaderLimits:
    """Refuses requests with many or large headers: 431."""

    app: ASGIApp
    refuse: Refuse
    most: int = 100
    most_bytes: int = 32_768

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the headers and their bytes, and those of the address."""
        if scope["type"] == "http" and self._beyond(scope):
            detail = f"expected at most {self.most} headers and {self.most_bytes} bytes of them"
            await self.refuse(431, "headers_too_large", detail)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _beyond(self, scope: Scope) -> bool:
        headers = scope["headers"]
        size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        return len(headers) > self.most or size + sum(len(k) + len(v) for k, v in headers) > self.most_bytes


def _headers(scope: Scope) -> dict[bytes, bytes]:
    return {name.lower(): value for name, value in scope.get("headers", ())}
