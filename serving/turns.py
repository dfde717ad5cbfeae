"""Whose turn it is: so many under way at a time, the others wait a little, and those who wait take turns.

Callers who share a name (a tenant) share a queue, and the queues take turns, so that whoever sends most does
not keep the others from being answered. A burst may wait until its time is over. A queue that stands is
another thing: more comes than is done, and to let everybody wait would help nobody. It is known by somebody
who waited for ``stands_seconds``; or sooner, after ``comes_seconds``, by how many came after them and go on
coming, and who waits in vain is refused then. As long as many are refused at most ``standing`` wait, and one
of each other name.
"""

from __future__ import annotations

import asyncio
import math
import time
from bisect import bisect
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from serving.admission import Overloaded, TooLate

__all__ = ["TurnLimits", "Turns"]

_MEMORY = 0.1  # how much of a mean the last value is
_SHARE_MEMORY = 1 / 32  # of newcomers
_FEW = 0.2  # refused, of the last newcomers: no more comes than can be done
_ENOUGH = 10  # done meanwhile: of fewer nothing is concluded
_CHANCE = (
    2.7  # standard deviations by which more came meanwhile than was done, as chance would hardly have it
)
_GO_ON = 1 / 3  # of those who came meanwhile came in the later half: that is no burst


@dataclass(frozen=True)
class TurnLimits:
    """How many are under way at a time, and how many wait: in a burst, and while the queue stands."""

    at_once: int
    waiting: int = 256
    stands_seconds: float = 0.5
    comes_seconds: float = 0.1

    @property
    def standing(self) -> int:
        """As many as are under way: whoever comes then waits as long as the work takes."""
        return self.at_once


@dataclass(eq=False)
class _Waiting:
    who: str
    since: float
    turn: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Turns:
    """Hands out turns; used from one event loop only."""

    def __init__(self, limits: TurnLimits) -> None:
        self._limits = limits
        self._under_way = 0
        self._queues: OrderedDict[str, deque[_Waiting]] = OrderedDict()  # the next first
        self._count = 0
        self._stands, self._refused = False, 0.0
        self._gap, self._ended = 0.0, 0.0  # seconds between ends while somebody waits; the last one's time
        self._idle = 0.0  # since when, if nothing is under way

    @property
    def under_way(self) -> int:
        """How many have a turn."""
        return self._under_way

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return self._count

    @property
    def is_free(self) -> bool:
        """Whether a turn is to be had at once."""
        return self._under_way < self._limits.at_once and not self._count

    def check(self, who: str, until: float) -> None:
        """Raise Overloaded or TooLate if ``who`` would be refused now."""
        try:
            self._check(who, until)
        except (Overloaded, TooLate):
            self._newcomer(refused=1.0)
            raise

    async def take(self, who: str, until: float) -> None:
        """Return when it is the turn of one of ``who``, who gives it back.

        Raises Overloaded, or TooLate if its turn has not come ``until`` then.
        """
        self.check(who, until)
        self._newcomer(refused=0.0)
        if self.is_free:
            self._under_way += 1
            return
        if self._count >= self._limits.waiting:
            self._displace()
        await self._wait(_Waiting(who, time.monotonic()), until)

    def give_back(self) -> None:
        """End a turn; the next begins."""
        self._under_way -= 1
        now = time.monotonic()
        if self._count:
            if self._ended:
                sample = now - self._ended
                self._gap = self._gap + _MEMORY * (sample - self._gap) if self._gap else sample
            self._ended = now
        else:
            self._ended = 0.0
        self._go_on()
        self._idle = now

    def seconds(self) -> int:
        """Return in how many seconds there is room, as ends follow each other: one at least."""
        return max(1, math.ceil((self._count + self._under_way) * self._gap))

    def _check(self, who: str, until: float) -> None:
        now = time.monotonic()
        if self.is_free:
            if not self._under_way and now - self._idle > self._limits.stands_seconds:
                self._stands, self._refused = False, 0.0
        elif not self._has_room(len(self._queues.get(who, ())), now):
            raise Overloaded(self.seconds())
        elif now + self._expected(who) > until:
            raise TooLate(self.seconds())

    def _has_room(self, own: int, now: float) -> bool:
        if self._count >= self._limits.waiting:
            return own + 1 < max(map(len, self._queues.values()), default=0)
        return self._count < self._limits.standing or own == 0 or not self._is_standing(now)

    def _is_standing(self, now: float) -> bool:
        if self._stands:
            return True
        since = sorted(one.since for queue in self._queues.values() for one in queue)
        if keeps_coming := self._keeps_coming(since, now):
            self._thin_out()
        if keeps_coming or now - since[0] > self._limits.stands_seconds:
            self._stands, self._refused = True, 1.0
        return self._stands

    def _keeps_coming(self, since: list[float], now: float) -> bool:
        """Return whether more than is done has come, and comes, since the first of ``since``."""
        waited, came = now - since[0], len(since)
        done = waited / self._gap if self._gap else 0.0
        if waited < self._limits.comes_seconds or done < _ENOUGH or came - done < _CHANCE * math.sqrt(done):
            return False
        return came - bisect(since, now - waited / 2) >= _GO_ON * came

    def _thin_out(self) -> None:
        """Refuse who would wait longest: whoever came last, and the last of each name, goes on waiting."""
        waiting = sorted((one for queue in self._queues.values() for one in queue), key=lambda one: one.since)
        last = [queue[-1] for queue in self._queues.values()]
        for one in waiting[: -self._limits.standing]:
            if one not in last:
                self._refuse(one)

    def _newcomer(self, refused: float) -> None:
        self._refused += _SHARE_MEMORY * (refused - self._refused)
        if self._refused < _FEW:
            self._stands = False

    def _expected(self, who: str) -> float:
        """Return the seconds that one more of ``who`` would wait, as the queues take turns."""
        own = len(self._queues.get(who, ()))
        names = len(self._queues) + (own == 0)
        return min(self._count + 1, (own + 1) * names) * self._gap

    def _displace(self) -> None:
        """Refuse the last of the longest queue, for somebody who has fewer in theirs."""
        self._refuse(max(self._queues.values(), key=len)[-1])

    def _refuse(self, one: _Waiting) -> None:
        self._leave(one)
        one.turn.set_exception(Overloaded(self.seconds()))

    async def _wait(self, one: _Waiting, until: float) -> None:
        self._queues.setdefault(one.who, deque()).append(one)
        self._count += 1
        timer = asyncio.get_running_loop().call_later(until - one.since, self._expire, one)
        try:
            await one.turn
        except asyncio.CancelledError:
            if one.turn.cancelled():
                self._leave(one)
            elif one.turn.exception() is None:  # its turn came while it was leaving
                self.give_back()
            raise
        finally:
            timer.cancel()

    def _expire(self, one: _Waiting) -> None:
        if not one.turn.done():
            self._leave(one)
            one.turn.set_exception(TooLate(self.seconds()))

    def _leave(self, one: _Waiting) -> None:
        """Take ``one`` out of its queue, if it is still there."""
        queue = self._queues.get(one.who, deque())
        if one not in queue:
            return
        queue.remove(one)
        self._count -= 1
        if not queue:
            del self._queues[one.who]

    def _go_on(self) -> None:
        while self._count and self._under_way < self._limits.at_once:
            who, queue = self._queues.popitem(last=False)
            one = queue.popleft()
            self._count -= 1
            if queue:
                self._queues[who] = queue
            if not one.turn.done():
                self._under_way += 1
                one.turn.set_result(None)
