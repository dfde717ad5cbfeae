"""A cache that all processes share, on a Redis that writes nothing to a disk and lets go of what is too much.

One round trip looks for values and, where one is missing, takes the lock under which it is made. While the
server does not answer it is left alone (a breaker), which is said once in the log, and then tried again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from serving.breaker import Breaker, BreakerOpen
from serving.cache import LOCK_SECONDS, CacheUnavailable, Lock, Looked
from serving.patience import patiently
from serving.redis_address import RedisAddress

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["PREFIX", "RedisCache"]

PREFIX = "pat:cache:"
_CONNECTIONS, _STEP = 16, 1_000
_WAITS = 4  # of one call, waiting for a connection and making it included: 0.2 s
_CONNECT_SECONDS, _DROP_SECONDS = 0.5, 2.0
_FAILURES, _PAUSE_SECONDS = 3, 5.0
_LARGEST_BYTES = 4_000_000  # of one value
T = TypeVar("T")
log = logging.getLogger("pat.cache")

# KEYS: lock, names. ARGV: token, milliseconds. Where there is no room for a lock everybody makes his own.
_LOOK = """
local found, missing, lead = {}, false, 1
for i = 2, #KEYS do
  found[i - 1] = redis.call('get', KEYS[i])
  missing = missing or not found[i - 1]
end
if missing and not redis.pcall('set', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then lead = 0 end
return {lead, found}
"""
# KEYS: lock. ARGV: token.
_UNLOCK = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


class RedisCache:
    """A Cache (serving/cache.py) on one Redis, for one event loop. Connections are made when needed."""

    def __init__(self, address: RedisAddress, breaker: Breaker | None = None) -> None:
        self._address, self._breaker = address, breaker or Breaker(_FAILURES, _PAUSE_SECONDS, name="cache")
        self._redis = _client(address)
        self._lost = self._refuses = False

    @property
    def degraded(self) -> bool:
        """Whether it does not answer, or takes nothing."""
        return self._breaker.is_open or self._refuses

    async def look(self, names: Sequence[str], lock: Lock | None = None) -> Looked:
        """Return what is there; if not all, take ``lock`` or say that another has it."""
        keys = [PREFIX + name for name in names]
        if lock is None:
            pipe = self._redis.pipeline(transaction=False)
            for key in keys:
                pipe.get(key)
            return Looked(await self._asked(pipe.execute()))
        given: list[Any] = [PREFIX + lock.name, *keys, lock.token, int(LOCK_SECONDS * 1000)]
        lead, found = await self._asked(self._redis.eval(_LOOK, len(keys) + 1, *given))
        return Looked(found, bool(lead))

    async def put(self, values: Mapping[str, bytes], seconds: float) -> None:
        """Keep ``values``, those that are too large apart."""
        pipe = self._redis.pipeline(transaction=False)
        for name, value in values.items():
            if len(value) <= _LARGEST_BYTES:
                pipe.set(PREFIX + name, value, px=int(seconds * 1000))
        try:
            await self._asked(pipe.execute())
        except CacheUnavailable:
            self._refuses = True
            raise
        self._refuses = False

    async def unlock(self, lock: Lock) -> None:
        """Give ``lock`` back, if it is still the asker's."""
        await self._asked(self._redis.eval(_UNLOCK, 1, PREFIX + lock.name, lock.token))

    async def remove(self, name: str) -> None:
        """Remove one value."""
        await self._asked(self._redis.unlink(PREFIX + name))

    def drop(self, prefix: str) -> int:
        """Remove every value whose name begins so, on a connection of its own."""
        from redis import Redis  # noqa: PLC0415  # only where the cache is on Redis
        from redis.exceptions import RedisError  # noqa: PLC0415  # same

        times = {"socket_timeout": _DROP_SECONDS, "socket_connect_timeout": _CONNECT_SECONDS}
        try:
            with Redis.from_url(self._address.url, **times, **self._address.options()) as client:
                found = list(client.scan_iter(match=f"{PREFIX}{prefix}*", count=_STEP))
                return int(client.unlink(*found)) if found else 0
        except (RedisError, OSError) as error:
            raise CacheUnavailable("the cache does not answer") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _asked(self, answer: Awaitable[T]) -> T:
        from redis.exceptions import RedisError  # noqa: PLC0415  # only where the cache is on Redis

        try:
            with self._breaker.call():
                said = await patiently(answer, _WAITS)
        except BreakerOpen as error:
            answer.close()  # type: ignore[attr-defined]  # a coroutine that nobody awaits says so
            raise CacheUnavailable("the cache did not answer a moment ago") from error
        except (RedisError, OSError, RuntimeError) as error:  # uvloop's word for a connection that was cut
            self._tell(error)
            await self._redis.connection_pool.disconnect(inuse_connections=False)  # they are as old
            raise CacheUnavailable("the cache does not answer") from error
        if self._lost:
            self._lost = False
            log.info("the cache answers again")
        return said

    def _tell(self, error: Exception) -> None:
        if not self._lost and self._breaker.is_open:
            self._lost = True
            log.warning("the cache is left alone for a while (%s)", type(error).__name__)


def _client(address: RedisAddress) -> Redis:
    """Return a client that waits briefly and never tries twice."""
    from redis.asyncio import BlockingConnectionPool, Redis  # noqa: PLC0415  # only where the cache is on Redis
    from redis.asyncio.retry import Retry  # noqa: PLC0415  # same
    from redis.backoff import NoBackoff  # noqa: PLC0415  # same

    options: dict[str, Any] = {
        "max_connections": _CONNECTIONS,
        "timeout": None,  # of all these together, patiently
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        **address.options(),
    }
    return Redis(connection_pool=BlockingConnectionPool.from_url(address.url, **options))
