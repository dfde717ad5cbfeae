"""How long all metrics of one week take on one core: sleep, rhythm and activity, without intervals.

``python -m benchmarks.metrics`` makes a week of minutes (seeded), computes in one thread and prints
a table of CPU time: best and median of many runs, beside the target for all of them together.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from statistics import median

import numpy as np

from benchmarks.machine import machine
from postprocessing import activity, circadian, sleep
from preprocessing.recording import FloatArray, Recording
from preprocessing.units import Device, Unit, WearSite

__all__ = ["main"]

_MINUTES = 10_080
_RUNS = 60
_TARGET_MS = 15
_PARTS: dict[str, Callable[[Recording], object]] = {
    "sleep": lambda recording: sleep.summarise(recording, recording.recorded),
    "rhythm": lambda recording: circadian.summarise(recording, recording.recorded),
    "activity": lambda recording: activity.summarise(recording, recording.recorded),
}


def main() -> None:
    """Measure and print the table."""
    print(machine("python -m benchmarks.metrics", ("numpy",)))
    print("\n| recording | part | best CPU ms | median CPU ms | target ms |\n|---|---|---|---|---|")
    for name, recording in _recordings().items():
        seconds = {part: _timed(lambda: make(recording)) for part, make in _PARTS.items()}  # noqa: B023  # called at once
        seconds["all"] = _timed(lambda: [make(recording) for make in _PARTS.values()])  # noqa: B023  # called at once
        for part, taken in seconds.items():
            target = f"{_TARGET_MS}" if part == "all" else ""
            print(f"| {name} | {part} | {min(taken) * 1e3:.1f} | {median(taken) * 1e3:.1f} | {target} |")


def _recordings() -> dict[str, Recording]:
    """One week each: what has most to compute of sleep, and of activity."""
    start, zone, counts = datetime(2024, 3, 4, 9, 30), None, _counts()
    return {
        "Actiwatch, wrist": Recording(
            start, zone, 60, counts, Unit.ACTIWATCH_COUNTS, Device.ACTIWATCH, WearSite.WRIST
        ),
        "ActiGraph, wrist": Recording(
            start, zone, 60, counts, Unit.ACTIGRAPH_AXIS1_COUNTS, Device.ACTIGRAPH_GT3X, WearSite.WRIST
        ),
        "ActiGraph, hip": Recording(
            start, zone, 60, counts, Unit.ACTIGRAPH_AXIS1_COUNTS, Device.ACTIGRAPH_GT3X, WearSite.HIP
        ),
    }


def _counts() -> FloatArray:
    """Counts (10080,): lively from 7 to 23 o'clock, nearly still at night, the start at half past nine."""
    chance = np.random.default_rng(20240304)
    hour = (9.5 + np.arange(_MINUTES) / 60) % 24
    awake = (hour >= 7) & (hour < 23)
    return np.round(chance.exponential(np.where(awake, 600.0, 4.0)) * (chance.random(_MINUTES) > 0.2))


def _timed(work: Callable[[], object]) -> list[float]:
    """CPU seconds of many runs, after one that warms up."""
    work()
    taken = []
    for _ in range(_RUNS):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return taken


if __name__ == "__main__":
    main()
