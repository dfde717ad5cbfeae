"""Equal work that is asked for again while it is under way is done once, for all who wait.

The work belongs to nobody: a caller who leaves ends it only if no other waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

__all__ = ["Flights", "Landed"]

T = TypeVar("T")


@dataclass(frozen=True)
class Landed(Generic[T]):
    """What came of the work; ``joined``: another had begun it."""

    value: T
    joined: bool


@dataclass(eq=False)
class _Flight:
    task: asyncio.Task[Any]
    waiting: int = 0


class Flights:
    """Work of one event loop, by name."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight] = {}

    async def once(self, name: str, work: Callable[[], Awaitable[T]]) -> Landed[T]:
        """Do ``work``, or wait for that of the same name; raises what it raises.

        Who waited for another's work that failed tries once more, so that nobody fails for another's reason.
        """
        flight = self._flights.get(name)
        if flight is None:
            return Landed(await self._landed(name, self._begun(name, work)), joined=False)
        try:
            return Landed(await self._landed(name, flight), joined=True)
        except Exception:  # whatever it was, it was another's
            again = self._flights.get(name)
        except asyncio.CancelledError:
            if not flight.task.cancelled() or _is_leaving():
                raise
            again = self._flights.get(name)
        landed = await self._landed(name, again or self._begun(name, work))
        return Landed(landed, joined=again is not None)

    def _begun(self, name: str, work: Callable[[], Awaitable[T]]) -> _Flight:
        flight = _Flight(asyncio.ensure_future(_awaited(work)))
        self._flights[name] = flight
        flight.task.add_done_callback(lambda _: self._forget(name, flight))
        return flight

    async def _landed(self, name: str, flight: _Flight) -> Any:
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._forget(name, flight)
                flight.task.cancel()

    def _forget(self, name: str, flight: _Flight) -> None:
        if self._flights.get(name) is flight:
            del self._flights[name]


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()


def _is_leaving() -> bool:
    """Whether who asks is cancelled itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
