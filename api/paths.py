"""What BentoML's own layers hear of a path: one that there is, or that it is none.

BentoML counts, traces and logs a request by its path before any middleware of ours is asked. A path that
somebody made up may hold anything, a subject too, and each would be a time series of its own, kept in memory
and on disk until the process ends; so would each random id in a path. ``install`` puts ``KnownPaths`` in the
place of BentoML's outermost, and ``AskedPaths``, the first of ours, gives the path back. What is relied on of
the pinned version is written down in tests/api/test_paths.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from bentoml._internal.server.http import instruments
from opentelemetry.trace import get_current_span
from starlette.types import ASGIApp, Receive, Scope, Send

from api import outcomes
from serving import under_way
from serving.routes import Paths

__all__ = ["NOWHERE", "AskedPaths", "KnownPaths", "door_of", "install"]

NOWHERE = "/nowhere"
_ASKED = "pat.asked"  # where a scope keeps the path that was asked for
_REQUEST = "pat.request"  # and what is noted of the request
_BENTOML = instruments.RunnerTrafficMetricsMiddleware


@cache
def _known() -> Paths:
    from api.routes import CLOSED, PUBLIC, ROUTES  # noqa: PLC0415  # the runner, which counts none, needs none

    return Paths(PUBLIC | CLOSED | {path for _, path in ROUTES})


def door_of(path: str) -> str:
    """Return the name of the door (api/doors.py) that ``path`` leads to."""
    return _known().of(path) or path


class KnownPaths(_BENTOML):
    """Counts requests as BentoML does, by template; an unknown path becomes ``/nowhere``.

    One under ``/fhir`` becomes ``/fhir/nowhere``, for it is refused as FHIR refuses.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with nothing of an id, nor of an unknown path and its query, left to see."""
        if scope["type"] in ("http", "websocket"):
            scope = _seen(scope, _known().of(scope["path"]))
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        with under_way.begun(scope.get("method", ""), scope["path"]) as request:
            await super().__call__({**scope, _REQUEST: request}, receive, request.noting(send))


def _seen(scope: Scope, route: str | None) -> Scope:
    """Return ``scope`` as the layers that log and count may see it."""
    if route == scope["path"]:
        return scope
    if route is None:
        path = outcomes.NOWHERE if outcomes.under_fhir(scope["path"]) else NOWHERE
        return {**scope, "path": path, "raw_path": path.encode(), "query_string": b""}
    return {**scope, "path": route, "raw_path": route.encode(), _ASKED: scope["path"]}


@dataclass(frozen=True)
class AskedPaths:
    """Gives back the path that was asked for, ids and all, to what answers it."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on with the path of the request; note under which ids it is answered."""
        if (request := scope.get(_REQUEST)) is not None:
            span = get_current_span().get_span_context()
            request.trace, request.request = f"{span.trace_id:032x}", f"{span.span_id:016x}"
        if (path := scope.get(_ASKED)) is not None:
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self.app(scope, receive, send)


def install() -> None:
    """Let the services of this process be counted so; call before one is served."""
    instruments.RunnerTrafficMetricsMiddleware = KnownPaths  # type: ignore[misc]  # it is replaced on purpose
