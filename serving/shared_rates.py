"""Counts of requests that several processes share, on a Redis, in moving windows of the library ``limits``.

Who is counted stands there as a keyed hash. While the server does not answer it is left alone (a breaker),
which is said once in the log, and then tried again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from limits import RateLimitItem
from limits.util import WindowStats

from serving.breaker import Breaker
from serving.patience import patiently
from serving.rates import CountUnavailable
from serving.redis_address import RedisAddress

if TYPE_CHECKING:
    from limits.aio.strategies import MovingWindowRateLimiter

__all__ = ["PREFIX", "SharedWindows"]

PREFIX = "pat:rates:moving-window:1"  # strategy and version: what is stored there differs with them
_CONNECTIONS = 16
_WAITS = 10  # of one count, waiting for a connection and making it included: 0.5 s
P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger("pat.rates")


class SharedWindows:
    """Windows (serving/rates.py) on one Redis, for one event loop; names are hashed under ``secret``."""

    def __init__(self, address: RedisAddress, secret: bytes, breaker: Breaker | None = None) -> None:
        self._limiter = _limiter(address)
        self._secret, self._breaker = secret, breaker or Breaker(name="rates")
        self.lost = False

    async def take(self, item: RateLimitItem, kind: str, who: str) -> bool:
        """Count one if there is room; raises CountUnavailable."""
        return await self._asked(self._limiter.hit, item, kind, self._name(kind, who))

    async def stats(self, item: RateLimitItem, kind: str, who: str) -> WindowStats:
        """Return when there is more room, and how much there is; raises CountUnavailable."""
        return await self._asked(self._limiter.get_window_stats, item, kind, self._name(kind, who))

    def _name(self, kind: str, who: str) -> str:
        return hmac.new(self._secret, json.dumps([kind, who]).encode(), hashlib.sha256).hexdigest()[:32]

    async def _asked(self, ask: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        from redis.exceptions import RedisError  # noqa: PLC0415  # only where counts are shared

        try:
            with self._breaker.call():
                answer = await patiently(ask(*args, **kwargs), _WAITS)
        except (RedisError, OSError, RuntimeError) as error:  # uvloop's word for a connection that was cut
            self._tell(error)
            raise CountUnavailable from error
        if self.lost:
            self.lost = False
            log.info("requests are counted by all processes together again")
        return answer

    def _tell(self, error: Exception) -> None:
        if not self.lost and self._breaker.is_open:
            self.lost = True
            log.warning("requests are counted by each process alone (%s)", type(error).__name__)


def _limiter(address: RedisAddress) -> MovingWindowRateLimiter:
    from limits.aio.storage import RedisStorage  # noqa: PLC0415  # only where counts are shared
    from limits.aio.strategies import MovingWindowRateLimiter  # noqa: PLC0415  # same
    from redis.asyncio import BlockingConnectionPool  # noqa: PLC0415  # same
    from redis.asyncio.retry import Retry  # noqa: PLC0415  # same
    from redis.backoff import NoBackoff  # noqa: PLC0415  # same

    pool = BlockingConnectionPool.from_url(
        address.url,
        max_connections=_CONNECTIONS,
        timeout=None,  # of all these together, patiently
        socket_timeout=None,
        socket_connect_timeout=None,
        retry=Retry(NoBackoff(), 0),
        **address.options(),
    )
    # The address is the pool's; the storage asks for one of its own all the same.
    given: dict[str, Any] = {"implementation": "redispy", "key_prefix": PREFIX, "connection_pool": pool}
    return MovingWindowRateLimiter(RedisStorage("async+redis://localhost:0", **given))
