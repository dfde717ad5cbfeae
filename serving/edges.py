"""Who may connect, and what every answer says to whoever keeps or shows it (pure ASGI)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.drain import draining
from serving.limits import Refuse

__all__ = ["HEADERS", "HEADERS_OVER_TLS", "AnswerHeaders", "LoopbackOnly", "TlsOnly"]

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",  # the report has its own
}
HEADERS_OVER_TLS: Mapping[str, str] = {**HEADERS, "Strict-Transport-Security": "max-age=31536000"}
_LOCAL = ("127.", "::1", "localhost", "/")  # how a local address begins; "/" is a Unix socket's path


@dataclass(frozen=True)
class AnswerHeaders:
    """Adds ``headers`` to every answer that does not say otherwise, and removes the server's name.

    In a process that was told to end it closes the connection, so that a proxy keeps none to be cut off.
    """

    app: ASGIApp
    headers: Mapping[str, str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with them."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                made = MutableHeaders(raw=list(message.get("headers", ())))
                for name, value in self.headers.items():
                    made.setdefault(name, value)
                del made["server"]
                if draining():
                    made["connection"] = "close"
                message = {**message, "headers": made.raw}
            await send(message)

        await self.app(scope, receive, with_headers)


@dataclass(frozen=True)
class LoopbackOnly:
    """Refuses what did not arrive on the loopback interface, whatever the server was bound to."""

    app: ASGIApp
    refuse: Refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the address the connection arrived on."""
        detail = "without TLS and identity this service answers on the loopback interface only"
        await (self.app if _arrived_on_loopback(scope) else self.refuse(403, "loopback_only", detail))(
            scope, receive, send
        )


def _arrived_on_loopback(scope: Scope) -> bool:
    server = scope.get("server")
    return scope["type"] != "http" or not server or str(server[0]).startswith(_LOCAL)


@dataclass(frozen=True)
class TlsOnly:
    """Refuses what came in the clear, whatever the server was told beside its settings."""

    app: ASGIApp
    refuse: Refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check how the connection came."""
        in_clear = scope["type"] == "http" and scope.get("scheme") != "https"
        detail = "this service answers over TLS only"
        await (self.refuse(403, "tls_only", detail) if in_clear else self.app)(scope, receive, send)
