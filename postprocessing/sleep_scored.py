"""Scoring a recording: the scorer of its unit, applied to the worn epochs at the length that it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal

import numpy as np

from postprocessing.absence import Absence, Reason, absent
from postprocessing.analysis import Parameters
from postprocessing.sleep_scorers import (
    OAKLEY_THRESHOLDS,
    UNSCORED,
    States,
    actiware_automatic_threshold,
    cole_kripke,
    oakley,
    sadeh,
    webster,
)
from preprocessing.calendar import Labels, after, elapsed_seconds, wall_clock, zone_of
from preprocessing.recording import BoolArray, FloatArray, Recording, RecordingError, Refusal
from preprocessing.units import SleepScorer, validity

__all__ = [
    "LogEntry",
    "Rescoring",
    "RestRule",
    "Scored",
    "SleepOptions",
    "Threshold",
    "check_options",
    "scored",
]

Threshold = Literal["low", "medium", "high", "automatic"]
Rescoring = Literal["none", "webster"]
RestRule = Literal["hlrb", "tudor-locke"]

LONGEST_LOGGED = timedelta(hours=24)


@dataclass(frozen=True)
class LogEntry:
    """One window of a sleep log, a night or a nap: aware as the recording is."""

    in_bed: datetime
    out_of_bed: datetime


@dataclass(frozen=True)
class SleepOptions:
    """What a caller may choose of sleep.

    ``threshold`` is Oakley's; ``rest`` defaults to the HLRB-like rule and has no place beside a ``log``.
    ``free_days`` are the ISO weekdays (1 Monday to 7 Sunday) whose morning follows a free night.
    """

    scorer: SleepScorer | None = None  # default: the one of the recording's unit
    threshold: Threshold = "medium"
    rescoring: Rescoring = "none"
    rest: RestRule | None = None
    log: tuple[LogEntry, ...] = ()
    free_days: frozenset[int] = frozenset({6, 7})


def check_options(recording: Recording, options: SleepOptions) -> None:
    """Raise RecordingError ``invalid_field`` where ``options`` contradict each other or the recording."""
    chosen = _scorer_of(recording, options)
    if options.threshold != "medium" and chosen not in (None, SleepScorer.OAKLEY):
        raise _misfit("threshold", "expected no threshold beside a scorer that has none; leave it out")
    if options.rest is not None and options.log:
        raise _misfit("rest", "expected a sleep log or a rule for rest periods, found both; leave one out")
    if not options.free_days <= set(range(1, 8)):
        raise _misfit("free_days", "expected ISO weekdays, 1 for Monday to 7 for Sunday")
    _check_log(recording, sorted(options.log, key=_in_bed) if _same_clock(recording, options.log) else None)


def _scorer_of(recording: Recording, options: SleepOptions) -> SleepScorer | None:
    return options.scorer or next(iter(validity(recording.unit, recording.wear_site).sleep_scorers), None)


def _misfit(where: str, message: str) -> RecordingError:
    return RecordingError(Refusal.INVALID_FIELD, message, where=where)


def _same_clock(recording: Recording, log: tuple[LogEntry, ...]) -> bool:
    naive = recording.start.tzinfo is None
    return all((at.tzinfo is None) == naive for entry in log for at in (entry.in_bed, entry.out_of_bed))


def _in_bed(entry: LogEntry) -> datetime:
    return entry.in_bed


def _check_log(recording: Recording, log: list[LogEntry] | None) -> None:
    if log is None:
        raise _misfit(
            "sleep_log",
            "expected times with a zone for a recording that has one, and without for one without",
        )
    for entry in log:
        if not timedelta() < _length(entry) <= LONGEST_LOGGED:
            raise _misfit("sleep_log", "expected each window to end after it begins, within 24 hours")
        if _ends_by(entry.out_of_bed, recording.start) or _ends_by(recording.end, entry.in_bed):
            raise _misfit("sleep_log", "expected each window to touch the recording, found one outside it")
    if any(not _ends_by(one.out_of_bed, later.in_bed) for one, later in pairwise(log)):
        raise _misfit("sleep_log", "expected windows that do not overlap, found two that do")


def _length(entry: LogEntry) -> timedelta:
    return timedelta(seconds=elapsed_seconds(entry.in_bed, entry.out_of_bed))


def _ends_by(end: datetime, begin: datetime) -> bool:
    return elapsed_seconds(end, begin) >= 0


@dataclass(frozen=True, eq=False)
class Scored:
    """Sleep/wake states (m,) of a recording and the worn counts (m,) behind them, at the scorer's resolution.

    ``factor`` recording epochs make one state; state i covers the recording's epochs [i * factor, (i + 1) *
    factor).
    """

    recording: Recording
    states: States
    counts: FloatArray
    epoch_seconds: int
    factor: int
    scorer: SleepScorer
    parameters: Parameters

    def instant(self, state: float) -> datetime:
        """Return when ``state`` began; it may be a half, or lie outside the recording."""
        return after(self.recording.start, timedelta(seconds=state * self.epoch_seconds))

    def local(self, state: float) -> datetime:
        """Return what the clock of the recording's zone showed when ``state`` began, without zone."""
        instant, zone = self.instant(state), self.recording.zone
        return (instant.astimezone(zone_of(zone)) if zone else instant).replace(tzinfo=None)

    def labels(self) -> Labels:
        """Local labels datetime64[s] (m,) of the states' starts."""
        seconds = np.arange(self.states.size, dtype=np.int64) * self.epoch_seconds
        return wall_clock(self.recording.start, self.recording.zone, seconds)

    def held(self, which: slice | BoolArray) -> tuple[int, float]:
        """What some of the states rest on: scored epochs of the recording, and worn minutes."""
        scored_states = int((self.states[which] != UNSCORED).sum())
        worn_states = int((~np.isnan(self.counts[which])).sum())
        return scored_states * self.factor, worn_states * self.epoch_seconds / 60


