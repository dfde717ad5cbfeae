"""A cache in the memory of one process, bounded in bytes; what was not used for longest goes first."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from serving.cache import Lock, Looked
from serving.telemetry import CacheTelemetry

__all__ = ["MemoryCache"]

_ENTRY_BYTES = 300  # of a name, two numbers and a place in the order
_LARGEST = 8  # values in all of the memory that one may take the place of
_SWEEP_SECONDS = 60.0


class MemoryCache:
    """A Cache (serving/cache.py) of at most ``most_bytes``. Equal requests of one process meet elsewhere."""

    degraded = False

    def __init__(
        self, most_bytes: int, telemetry: CacheTelemetry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._telemetry, self._clock = most_bytes, telemetry, clock
        self._held: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._size, self._swept = 0, clock()
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes held, with what it takes to hold them."""
        return self._size

    async def look(self, names: Sequence[str], lock: Lock | None = None) -> Looked:  # noqa: ARG002  # no other process
        """Return what is there and has not expired."""
        with self._lock:
            return Looked([self._found(name) for name in names])

    def _found(self, name: str) -> bytes | None:
        until, value = self._held.get(name, (0.0, b""))
        if until <= self._clock():
            self._remove(name)
            return None
        self._held.move_to_end(name)
        return value

    async def put(self, values: Mapping[str, bytes], seconds: float) -> None:
        """Keep ``values``; let go of what is too much."""
        with self._lock:
            self._sweep()
            for name, value in values.items():
                self._remove(name)
                if _cost(value) * _LARGEST <= self._most:
                    self._held[name] = (self._clock() + seconds, value)
                    self._size += _cost(value)
            while self._size > self._most:
                self._remove(next(iter(self._held)))
                self._telemetry.evicted()
            self._telemetry.holds(self._size)

    def _sweep(self) -> None:
        """Remove what has expired, now and then."""
        now = self._clock()
        if now - self._swept < _SWEEP_SECONDS:
            return
        self._swept = now
        for name in [name for name, (until, _) in self._held.items() if until <= now]:
            self._remove(name)

    def _remove(self, name: str) -> bool:
        if (found := self._held.pop(name, None)) is None:
            return False
        self._size -= _cost(found[1])
        return True

    async def unlock(self, lock: Lock) -> None:
        """Do nothing: no other process asks."""

    async def remove(self, name: str) -> None:
        """Remove one value."""
        self.drop(name)

    def drop(self, prefix: str) -> int:
        """Remove every value whose name begins so."""
        with self._lock:
            gone = sum(self._remove(name) for name in [n for n in self._held if n.startswith(prefix)])
            self._telemetry.holds(self._size)
            return gone

    async def close(self) -> None:
        """Let go of everything."""
        self.drop("")


def _cost(value: bytes) -> int:
    return len(value) + _ENTRY_BYTES
