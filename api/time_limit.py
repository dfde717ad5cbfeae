"""How long a request may take, without a memory of those that were answered.

BentoML's timer for a request runs on to its end although the answer was sent long before, and holds some
6 kB for as long: at 500 requests a second and 60 seconds, 180 MB. Its middleware is replaced by the one
below, whose timer ends with the answer. What is relied on of the pinned version is written down in
tests/api/test_time_limit.py.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from bentoml._internal.server.http import traffic
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["TimeLimit", "install"]


class TimeLimit:
    """Answers 504 where ``app`` does not begin an answer within ``timeout`` seconds; it is cancelled then."""

    def __init__(self, app: ASGIApp, timeout: float) -> None:
        self.app = app
        self.timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let ``app`` answer; once it has begun it may take as long as it needs."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        limit = asyncio.timeout(self.timeout)

        async def sent(message: Message) -> None:
            if not limit.expired():
                limit.reschedule(None)
            await send(message)

        try:
            async with limit:
                await self.app(scope, receive, sent)
        except TimeoutError:
            if not limit.expired():
                raise
            error = {"error": f"Not able to process the request in {self.timeout} seconds"}
            await JSONResponse(error, HTTPStatus.GATEWAY_TIMEOUT)(scope, receive, send)


def install() -> None:
    """Let every service of this process keep it; call before one starts."""
    module: Any = traffic
    module.TimeoutMiddleware = TimeLimit
