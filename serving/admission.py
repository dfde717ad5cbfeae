"""Admission: what is not begun is refused at once, with when to come back, or waits no longer than it may.

A queue without bound turns overload into timeouts; a bounded one turns it into an early, honest answer.

Errors:

    Overloaded               503: more is under way or waits than is admitted
    TooLate                  503: it could not begin within the time that it had
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Admission", "Overloaded", "TooLate"]

_LATER_SECONDS = 5  # where nothing was measured


class Overloaded(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """More work is waiting than the service admits; there is room in ``seconds``, if nobody else comes."""

    reason = "overload"

    def __init__(self, seconds: int = _LATER_SECONDS) -> None:
        super().__init__("the service has more work waiting than it admits; try again later")
        self.seconds = seconds


class TooLate(RuntimeError):  # noqa: N818  # same
    """Its time is over, or will be before its turn."""

    reason = "deadline"

    def __init__(self, seconds: int = _LATER_SECONDS) -> None:
        super().__init__("its turn did not come within the time that it had; try again later")
        self.seconds = seconds


class Admission:
    """Counts the weeks in flight of one API worker and tells ``told``; used from its event loop only."""

    def __init__(self, limit: int, told: Callable[[int], None] = lambda _: None) -> None:
        self._limit, self._told = limit, told
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
        self._changed(weeks)
        try:
            yield
        finally:
            self._changed(-weeks)

    def _changed(self, by: int) -> None:
        self._waiting += by
        self._told(self._waiting)
