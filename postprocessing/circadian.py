"""Rest-activity rhythm: how alike the days are, how broken up, how much day differs from night, and when.

All clock statements are on local wall clock; all levels are means per minute, whatever the epoch. IS and IV
are given twice, because other programs binarise first and give other values for the same names.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from postprocessing.absence import Absence, Reason, absent
from postprocessing.analysis import Basis, Metric, Parameters, Rhythm
from postprocessing.contract import Need, least, why_absent
from postprocessing.metrics import METRICS, MetricCode, codes_of
from postprocessing.valid_days import worn_minutes
from preprocessing.calendar import largest_shift, wall_clock_of
from preprocessing.recording import BoolArray, FloatArray, Recording
from preprocessing.units import WearSite, validity

__all__ = [
    "ClockSeries",
    "Cosinor",
    "Window",
    "binarised",
    "clock_profile",
    "cosinor",
    "day_profile",
    "extreme_window",
    "hourly_means",
    "interdaily_stability",
    "intradaily_variability",
    "relative_amplitude",
    "summarise",
]

IntArray = npt.NDArray[np.int64]

LARGEST_SHIFT = timedelta(hours=1)  # project choice: a body follows an hour of travel as it follows DST
DAY_MINUTES = 1_440
DAY_SECONDS = 86_400
L5_MINUTES, M10_MINUTES = 300, 600  # van Someren 1999
MOVING_ABOVE = 4.0  # counts per minute; the customary default of pyActigraphy, not from a paper

TIE = 1e-12  # sums that differ by less than this share of the day's total differ by rounding alone
FLAT = 1e-9  # an amplitude below this share of the SD is rounding, so its peak has no time

NO_VARIATION = "It is undefined for a recording without variation."


@dataclass(frozen=True, eq=False)
class ClockSeries:
    """Mean levels per minute (k,), NaN = not valid, each with its local clock label (k,) datetime64[s].

    Elements last ``seconds``: one epoch, or a part of a longer one of about a minute. Each belongs to the
    clock minute that it begins in.
    """

    levels: FloatArray
    clock: npt.NDArray[np.datetime64]
    seconds: float

    @classmethod
    def of(cls, recording: Recording, worn: BoolArray) -> ClockSeries:
        """Take the ``worn`` (n,) epochs of a recording as levels per minute."""
        epoch_seconds = recording.epoch_seconds
        per_minute = 1.0 if recording.unit.is_rate else 60 / epoch_seconds
        parts = max(1, round(epoch_seconds / 60))
        offsets = (np.arange(parts) * epoch_seconds // parts).astype("timedelta64[s]")
        levels = np.where(worn, recording.values, np.nan) * per_minute
        clock = np.add.outer(wall_clock_of(recording), offsets).reshape(-1)
        return cls(np.repeat(levels, parts), clock, epoch_seconds / parts)

    @property
    def valid(self) -> BoolArray:
        """Mask (k,) of the elements that hold a level."""
        return ~np.isnan(self.levels)

    @property
    def clock_seconds(self) -> IntArray:
        """Seconds (k,) since local midnight."""
        return self.clock.astype(np.int64) % DAY_SECONDS


def hourly_means(series: ClockSeries) -> tuple[FloatArray, IntArray]:
    """Return the mean level (N,) of each successive clock hour, and which hour of the day (N,) that is.

    An hour with less than 30 valid minutes is NaN. An hour that the clock repeats in autumn makes two hours;
    one that it skips in spring makes none.
    """
    seconds = series.clock.astype(np.int64)
    hours = seconds // 3_600
    starts = np.concatenate([[True], (np.diff(hours) != 0) | (np.diff(seconds) <= 0)])
    index = np.cumsum(starts) - 1
    valid = series.valid
    total = np.bincount(index[valid], series.levels[valid], minlength=index[-1] + 1)
    count = np.bincount(index[valid], minlength=index[-1] + 1)
    enough = count * series.seconds >= 60 * least(Need.MINUTES_OF_AN_HOUR)
    means = np.divide(total, count, out=np.full(total.size, np.nan), where=enough)
    return means, hours[starts] % 24


def interdaily_stability(hourly: FloatArray, clock_hour: IntArray) -> float | None:
    """IS of hourly means (N,) with their hours 0..23: how alike the days are.

    Witting 1990, Biol Psychiatry 27:563: N valid hours, their mean profile by clock hour, population
    variances. None where a clock hour is never valid or nothing varies.
    """
    valid = ~np.isnan(hourly)
    means, hours = hourly[valid], clock_hour[valid]
    count = np.bincount(hours, minlength=24)
    if not count.all() or _is_constant(means):
        return None
    profile = np.bincount(hours, means, minlength=24) / count
    grand = means.mean()
    return float(means.size * ((profile - grand) ** 2).sum() / (24 * ((means - grand) ** 2).sum()))


def intradaily_variability(hourly: FloatArray) -> float | None:
    """IV of hourly means (N,): how broken up the day is (Witting 1990).

    Mean square of the steps between neighbouring valid hours over the population variance of the valid hours;
    the steps beside a missing hour are left out of that mean. None where nothing varies or no two valid hours
    are neighbours.
    """
    means = hourly[~np.isnan(hourly)]
    steps = np.diff(hourly)
    steps = steps[~np.isnan(steps)]
    if not steps.size or _is_constant(means):
        return None
    return float((steps**2).mean() / means.var())


def day_profile(series: ClockSeries) -> tuple[FloatArray, IntArray]:
    """Return the mean level (1440,) of each clock minute over days, and on how many days (1440,) it was seen.

    A minute never seen is NaN.
    """
    valid = series.valid
    days = series.clock.astype("datetime64[D]").astype(np.int64)
    cell = (days - days.min()) * DAY_MINUTES + series.clock_seconds // 60
    size = int(days.max() - days.min() + 1) * DAY_MINUTES
    total = np.bincount(cell[valid], series.levels[valid], minlength=size)
    count = np.bincount(cell[valid], minlength=size)
    seen = (count > 0).reshape(-1, DAY_MINUTES).sum(axis=0)
    levels = np.divide(total, count, out=np.zeros(size), where=count > 0).reshape(-1, DAY_MINUTES)
    return np.divide(levels.sum(axis=0), seen, out=np.full(DAY_MINUTES, np.nan), where=seen > 0), seen


def clock_profile(recording: Recording, worn: BoolArray) -> tuple[float | None, ...]:
    """Return the mean level per minute of the 1,440 clock minutes; None where one is never ``worn`` (n,)."""
    levels, seen = day_profile(ClockSeries.of(recording, worn & recording.recorded))
    return tuple(level if days else None for level, days in zip(levels.tolist(), seen.tolist(), strict=True))


def binarised(series: ClockSeries, above: float = MOVING_ABOVE) -> ClockSeries:
    """Return ``series`` with 1 for a level above ``above`` and 0 for another; NaN stays."""
    levels = np.where(series.valid, (series.levels > above).astype(np.float64), np.nan)
    return replace(series, levels=levels)


@dataclass(frozen=True)
class Window:
    """A window of the cyclic day: mean level, and start in clock hours; None where starts tie apart."""

    level: float
    onset: float | None


def extreme_window(profile: FloatArray, minutes: int, *, highest: bool) -> Window:
    """Return the lowest (or ``highest``) cyclic window of ``minutes`` of a day profile (1440,).

    van Someren 1999. Several equal starts in a row give their middle, as nights of zeros do; otherwise the
    onset is None.
    """
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([profile, profile[: minutes - 1]]))])
    totals = sums[minutes:] - sums[:-minutes]  # (1440,)
    best = totals.max() if highest else totals.min()
    tied = np.abs(totals - best) <= TIE * profile.sum()
    first = np.flatnonzero(tied & ~np.roll(tied, 1))
    if first.size != 1:
        return Window(float(best) / minutes, None)
    middle = (int(first[0]) + (int(tied.sum()) - 1) / 2) % DAY_MINUTES
    return Window(float(best) / minutes, middle / 60)


def relative_amplitude(l5: float, m10: float) -> float | None:
    """RA = (M10 - L5) / (M10 + L5); None without any movement."""
    return (m10 - l5) / (m10 + l5) if m10 + l5 > 0 else None


@dataclass(frozen=True)
class Cosinor:
    """A fitted day curve.

    ``acrophase`` in clock hours, None where the amplitude is nil; ``r_squared`` None without variation.
    """

    mesor: float
    amplitude: float
    acrophase: float | None
    r_squared: float | None


def cosinor(clock_hours: FloatArray, levels: FloatArray) -> Cosinor:
    """Fit y = M + A cos(2 pi (h - phi) / 24) by linear least squares (Nelson 1979); both (k,), no NaN."""
    return _fitted(_day_curves(clock_hours), levels)


def _day_curves(clock_hours: FloatArray) -> FloatArray:
    """The columns of the regression (3, k): one, cosine and sine of the hour."""
    angle = 2 * np.pi * clock_hours / 24
    return np.stack([np.ones(angle.size), np.cos(angle), np.sin(angle)])


def _fitted(curves: FloatArray, levels: FloatArray) -> Cosinor:
    if _is_constant(levels):
        return Cosinor(float(levels.mean()), 0.0, None, None)
    normal = np.array([[_dot(a, b) for b in curves] for a in curves])
    right = np.array([_dot(a, levels) for a in curves])
    (mesor, cosine, sine), *_ = np.linalg.lstsq(normal, right, rcond=None)
    residual = levels - (mesor * curves[0] + cosine * curves[1] + sine * curves[2])
    spread = levels - levels.mean()
    amplitude = math.hypot(cosine, sine)
    peak = math.atan2(sine, cosine) * 24 / (2 * math.pi) % 24 % 24  # a tiny negative rounds up to 24 at first
    return Cosinor(
        mesor=float(mesor),
        amplitude=amplitude,
        acrophase=peak if amplitude > FLAT * float(levels.std()) else None,
        r_squared=1 - _dot(residual, residual) / _dot(spread, spread),
    )


def _dot(a: FloatArray, b: FloatArray) -> float:
    """Sum of products, in one order; that of BLAS, and so the last digit, depends on its threads."""
    return float((a * b).sum())


def _is_constant(levels: FloatArray) -> bool:
    return bool(np.ptp(levels) <= TIE * np.abs(levels).max()) if levels.size else True


STABILITY_METRICS = (MetricCode.INTERDAILY_STABILITY, MetricCode.INTRADAILY_VARIABILITY)
BINARISED_METRICS = (
    MetricCode.INTERDAILY_STABILITY_BINARIZED,
    MetricCode.INTRADAILY_VARIABILITY_BINARIZED,
)
WINDOW_METRICS = (
    MetricCode.RELATIVE_AMPLITUDE,
    MetricCode.L5,
    MetricCode.L5_ONSET,
    MetricCode.M10,
    MetricCode.M10_ONSET,
)
COSINOR_METRICS = (
    MetricCode.MESOR,
    MetricCode.AMPLITUDE,
    MetricCode.ACROPHASE,
    MetricCode.COSINOR_R_SQUARED,
)
LOG_COSINOR_METRICS = (
    MetricCode.LOG_MESOR,
    MetricCode.LOG_AMPLITUDE,
    MetricCode.LOG_ACROPHASE,
    MetricCode.LOG_COSINOR_R_SQUARED,
)


def summarise(recording: Recording, worn: BoolArray) -> Rhythm:
    """Return the rest-activity rhythm of the ``worn`` (n,) epochs of ``recording``."""
    if why := _why_no_rhythm(recording):
        return Rhythm(metrics=_all_missing(recording, codes_of("rhythm"), why))
    valid = worn & recording.recorded
    maker = _Maker(recording, valid, ClockSeries.of(recording, valid))
    flags = ("hip_worn",) if recording.wear_site is WearSite.HIP else ()
    return Rhythm(metrics=(*maker.stability(), *maker.binarised_stability(), *maker.profile()), flags=flags)


def _why_no_rhythm(recording: Recording) -> Absence | None:
    allowed = validity(recording.unit, recording.wear_site)
    if allowed.no_rhythm_reason is not None:
        return absent(allowed.no_rhythm_reason)
    if (shift := largest_shift(recording)) > LARGEST_SHIFT:
        hours = shift.total_seconds() / 3600
        return absent(Reason.ZONE_CHANGED, f"The wearer's clock was up to {hours:g} h away from the zone's.")
    return None


def _all_missing(recording: Recording, codes: tuple[MetricCode, ...], why: Absence) -> tuple[Metric, ...]:
    return tuple(Metric.missing(code, why, recording.unit.ucum_per_minute) for code in codes)


@dataclass(frozen=True, eq=False)
class _Maker:
    """Turns one recording's series into metrics with their basis."""

    recording: Recording
    worn: BoolArray
    series: ClockSeries

    def stability(self) -> tuple[Metric, ...]:
        """IS and IV, or why not."""
        return self._stability_of(self.series, STABILITY_METRICS, {"binarized": False})

    def binarised_stability(self) -> tuple[Metric, ...]:
        """IS and IV of minutes above 4 counts, or why not."""
        if not self.recording.unit.is_count:
            why = absent(Reason.UNIT_NOT_SUPPORTED, "The threshold is one of counts.")
            return _all_missing(self.recording, BINARISED_METRICS, why)
        if (minutes := worn_minutes(self.recording, self.worn)) is None:
            why = absent(Reason.INSUFFICIENT_DATA, "It needs minutes; these epochs make none.")
            return _all_missing(self.recording, BINARISED_METRICS, why)
        series = self.series if minutes[0] is self.recording else ClockSeries.of(*minutes)
        parameters: Parameters = {"binarized": True, "above_counts_per_minute": MOVING_ABOVE}
        return self._stability_of(binarised(series), BINARISED_METRICS, parameters)

    def _stability_of(
        self, series: ClockSeries, codes: tuple[MetricCode, ...], parameters: Parameters
    ) -> tuple[Metric, ...]:
        hourly, clock_hour = hourly_means(series)
        valid = ~np.isnan(hourly)
        found = {
            Need.DAYS_OF_STABILITY: self.recording.days,
            Need.SHARE_OF_HOURS: float(valid.mean()),
            Need.CLOCK_HOURS: len(np.unique(clock_hour[valid])),
        }
        if why := why_absent(codes[0], found):
            return _all_missing(self.recording, codes, why)
        values = (interdaily_stability(hourly, clock_hour), intradaily_variability(hourly))
        hours: Parameters = {
            "valid_hours": int(valid.sum()),
            "fewest_valid_minutes_per_hour": int(least(Need.MINUTES_OF_AN_HOUR)),
        }
        algorithm = "nonparametric rhythm of hourly means, population variances (Witting 1990)"
        return self._metrics(codes, values, self._basis(algorithm, parameters | hours))

    def profile(self) -> tuple[Metric, ...]:
        """RA, L5, M10 and both cosinors, or why not."""
        profile, days_seen = day_profile(self.series)
        fewest = int(days_seen.min())
        found = {Need.DAYS_OF_PROFILE: self.recording.days, Need.DAYS_PER_CLOCK_MINUTE: fewest}
        if why := why_absent(MetricCode.L5, found):
            codes = WINDOW_METRICS + COSINOR_METRICS + LOG_COSINOR_METRICS
            return _all_missing(self.recording, codes, why)
        return (*self._windows(profile, fewest), *self._cosinors())

    def _windows(self, profile: FloatArray, fewest_days: int) -> tuple[Metric, ...]:
        l5 = extreme_window(profile, L5_MINUTES, highest=False)
        m10 = extreme_window(profile, M10_MINUTES, highest=True)
        basis = self._basis(
            "least and most active hours of the mean day by clock minute (van Someren 1999)",
            {"l5_minutes": L5_MINUTES, "m10_minutes": M10_MINUTES, "fewest_days_per_minute": fewest_days},
        )
        amplitude = relative_amplitude(l5.level, m10.level)
        return self._metrics(WINDOW_METRICS, (amplitude, l5.level, l5.onset, m10.level, m10.onset), basis)

    def _cosinors(self) -> tuple[Metric, ...]:
        valid = self.series.valid
        levels = self.series.levels[valid]
        curves = _day_curves(self.series.clock_seconds[valid] / 3_600)
        return (
            *self._cosinor(COSINOR_METRICS, _fitted(curves, levels), "none"),
            *self._cosinor(
                LOG_COSINOR_METRICS, _fitted(curves, np.log1p(levels)), "ln(1 + level per minute)"
            ),
        )

    def _cosinor(self, codes: tuple[MetricCode, ...], fit: Cosinor, transform: str) -> tuple[Metric, ...]:
        basis = self._basis(
            "24 h cosinor by linear least squares (Nelson 1979)", {"period_hours": 24, "transform": transform}
        )
        return self._metrics(codes, (fit.mesor, fit.amplitude, fit.acrophase, fit.r_squared), basis)

    def _metrics(
        self, codes: tuple[MetricCode, ...], values: tuple[float | None, ...], basis: Basis
    ) -> tuple[Metric, ...]:
        return tuple(self._metric(code, value, basis) for code, value in zip(codes, values, strict=True))

    def _metric(self, code: MetricCode, value: float | None, basis: Basis) -> Metric:
        if value is not None:
            return Metric.known(code, value, basis, self.recording.unit.ucum_per_minute)
        clock_time = METRICS[code].kind == "clock_time"
        why = absent(Reason.NOT_UNIQUE) if clock_time else absent(Reason.INSUFFICIENT_DATA, NO_VARIATION)
        return Metric.missing(code, why, self.recording.unit.ucum_per_minute)

    def _basis(self, algorithm: str, parameters: Parameters) -> Basis:
        return Basis(algorithm, parameters, int(self.worn.sum()), self.recording.minutes_of(self.worn))
