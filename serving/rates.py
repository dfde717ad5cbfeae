"""How often one address, caller or tenant may ask: a moving window of a minute, by the library ``limits``."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

__all__ = ["Rates", "Verdict"]

WINDOW_SECONDS = 60


@dataclass(frozen=True)
class Verdict:
    """Whether one more is allowed; ``remaining`` after it, ``seconds`` until there is more."""

    allowed: bool
    kind: str
    limit: int
    remaining: int
    seconds: int

    def headers(self) -> dict[str, str]:
        """Return it as draft-ietf-httpapi-ratelimit-headers has it."""
        said = {
            "RateLimit-Policy": f'"{self.kind}";q={self.limit};w={WINDOW_SECONDS}',
            "RateLimit": f'"{self.kind}";r={self.remaining};t={self.seconds}',
        }
        return said if self.allowed else {**said, "Retry-After": str(self.seconds)}


class Rates:
    """Counts in this process; ``per_minute`` by kind: address, caller, tenant."""

    def __init__(self, per_minute: Mapping[str, int]) -> None:
        self._items = {kind: RateLimitItemPerMinute(most) for kind, most in per_minute.items()}
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def hit(self, kind: str, who: str) -> Verdict:
        """Count one request of ``who``."""
        item = self._items[kind]
        allowed = self._limiter.hit(item, kind, who)
        stats = self._limiter.get_window_stats(item, kind, who)
        seconds = max(1, math.ceil(stats.reset_time - time.time()))
        return Verdict(allowed, kind, item.amount, stats.remaining, seconds)
