"""The entrance: before a body is read, whether there is room for what is asked; while it is done, for whom.

Pure ASGI. A place is taken when the whole body is here (BodyLimits says when), so that whoever sends slowly
holds none, and is given back with the answer. A caller who leaves is noticed: what waits for them is not
begun, and what was begun is ended, unless something lasting comes of it.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.admission import Overloaded, TooLate
from serving.limits import WHOLE
from serving.turns import Turns

__all__ = ["Entrance", "EntranceRules", "Lane", "Told", "caller_left"]

_LOOK_SECONDS = 0.02  # what is answered sooner is not watched: hardly anybody leaves so soon
_WAIT = re.compile(rb"(?:^|[,;\s])wait\s*=\s*(\d{1,6})(?:$|[,;\s])", re.IGNORECASE)  # of RFC 7240
_LEFT_STATUS = 499  # as nginx counts callers who left, whom no answer reaches
_LEFT_BODY = json.dumps(
    {
        "type": "urn:pat-service:problem:caller_left",
        "title": "Client Closed Request",
        "status": _LEFT_STATUS,
        "code": "caller_left",
        "detail": "the caller left before the answer",
    }
).encode()
_GONE: Message = {"type": "http.disconnect"}
Refusal = Overloaded | TooLate


@dataclass(frozen=True)
class Lane:
    """Where requests of a kind wait; ``lasting``: what was begun is finished, whoever leaves."""

    turns: Turns
    lasting: bool = False


class Told(Protocol):
    """What is told of those who come."""

    def under_way(self, change: int) -> None:
        """Say that so many more are under way."""
        ...

    def refused(self, reason: str) -> None:
        """Say that one was refused."""
        ...

    def abandoned(self) -> None:
        """Say that a caller left."""
        ...


@dataclass(frozen=True)
class EntranceRules:
    """Which requests wait, where, for whom and how long, and how many bytes of bodies there are meanwhile."""

    lane_of: Callable[[Scope], Lane | None]
    who: Callable[[], str]  # the name that the caller shares with others
    refuse: Callable[[Refusal], ASGIApp]
    told: Callable[[], Told]
    seconds: float
    bytes: int


class Entrance:
    """Middleware that lets in what there is room for, and refuses the rest before it is read."""

    def __init__(self, app: ASGIApp, rules: EntranceRules) -> None:
        self._app, self._rules, self._bodies = app, rules, _Bodies(rules.bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in, or refuse."""
        if scope["type"] != "http" or (lane := self._rules.lane_of(scope)) is None:
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        patience = _patience(headers.get(b"prefer", b""), self._rules.seconds)
        lasting = lane.lasting or b"idempotency-key" in headers  # who has a key comes back for the answer
        visitor = _Visitor(lane.turns, self._rules.who(), patience, lasting)
        visit = _Visit(visitor, self._bodies, self._rules.told(), receive)
        try:
            lane.turns.check(visitor.who, visitor.until())
            self._bodies.check(headers.get(b"content-length", b""))
        except (Overloaded, TooLate) as error:
            visit.refused = error
        else:
            await visit.run(self._app, scope, send)
        if (answer := self._answer(visit)) is not None:
            await answer(scope, receive, send)

    def _answer(self, visit: _Visit) -> ASGIApp | None:
        """Return what is answered in the place of the application, if anything."""
        if visit.left:
            self._rules.told().abandoned()
            return caller_left
        if visit.refused is None:
            return None
        self._rules.told().refused(visit.refused.reason)
        return self._rules.refuse(visit.refused)


def _patience(prefer: bytes, most: float) -> float:
    """Return the seconds that a caller would wait, ``most`` unless they say less (``Prefer: wait=5``)."""
    said = _WAIT.search(prefer)
    return most if said is None else min(most, float(said[1]))


async def caller_left(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  # ASGI
    """End what nobody waits for, so that logs, counts and records have it."""
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(_LEFT_BODY))]
    await send({"type": "http.response.start", "status": _LEFT_STATUS, "headers": headers})
    await send({"type": "http.response.body", "body": _LEFT_BODY})


class _Bodies:
    """Bytes of bodies in this process, of which there are ``most`` at a time."""

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0

    def check(self, declared: bytes) -> None:
        """Raise Overloaded if a body of ``declared`` bytes has no room beside others."""
        if self._held and declared.isdigit() and self._held + int(declared[:20]) > self._most:
            raise Overloaded

    def hold(self, size: int, own: int) -> None:
        """Count ``size`` more beside ``own``; raises Overloaded if there are others, and too many with it."""
        if self._held > own and self._held + size > self._most:
            raise Overloaded
        self._held += size

    def let_go(self, size: int) -> None:
        """Count them no more."""
        self._held -= size


@dataclass(frozen=True)
class _Visitor:
    turns: Turns
    who: str
    patience: float
    lasting: bool

    def until(self) -> float:
        """Return when their patience ends, if they begin to wait now."""
        return time.monotonic() + self.patience


class _Visit:
    """One request that was let in."""

    def __init__(self, visitor: _Visitor, bodies: _Bodies, told: Told, receive: Receive) -> None:
        self._visitor = visitor
        self.refused: Refusal | None = None
        self.left = False
        self._bodies, self._told, self._receive = bodies, told, receive
        self._size, self._complete, self._begun, self._answered = 0, False, False, False
        self._gone = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self._look: asyncio.TimerHandle | None = None

    async def run(self, app: ASGIApp, scope: Scope, send: Send) -> None:
        """Let ``app`` answer, unless it is refused meanwhile or the caller leaves."""
        self._task, self._send = asyncio.current_task(), send
        try:
            await app({**scope, WHOLE: self._begin}, self._received, self._sent)
        except asyncio.CancelledError:
            if not self.left or (self._task and self._task.uncancel() > 0):
                raise
        except Exception:
            if self._answered or not (self.left or self.refused):
                raise
        finally:
            self._end()

    async def _received(self) -> Message:
        if self._complete:  # what is waited for now is the caller's going away
            self._begin_to_watch()
            await self._gone.wait()
            return _GONE
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.left = not self._answered
            return message
        self._hold(len(message.get("body", b"")))
        self._complete = not message.get("more_body", False)
        return message

    def _hold(self, size: int) -> None:
        try:
            self._bodies.hold(size, self._size)
        except Overloaded as error:
            self.refused = error
            raise
        self._size += size

    async def _begin(self) -> None:
        """Return when it is this request's turn; the whole body is here."""
        if self._visitor.turns.is_free:
            self._look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._begin_to_watch)
        else:
            self._begin_to_watch()
        try:
            await self._visitor.turns.take(self._visitor.who, self._visitor.until())
        except (Overloaded, TooLate) as error:
            self.refused = error
            raise
        self._begun = True
        self._told.under_way(1)

    def _begin_to_watch(self) -> None:
        if self._watch is None:
            self._watch = asyncio.create_task(self._watched())

    async def _watched(self) -> None:
        """Wait until the caller is gone; then end what is done for them, if it may be ended."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone.set()
        if not self._answered and self._task and not (self._begun and self._visitor.lasting):
            self.left = True
            self._task.cancel()

    async def _sent(self, message: Message) -> None:
        if self.left or self.refused:  # an application may make an answer of either
            return
        self._answered = True
        self._done()  # what is left is to record and send it
        await self._send(message)

    def _done(self) -> None:
        if self._begun:
            self._begun = False
            self._visitor.turns.give_back()
            self._told.under_way(-1)

    def _end(self) -> None:
        self._done()
        self._bodies.let_go(self._size)
        if self._look is not None:
            self._look.cancel()
        if self._watch is not None:
            self._watch.cancel()
