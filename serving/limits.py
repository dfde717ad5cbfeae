"""Doors: which body each path takes, how large, and what is refused before anything reads it (pure ASGI)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["BodyLimits", "Door", "JsonOnly", "LoopbackOnly", "Refuse"]

Refuse = Callable[[int, str, str], ASGIApp]  # (status, code, detail) -> an app that answers so

_LOCAL = ("127.", "::1", "localhost", "/")  # how a local address begins; "/" is a Unix socket's path


@dataclass(frozen=True)
class Door:
    """One path's body: at most ``limit_bytes``; ``json_only`` doors take application/json alone."""

    limit_bytes: int
    json_only: bool
    larger: str  # where a larger body goes


@dataclass(frozen=True)
class BodyLimits:
    """Refuses compressed, wrongly typed and oversized bodies: 415 and 413, by header and by count."""

    app: ASGIApp
    doors: Mapping[str, Door]
    default: Door
    refuse: Refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the headers, then count the body while it is read."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        door = self.doors.get(scope["path"], self.default)
        if refusal := self._by_headers(scope, door):
            await refusal(scope, receive, send)
            return
        counted = _CountedBody(receive, send, door.limit_bytes)
        try:
            await self.app(scope, counted.receive, counted.send)
        except _TooLarge:
            if counted.answered:
                raise
            await self._too_large(door)(scope, receive, send)

    def _by_headers(self, scope: Scope, door: Door) -> ASGIApp | None:
        headers = _headers(scope)
        if headers.get(b"content-encoding", b"identity").strip().lower() not in (b"", b"identity"):
            return self.refuse(415, "content_encoding", "expected an uncompressed body; do not compress it")
        kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        if scope["method"] == "POST" and door.json_only and kind != b"application/json":
            return self.refuse(415, "content_type", "expected Content-Type application/json")
        length = headers.get(b"content-length", b"0")
        if scope["method"] == "POST" and door.json_only and headers.get(b"content-length") == b"0":
            return self.refuse(400, "unparsable", "expected a JSON object, found an empty body")
        if not length.isdigit():
            return self.refuse(400, "content_length", "expected a decimal Content-Length")
        return self._too_large(door) if int(length[:20]) > door.limit_bytes else None

    def _too_large(self, door: Door) -> ASGIApp:
        limit = f"this door takes at most {door.limit_bytes} bytes"
        return self.refuse(413, "body_too_large", f"{limit}; {door.larger}")


class _TooLarge(Exception):  # noqa: N818  # a signal inside this module, not an error for callers
    pass


class _CountedBody:
    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive, self._send, self._limit, self._count = receive, send, limit, 0
        self.answered = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._count += len(message.get("body", b""))
        if self._count > self._limit:
            raise _TooLarge
        return message

    async def send(self, message: Message) -> None:
        if self._count > self._limit:  # the app turned our signal into an answer of its own
            raise _TooLarge
        self.answered = True
        await self._send(message)


@dataclass(frozen=True)
class JsonOnly:
    """Before a service that others call inside the host: JSON or nothing, above all never pickle."""

    app: ASGIApp
    refuse: Refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let JSON bodies through, and probes, which have no content type."""
        await (self.app if _is_json(scope) else self.refuse(415, "content_type", "expected JSON"))(
            scope, receive, send
        )


def _is_json(scope: Scope) -> bool:
    if scope["type"] != "http":
        return True
    kinds = [value for name, value in scope["headers"] if name.lower() == b"content-type"]
    named = all(kind.split(b";")[0].strip().lower() == b"application/json" for kind in kinds)
    return named and (bool(kinds) or scope["method"] != "POST")


@dataclass(frozen=True)
class LoopbackOnly:
    """Refuses what did not arrive on the loopback interface, whatever the server was bound to."""

    app: ASGIApp
    refuse: Refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the address the connection arrived on."""
        detail = "this service speaks plain HTTP and answers on the loopback interface only"
        await (self.app if _arrived_on_loopback(scope) else self.refuse(403, "loopback_only", detail))(
            scope, receive, send
        )


def _arrived_on_loopback(scope: Scope) -> bool:
    server = scope.get("server")
    return scope["type"] != "http" or not server or str(server[0]).startswith(_LOCAL)


def _headers(scope: Scope) -> dict[bytes, bytes]:
    return {name.lower(): value for name, value in scope.get("headers", ())}
