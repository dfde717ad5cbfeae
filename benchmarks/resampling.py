"""How fast one-second and 30 Hz samples become minutes, alone and as a whole CSV file beside pandas.

``python -m benchmarks.resampling`` makes its samples (seeded), computes on one core and prints a table:
best and median of several runs. pandas is compared where it can be imported; both read the same bytes, in
turns.
"""

from __future__ import annotations

import importlib.util
import io
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
import numpy.typing as npt

from benchmarks.machine import machine
from preprocessing.calendar import Instants
from preprocessing.readers import Hints, read
from preprocessing.recording import FloatArray, Recording
from preprocessing.resampling import binned, grid_over
from preprocessing.week import weeks_of

__all__ = ["main"]

_SECOND, _MINUTE = 1_000_000, 60_000_000  # microseconds
_WEEK_SECONDS = 604_800
_MONDAY = 1_709_506_800  # 2024-03-04T00:00:00+01:00
_RAW_SAMPLES, _RAW_HERTZ = 18_000_000, 30
_HINTS = Hints(max_epochs=10_000_000)
_HEAD = "# zone: Europe/Oslo\n# epoch_seconds: 1\n# unit: counts\n"


@dataclass(frozen=True)
class _Timing:
    """Seconds of several runs of one way."""

    way: str
    seconds: list[float]
    target_ms: float | None = None

    def row(self) -> str:
        """One row of the table, in milliseconds."""
        target = "" if self.target_ms is None else f"{self.target_ms:.0f}"
        best, middle = min(self.seconds) * 1e3, median(self.seconds) * 1e3
        return f"| {self.way} | {best:.1f} | {middle:.1f} | {target} |"


def main() -> None:
    """Measure and print the table."""
    data = _csv()
    recording = read(data, _HINTS)
    ways = {"pat: read the CSV, then minutes": lambda: _minutes(read(data, _HINTS))}
    if importlib.util.find_spec("pandas"):
        ways["pandas: read_csv, resample, sum"] = lambda: _minutes_by_pandas(data)
    compared = _in_turns(ways, 15)
    timings = [
        _seconds_to_minutes(),
        _raw_to_minutes(),
        _timed("one-second Recording to its week", lambda: weeks_of(recording, recording.recorded), 15),
        *compared,
    ]
    print(machine("python -m benchmarks.resampling", ("numpy", "pandas")))
    print("\n".join(["", "| way | best ms | median ms | target ms |", "|---|---|---|---|"]))
    print("\n".join(timing.row() for timing in timings))
    print("\n" + "\n".join([_comparison(compared), _memory(data)]))


def _counts(n: int) -> npt.NDArray[np.int64]:
    """Counts (n,): a third of them zero, the rest up to some hundred."""
    chance = np.random.default_rng(20240304)
    return np.asarray(chance.geometric(0.02, n) * (chance.random(n) > 1 / 3), dtype=np.int64)


def _csv() -> bytes:
    """Canonical CSV of a week of seconds, with UTC offsets."""
    labels = np.datetime64("2024-03-04T00:00:00") + np.arange(_WEEK_SECONDS).astype("timedelta64[s]")
    rows = zip(np.datetime_as_string(labels).tolist(), _counts(_WEEK_SECONDS).tolist(), strict=True)
    table = "".join(f"{label}+01:00,{value}\n" for label, value in rows)
    return f"{_HEAD}timestamp,value\n{table}".encode()


def _seconds_to_minutes() -> _Timing:
    micros = (_MONDAY + np.arange(_WEEK_SECONDS, dtype=np.int64)) * _SECOND
    values = _counts(_WEEK_SECONDS).astype(np.float64)
    return _timed("604,800 one-second samples to minutes", lambda: _in_minutes(micros, values), 30, 10)


def _raw_to_minutes() -> _Timing:
    micros = _MONDAY * _SECOND + np.arange(_RAW_SAMPLES, dtype=np.int64) * _SECOND // _RAW_HERTZ
    values = np.random.default_rng(1).random(_RAW_SAMPLES)
    return _timed("18,000,000 samples of 30 Hz to minutes", lambda: _in_minutes(micros, values), 10, 300)


def _minutes(recording: Recording) -> FloatArray:
    """Sums (m,) of each minute of a recording of seconds."""
    start = int(recording.start.timestamp()) * _SECOND
    return _in_minutes(start + np.arange(recording.epochs, dtype=np.int64) * _SECOND, recording.values)


def _in_minutes(micros: Instants, values: FloatArray) -> FloatArray:
    grid = grid_over(int(micros[0]), int(micros[-1]) + 1, _MINUTE)
    return binned(micros, values, grid, average=False)


def _minutes_by_pandas(data: bytes) -> FloatArray:
    import pandas as pd  # an optional extra

    frame = pd.read_csv(io.BytesIO(data), skiprows=_HEAD.count("\n"), parse_dates=["timestamp"])
    sums = frame.set_index("timestamp")["value"].resample("1min").sum(min_count=60)
    return np.asarray(sums, dtype=np.float64)


def _timed(way: str, work: Callable[[], object], runs: int, target_ms: float | None = None) -> _Timing:
    return _Timing(way, [_once(work) for _ in range(runs + 1)][1:], target_ms)  # the first run warms up


def _in_turns(ways: dict[str, Callable[[], FloatArray]], runs: int) -> list[_Timing]:
    """Time all ways in turns, after checking that they give the same minutes."""
    first, *others = (work() for work in ways.values())
    for other in others:
        np.testing.assert_array_equal(first, other)
    seconds = [[_once(work) for work in ways.values()] for _ in range(runs)]
    return [_Timing(way, [row[place] for row in seconds]) for place, way in enumerate(ways)]


def _once(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _comparison(compared: list[_Timing]) -> str:
    if len(compared) < 2:
        return "pandas is not installed: no comparison (install the extra bench)."
    ours, theirs = (timing.seconds for timing in compared)
    best, middle = min(ours) / min(theirs), median(ours) / median(theirs)
    return f"Time of pat over time of pandas: {best:.2f} by the best runs, {middle:.2f} by the medians."


def _memory(data: bytes) -> str:
    tracemalloc.start()
    read(data, _HINTS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return f"Peak memory of reading the CSV: {peak / len(data):.1f} times its {len(data) / 1e6:.1f} MB."


if __name__ == "__main__":
    main()
