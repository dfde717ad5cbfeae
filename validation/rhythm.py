"""Rhythm against pyActigraphy 1.2.2 and statsmodels 0.15.0.

pyActigraphy divides by n - 1 where the published formulas divide by n, so with N hours of whole days IS =
IS_library * 23/24 * N/(N - 1) and IV = IV_library * N/(N - 1). On segments of partial days it counts hours
from the first minute and centres its profile on the mean of the 24 clock hours; these are compared on its
own bins.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from postprocessing.circadian import (
    ClockSeries,
    binarised,
    cosinor,
    day_profile,
    extreme_window,
    hourly_means,
    interdaily_stability,
    intradaily_variability,
    relative_amplitude,
)
from preprocessing.recording import FloatArray, Recording
from preprocessing.wear import WearMode, assess
from validation.comparison import Check, Pairs
from validation.oracles import Oracles

__all__ = ["CHECKS"]

IntArray = npt.NDArray[np.int64]
Segments = list[tuple[str, str]]


def _segments(oracles: Oracles, *, whole_days: bool) -> Segments:
    return [
        (name, segment)
        for name, segment in oracles.segments()
        if (segment != "full" or name.startswith("nhanes")) is whole_days
    ]


def _levels(recording: Recording, mode: WearMode) -> FloatArray:
    return np.where(assess(recording, mode).worn, recording.values, np.nan)


def _hourly(recording: Recording, mode: WearMode) -> tuple[FloatArray, IntArray]:
    """Hours (N,) from the first minute, a last part as a whole one, and their clock hours (N,).

    As recorded they are sums and a missing minute adds nothing, as in the library; by default means of hours
    with 30 valid minutes, as in the service.
    """
    levels = np.pad(_levels(recording, mode), (0, -recording.epochs % 60), constant_values=np.nan)
    blocks = levels.reshape(-1, 60)
    total, seen = np.nansum(blocks, axis=1), (~np.isnan(blocks)).sum(axis=1)
    means = np.where(seen >= 30, total / np.maximum(seen, 1), np.nan)
    clock_hour = (recording.start.hour + np.arange(len(blocks))) % 24
    return (total if mode is WearMode.AS_RECORDED else means), clock_hour


def _stability(whole_days: bool, oracles: Oracles, mode: WearMode) -> Pairs:
    expected, found = [], []
    for name, segment in _segments(oracles, whole_days=whole_days):
        hourly, clock_hour = _hourly(oracles.recording(name, segment), mode)
        hours = hourly.size
        ours = interdaily_stability(hourly, clock_hour)
        expected.append(oracles.scalars()[name][segment]["IS"] * 23 / 24 * hours / (hours - 1))
        found.append(np.nan if ours is None else ours - _off_centre(hourly, clock_hour))
    return np.array(expected), np.array(found)


def _off_centre(hourly: FloatArray, clock_hour: IntArray) -> float:
    """What centring on the mean of clock hours takes off; nil on whole days."""
    means = np.array([np.nanmean(hourly[clock_hour == hour]) for hour in range(24)])
    return float((means.mean() - np.nanmean(hourly)) ** 2 / np.nanvar(hourly))


def _variability(whole_days: bool, oracles: Oracles, mode: WearMode) -> Pairs:
    expected, found = [], []
    for name, segment in _segments(oracles, whole_days=whole_days):
        hourly, _ = _hourly(oracles.recording(name, segment), mode)
        ours = intradaily_variability(hourly)
        expected.append(oracles.scalars()[name][segment]["IV"] * hourly.size / (hourly.size - 1))
        found.append(np.nan if ours is None else ours)
    return np.array(expected), np.array(found)


def _binarized(number: str, oracles: Oracles, mode: WearMode) -> Pairs:
    """IS or IV of minutes above 4, whole days, against the library's own defaults."""
    expected, found = [], []
    for name, segment in _segments(oracles, whole_days=True):
        recording = oracles.recording(name, segment)
        series = binarised(ClockSeries.of(recording, assess(recording, mode).worn))
        hourly, clock_hour = hourly_means(series)
        stability, hours = number == "IS", hourly.size
        ours = interdaily_stability(hourly, clock_hour) if stability else intradaily_variability(hourly)
        library = oracles.scalars()[name][segment][f"{number}_binarized_thr4"] * hours / (hours - 1)
        expected.append(library * 23 / 24 if stability else library)
        found.append(np.nan if ours is None else ours)
    return np.array(expected), np.array(found)


