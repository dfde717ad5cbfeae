"""What can be computed again, kept for a while: what a place for the bytes of a cache must be able to do.

MemoryCache (memory_cache.py) does it for one process, RedisCache (redis_cache.py) for several. Both hold what
SealedCache (sealed_cache.py) has sealed, under names that tell nothing.

Errors:

    CacheUnavailable          the cache cannot be read or written now; whoever asks computes
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

__all__ = ["LOCK_SECONDS", "Cache", "CacheUnavailable", "Lock", "Looked", "Use"]

LOCK_SECONDS = 10.0  # a process that died holds up others no longer


class CacheUnavailable(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """The cache does not answer."""


class Use(StrEnum):
    """What the cache was to one answer."""

    HIT = "hit"  # it was there, or was being made for an equal request
    MISS = "miss"
    BYPASS = "bypass"  # not asked: off, down, or not wanted


@dataclass(frozen=True)
class Lock:
    """Who may make what is called ``name``; the token tells this asker from others."""

    name: str
    token: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass(frozen=True)
class Looked:
    """What was found, None where nothing is; whether the asker is to make what is missing."""

    values: Sequence[bytes | None]
    lead: bool = True


class Cache(Protocol):
    """Named bytes that may be gone at any time. Methods raise CacheUnavailable."""

    @property
    def degraded(self) -> bool:
        """Whether it does not do what it should."""
        ...

    async def look(self, names: Sequence[str], lock: Lock | None = None) -> Looked:
        """Return what is there; if not all, take ``lock`` or say that another has it."""
        ...

    async def put(self, values: Mapping[str, bytes], seconds: float) -> None:
        """Keep ``values`` for ``seconds`` at most."""
        ...

    async def unlock(self, lock: Lock) -> None:
        """Give ``lock`` back, if it is still the asker's."""
        ...

    async def remove(self, name: str) -> None:
        """Remove one value."""
        ...

    def drop(self, prefix: str) -> int:
        """Remove every value whose name begins so, and say how many; from any thread."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...
