"""The cache as those who compute see it: values by what decides them, sealed, made once for all who wait.

What cannot be read, or does not open, is made anew: a cache never fails a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from serving.cache import LOCK_SECONDS, Cache, CacheUnavailable, Lock, Looked, Use
from serving.cache_keys import CacheKeys, Keyring, Owner
from serving.flights import Flights
from serving.keys import Place, Unreadable, seal, unseal
from serving.store import StoreUnavailable, Subject
from serving.telemetry import CacheTelemetry

__all__ = ["CORRUPT", "Filled", "Made", "SealedCache", "Wanted"]

CORRUPT = "corrupt"  # an outcome beside those of Use
_PLAIN, _PACKED = b"\0", b"\1"
_PACKED_FROM = 4_096  # bytes; shorter ones gain nothing
_FIRST_LOOK_SECONDS, _LAST_LOOK_SECONDS = 0.01, 0.1  # between looks for what another process makes
T = TypeVar("T")
log = logging.getLogger("pat.cache")


@dataclass(frozen=True)
class Wanted(Generic[T]):
    """Values of one owner and kind, each by the digest of all that decides it; ``read`` opens their bytes."""

    owner: Owner
    kind: str
    model: str  # digest of the weights
    digests: Sequence[bytes]
    seconds: float
    read: Callable[[bytes], T]


@dataclass(frozen=True)
class Made(Generic[T]):
    """A value that was made, and the bytes to keep it as; None: it is not kept."""

    value: T
    kept: bytes | None


@dataclass(frozen=True)
class Filled(Generic[T]):
    """The values, in order, and what the cache was to them."""

    values: Sequence[T]
    use: Use


Make = Callable[[Sequence[int]], Awaitable[Sequence[Made[T]]]]  # of the places that are missing


@dataclass(frozen=True)
class _Shelf(Generic[T]):
    """What is wanted, with its names and the keys it is under."""

    wanted: Wanted[T]
    keys: CacheKeys
    names: Sequence[str]

    @property
    def whole(self) -> str:
        """The name of all of it together."""
        together = hashlib.sha256("".join(self.names).encode()).hexdigest()
        return f"{self.keys.tag}:once:{together}"

    def place(self, name: str) -> Place:
        """Return what a value is bound to."""
        owner = self.wanted.owner
        return Place(owner.tenant, owner.name, f"cache-{self.wanted.kind}", f"{self.wanted.model}/{name}")


class SealedCache:
    """A cache of one process or of all, with the keys of those whose values are in it."""

    name = "cache"  # among those who hold what is a subject's

    def __init__(self, cache: Cache, keyring: Keyring, telemetry: CacheTelemetry) -> None:
        self.keyring = keyring
        self._cache, self._telemetry = cache, telemetry
        self._flights = Flights()
        self._unlocking: set[asyncio.Task[None]] = set()

    @property
    def degraded(self) -> bool:
        """Whether it does not do what it should."""
        return self._cache.degraded

    async def fill(self, wanted: Wanted[T], make: Make[T]) -> Filled[T]:
        """Return what is there, and what ``make`` makes of the rest."""
        shelf = await self._shelf(wanted)
        return await (self._past(wanted, make) if shelf is None else self._filled(shelf, make, None))

    async def fill_once(self, wanted: Wanted[T], make: Make[T]) -> Filled[T]:
        """Do as ``fill`` does, once for all who want the same at a time."""
        shelf = await self._shelf(wanted)
        if shelf is None:
            return await self._past(wanted, make)
        landed = await self._flights.once(shelf.whole, lambda: self._filled(shelf, make, Lock(shelf.whole)))
        if not landed.joined:
            return landed.value
        use = Use.BYPASS if landed.value.use is Use.BYPASS else Use.HIT
        self._telemetry.joined(wanted.kind)
        self._telemetry.used(wanted.kind, use, len(wanted.digests))
        return Filled(landed.value.values, use)

    def bypassed(self, kind: str) -> None:
        """Count what did not ask the cache."""
        self._telemetry.used(kind, Use.BYPASS, 1)

    async def _shelf(self, wanted: Wanted[T]) -> _Shelf[T] | None:
        """Return where the values are; None while the owner's keys cannot be had."""
        try:
            keys = await self.keyring.keys(wanted.owner)
        except (StoreUnavailable, Unreadable):
            return None
        return _Shelf(wanted, keys, [keys.name(wanted.kind, digest) for digest in wanted.digests])

    async def _past(self, wanted: Wanted[T], make: Make[T]) -> Filled[T]:
        """Make everything, without the cache."""
        self._telemetry.used(wanted.kind, Use.BYPASS, len(wanted.digests))
        made = await make(range(len(wanted.digests)))
        return Filled([one.value for one in made], Use.BYPASS)

    async def _filled(self, shelf: _Shelf[T], make: Make[T], lock: Lock | None) -> Filled[T]:
        try:
            looked = await self._looked(shelf, lock)
        except CacheUnavailable:
            return await self._past(shelf.wanted, make)
        found = [await self._opened(shelf, *pair) for pair in zip(shelf.names, looked.values, strict=True)]
        missing = [place for place, one in enumerate(found) if one is None]
        self._telemetry.used(shelf.wanted.kind, Use.HIT, len(found) - len(missing))
        if missing:
            made = await self._made(shelf, make, missing, lock if looked.lead else None)
            found = _together(found, dict(zip(missing, made, strict=True)))
        return Filled([one.value for one in found if one], Use.MISS if missing else Use.HIT)

    async def _looked(self, shelf: _Shelf[T], lock: Lock | None) -> Looked:
        """Look; where another process makes what is missing, wait for it, but not for ever."""
        loop, pause = asyncio.get_running_loop(), _FIRST_LOOK_SECONDS
        until, waited = loop.time() + LOCK_SECONDS, False
        while not (looked := await self._cache.look(shelf.names, lock)).lead and loop.time() < until:
            if not waited:
                waited = True
                self._telemetry.joined(shelf.wanted.kind)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_LOOK_SECONDS)
        return looked

    async def _opened(self, shelf: _Shelf[T], name: str, sealed: bytes | None) -> Made[T] | None:
        """Open a value; one that does not open is counted and removed."""
        kind = shelf.wanted.kind
        if sealed is None:
            self._telemetry.used(kind, Use.MISS, 1)
            return None
        try:
            value = _unpacked(unseal(shelf.keys.values, sealed, shelf.place(name)))
            return Made(shelf.wanted.read(value), None)
        except (Unreadable, ValueError, zlib.error):
            self._telemetry.used(kind, CORRUPT, 1)
            log.warning("a cached value does not open; it is removed and made anew")
            with contextlib.suppress(CacheUnavailable):
                await self._cache.remove(name)
            return None

    async def _made(
        self, shelf: _Shelf[T], make: Make[T], missing: Sequence[int], lock: Lock | None
    ) -> Sequence[Made[T]]:
        """Make what is missing and keep it; give the lock back, however it ends."""
        try:
            made = await make(missing)
            with contextlib.suppress(CacheUnavailable):  # what was made is answered, if not kept
                await self._keep(
                    shelf, {shelf.names[place]: one for place, one in zip(missing, made, strict=True)}
                )
            return made
        finally:
            self._unlock(lock)

    async def _keep(self, shelf: _Shelf[T], made: Mapping[str, Made[T]]) -> None:
        sealed = {
            name: seal(shelf.keys.values, _packed(one.kept), shelf.place(name))
            for name, one in made.items()
            if one.kept is not None
        }
        if sealed:
            await self._cache.put(sealed, shelf.wanted.seconds)

    def _unlock(self, lock: Lock | None) -> None:
        """Give the lock back beside the answer, which need not wait for it."""
        if lock is None:
            return
        task = asyncio.create_task(self._unlocked(lock))
        self._unlocking.add(task)
        task.add_done_callback(self._unlocking.discard)

    async def _unlocked(self, lock: Lock) -> None:
        with contextlib.suppress(CacheUnavailable):  # it ends by itself
            await self._cache.unlock(lock)

    def find(self, at: Subject) -> dict[str, bytes]:  # noqa: ARG002  # as every holder
        """Return nothing: what is here can be computed again from what its sender has."""
        return {}

    def delete(self, at: Subject) -> int:
        """Remove what is a subject's, where it can be reached; say how much there was.

        What cannot be reached, here or in other processes, opens no more once the subject's key is shredded.
        """
        try:
            keys = self.keyring.known(at)
            return 0 if keys is None else self._cache.drop(keys.tag)
        except (CacheUnavailable, Unreadable):
            return 0

    async def close(self) -> None:
        """Close the cache."""
        await self._cache.close()


def _together(found: Sequence[Made[T] | None], made: dict[int, Made[T]]) -> list[Made[T] | None]:
    return [made.get(place, one) for place, one in enumerate(found)]


def _packed(value: bytes) -> bytes:
    return _PACKED + zlib.compress(value, 1) if len(value) >= _PACKED_FROM else _PLAIN + value


def _unpacked(value: bytes) -> bytes:
    return zlib.decompress(value[1:]) if value[:1] == _PACKED else value[1:]