def _windows(number: str, oracles: Oracles, mode: WearMode) -> Pairs:
    expected, found = [], []
    for name, segment in oracles.segments():
        recording = oracles.recording(name, segment)
        profile, _ = day_profile(ClockSeries.of(recording, assess(recording, mode).worn))
        l5, m10 = extreme_window(profile, 300, highest=False), extreme_window(profile, 600, highest=True)
        ours = {
            "L5": l5.level,
            "M10": m10.level,
            "RA": relative_amplitude(l5.level, m10.level),
            "M10_onset_h": m10.onset,
        }[number]
        expected.append(oracles.scalars()[name][segment][number])
        found.append(np.nan if ours is None else ours)
    return np.array(expected), np.array(found)


def _l5_onset(oracles: Oracles, mode: WearMode) -> Pairs:
    """Segments in which one start is lowest; of several the library takes the first, we the middle."""
    expected, found = [], []
    for name, segment in oracles.segments():
        recording = oracles.recording(name, segment)
        if _tied_starts(recording) > 1:
            continue
        profile, _ = day_profile(ClockSeries.of(recording, assess(recording, mode).worn))
        onset = extreme_window(profile, 300, highest=False).onset
        expected.append(oracles.scalars()[name][segment]["L5_onset_h"])
        found.append(np.nan if onset is None else onset)
    return np.array(expected), np.array(found)


def _tied_starts(recording: Recording) -> int:
    profile, _ = day_profile(ClockSeries.of(recording, recording.recorded))
    means = np.array(
        [np.take(profile, range(start, start + 300), mode="wrap").mean() for start in range(1440)]
    )
    return int((means - means.min() < 1e-9).sum())


def _cosinor(transform: str, oracles: Oracles, mode: WearMode) -> Pairs:
    """Mesor, amplitude, acrophase and R squared of every segment."""
    expected, found = [], []
    for name, segment in oracles.segments():
        recording = oracles.recording(name, segment)
        series = ClockSeries.of(recording, assess(recording, mode).worn)
        levels = series.levels[series.valid]
        hours = series.clock_seconds[series.valid] / 3_600
        fit = cosinor(hours, np.log1p(levels) if transform == "log1p" else levels)
        theirs = oracles.statsmodels(name, segment)[transform]
        expected += [
            theirs["mesor"],
            theirs["amplitude"],
            theirs["acrophase_h"] % 24,
            theirs["r_squared"],
        ]
        ours = (fit.mesor, fit.amplitude, fit.acrophase, fit.r_squared)
        found += [np.nan if value is None else value for value in ours]
    return np.array(expected), np.array(found)


_LIBRARY = "pyActigraphy 1.2.2"
_GOOD = "good: 12 recordings, 15 segments"
CHECKS = (
    Check(
        "IS, whole days",
        _LIBRARY,
        "good: 11 segments, n - 1 corrected",
        partial(_stability, True),
        tolerance=1e-9,
    ),
    Check(
        "IS, partial days",
        _LIBRARY,
        "4 segments, on its bins and centring",
        partial(_stability, False),
        tolerance=1e-9,
    ),
    Check(
        "IV, whole days",
        _LIBRARY,
        "good: 11 segments, n - 1 corrected",
        partial(_variability, True),
        tolerance=1e-9,
    ),
    Check(
        "IV, partial days", _LIBRARY, "4 segments, on its bins", partial(_variability, False), tolerance=1e-9
    ),
    Check(
        "IS, binarised, whole days",
        _LIBRARY,
        "good: 11 segments, n - 1 corrected",
        partial(_binarized, "IS"),
        tolerance=1e-9,
    ),
    Check(
        "IV, binarised, whole days",
        _LIBRARY,
        "good: 11 segments, n - 1 corrected",
        partial(_binarized, "IV"),
        tolerance=1e-9,
    ),
    Check("L5", _LIBRARY, _GOOD, partial(_windows, "L5"), tolerance=1e-9),
    Check("M10", _LIBRARY, _GOOD, partial(_windows, "M10"), tolerance=1e-9),
    Check("RA", _LIBRARY, _GOOD, partial(_windows, "RA"), tolerance=1e-9),
    Check("M10 onset", _LIBRARY, _GOOD, partial(_windows, "M10_onset_h"), tolerance=1e-9),
    Check("L5 onset, one lowest start", _LIBRARY, "good where it is defined", _l5_onset, tolerance=1e-9),
    Check(
        "cosinor, raw",
        "statsmodels 0.15.0",
        _GOOD,
        partial(_cosinor, "raw"),
        tolerance=1e-9,
        relative=True,
    ),
    Check(
        "cosinor, log(1 + level)",
        "statsmodels 0.15.0",
        _GOOD,
        partial(_cosinor, "log1p"),
        tolerance=1e-9,
        relative=True,
    ),
)
