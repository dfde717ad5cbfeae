"""The REST application as service.py mounts it: built by the entry when it starts, never by the runner.

BentoML loads service.py in every process; the runner needs none of FastAPI and of what stands behind it.
"""

from __future__ import annotations

from functools import cached_property

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

__all__ = ["Mounted"]

_BULK = ("POST", "/v1/embed")


class Mounted(Starlette):
    """Stands for the real application, which it imports when first needed; its routes are that one's.

    BentoML asks a mounted Starlette for its routes, to let its own be found beside them.
    """

    @cached_property
    def rest(self) -> Starlette:
        """The FastAPI application."""
        from api.app import build  # noqa: PLC0415  # see above

        return build()

    @property
    def routes(self) -> list[BaseRoute]:
        """Routes of the application."""
        return self.rest.routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on to the application; bulk weeks go past its routing, which costs as much as their door."""
        if scope["type"] == "http" and (scope["method"], scope["path"]) == _BULK:
            await self._embed(scope, receive, send)
        else:
            await self.rest(scope, receive, send)

    async def _embed(self, scope: Scope, receive: Receive, send: Send) -> None:
        from api import v1  # noqa: PLC0415  # see above

        response = await v1.embed_weeks(Request(scope, receive), await v1.desk())
        await response(scope, receive, send)
