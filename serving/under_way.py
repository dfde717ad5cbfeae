"""The request that is being answered, as log lines and metrics name it: never its path, never its body."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from starlette.types import Message, Send

__all__ = ["UnderWay", "begun", "current"]

_current: ContextVar[UnderWay | None] = ContextVar("under_way", default=None)
_LEFT = 499  # in place of a status: the sender was gone before an answer began
_FAILED = 500


@dataclass
class UnderWay:
    """One request: a template of ours, a method, and what is found out about it on the way."""

    method: str
    route: str
    trace: str = ""  # of W3C, 32 hexadecimal digits
    request: str = ""  # as the answer's X-BentoML-Request-ID says it
    refusal: str = ""  # the code of the last problem that was made for it
    cache: str = ""  # hit, miss or bypass
    status: int = _LEFT

    def noting(self, send: Send) -> Send:
        """Return ``send`` with an ear for the status."""

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
            await send(message)

        return noted


def current() -> UnderWay | None:
    """Return the request that is being answered here; None beside the requests."""
    return _current.get()


@contextmanager
def begun(method: str, route: str) -> Iterator[UnderWay]:
    """Let what is done here be done for a request, and count it when it ends."""
    from serving import request_telemetry  # noqa: PLC0415  # asks at import where metrics go

    request, began = UnderWay(method, route), time.perf_counter()
    token = _current.set(request)
    try:
        yield request
    except BaseException:
        request.status = _FAILED if request.status == _LEFT else request.status
        raise
    finally:
        _current.reset(token)
        telemetry = request_telemetry.of_process()
        telemetry.ended(route, method, request.status, time.perf_counter() - began)
        telemetry.refused(request.status, request.refusal)
