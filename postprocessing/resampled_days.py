"""Rhythm and activity of weeks that could have been: local days drawn with replacement, each kept whole.

Numbers of rhythm are functions of sums over days, or of the mean day, so a resample is a weighting of days
(days,) and a thousand of them are a few products of matrices. With all weights 1 each equals the number of
circadian.py. A step from one hour to the next belongs to the day of the later hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from postprocessing.activity import daily_values
from postprocessing.analysis import Activity, Interval, Rhythm
from postprocessing.circadian import (
    DAY_MINUTES,
    L5_MINUTES,
    M10_MINUTES,
    TIE,
    ClockSeries,
    hourly_means,
)
from postprocessing.cut_points import cut_points_of
from postprocessing.metrics import METRICS, MetricCode
from postprocessing.uncertainty import (
    DEFAULT,
    Bootstrap,
    bootstrap,
    clock_interval_of,
    draws,
    interval_of,
    mean,
    with_intervals,
)
from postprocessing.valid_days import ValidDays
from preprocessing.recording import BoolArray, FloatArray, Recording

__all__ = ["Days", "rhythm_of", "weights", "with_activity_intervals", "with_day_intervals"]

IntArray = npt.NDArray[np.int64]
Estimates = dict[MetricCode, FloatArray]  # (resamples,) each; NaN where a resample does not give it


def with_day_intervals(
    rhythm: Rhythm, recording: Recording, worn: BoolArray, options: Bootstrap = DEFAULT
) -> Rhythm:
    """Return ``rhythm`` with intervals over local days; as it was with too few valid days.

    ``worn`` (n,) marks the epochs that it was made from. Interdaily stability gets none, because a day drawn
    twice looks like regularity; nor do the binarised forms.
    """
    if ValidDays.of(recording, worn).count < options.fewest:
        return rhythm
    days = Days.of(ClockSeries.of(recording, worn & recording.recorded))
    found = rhythm_of(days, weights(days.count, options))
    return rhythm.model_copy(
        update={"metrics": with_intervals(rhythm.metrics, _intervals(found, days, options))}
    )


def with_activity_intervals(
    activity: Activity, recording: Recording, worn: BoolArray, options: Bootstrap = DEFAULT
) -> Activity:
    """Return ``activity`` with intervals of its means over valid days; ``worn`` (n,) as it was made from."""
    daily = daily_values(ValidDays.of(recording, worn), cut_points_of(recording))
    intervals = {
        code: bootstrap(values[~np.isnan(values)], mean, options, over="days")
        for code, values in daily.items()
    }
    return activity.model_copy(update={"metrics": with_intervals(activity.metrics, intervals)})


def _intervals(found: Estimates, days: Days, options: Bootstrap) -> Mapping[MetricCode, Interval | None]:
    made = {True: clock_interval_of, False: interval_of}
    return {
        code: made[METRICS[code].kind == "clock_time"](values, days.count, options, over="days")
        for code, values in found.items()
    }


def weights(units: int, options: Bootstrap = DEFAULT) -> FloatArray:
    """How often each unit is drawn: (resamples, units), rows sum to ``units``."""
    drawn = draws(units, options)
    rows = np.arange(options.resamples)[:, None] * units
    counted = np.bincount((drawn + rows).reshape(-1), minlength=options.resamples * units)
    return counted.reshape(options.resamples, units).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Days:
    """A clock series cut into the local days that hold anything valid, ``day`` (k,) of each valid element."""

    series: ClockSeries
    dates: npt.NDArray[np.datetime64]  # (days,)
    day: IntArray  # (k,) of the valid elements

    @classmethod
    def of(cls, series: ClockSeries) -> Days:
        """Cut at local midnights."""
        dates, day = np.unique(series.clock[series.valid].astype("datetime64[D]"), return_inverse=True)
        return cls(series, dates, day)

    @property
    def count(self) -> int:
        """Number of local days with anything valid."""
        return len(self.dates)

    def total(self, values: FloatArray) -> FloatArray:
        """Sum (days,) of ``values`` (k,) over the valid elements of each day."""
        return np.bincount(self.day, values, minlength=self.count).astype(np.float64)


def rhythm_of(days: Days, weights: FloatArray) -> Estimates:
    """Return the rhythm numbers (resamples,) of ``days`` taken ``weights`` (resamples, days) times."""
    levels = days.series.levels[days.series.valid]
    log_codes = (MetricCode.LOG_MESOR, MetricCode.LOG_AMPLITUDE, MetricCode.LOG_ACROPHASE)
    codes = (MetricCode.MESOR, MetricCode.AMPLITUDE, MetricCode.ACROPHASE)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            **_variability(days, weights),
            **_windows(_profiles(days, weights)),
            **_cosinors(days, weights, levels, (*codes, MetricCode.COSINOR_R_SQUARED)),
            **_cosinors(days, weights, np.log1p(levels), (*log_codes, MetricCode.LOG_COSINOR_R_SQUARED)),
        }


def _variability(days: Days, weights: FloatArray) -> Estimates:
    """IV of hourly means, as Witting 1990."""
    hourly, clock_hour = hourly_means(days.series)
    at = _place_of_hours(days, clock_hour)
    hourly = hourly - np.nanmean(hourly)  # IV is free of the level; sums then cancel less
    valid = ~np.isnan(hourly) & (at >= 0)
    step = np.concatenate([[np.nan], np.diff(hourly)])
    stepped = ~np.isnan(step) & (at >= 0)
    count, total, squares = (
        weights @ np.bincount(at[valid], hourly[valid] ** power, minlength=days.count) for power in (0, 1, 2)
    )
    steps, squared = (
        weights @ np.bincount(at[stepped], step[stepped] ** power, minlength=days.count) for power in (0, 2)
    )
    variance = squares / count - (total / count) ** 2
    return {MetricCode.INTRADAILY_VARIABILITY: squared / steps / variance}


def _place_of_hours(days: Days, clock_hour: IntArray) -> IntArray:
    """Place in ``days`` (N,) of each successive clock hour, -1 on a day without anything valid."""
    first = days.series.clock[0].astype("datetime64[D]")
    passed = np.concatenate([[0], np.cumsum(np.diff(clock_hour) < 0)])
    place = {date: number for number, date in enumerate(days.dates.astype(np.int64).tolist())}
    dates = first.astype(np.int64) + passed
    return np.array([place.get(date, -1) for date in dates.tolist()], dtype=np.int64)


def _profiles(days: Days, weights: FloatArray) -> FloatArray:
    """Mean day (resamples, 1440) by clock minute; NaN where no drawn day holds the minute."""
    valid = days.series.valid
    cell = days.day * DAY_MINUTES + days.series.clock_seconds[valid] // 60
    size = days.count * DAY_MINUTES
    count = np.bincount(cell, minlength=size)
    total = np.bincount(cell, days.series.levels[valid], minlength=size)
    levels = np.divide(total, count, out=np.zeros(size), where=count > 0)
    seen = (count > 0).astype(np.float64)
    return (weights @ levels.reshape(-1, DAY_MINUTES)) / (weights @ seen.reshape(-1, DAY_MINUTES))


def _windows(profiles: FloatArray) -> Estimates:
    l5, l5_onset = _extremes(profiles, L5_MINUTES, highest=False)
    m10, m10_onset = _extremes(profiles, M10_MINUTES, highest=True)
    return {
        MetricCode.L5: l5,
        MetricCode.L5_ONSET: l5_onset,
        MetricCode.M10: m10,
        MetricCode.M10_ONSET: m10_onset,
        MetricCode.RELATIVE_AMPLITUDE: (m10 - l5) / (m10 + l5),
    }


def _extremes(profiles: FloatArray, minutes: int, *, highest: bool) -> tuple[FloatArray, FloatArray]:
    """Level and onset (resamples,) of the extreme cyclic window; NaN for an onset where starts tie apart."""
    sums = np.cumsum(np.concatenate([profiles, profiles[:, : minutes - 1]], axis=1), axis=1)
    totals = sums[:, minutes - 1 :].copy()  # (resamples, 1440)
    totals[:, 1:] -= sums[:, :-minutes]
    best = totals.max(axis=1) if highest else totals.min(axis=1)
    tied = np.abs(totals - best[:, None]) <= TIE * profiles.sum(axis=1)[:, None]
    in_one_run = (tied & ~np.roll(tied, 1, axis=1)).sum(axis=1) == 1
    turn = np.exp(2j * np.pi * np.arange(DAY_MINUTES) / DAY_MINUTES)
    onset = np.angle(tied.astype(np.float64) @ turn) * 12 / np.pi % 24 % 24
    return best / minutes, np.where(in_one_run, onset, np.nan)


def _cosinors(
    days: Days, weights: FloatArray, levels: FloatArray, codes: tuple[MetricCode, ...]
) -> Estimates:
    """Mesor, amplitude, acrophase and R squared by the normal equations (Nelson 1979) of weighted days."""
    shift = float(levels.mean())
    y = levels - shift
    angle = 2 * np.pi * days.series.clock_seconds[days.series.valid] / 86_400
    design = (np.ones(y.size), np.cos(angle), np.sin(angle))
    normal = np.stack([days.total(a * b) for a in design for b in design], axis=1)  # (days, 9)
    right = np.stack([days.total(a * y) for a in design], axis=1)  # (days, 3)
    left, target = (weights @ normal).reshape(-1, 3, 3), weights @ right
    solved = np.linalg.solve(left, target[..., None])[..., 0]  # (resamples, 3)
    squares = weights @ days.total(y * y)
    spread = squares - target[:, 0] ** 2 / left[:, 0, 0]
    residual = squares - (solved * target).sum(axis=1)
    amplitude = np.hypot(solved[:, 1], solved[:, 2])
    acrophase = np.arctan2(solved[:, 2], solved[:, 1]) * 12 / np.pi % 24 % 24
    found = (solved[:, 0] + shift, amplitude, acrophase, 1 - residual / spread)
    return dict(zip(codes, found, strict=True))
