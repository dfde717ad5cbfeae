"""What BentoML's own layers hear of a path: one that there is, or that it is none.

BentoML counts, traces and logs a request by its path before any middleware of ours is asked. A path that
somebody made up may hold anything, a subject too, and each would be a time series of its own, kept in memory
and on disk until the process ends. ``install`` puts the middleware below in the place of BentoML's outermost;
what it relies on of the pinned version is written down in tests/api/test_paths.py.
"""

from __future__ import annotations

from functools import cache

from bentoml._internal.server.http import instruments
from starlette.types import Receive, Scope, Send

from api import outcomes

__all__ = ["NOWHERE", "KnownPaths", "install"]

NOWHERE = "/nowhere"
_BENTOML = instruments.RunnerTrafficMetricsMiddleware


@cache
def _known() -> frozenset[str]:
    from api.guard import CLOSED, PUBLIC, ROUTES  # noqa: PLC0415  # the runner, which counts none, needs none

    return PUBLIC | CLOSED | {path for _, path in ROUTES}


class KnownPaths(_BENTOML):
    """Counts requests as BentoML does; an unknown path becomes ``/nowhere`` for all that follows.

    One under ``/fhir`` becomes ``/fhir/nowhere``, for it is refused as FHIR refuses.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with nothing of an unknown path and its query left."""
        if scope["type"] in ("http", "websocket") and scope["path"] not in _known():
            path = outcomes.NOWHERE if outcomes.under_fhir(scope["path"]) else NOWHERE
            scope = {**scope, "path": path, "raw_path": path.encode(), "query_string": b""}
        await super().__call__(scope, receive, send)


def install() -> None:
    """Let the services of this process be counted so; call before one is served."""
    instruments.RunnerTrafficMetricsMiddleware = KnownPaths  # type: ignore[misc]  # it is replaced on purpose
