"""Nights: what each rest period says of sleep, or why it says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time

import numpy as np

from postprocessing.absence import Absence, Reason, absent
from postprocessing.analysis import Basis, Metric, Night
from postprocessing.contract import CONTRACT, Need
from postprocessing.metrics import MetricCode
from postprocessing.rest_periods import RestPeriod, RestRules
from postprocessing.sleep_scored import Scored
from postprocessing.sleep_scorers import ASLEEP, AWAKE, MOBILE_PER_MINUTE, UNSCORED, States
from preprocessing.calendar import largest_shift
from preprocessing.recording import BoolArray, Flag, FloatArray, Recording
from preprocessing.runs import runs
from preprocessing.units import SleepScorer

__all__ = [
    "LARGEST_SHIFT_HOURS",
    "NIGHT_METRICS",
    "all_missing",
    "fragmentation_values",
    "night_values",
    "nights",
    "zone_absence",
]

LARGEST_SHIFT_HOURS = 1.0  # of the wearer's clock on a journey; beyond it clock times say nothing

PERIOD_METRICS = (
    MetricCode.TIME_IN_BED,
    MetricCode.SLEEP_PERIOD_TIME,
    MetricCode.TOTAL_SLEEP_TIME,
    MetricCode.SLEEP_EFFICIENCY,
    MetricCode.SLEEP_MAINTENANCE_EFFICIENCY,
    MetricCode.WAKE_AFTER_SLEEP_ONSET,
    MetricCode.AWAKENINGS,
    MetricCode.MEAN_AWAKENING_LENGTH,
)
MOVEMENT_METRICS = (
    MetricCode.MOVEMENT_INDEX,
    MetricCode.FRAGMENTATION_INDEX,
    MetricCode.SLEEP_FRAGMENTATION_INDEX,
    MetricCode.ACTIWARE_FRAGMENTATION_INDEX,
)
NIGHT_METRICS = (
    *PERIOD_METRICS,
    MetricCode.MID_SLEEP,
    *MOVEMENT_METRICS,
    MetricCode.SLEEP_ONSET_LATENCY,
)
_NO_SLEEP = "No epoch of the rest interval is scored sleep."
_NO_IMMOBILE = "No epoch of the sleep period is immobile."


def night_values(states: States, epoch_seconds: int) -> dict[MetricCode, float]:
    """Return the night's numbers from the states (k,) of its rest interval.

    Wake after sleep onset and awakenings count what was scored wake between the first and the last sleep
    epoch; an unscored epoch does not divide an awakening. Without sleep only the time in bed, no sleep and an
    efficiency of 0 are known. Without awakenings their mean length is 0, as ActiLife prints it.
    """
    minutes = epoch_seconds / 60
    asleep = np.flatnonzero(states == ASLEEP)
    slept = {
        MetricCode.TIME_IN_BED: states.size * minutes,
        MetricCode.TOTAL_SLEEP_TIME: asleep.size * minutes,
        MetricCode.SLEEP_EFFICIENCY: 100 * asleep.size / states.size,
    }
    if not asleep.size:
        return slept
    period = states[asleep[0] : asleep[-1] + 1]
    awake = period[period != UNSCORED] == AWAKE
    wake_minutes, awakenings = int(awake.sum()) * minutes, len(runs(awake)[0])
    return slept | {
        MetricCode.SLEEP_PERIOD_TIME: period.size * minutes,
        MetricCode.SLEEP_MAINTENANCE_EFFICIENCY: 100 * asleep.size / period.size,
        MetricCode.WAKE_AFTER_SLEEP_ONSET: wake_minutes,
        MetricCode.AWAKENINGS: float(awakenings),
        MetricCode.MEAN_AWAKENING_LENGTH: wake_minutes / awakenings if awakenings else 0.0,
    }


def fragmentation_values(states: States, counts: FloatArray, epoch_seconds: int) -> dict[MetricCode, float]:
    """Return how broken up a sleep period is, from its states and counts (k,); its ends are sleep.

    ActiLife's movement index, fragmentation index and their sum; and Actiware's index by its description.
    Both look at scored epochs only; a bout of one minute is one of at most a minute. Actiware's is left out
    where no epoch is immobile.
    """
    held = states != UNSCORED
    asleep, counts = states[held] == ASLEEP, counts[held]
    moving = 100 * float((counts > 0).mean())
    broken = _minute_bouts(asleep, epoch_seconds)
    immobile = counts < MOBILE_PER_MINUTE * epoch_seconds / 60
    values = {
        MetricCode.MOVEMENT_INDEX: moving,
        MetricCode.FRAGMENTATION_INDEX: broken,
        MetricCode.SLEEP_FRAGMENTATION_INDEX: moving + broken,
    }
    if not immobile.any():
        return values
    mobile = 100 * float((~immobile).mean())
    return values | {MetricCode.ACTIWARE_FRAGMENTATION_INDEX: mobile + _minute_bouts(immobile, epoch_seconds)}


def _minute_bouts(mask: BoolArray, epoch_seconds: int) -> float:
    """Share in percent of the bouts of ``mask`` (k,) that last at most a minute; there must be one."""
    first, stop = runs(mask)
    return 100 * float(((stop - first) * epoch_seconds <= 60).mean())


def zone_absence(recording: Recording) -> Absence | None:
    """Say why clock times of ``recording`` are not comparable; None where they are."""
    hours = largest_shift(recording).total_seconds() / 3600
    if hours <= LARGEST_SHIFT_HOURS:
        return None
    return absent(Reason.ZONE_CHANGED, f"The wearer's clock was up to {hours:g} h away from the zone's.")


def all_missing(codes: tuple[MetricCode, ...], why: Absence, *, logged: bool) -> tuple[Metric, ...]:
    """Return ``codes`` as absent for one reason; without a log the latency is absent for want of one."""
    no_log = absent(Reason.NO_SLEEP_LOG)
    unlogged = {MetricCode.SLEEP_ONSET_LATENCY: no_log} if not logged else {}
    return tuple(Metric.missing(code, unlogged.get(code, why)) for code in codes)


def nights(scored: Scored, rules: RestRules, periods: list[RestPeriod]) -> tuple[Night, ...]:
    """Return every noon-to-noon night of the recording, with its rest or why it has none, and naps."""
    return tuple(_Nights(scored, rules, periods))


@dataclass(frozen=True, eq=False)
class _Nights:
    scored: Scored
    rules: RestRules
    periods: list[RestPeriod]

    def __iter__(self) -> Iterator[Night]:
        window_of = (self.scored.labels() - np.timedelta64(12, "h")).astype("datetime64[D]")  # (m,)
        resting = {period.night_of for period in self.periods if not period.nap}
        found = [self._rest(period) for period in self.periods]
        windows, at = np.unique(window_of, return_inverse=True)
        scored_states = np.bincount(at, self.scored.states != UNSCORED)
        for window, held in zip(windows.tolist(), scored_states.tolist(), strict=True):
            if window not in resting:
                found.append(self._no_rest(window, held * self.scored.epoch_seconds / 3600))
        yield from sorted(found, key=lambda night: (night.night_of, night.nap))

    def _no_rest(self, night_of: date, hours: float) -> Night:
        why = self._why_no_rest(hours)
        return Night(
            night_of=night_of,
            start=None,
            end=None,
            onset=None,
            offset=None,
            valid=False,
            rest_period=self.rules.name,
            absent=why,
            metrics=all_missing(NIGHT_METRICS, why, logged=self.rules.logged),
        )

    def _why_no_rest(self, hours: float) -> Absence:
        if self.rules.logged:
            return absent(Reason.NO_SLEEP_LOG, "The log has no window of 3 hours or more for this night.")
        reason = Reason.TOO_MUCH_MISSING if hours < 16 else Reason.INSUFFICIENT_DATA
        shortest = float(self.rules.parameters["shortest_rest_minutes"]) / 60
        return absent(
            reason,
            f"No rest of {shortest:.3g} to 24 hours was found in {hours:.1f} scored hours from noon to noon.",
        )

    def _rest(self, period: RestPeriod) -> Night:
        first, end = max(period.first, 0), min(period.end, self.scored.states.size)
        asleep = first + np.flatnonzero(self.scored.states[first:end] == ASLEEP)
        why = self._why_invalid(period)
        return Night(
            night_of=period.night_of,
            start=self.scored.instant(period.first),
            end=self.scored.instant(period.end),
            onset=self.scored.instant(int(asleep[0])) if asleep.size else None,
            offset=self.scored.instant(int(asleep[-1]) + 1) if asleep.size else None,
            valid=why is None,
            nap=period.nap,
            rest_period=self.rules.name,
            absent=why,
            metrics=all_missing(NIGHT_METRICS, why, logged=self.rules.logged)
            if why
            else self._metrics(period),
        )

    def _why_invalid(self, period: RestPeriod) -> Absence | None:
        states = self.scored.states
        if self._is_cut(period):
            return absent(
                Reason.INSUFFICIENT_DATA, "The rest period runs into the start or end of the recording."
            )
        scored = float((states[period.first : period.end] != UNSCORED).mean())
        return CONTRACT[Need.SCORED_SHARE_OF_REST].shortfall(scored)

    def _is_cut(self, period: RestPeriod) -> bool:
        """Whether the rest may have begun before, or gone on after, what was scored of the recording."""
        states = self.scored.states
        if self.rules.logged:
            return period.first < 0 or period.end > states.size
        held = states != UNSCORED
        return not held[: period.first].any() or not held[period.end :].any()

    def _metrics(self, period: RestPeriod) -> tuple[Metric, ...]:
        epochs, minutes = self.scored.held(slice(period.first, period.end))
        basis = Basis(
            self.scored.scorer,
            self.scored.parameters | {"rest_period": self.rules.name} | self.rules.parameters,
            epochs,
            minutes,
        )
        known, missing = self._values(period), self._absences()
        lacking = absent(
            Reason.INSUFFICIENT_DATA, _NO_IMMOBILE if MetricCode.MID_SLEEP in known else _NO_SLEEP
        )
        return tuple(
            Metric.known(code, known[code], basis)
            if code in known and code not in missing
            else Metric.missing(code, missing.get(code, lacking))
            for code in NIGHT_METRICS
        )

    def _values(self, period: RestPeriod) -> dict[MetricCode, float]:
        seconds = self.scored.epoch_seconds
        states = self.scored.states[period.first : period.end]
        values = night_values(states, seconds)
        asleep = period.first + np.flatnonzero(states == ASLEEP)
        if not asleep.size:
            return values
        onset, offset = int(asleep[0]), int(asleep[-1]) + 1
        middle = self.scored.local((onset + offset) / 2)
        clock = {
            MetricCode.MID_SLEEP: (middle - datetime.combine(middle, time())).total_seconds() / 3600,
            MetricCode.SLEEP_ONSET_LATENCY: (onset - period.first) * seconds / 60,
        }
        broken = fragmentation_values(
            self.scored.states[onset:offset], self.scored.counts[onset:offset], seconds
        )
        return values | clock | broken

    def _absences(self) -> dict[MetricCode, Absence]:
        """What is absent on every night of this recording."""
        why: dict[MetricCode, Absence] = {}
        if not self.rules.logged:
            why[MetricCode.SLEEP_ONSET_LATENCY] = absent(Reason.NO_SLEEP_LOG)
        if moved := zone_absence(self.scored.recording):
            why[MetricCode.MID_SLEEP] = moved
        if self.scored.scorer is not SleepScorer.OAKLEY:
            why[MetricCode.ACTIWARE_FRAGMENTATION_INDEX] = absent(
                Reason.UNIT_NOT_SUPPORTED, "Actiware's mobile epochs are defined for Actiwatch counts."
            )
        if Flag.CONSTANT_FLOOR in self.scored.recording.flags:
            floor = "The device hardly ever reports zero, so epochs without movement cannot be told."
            why |= {code: absent(Reason.INSUFFICIENT_DATA, floor) for code in MOVEMENT_METRICS}
        return why
