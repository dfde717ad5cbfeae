"""How often one address, caller or tenant may ask, by windows that move with time.

Each process counts what it sees, by a clock that is never set, or all of them count together
(serving/shared_rates.py). While the shared counts are out of reach each process goes on by itself, except for
what must not be tried without end: failed identifications and emergencies are refused while they cannot be
counted.

Errors:

    TooOften                  429: no more for now; says until when
    CountUnavailable          503: it cannot be counted now
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.util import WindowStats

__all__ = ["CountUnavailable", "Rates", "TooOften", "Verdict", "Windows"]

_FAILURE, _EMERGENCY = "failure", "emergency"
_MOST = {_FAILURE: 30, _EMERGENCY: 10}  # unless it is said
_HOURLY = {_EMERGENCY}
_CLOSED = {_FAILURE, _EMERGENCY}  # refused while they cannot be counted together
_WHAT = {
    _FAILURE: "failed identifications a minute of one address",
    _EMERGENCY: "emergencies an hour of one caller",
}


@dataclass(frozen=True)
class Verdict:
    """Whether one more is allowed; ``remaining`` after it, ``seconds`` until there is more."""

    allowed: bool
    kind: str
    limit: int
    remaining: int
    seconds: int
    window_seconds: int = 60

    def headers(self) -> dict[str, str]:
        """Return it as draft-ietf-httpapi-ratelimit-headers has it."""
        said = {
            "RateLimit-Policy": f'"{self.kind}";q={self.limit};w={self.window_seconds}',
            "RateLimit": f'"{self.kind}";r={self.remaining};t={self.seconds}',
        }
        return said if self.allowed else {**said, "Retry-After": str(self.seconds)}


class TooOften(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """There is no more for now."""

    def __init__(self, verdict: Verdict) -> None:
        what = _WHAT.get(verdict.kind, f"requests a minute of one {verdict.kind}")
        super().__init__(f"at most {verdict.limit} {what}; try again later")
        self.verdict = verdict


class CountUnavailable(RuntimeError):  # noqa: N818  # same
    """What counts does not answer."""

    def __init__(self) -> None:
        super().__init__("how often this was tried cannot be told now; try again later")


class Windows(Protocol):
    """Moving windows, by item, kind and whose."""

    @property
    def lost(self) -> bool:
        """Whether they are out of reach."""
        ...

    async def take(self, item: RateLimitItem, kind: str, who: str) -> bool:
        """Count one if there is room; raises CountUnavailable."""
        ...

    async def stats(self, item: RateLimitItem, kind: str, who: str) -> WindowStats:
        """Return when there is more room, and how much there is; raises CountUnavailable."""
        ...


class _Here:
    """Windows in this process, by the monotonic clock; who was counted last stands last."""

    lost = False

    def __init__(self) -> None:
        self._kinds: defaultdict[str, OrderedDict[str, deque[float]]] = defaultdict(OrderedDict)

    async def take(self, item: RateLimitItem, kind: str, who: str) -> bool:
        now, counted = time.monotonic(), self._counted(item, kind, who)
        if len(counted) >= item.amount:
            return False
        counted.append(now)
        whose = self._kinds[kind]
        whose[who] = counted
        whose.move_to_end(who)
        return True

    async def stats(self, item: RateLimitItem, kind: str, who: str) -> WindowStats:
        counted = self._counted(item, kind, who)
        waits = item.get_expiry() + (counted[0] - time.monotonic() if counted else 0)
        return WindowStats(time.time() + waits, item.amount - len(counted))

    def _counted(self, item: RateLimitItem, kind: str, who: str) -> deque[float]:
        """Return when ``who`` was counted in the window; forget those whose windows are empty."""
        whose, began = self._kinds[kind], time.monotonic() - item.get_expiry()
        while whose and next(iter(whose.values()))[-1] <= began:
            whose.popitem(last=False)
        counted = whose.get(who, deque())
        while counted and counted[0] <= began:
            counted.popleft()
        return counted


class Rates:
    """Counts each kind by itself (address, caller, tenant, failure, emergency), ``most`` in its window."""

    def __init__(self, most: Mapping[str, int], shared: Windows | None = None) -> None:
        self._items = {kind: _item(kind, number) for kind, number in {**_MOST, **most}.items()}
        self._here = _Here()
        self._windows: Windows = shared or self._here

    @property
    def alone(self) -> bool:
        """Whether this process counts by itself what it should count with others."""
        return self._windows.lost

    async def hit(self, kind: str, who: str) -> Verdict:
        """Count one of ``who`` and say what is left; raises CountUnavailable for what is then refused."""
        windows, allowed = await self._taken(kind, who)
        return await self._verdict(windows, kind, who, allowed=allowed)

    async def refusal(self, kind: str, who: str) -> Verdict | None:
        """Count one as ``hit`` does; return nothing where it is allowed, which takes half the time."""
        windows, allowed = await self._taken(kind, who)
        return None if allowed else await self._verdict(windows, kind, who, allowed=False)

    async def _taken(self, kind: str, who: str) -> tuple[Windows, bool]:
        """Count, together if that can be done; return where, and whether there was room."""
        item = self._items[kind]
        try:
            return self._windows, await self._windows.take(item, kind, who)
        except CountUnavailable:
            if kind in _CLOSED:
                raise
            return self._here, await self._here.take(item, kind, who)

    async def _verdict(self, windows: Windows, kind: str, who: str, *, allowed: bool) -> Verdict:
        item = self._items[kind]
        try:
            stats = await windows.stats(item, kind, who)
        except CountUnavailable:  # it went in between
            stats = await self._here.stats(item, kind, who)
        seconds = max(1, math.ceil(stats.reset_time - time.time()))
        remaining = stats.remaining if allowed else 0
        return Verdict(allowed, kind, item.amount, remaining, seconds, item.get_expiry())


def _item(kind: str, most: int) -> RateLimitItem:
    return RateLimitItemPerHour(most) if kind in _HOURLY else RateLimitItemPerMinute(most)
