"""The durable store on a persistent Redis, for several instances of the service.

Each room is one hash, from name to value, each value behind the time it ends. Every change is one command, so
that the server's append-only file never holds a transaction: a server whose default user has no rights loads
none (Redis 7.0 skips them, with a line in its log). With ``appendonly yes`` and ``appendfsync always`` the
server answers once a change is on its disk.

Errors:

    StoreUnfit                a StoreUnavailable: the server may lose or evict, or does not let the service in
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from serving.breaker import Breaker, BreakerOpen
from serving.redis_address import RedisAddress
from serving.store import StoreUnavailable

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["PREFIX", "RedisStore", "StoreUnfit"]

PREFIX = "pat:store"
_CONNECTIONS, _STEP = 16, 500
_DIGITS, _NEVER = 16, 10**16 - 1  # of an end, in milliseconds since 1970
# Together below a second: waiting for a connection, making it, and one answer, which waits for a disk.
_POOL_SECONDS, _CONNECT_SECONDS, _ANSWER_SECONDS = 0.2, 0.2, 0.5
_FAILURES, _PAUSE_SECONDS = 3, 2.0
_OLDEST = 7  # major version
_TRIAL = ("service", "trial", b"")
log = logging.getLogger("pat.store")

# KEYS: room. ARGV: name, end and value, now.
_ADD = f"""
local found = redis.call('hget', KEYS[1], ARGV[1])
if found and tonumber(string.sub(found, 1, {_DIGITS})) > tonumber(ARGV[3]) then return 0 end
redis.call('hset', KEYS[1], ARGV[1], ARGV[2])
return 1
"""
# KEYS: room. ARGV: name, old, new, now.
_SWAP = f"""
local found = redis.call('hget', KEYS[1], ARGV[1])
if not found or string.sub(found, {_DIGITS + 1}) ~= ARGV[2] then return 0 end
if tonumber(string.sub(found, 1, {_DIGITS})) <= tonumber(ARGV[4]) then return 0 end
redis.call('hset', KEYS[1], ARGV[1], string.sub(found, 1, {_DIGITS}) .. ARGV[3])
return 1
"""
# KEYS: room. ARGV: cursor, how many, now. A step may be larger than asked for; one command takes so many.
_SWEEP = f"""
local found = redis.call('hscan', KEYS[1], ARGV[1], 'count', ARGV[2])
local past = {{}}
for i = 1, #found[2], 2 do
  if tonumber(string.sub(found[2][i + 1], 1, {_DIGITS})) <= tonumber(ARGV[3]) and #past < 1000 then
    past[#past + 1] = found[2][i]
  end
end
if #past == 0 then return {{found[1], 0}} end
return {{found[1], redis.call('hdel', KEYS[1], unpack(past))}}
"""


class StoreUnfit(StoreUnavailable):
    """The server is not one to keep anything on."""


class RedisStore:
    """A Store on one Redis, by this machine's clock. Connections are made when they are needed."""

    def __init__(self, address: RedisAddress) -> None:
        self._redis = _client(address)
        self._breaker = Breaker(_FAILURES, _PAUSE_SECONDS, name="store")
        self._rest = True  # whether the server's file may still hold what is no longer there
        make = self._redis.register_script
        self._add, self._swap, self._sweep = make(_ADD), make(_SWAP), make(_SWEEP)
        with _unfit_where_refused():
            with self._answering():
                _refuse_unfit(self._redis)
            self._try()

    def _try(self) -> None:
        """Do everything once, so that a right that is lacking is known at the start."""
        room, name, value = _TRIAL
        self.put(room, name, value)
        self.add(room, name, value)
        self.names(room, name)
        self.delete(room, name)
        self._rooms()
        self._swept(_key(room).encode())

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
            self._redis.hset(_key(room), name, _ending(expires) + value)

    def put_all(self, room: str, values: Mapping[str, bytes], expires: float | None = None) -> None:
        """Write all in one command."""
        if values:
            with self._answering():
                written: Any = {name: _ending(expires) + value for name, value in values.items()}
                self._redis.hset(_key(room), mapping=written)

    def add(self, room: str, name: str, value: bytes, expires: float | None = None) -> bool:
        """Write if nothing is there that has not expired."""
        with self._answering():
            return bool(self._add([_key(room)], [name, _ending(expires) + value, _now()]))

    def swap(self, room: str, name: str, old: bytes, new: bytes) -> bool:
        """Write ``new`` if ``old`` is there; its end stays."""
        with self._answering():
            self._rest = True
            return bool(self._swap([_key(room)], [name, old, new, _now()]))

    def get(self, room: str, name: str) -> bytes | None:
        """Return what is there and has not expired."""
        with self._answering():
            found: Any = self._redis.hget(_key(room), name)
        return found[_DIGITS:] if found is not None and _lasts(found) else None

    def delete(self, room: str, name: str) -> bool:
        """Remove; the server's file of changes has it until the next sweep."""
        with self._answering():
            self._rest = True
            return bool(self._redis.hdel(_key(room), name))

    def drop(self, room: str) -> int:
        """Remove all that is in ``room``, in steps, as ``delete`` does."""
        self._rest, gone = True, 0
        while some := self._swept(_key(room).encode(), _NEVER + 1):
            gone += some
        return gone

    def names(self, room: str, prefix: str = "") -> list[str]:
        """Return the names in ``room`` that begin with ``prefix``; reads the room as ``all`` does."""
        return sorted(self._read(room, _escaped(prefix) + "*"))

    def all(self, room: str) -> dict[str, bytes]:
        """Return what is in ``room``; reads it in steps.

        What is there all the while is in it, whatever others write.
        """
        return self._read(room, "*")

    def _read(self, room: str, match: str) -> dict[str, bytes]:
        found, cursor = dict[bytes, bytes](), 0
        while True:
            with self._answering():
                step: Any = self._redis.hscan(_key(room), cursor, match=match, count=_STEP)
            cursor, some = step
            found |= some
            if not cursor:
                return {name.decode(): value[_DIGITS:] for name, value in found.items() if _lasts(value)}

    def sweep(self) -> int:
        """Remove what has expired; have the server's file written anew without what is gone."""
        swept = sum(self._swept(room) for room in self._rooms())
        self._forget(swept)
        return swept

    def _rooms(self) -> list[bytes]:
        with self._answering():
            return list(self._redis.scan_iter(match=f"{PREFIX}:*"))

    def _swept(self, room: bytes, now: int | None = None) -> int:
        """Remove from ``room`` what has ended by ``now``."""
        cursor, swept = b"0", 0
        while True:
            with self._answering():
                step: Any = self._sweep([room], [cursor, _STEP, _now() if now is None else now])
            cursor = step[0]
            swept += int(step[1])
            if cursor == b"0":
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


def _key(room: str) -> str:
    return f"{PREFIX}:{room}"


def _now() -> int:
    return int(time.time() * 1000)


def _ending(expires: float | None) -> bytes:
    """Return what stands before a value: when it ends."""
    end = _NEVER if expires is None else max(0, int(expires * 1000))
    return b"%0*d" % (_DIGITS, end)


def _lasts(found: bytes) -> bool:
    return int(found[:_DIGITS]) > _now()


def _escaped(prefix: str) -> str:
    """Return a pattern that means ``prefix`` itself."""
    return re.sub(r"([*?\[\]^\\-])", r"\\\1", prefix)


def _root(error: BaseException) -> str:
    """Return the kind of what was behind ``error``; its text may hold the address."""
    while error.__context__ is not None:
        error = error.__context__
    return type(error).__name__
