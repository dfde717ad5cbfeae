"""The durable store on a persistent Redis, for several instances of the service.

A value is a key of its own, with its end where it has one. Beside the values stand, for each room, its names
in order, and for all rooms what ends when; a script changes them together, so no reader sees one without the
other. With ``appendonly yes`` and ``appendfsync always`` the server answers once a change is on its disk.

One server, not a cluster: the scripts touch several keys.

Errors:

    StoreUnfit                a StoreUnavailable: the server may lose or evict, or does not let the service in
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from serving.breaker import Breaker, BreakerOpen
from serving.redis_address import RedisAddress
from serving.store import StoreUnavailable

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["PREFIX", "RedisStore", "StoreUnfit"]

PREFIX = "pat:store"
_ITEM, _NAMES, _ENDS = f"{PREFIX}:item:", f"{PREFIX}:names:", f"{PREFIX}:ends"
_CONNECTIONS, _PAGE = 16, 500
# Together below a second: waiting for a connection, making it, and one answer, which waits for a disk.
_POOL_SECONDS, _CONNECT_SECONDS, _ANSWER_SECONDS = 0.2, 0.2, 0.5
_FAILURES, _PAUSE_SECONDS = 3, 2.0
_OLDEST = 7  # major version
_TRIAL = ("service", "trial")
log = logging.getLogger("pat.store")

# KEYS: item, names of the room, ends. ARGV: value, name, room:name, end in ms or nothing.
_WRITE = """
if ARGV[4] == '' then
  redis.call('set', KEYS[1], ARGV[1])
  redis.call('zrem', KEYS[3], ARGV[3])
else
  redis.call('set', KEYS[1], ARGV[1], 'pxat', ARGV[4])
  redis.call('zadd', KEYS[3], ARGV[4], ARGV[3])
end
redis.call('zadd', KEYS[2], 0, ARGV[2])
return 1
"""
_ADD = f"if redis.call('exists', KEYS[1]) == 1 then return 0 end\n{_WRITE}"
# KEYS: item. ARGV: old, new.
_SWAP = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('set', KEYS[1], ARGV[2], 'keepttl')
return 1
"""
# KEYS: item, names of the room, ends. ARGV: name, room:name.
_DELETE = """
redis.call('zrem', KEYS[2], ARGV[1])
redis.call('zrem', KEYS[3], ARGV[2])
return redis.call('del', KEYS[1])
"""
# KEYS: names of the room. ARGV: from, to, how many, what items of the room begin with.
_LIST = """
local found = redis.call('zrangebylex', KEYS[1], ARGV[1], ARGV[2], 'limit', 0, ARGV[3])
local there = {}
for _, name in ipairs(found) do
  if redis.call('exists', ARGV[4] .. name) == 1 then there[#there + 1] = name end
end
return {there, #found == tonumber(ARGV[3]) and found[#found] or nil}
"""
# KEYS: ends. ARGV: now in ms, how many, what items begin with, what names of rooms begin with.
_SWEEP = """
local past = redis.call('zrangebyscore', KEYS[1], '-inf', ARGV[1], 'limit', 0, ARGV[2])
for _, member in ipairs(past) do
  local colon = string.find(member, ':', 1, true)
  redis.call('del', ARGV[3] .. member)
  redis.call('zrem', ARGV[4] .. string.sub(member, 1, colon - 1), string.sub(member, colon + 1))
  redis.call('zrem', KEYS[1], member)
end
return #past
"""


class StoreUnfit(StoreUnavailable):
    """The server is not one to keep anything on."""


