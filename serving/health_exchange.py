"""One request to the health data service: within a deadline, tried again where that is safe, never unbounded.

Reads are tried again as the table below says; writes never by themselves, because what became of one that
failed must be looked up first. A breaker stands before both: it counts what fails on the other side, not what
is refused. Status, kind and trace id of an error are logged, nothing else of it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx

from serving import outbound
from serving.breaker import Breaker, BreakerOpen
from serving.health_errors import HealthDataError, TokenRefused, UpstreamError, UpstreamUnavailable, told
from serving.spans import station, traceparent

__all__ = ["Answer", "Deadline", "Exchange", "Token"]

log = logging.getLogger("pat.health_data")
_NO_ANSWER = 0  # in place of a status: not reached, cut off, or too late
_GATEWAYS = (HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT)  # a proxy's words for no answer
_UNREACHED = frozenset({_NO_ANSWER, HTTPStatus.SERVICE_UNAVAILABLE, *_GATEWAYS})
_RETRIES = {  # how often a read is tried again
    **dict.fromkeys(_UNREACHED, 2),
    HTTPStatus.INTERNAL_SERVER_ERROR: 2,
    HTTPStatus.BAD_REQUEST: 1,  # storage that fails arrives as 400
    HTTPStatus.TOO_MANY_REQUESTS: 3,
}
_PAUSE_SECONDS = 0.2  # before the first retry, then twice as long each time, with jitter
_LONGEST_TRY_SECONDS = 8


@dataclass(frozen=True)
class Token:
    """A caller's token on its way through: it is not printed, kept or compared."""

    value: str = field(repr=False)

    def header(self) -> dict[str, str]:
        """Return the header, its first word spelled as the health data service wants it."""
        return {"Authorization": f"Bearer {self.value}"}


@dataclass(frozen=True)
class Deadline:
    """When all that is done for one request must be over."""

    at: float

    @classmethod
    def within(cls, seconds: float) -> Deadline:
        """Return the one that many seconds from now."""
        return cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds left, negative past the end."""
        return self.at - time.monotonic()


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 where nothing did."""

    status: int
    body: bytes = b""
    retry_after: float = 0.0  # seconds that it asks to be left alone
    fault: str = ""  # why what came cannot be used, whatever its status

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return not self.fault and HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def failed(self) -> bool:
        """Whether the other side failed, so that the request itself may be good."""
        return self.status == _NO_ANSWER or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR

    def check(self) -> None:
        """Raise what the breaker counts."""
        if self.failed:
            raise _Failed(self)

    def error(self) -> HealthDataError:
        """Return what an answer that is no success means for the caller."""
        if self.status == HTTPStatus.UNAUTHORIZED:
            return TokenRefused()
        if self.status in _UNREACHED or self.status == HTTPStatus.TOO_MANY_REQUESTS:
            return UpstreamUnavailable(self.retry_after or 5)
        return UpstreamError(self.fault or f"the status {self.status}")


class _Failed(Exception):  # noqa: N818  # for the breaker alone
    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class Exchange:
    """Requests to one address, with a client of ``serving.outbound``."""

    def __init__(self, client: httpx.AsyncClient, most_bytes: int, breaker: Breaker | None = None) -> None:
        self._client, self._most, self.breaker = client, most_bytes, breaker or Breaker(name="health_data")

    @station("pat.health_data.read")
    async def read(self, path: str, query: Mapping[str, str], token: Token, until: Deadline) -> bytes:
        """Return the body of an answer; raises TokenRefused, UpstreamError or UpstreamUnavailable."""
        answer = await self._guarded(self._retried(self._request("GET", path, token, params=query), until))
        if not answer.ok:
            raise answer.error()
        return answer.body

    @station("pat.health_data.write")
    async def write(self, path: str, body: bytes, token: Token, until: Deadline) -> Answer:
        """Send ``body`` once, and return what came back; raises UpstreamUnavailable."""
        kind = {"Content-Type": "application/json"}
        request = self._request("POST", path, token, content=body, headers=kind)
        return await self._guarded(self._once(request, until))

    def _request(self, method: str, path: str, token: Token, **options: Any) -> httpx.Request:
        given = options.pop("headers", {})
        headers = {"Accept": "application/json", **given, **traceparent(), **token.header()}
        return self._client.build_request(method, path, headers=headers, **options)

    async def _guarded(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        try:
            with self.breaker.call():
                answer = await work
                answer.check()
        except BreakerOpen as error:
            work.close()  # it never began
            raise UpstreamUnavailable(error.seconds) from None
        except _Failed as error:
            return error.answer
        return answer

    async def _retried(self, request: httpx.Request, until: Deadline) -> Answer:
        tries = 0
        while True:
            answer = await self._once(request, until)
            pause = answer.retry_after or pause_seconds(tries)
            if tries >= _RETRIES.get(answer.status, 0) or pause >= until.left:
                return answer
            tries += 1
            await asyncio.sleep(pause)

    async def _once(self, request: httpx.Request, until: Deadline) -> Answer:
        if until.left <= 0:
            return Answer(_NO_ANSWER)
        try:
            async with asyncio.timeout(min(until.left, _LONGEST_TRY_SECONDS)):
                answer = await self._sent(request)
        except (httpx.TransportError, TimeoutError) as error:
            log.warning("the health data service gave no answer: %s", type(error).__name__)
            return Answer(_NO_ANSWER)
        if not answer.ok:
            said = told(answer.body)
            log.warning("the health data service answered %d %s %s", answer.status, said.slug, said.trace)
        return answer

    async def _sent(self, request: httpx.Request) -> Answer:
        try:
            answer = await outbound.ask(self._client, request, self._most)
        except outbound.AnswerUnusable as error:
            return Answer(error.status, fault=error.found)
        return Answer(answer.status, answer.body, answer.retry_after_seconds)


def pause_seconds(tries: int) -> float:
    """Return how long to wait after so many retries: twice as long each time, and not all at once."""
    return _PAUSE_SECONDS * float(2**tries) * random.SystemRandom().uniform(0.5, 1.5)
