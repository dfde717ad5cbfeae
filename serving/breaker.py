"""A circuit breaker: what fails again and again is left alone for a while, then tried by one.

Errors:

    BreakerOpen               it failed a moment ago and is not tried now
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakSet

__all__ = ["Breaker", "BreakerOpen", "states"]

_named: WeakSet[Breaker] = WeakSet()  # those of this process that somebody wants to see


class BreakerOpen(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """What is behind the breaker is not tried now."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"it failed a moment ago; try again in {seconds:.0f} s")
        self.seconds = seconds


@dataclass(frozen=True)
class _State:
    failures: int = 0
    opened_at: float | None = None
    trying: bool = False


class Breaker:
    """Opens after ``failures`` in a row, for ``seconds``; then one may try. For threads and coroutines.

    One with a ``name`` is seen by ``states``.
    """

    def __init__(
        self,
        failures: int = 3,
        seconds: float = 10,
        clock: Callable[[], float] = time.monotonic,
        name: str = "",
    ) -> None:
        self._most, self._seconds, self._clock, self.name = failures, seconds, clock, name
        self._state = _State()
        self._lock = threading.Lock()
        if name:
            _named.add(self)

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, the one that may try apart."""
        return self._state.opened_at is not None

    @contextmanager
    def call(self) -> Iterator[None]:
        """Guard one call; any exception is a failure. Raises BreakerOpen instead of letting it begin."""
        with self._lock:
            self._begin()
        try:
            yield
        except BaseException as error:
            with self._lock:
                self._failed(counts=isinstance(error, Exception))
            raise
        with self._lock:
            self._state = _State()

    def _begin(self) -> None:
        state = self._state
        if state.opened_at is None:
            return
        left = state.opened_at + self._seconds - self._clock()
        if left > 0 or state.trying:
            raise BreakerOpen(max(left, 1))
        self._state = _State(state.failures, state.opened_at, trying=True)

    def _failed(self, *, counts: bool) -> None:
        """Count a failure; a call that was cancelled says nothing, and leaves the try to another."""
        state = self._state
        if not counts:
            self._state = _State(state.failures, state.opened_at)
            return
        opened = state.trying or state.failures + 1 >= self._most
        self._state = _State(state.failures + 1, self._clock() if opened else None)


def states() -> dict[str, bool]:
    """Say of every name whether a breaker of this process is open."""
    found: dict[str, bool] = {}
    for one in list(_named):
        found[one.name] = found.get(one.name, False) or one.is_open
    return found
