"""Admission: how many weeks may wait for the runner before the door answers 503.

A queue without bound turns overload into timeouts; a bounded one turns it into an early, honest answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Admission", "Overloaded"]


class Overloaded(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """More weeks are waiting than the service admits."""

    def __init__(self) -> None:
        super().__init__("the service has more work waiting than it admits; try again later")


class Admission:
    """Counts the weeks in flight of one API worker; used from its event loop only."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """Weeks admitted and not yet answered."""
        return self._waiting

    @contextmanager
    def admit(self, weeks: int) -> Iterator[None]:
        """Hold places for ``weeks``; raises Overloaded when they do not fit beside what already waits."""
        if self._waiting and self._waiting + weeks > self._limit:
            raise Overloaded
        self._waiting += weeks
        try:
            yield
        finally:
            self._waiting -= weeks