class RedisStore:
    """A Store on one Redis; rooms hold no colon. Connections are made when they are needed."""

    def __init__(self, address: RedisAddress) -> None:
        self._redis = _client(address)
        self._breaker = Breaker(_FAILURES, _PAUSE_SECONDS)
        self._rest = True  # whether the server's file may still hold what is no longer there
        make = self._redis.register_script
        self._write, self._add, self._swap = make(_WRITE), make(_ADD), make(_SWAP)
        self._delete, self._list, self._sweep = make(_DELETE), make(_LIST), make(_SWEEP)
        with _unfit_where_refused(), self._answering():
            _refuse_unfit(self._redis)
            self._write(_keys(*_TRIAL), [b"", _TRIAL[1], ":".join(_TRIAL), ""])
            self._delete(_keys(*_TRIAL), [_TRIAL[1], ":".join(_TRIAL)])

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        """Turn every failure into StoreUnavailable; after some in a row fail at once, for a while."""
        from redis.exceptions import RedisError  # noqa: PLC0415  # only where the store is on Redis

        try:
            with self._breaker.call():
                yield
        except (RedisError, OSError, BreakerOpen) as error:
            raise StoreUnavailable(f"the durable store does not answer ({_root(error)})") from error

    def put(self, room: str, name: str, value: bytes, expires: float | None = None) -> None:
        """Write, whether or not it is there."""
        with self._answering():
            self._write(_keys(room, name), [value, name, f"{room}:{name}", _end(expires)])

    def add(self, room: str, name: str, value: bytes, expires: float | None = None) -> bool:
        """Write if nothing is there that has not expired."""
        with self._answering():
            return bool(self._add(_keys(room, name), [value, name, f"{room}:{name}", _end(expires)]))

    def swap(self, room: str, name: str, old: bytes, new: bytes) -> bool:
        """Write ``new`` if ``old`` is there; its end stays."""
        with self._answering():
            self._rest = True
            return bool(self._swap(_keys(room, name)[:1], [old, new]))

    def get(self, room: str, name: str) -> bytes | None:
        """Return what is there and has not expired, by the server's clock."""
        with self._answering():
            found: Any = self._redis.get(_keys(room, name)[0])
        return found

    def delete(self, room: str, name: str) -> bool:
        """Remove; the server's file of changes has it until the next sweep."""
        with self._answering():
            self._rest = True
            return bool(self._delete(_keys(room, name), [name, f"{room}:{name}"]))

    def names(self, room: str, prefix: str = "") -> list[str]:
        """Return the names in ``room`` that begin with ``prefix``; those there all the while are in it."""
        first, names = b"[" + prefix.encode() if prefix else b"-", list[str]()
        last = b"[" + prefix.encode() + b"\xff" if prefix else b"+"
        while first:
            with self._answering():
                there, reached = self._page(room, first, last)
            names += [name.decode() for name in there]
            first = b"(" + reached if reached else b""
        return names

    def _page(self, room: str, first: bytes, last: bytes) -> tuple[list[bytes], bytes]:
        found: Any = self._list([f"{_NAMES}{room}"], [first, last, _PAGE, f"{_ITEM}{room}:"])
        return found[0], found[1] if len(found) > 1 else b""

    def sweep(self) -> int:
        """Remove what has expired, and its name; have the server's file written anew without what is gone."""
        swept, now = 0, _end(time.time())
        while True:
            with self._answering():
                some = int(self._sweep([_ENDS], [now, _PAGE, _ITEM, _NAMES]))
            swept += some
            if some < _PAGE:
                break
        self._forget(swept)
        return swept

    def _forget(self, swept: int) -> None:
        from redis.exceptions import RedisError  # noqa: PLC0415  # only where the store is on Redis

        if not (swept or self._rest):
            return
        self._rest = False
        try:
            self._redis.bgrewriteaof()
        except RedisError as error:  # one that began before is under way, as a rule
            self._rest = True
            log.warning("the store's file is written anew by a later sweep (%s)", _root(error))

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def _client(address: RedisAddress) -> Redis:
    """Return a client that waits briefly and never tries twice: who asks may."""
    from redis import BlockingConnectionPool, Redis  # noqa: PLC0415  # only where the store is on Redis
    from redis.backoff import NoBackoff  # noqa: PLC0415  # same
    from redis.retry import Retry  # noqa: PLC0415  # same

    pool = BlockingConnectionPool.from_url(
        address.url,
        max_connections=_CONNECTIONS,
        timeout=_POOL_SECONDS,
        socket_timeout=_ANSWER_SECONDS,
        socket_connect_timeout=_CONNECT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        **address.options(),
    )
    return Redis(connection_pool=pool)


@contextlib.contextmanager
def _unfit_where_refused() -> Iterator[None]:
    """Tell a server that refuses the service from one that does not answer."""
    from redis.exceptions import AuthenticationError, NoPermissionError  # noqa: PLC0415  # as above

    try:
        yield
    except StoreUnavailable as error:
        if isinstance(error.__cause__, AuthenticationError):
            why = "the durable store refuses the user or password; see the file of credentials"
        elif isinstance(error.__cause__, NoPermissionError):
            why = "the durable store's ACL lacks what docs/operations.md lists for the user of the store"
        else:
            raise
        raise StoreUnfit(why) from None


def _refuse_unfit(client: Redis) -> None:
    """Raise StoreUnfit unless what is written stays, as far as the server says."""
    info: Any = client.info()
    expected = {
        "appendonly yes": bool(info.get("aof_enabled")),
        "maxmemory-policy noeviction": info.get("maxmemory_policy") == "noeviction",
        "a master": info.get("role") == "master",
        "no cluster": not info.get("cluster_enabled"),
        f"Redis {_OLDEST} or newer": int(str(info.get("redis_version", "0")).split(".")[0]) >= _OLDEST,
        "appendfsync always": _fsync(client) in ("always", ""),
    }
    if missing := [name for name, there in expected.items() if not there]:
        raise StoreUnfit(f"the durable store may lose what it is given: expected {', '.join(missing)}")


def _fsync(client: Redis) -> str:
    """Return ``appendfsync``; empty where the ACL does not let the service ask."""
    from redis.exceptions import NoPermissionError  # noqa: PLC0415  # as above

    try:
        found: Any = client.config_get("appendfsync")
    except NoPermissionError:
        log.warning("the store's ACL lacks config|get: that appendfsync is always is not known")
        return ""
    return str(found.get("appendfsync", ""))


def _keys(room: str, name: str) -> list[str]:
    return [f"{_ITEM}{room}:{name}", f"{_NAMES}{room}", _ENDS]


def _end(expires: float | None) -> int | str:
    """Return when a value ends, in milliseconds since 1970, as Redis wants it: never at or before 0."""
    return "" if expires is None else max(1, int(expires * 1000))


def _root(error: BaseException) -> str:
    """Return the kind of what was behind ``error``; its text may hold the address."""
    while error.__context__ is not None:
        error = error.__context__
    return type(error).__name__
