"""One fault at a time: every door asked meanwhile, then the way back, and what was acknowledged."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.chaos.doors import Asked
from tests.chaos.faults import WELL, Fault
from tests.chaos.world import World

__all__ = ["RECOVERY_SECONDS", "Row", "matrix", "row", "settled"]

STATUS_SECONDS, RECOVERY_SECONDS, SETTLED_SECONDS = 90, 120, 240


@dataclass(frozen=True)
class Row:
    """What a door was expected to answer during a fault, and did."""

    fault: str
    door: str
    expected: tuple[str, ...]
    observed: dict[str, int]
    slowest_seconds: float
    recovery_seconds: float  # until all doors answered again as before the fault

    @property
    def holds(self) -> bool:
        return set(self.observed) <= set(self.expected)


def matrix(world: World, fault: Fault, doors: Collection[str] = tuple(WELL)) -> list[Row]:
    """Let ``fault`` happen and ask ``doors``; raises AssertionError if the way back is not found."""
    asked: list[Asked] = []
    with fault.happening(world):
        for _ in range(fault.rounds):
            asked += _all_at_once(world, [door for door in doors if door != "status"])
        if "status" in doors:
            asked.append(_status(world, fault.expected["status"]))
    ended = time.monotonic()
    _recovered(world, ended + RECOVERY_SECONDS, doors)
    seconds = time.monotonic() - ended
    settled(world)
    assert world.faults_of_the_trail() == []
    return [row(fault.name, door, fault.expected[door], asked, seconds) for door in doors]


def _all_at_once(world: World, doors: Collection[str]) -> list[Asked]:
    with ThreadPoolExecutor(len(doors) or 1) as threads:
        return list(threads.map(world.doors.ask, doors))


def _status(world: World, expected: tuple[str, ...]) -> Asked:
    """What the status comes to say, or says at last."""
    deadline = time.monotonic() + STATUS_SECONDS
    while (found := world.doors.ask("status")).word not in expected and time.monotonic() < deadline:
        time.sleep(0.3)
    return found


def _recovered(world: World, deadline: float, doors: Collection[str]) -> None:
    """Ask until all doors answer as before."""
    wanted = {*doors, "readyz", "status"}
    while wrong := [one for one in _all_at_once(world, wanted) if one.word not in WELL[one.door]]:
        assert time.monotonic() < deadline, f"not recovered: {wrong}"
        time.sleep(0.1)


def settled(world: World) -> None:
    """Wait until all that was acknowledged is done, once and rightly."""
    deadline = time.monotonic() + SETTLED_SECONDS
    while not world.doors.settled():
        assert time.monotonic() < deadline, f"acknowledged, and not done: {world.doors.owed}"
        time.sleep(0.3)


def row(fault: str, door: str, expected: tuple[str, ...], asked: Collection[Asked], recovery: float) -> Row:
    """What ``asked`` says of one door."""
    own = [one for one in asked if one.door == door]
    slowest = max((one.seconds for one in own), default=0.0)
    return Row(fault, door, expected, dict(Counter(one.word for one in own)), slowest, recovery)
