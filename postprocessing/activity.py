"""Activity: how much a person moved on a valid day, how hard, in what bouts, and how many steps.

Every number is made of the worn time of each valid day, and is then the mean over valid days. Nothing is
prorated: a day of 17 worn hours counts as it is. Non-wear is left out, never taken for rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from postprocessing.absence import Absence, Reason, absent
from postprocessing.analysis import Activity, Basis, Metric, Parameters
from postprocessing.contract import Need, valid_day_minutes, why_absent
from postprocessing.cut_points import CutPoints, cut_points_of
from postprocessing.metrics import METRICS, MetricCode, codes_of
from postprocessing.valid_days import DayLevels, ValidDays
from preprocessing.recording import BoolArray, Flag, FloatArray, Recording
from preprocessing.units import Unit

__all__ = [
    "Bouts",
    "DailyValues",
    "bouts_of",
    "cadence_minutes",
    "daily_values",
    "intensity_minutes",
    "nonwear_as_sedentary",
    "summarise",
    "volume",
]

DailyValues = Mapping[MetricCode, FloatArray]  # (valid days,) each; NaN on a day that has none

MODERATE_CADENCE, VIGOROUS_CADENCE = 100, 130  # steps per minute, Tudor-Locke 2018, Br J Sports Med 52:776

VOLUME = (MetricCode.MEAN_LEVEL, MetricCode.TOTAL_ACTIVITY)
LOG_VOLUME = (MetricCode.TOTAL_LOG_ACTIVITY,)
INTENSITY = (
    MetricCode.SEDENTARY_TIME,
    MetricCode.LIGHT_TIME,
    MetricCode.MODERATE_TIME,
    MetricCode.VIGOROUS_TIME,
    MetricCode.MVPA_TIME,
)
BOUTS = (
    MetricCode.SEDENTARY_BOUT,
    MetricCode.ACTIVE_BOUT,
    MetricCode.SEDENTARY_TO_ACTIVE,
    MetricCode.ACTIVE_TO_SEDENTARY,
)
STEPS = (MetricCode.STEPS_PER_DAY,)
CADENCE = (MetricCode.MODERATE_CADENCE_TIME, MetricCode.VIGOROUS_CADENCE_TIME)

REST_OF_NONWEAR = {  # where non-wear cannot be seen it would count as rest
    MetricCode.SEDENTARY_TIME,
    MetricCode.SEDENTARY_BOUT,
    MetricCode.SEDENTARY_TO_ACTIVE,
}


def summarise(recording: Recording, worn: BoolArray) -> Activity:
    """Return the activity of the ``worn`` (n,) epochs of ``recording``, means over its valid days."""
    days = ValidDays.of(recording, worn)
    points = cut_points_of(recording)
    maker = _Maker(recording, days, points, daily_values(days, points))
    return Activity(
        valid_days=days.count,
        cut_points=None if isinstance(points, Absence) else points.name,
        metrics=tuple(maker.metric(code) for code in codes_of("activity")),
    )


def daily_values(days: ValidDays, points: CutPoints | Absence) -> DailyValues:
    """Return every metric of each valid day, as far as the unit and its epochs go."""
    if not days.count:
        return {}
    epochs, minutes = days.by_epoch, days.by_minute
    values: dict[MetricCode, FloatArray] = {}
    if days.recording.unit is Unit.STEPS:
        values[MetricCode.STEPS_PER_DAY] = volume(epochs)[MetricCode.TOTAL_ACTIVITY]
        return values if minutes is None else values | cadence_minutes(minutes)
    values |= volume(epochs)
    if minutes is None:
        return values
    if days.recording.unit.is_count:
        values |= log_volume(minutes)
    if not isinstance(points, Absence):
        values |= intensity_minutes(minutes, points)
        values |= bouts_of(minutes, points.light).values() if points.bouts else {}
    return values


def volume(epochs: DayLevels) -> dict[MetricCode, FloatArray]:
    """Return mean level and sum (days,) over what counts of each day."""
    total = epochs.sums(epochs.levels)
    return {
        MetricCode.MEAN_LEVEL: _ratio(total, epochs.sums(epochs.counted)),
        MetricCode.TOTAL_ACTIVITY: total * epochs.minutes,
    }


def log_volume(minutes: DayLevels) -> dict[MetricCode, FloatArray]:
    """Return the sum (days,) of ln(1 + level) over the minutes of each day (TLAC)."""
    return {MetricCode.TOTAL_LOG_ACTIVITY: minutes.sums(np.log1p(minutes.levels))}


def intensity_minutes(minutes: DayLevels, points: CutPoints) -> dict[MetricCode, FloatArray]:
    """Return the minutes (days,) of each day by intensity; a level at a cut point belongs to the higher."""
    levels = minutes.levels
    moderate, vigorous = levels >= points.moderate, levels >= points.vigorous
    return {
        MetricCode.SEDENTARY_TIME: minutes.sums(levels < points.light),
        MetricCode.LIGHT_TIME: minutes.sums((levels >= points.light) & ~moderate),
        MetricCode.MODERATE_TIME: minutes.sums(moderate & ~vigorous),
        MetricCode.VIGOROUS_TIME: minutes.sums(vigorous),
        MetricCode.MVPA_TIME: minutes.sums(moderate),
    }


@dataclass(frozen=True, eq=False)
class Bouts:
    """Mean minutes (days,) of the sedentary and the active bouts of each day; NaN where it has none."""

    sedentary: FloatArray
    active: FloatArray

    def values(self) -> dict[MetricCode, FloatArray]:
        """Return the lengths and, as their inverse, the transition probabilities (Di 2017)."""
        lengths = (self.sedentary, self.active, 1 / self.sedentary, 1 / self.active)
        return dict(zip(BOUTS, lengths, strict=True))


def bouts_of(minutes: DayLevels, active_from: float) -> Bouts:
    """Find the unbroken stretches below ``active_from`` and from it on; non-wear and midnight end a bout.

    Leroux 2019, Stat Biosci 11:262, whose non-wear is sedentary: see ``nonwear_as_sedentary``.
    """
    active = minutes.levels >= active_from
    state = np.where(minutes.counted, active, -1)
    begins = np.ones(state.size, dtype=np.bool_)
    begins[1:] = (state[1:] != state[:-1]) | (minutes.place[1:] != minutes.place[:-1])
    sedentary, moving = (
        _ratio(minutes.sums(kind), minutes.sums(kind & begins)) for kind in (~active, active)
    )
    return Bouts(sedentary, moving)


def cadence_minutes(minutes: DayLevels) -> dict[MetricCode, FloatArray]:
    """Return the minutes (days,) of each day with at least 100 and at least 130 steps."""
    return {
        code: minutes.sums(minutes.levels >= cadence)
        for code, cadence in zip(CADENCE, (MODERATE_CADENCE, VIGOROUS_CADENCE), strict=True)
    }


def nonwear_as_sedentary(counts: FloatArray, wear: BoolArray) -> DayLevels:
    """Take days of minutes (days, 1440) as Leroux 2019 did: a minute without wear is a still one.

    It is how the published features of NHANES 2003-06 were made, and is here to be compared with them.
    """
    days = counts.shape[0]
    return DayLevels((counts * wear).reshape(-1), np.repeat(np.arange(days), counts.shape[1]), days, 1.0)


def _ratio(total: FloatArray, count: FloatArray) -> FloatArray:
    ratio: FloatArray = np.divide(total, count, out=np.full(total.size, np.nan), where=count > 0)
    return ratio


@dataclass(frozen=True, eq=False)
class _Maker:
    """Turns values by day into metrics with their basis, or with the reason why there are none."""

    recording: Recording
    days: ValidDays
    points: CutPoints | Absence
    daily: DailyValues

    def metric(self, code: MetricCode) -> Metric:
        """Return the mean over valid days, or why there is none."""
        unit = METRICS[code].unit_for(self.recording.unit)
        if why := self._why_absent(code):
            return Metric.missing(code, why, unit)
        values = self.daily[code]
        known = values[~np.isnan(values)]
        if not known.size:
            return Metric.missing(
                code, absent(Reason.INSUFFICIENT_DATA, "No valid day has such a bout."), unit
            )
        return Metric.known(code, float(known.mean()), self._basis(code, known.size), unit)

    def _why_absent(self, code: MetricCode) -> Absence | None:
        return (
            self._why_unsupported(code)
            or self._why_no_minutes(code)
            or self._why_not_assessable(code)
            or why_absent(code, {Need.VALID_DAYS: self.days.count})
        )

    def _why_unsupported(self, code: MetricCode) -> Absence | None:
        unit, steps = self.recording.unit, self.recording.unit is Unit.STEPS
        if code in STEPS + CADENCE:
            return None if steps else absent(Reason.UNIT_NOT_SUPPORTED, "It is a number of steps.")
        if code in VOLUME:
            return absent(Reason.UNIT_NOT_SUPPORTED, "Steps are given per day.") if steps else None
        if code in LOG_VOLUME:
            return None if unit.is_count else absent(Reason.UNIT_NOT_SUPPORTED, "It is a sum over counts.")
        if isinstance(self.points, Absence):
            return self.points
        if code in BOUTS and not self.points.bouts:
            return absent(Reason.UNIT_NOT_SUPPORTED, "Bouts were published for hip counts of ActiGraph only.")
        return None

    def _why_no_minutes(self, code: MetricCode) -> Absence | None:
        if code in VOLUME + STEPS or 60 % self.recording.epoch_seconds == 0:
            return None
        seconds = self.recording.epoch_seconds
        return absent(Reason.INSUFFICIENT_DATA, f"It needs minutes; the epochs are {seconds} s long.")

    def _why_not_assessable(self, code: MetricCode) -> Absence | None:
        told = self.recording.wear is not None or Flag.CONSTANT_FLOOR not in self.recording.flags
        return None if told or code not in REST_OF_NONWEAR else absent(Reason.NONWEAR_NOT_ASSESSABLE)

    def _basis(self, code: MetricCode, days: int) -> Basis:
        algorithm, parameters = self._method(code)
        used = self._used(code)
        epochs = int(used.counted.sum())
        shared: Parameters = {
            "statistic": "mean over valid days",
            "valid_days": days,
            "fewest_wear_minutes_per_day": valid_day_minutes(self.recording.wear_site),
        }
        return Basis(algorithm, shared | parameters, epochs * used.epochs, epochs * used.minutes)

    def _used(self, code: MetricCode) -> DayLevels:
        minutes = None if code in VOLUME + STEPS else self.days.by_minute
        return minutes or self.days.by_epoch

    def _method(self, code: MetricCode) -> tuple[str, Parameters]:
        if code in BOUTS and not isinstance(self.points, Absence):
            return "bouts of a day (Di 2017, Leroux 2019), worn minutes only", {
                "active_from": self.points.light,
                "ends_a_bout": "non-wear, midnight",
            }
        if code in INTENSITY and not isinstance(self.points, Absence):
            return f"cut points {self.points.name}", {
                "light_from": self.points.light,
                "moderate_from": self.points.moderate,
                "vigorous_from": self.points.vigorous,
                "made_for": self.points.made_for,
            }
        if code in CADENCE:
            least = MODERATE_CADENCE if code is MetricCode.MODERATE_CADENCE_TIME else VIGOROUS_CADENCE
            spread = Flag.SPREAD_SAMPLES in self.recording.flags
            return "minutes by cadence (Tudor-Locke 2018)", {"least_steps": least, "samples_spread": spread}
        return "sums and means of worn time by local day, not prorated", {}
