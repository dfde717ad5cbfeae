"""Regularity: how alike the nights are, and how far sleep on free days lies from that on work days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from postprocessing.absence import Absence, Reason, absent
from postprocessing.analysis import Basis, Metric, Night
from postprocessing.contract import CONTRACT, Need, least, why_absent
from postprocessing.metrics import MetricCode
from postprocessing.sleep_nights import zone_absence
from postprocessing.sleep_scored import Scored, SleepOptions
from postprocessing.sleep_scorers import UNSCORED, States
from preprocessing.calendar import Labels
from preprocessing.recording import BoolArray, Flag, FloatArray

__all__ = [
    "REGULARITY_METRICS",
    "Regularity",
    "around_the_clock",
    "clock_median",
    "clock_sd_minutes",
    "regularity",
    "sleep_regularity",
    "social_jetlag_hours",
]

REGULARITY_METRICS = (
    MetricCode.MID_SLEEP_SD,
    MetricCode.SLEEP_REGULARITY_INDEX,
    MetricCode.SOCIAL_JETLAG,
)

DAY_SECONDS = 86_400
NO_DIRECTION = 1e-9  # length of the mean clock vector below which the hours cancel out


def around_the_clock(hours: FloatArray) -> tuple[float, FloatArray] | None:
    """Return the circular mean of clock ``hours`` (n,) and the hours (n,) from it, -12 to below 12.

    None where the hours cancel out and so have no middle.
    """
    direction = np.exp(2j * np.pi * hours / 24).mean()
    if abs(direction) <= NO_DIRECTION:
        return None
    centre = float(np.angle(direction)) * 12 / np.pi % 24
    return centre, (hours - centre + 12) % 24 - 12


def clock_median(hours: FloatArray) -> float | None:
    """Median of clock ``hours`` (n,) around their circular mean, so that 23:50 and 0:10 make midnight."""
    laid_out = around_the_clock(hours)
    if laid_out is None:
        return None
    centre, apart = laid_out
    return (centre + float(np.median(apart))) % 24 % 24  # a tiny negative rounds up to 24 at first


def clock_sd_minutes(hours: FloatArray) -> float | None:
    """Sample SD (ddof 1) in minutes of clock ``hours`` (n,), n at least 2, around their circular mean."""
    laid_out = around_the_clock(hours)
    return None if laid_out is None else float(laid_out[1].std(ddof=1)) * 60


def social_jetlag_hours(hours: FloatArray, free: BoolArray) -> float | None:
    """Distance in hours, 0 to 12, of mean mid-sleep (n,) between ``free`` (n,) nights and the others.

    Wittmann, Dinich, Merrow, Roenneberg 2006, Chronobiol Int 23:497.
    """
    laid_out = around_the_clock(hours)
    if laid_out is None:
        return None
    apart = abs(float(laid_out[1][free].mean() - laid_out[1][~free].mean()))
    return min(apart, 24 - apart)


@dataclass(frozen=True, eq=False)
class Regularity:
    """Sleep regularity index; ``day_pairs`` valid ones; ``used`` (m,) the states that stand in a pair."""

    index: float | None
    day_pairs: int
    used: BoolArray

    def why_absent(self, states: States) -> Absence | None:
        """Say why the index of ``states`` (m,) is not given; None where it is."""
        if why := CONTRACT[Need.DAY_PAIRS].shortfall(self.day_pairs):
            return why
        if np.ptp(states[self.used]) == 0:
            return absent(Reason.INSUFFICIENT_DATA, "Sleep and wake never alternate.")
        return None


def sleep_regularity(states: States, labels: Labels, epoch_seconds: int) -> Regularity:
    """Compare each scored epoch with the one a day later on the wall clock (Phillips 2017, Sci Rep 7:3216).

    ``labels`` datetime64[s] (m,) are local; of a repeated hour the first pass counts, an absent hour is
    missing. A day pair is two successive stretches of 24 hours on the clock, counted from the first label; it
    is valid with 66 % of its epochs scored on both. The index is -100 + 200 times the share of equal pairs,
    over all valid day pairs; None without one.
    """
    place = (labels - labels.min()).astype(np.int64) // epoch_seconds
    day = DAY_SECONDS // epoch_seconds
    days = int(place.max()) // day + 1
    which = np.full(days * day, -1, np.int64)  # the state at each place of the clock
    which[place[::-1]] = np.arange(states.size)[::-1]
    clock = np.where(which >= 0, states[which], UNSCORED).reshape(days, day)
    both = (clock[:-1] != UNSCORED) & (clock[1:] != UNSCORED)  # (days - 1, day)
    both &= (both.mean(axis=1) >= least(Need.SHARE_OF_DAY_PAIR))[:, np.newaxis]
    used = np.zeros(states.size, np.bool_)
    for rows in (slice(None, -1), slice(1, None)):
        used[which.reshape(days, day)[rows][both]] = True
    alike = clock[:-1][both] == clock[1:][both]
    index = -100 + 200 * float(alike.mean()) if alike.size else None
    return Regularity(index, int(both.any(axis=1).sum()), used)


def regularity(scored: Scored, nights: Sequence[Night], options: SleepOptions) -> tuple[Metric, ...]:
    """Return SD of mid-sleep, SRI and social jetlag of a recording with the valid ``nights``."""
    if moved := zone_absence(scored.recording):
        return tuple(Metric.missing(code, moved) for code in REGULARITY_METRICS)
    mid_sleeps = [
        (night, metric)
        for night in nights
        for metric in night.metrics
        if metric.code is MetricCode.MID_SLEEP and metric.value is not None
    ]
    maker = _Maker(scored, [night for night, _ in mid_sleeps], [metric for _, metric in mid_sleeps], options)
    return (maker.spread(), _index(scored), maker.jetlag())


@dataclass(frozen=True, eq=False)
class _Maker:
    """Numbers of the mid-sleeps (n,) of the nights (n,) that have one."""

    scored: Scored
    nights: list[Night]
    mid_sleeps: list[Metric]
    options: SleepOptions

    @property
    def hours(self) -> FloatArray:
        return np.array([metric.value for metric in self.mid_sleeps], dtype=np.float64)

    def spread(self) -> Metric:
        code, count = MetricCode.MID_SLEEP_SD, len(self.nights)
        if why := CONTRACT[Need.VALID_NIGHTS].shortfall(count):
            return Metric.missing(code, why)
        return _known_or_not_unique(
            code, clock_sd_minutes(self.hours), self._basis({"statistic": "sample SD", "valid_nights": count})
        )

    def jetlag(self) -> Metric:
        code = MetricCode.SOCIAL_JETLAG
        free = np.array([_wakes_on(night) in self.options.free_days for night in self.nights], np.bool_)
        if why := self._why_no_jetlag(int(free.sum()), int((~free).sum())):
            return Metric.missing(code, why)
        basis = self._basis(
            {
                "free_nights": int(free.sum()),
                "work_nights": int((~free).sum()),
                "free_days_iso": " ".join(map(str, sorted(self.options.free_days))),
                "statistic": "difference of circular means",
            }
        )
        return _known_or_not_unique(code, social_jetlag_hours(self.hours, free), basis)

    def _why_no_jetlag(self, free: int, work: int) -> Absence | None:
        if self.scored.recording.flags & {Flag.DATE_UNKNOWN, Flag.IMPLAUSIBLE_DATE}:
            return absent(Reason.WEEKDAY_UNKNOWN, "Its dates are placeholders or implausible.")
        return why_absent(MetricCode.SOCIAL_JETLAG, {Need.FREE_NIGHTS: free, Need.WORK_NIGHTS: work})

    def _basis(self, parameters: dict[str, float | int | str | bool]) -> Basis:
        made = self.mid_sleeps
        return Basis(
            self.scored.scorer,
            (made[0].parameters if made else {}) | parameters,
            sum(metric.epochs_used or 0 for metric in made),
            sum(metric.wear_minutes or 0.0 for metric in made),
        )


def _wakes_on(night: Night) -> int:
    """ISO weekday of the morning after the night."""
    return night.night_of.isoweekday() % 7 + 1


def _known_or_not_unique(code: MetricCode, value: float | None, basis: Basis) -> Metric:
    if value is None:
        return Metric.missing(code, absent(Reason.NOT_UNIQUE, "The mid-sleeps lie all around the clock."))
    return Metric.known(code, value, basis)


def _index(scored: Scored) -> Metric:
    code = MetricCode.SLEEP_REGULARITY_INDEX
    found = sleep_regularity(scored.states, scored.labels(), scored.epoch_seconds)
    why = found.why_absent(scored.states)
    if why or found.index is None:
        return Metric.missing(code, why or absent(Reason.TOO_FEW_VALID_DAYS))
    epochs, minutes = scored.held(found.used)
    parameters = scored.parameters | {
        "states": "all scored epochs",
        "pairing": "24 h apart on the wall clock",
        "valid_day_pairs": found.day_pairs,
        "least_valid_fraction": least(Need.SHARE_OF_DAY_PAIR),
    }
    return Metric.known(code, found.index, Basis(scored.scorer, parameters, epochs, minutes))