def scored(recording: Recording, worn: BoolArray, options: SleepOptions) -> Scored | Absence:
    """Score a recording's ``worn`` (n,) epochs with the scorer of its unit, or another allowed for it.

    Raises RecordingError ``invalid_field`` for options that do not fit.
    """
    check_options(recording, options)
    allowed = validity(recording.unit, recording.wear_site)
    if allowed.no_sleep_reason is not None:
        return absent(allowed.no_sleep_reason)
    chosen = options.scorer or allowed.sleep_scorers[0]
    if chosen not in allowed.sleep_scorers:
        return absent(
            Reason.UNIT_NOT_SUPPORTED, f"The scorer {chosen.value} is not defined for {recording.unit.value}."
        )
    seconds = _scoring_epoch(chosen, recording.epoch_seconds)
    if seconds is None or recording.epochs * recording.epoch_seconds < seconds:
        return absent(
            Reason.INSUFFICIENT_DATA,
            f"The scorer {chosen.value} needs minutes; the epochs are {recording.epoch_seconds} s long.",
        )
    factor = seconds // recording.epoch_seconds
    counts = _sum_up(np.where(worn, recording.values, np.nan), factor)
    found = _apply(chosen, counts, seconds, options)
    if isinstance(found, Absence):
        return found
    states, parameters = _rescored(*found, seconds, options.rescoring)
    return Scored(recording, states, counts, seconds, factor, chosen, parameters)


def _scoring_epoch(scorer: SleepScorer, epoch_seconds: int) -> int | None:
    if scorer is SleepScorer.OAKLEY and epoch_seconds in (15, 30):
        return epoch_seconds
    return 60 if 60 % epoch_seconds == 0 else None


def _sum_up(counts: FloatArray, factor: int) -> FloatArray:
    """Add up ``factor`` epochs each; a sum with a missing epoch is missing, a remainder is left out."""
    whole = counts.size // factor * factor
    sums: FloatArray = counts[:whole].reshape(-1, factor).sum(axis=1)
    return sums


_MINUTE_SCORERS: dict[SleepScorer, tuple[Callable[[FloatArray], States], Parameters]] = {
    SleepScorer.COLE_KRIPKE: (cole_kripke, {"sleep_below": 1.0}),
    SleepScorer.SADEH: (sadeh, {"sleep_above": -4.0}),
}


def _apply(
    scorer: SleepScorer, counts: FloatArray, epoch_seconds: int, options: SleepOptions
) -> tuple[States, Parameters] | Absence:
    scored_at: Parameters = {"scored_epoch_seconds": epoch_seconds}
    if scorer is not SleepScorer.OAKLEY:
        rule, parameters = _MINUTE_SCORERS[scorer]
        return rule(counts), scored_at | parameters
    threshold = (
        actiware_automatic_threshold(counts, epoch_seconds)
        if options.threshold == "automatic"
        else OAKLEY_THRESHOLDS[options.threshold]
    )
    if threshold is None:
        return absent(
            Reason.INSUFFICIENT_DATA,
            "The automatic threshold needs movement; no epoch has 4 counts a minute.",
        )
    above: Parameters = {"threshold": options.threshold, "wake_above": threshold}
    return oakley(counts, epoch_seconds, threshold), scored_at | above


def _rescored(
    states: States, parameters: Parameters, epoch_seconds: int, rescoring: Rescoring
) -> tuple[States, Parameters]:
    if rescoring == "none":
        return states, parameters | {"rescoring": "none"}
    order: Parameters = {
        "rescoring": "webster",
        "rescoring_order": "a, b, c on the scored wake; then d; then e",
    }
    return webster(states, epoch_seconds), parameters | order
