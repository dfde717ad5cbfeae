"""The data's whole way on one screen: a Recording goes in, an Analysis comes out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pat_runner.account import (
    AnalyzeOptions,
    ModelCard,
    provenance_of,
    quality_of,
    summary_of,
)
from pat_runner.engines import Want
from pat_runner.runner import Encoded, Outcome, Rejected
from postprocessing import activity, circadian, sleep
from postprocessing.absence import Absence, Reason, absent
from postprocessing.analysis import (
    Activity,
    Analysis,
    Quality,
    Rhythm,
    Series,
    Sleep,
    WeekResult,
)
from postprocessing.explanation import Explanation, explained
from postprocessing.left_out import left_out
from postprocessing.resampled_days import with_activity_intervals, with_day_intervals
from postprocessing.series import series_of
from postprocessing.uncertainty import with_night_intervals
from preprocessing.calendar import midnights
from preprocessing.recording import Recording, RecordingError, Refusal
from preprocessing.scaling import WEEK_MINUTES, Calibration, Scaling, per_recording
from preprocessing.stations import passed, station
from preprocessing.units import validity
from preprocessing.wear import Wear, assess
from preprocessing.week import Week, resolves_minutes, weeks_of

__all__ = [
    "MAX_MISSING_FRACTION",
    "FloatWeeks",
    "RunnerPort",
    "RunnerUnavailable",
    "analyze",
    "explain",
    "no_weeks",
    "shortest",
    "standardise",
]

WEEK_DAYS = 7
MAX_MISSING_FRACTION = 0.30  # of a week's minutes; more and PAT is absent (project choice)
FloatWeeks = npt.NDArray[np.float32]  # (N, 10_080)


class RunnerUnavailable(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """The runner has no proven weights, cannot be reached, or answers with other weights than pinned."""


class RunnerPort(Protocol):
    """Where weeks are computed: in this process, or in the runner service."""

    async def run(self, weeks: FloatWeeks, want: Want) -> list[Outcome]:
        """Encode standardised ``weeks`` (N, T); one outcome per week. Raises RunnerUnavailable."""
        ...


async def analyze(
    recording: Recording, options: AnalyzeOptions, runner: RunnerPort, model: ModelCard
) -> Analysis:
    """Analyse one recording; raises RunnerUnavailable, and whatever the runner's admission raises.

    Raises RecordingError ``invalid_field`` for options of sleep that do not fit the recording.
    """
    _check(recording, options)
    wear, weeks = await asyncio.to_thread(_worn_weeks, recording, options)
    encoding = asyncio.create_task(_weeks(recording, weeks, options, runner, model))
    try:
        await asyncio.sleep(0)  # an overloaded runner refuses within this step, before more is computed
        if encoding.done():
            encoding.result()
        found = await asyncio.to_thread(_found, recording, wear, options)
        results, absence = await encoding
    finally:
        encoding.cancel()
    return Analysis(
        recording=summary_of(recording),
        quality=found.quality,
        sleep=found.sleep,
        rhythm=found.rhythm,
        activity=found.activity,
        series=found.series,
        weeks=results,
        weeks_absent=absence,
        provenance=provenance_of(recording, options, model),
    )


async def explain(
    recording: Recording, options: AnalyzeOptions, runner: RunnerPort, model: ModelCard
) -> Explanation:
    """Show where in each week of ``recording`` PAT's last layer looked; raises as ``analyze`` does."""
    _, weeks = await asyncio.to_thread(_worn_weeks, recording, options)
    results, absence = await _weeks(recording, weeks, replace(options, profile=True), runner, model)
    return Explanation(weeks=tuple(map(explained, results)), weeks_absent=absence, model=model.provenance())


def _check(recording: Recording, options: AnalyzeOptions) -> None:
    if options.clinical:
        sleep.check_options(recording, options.sleep())
        return
    kept = {name: getattr(options, name) for name in ("clinical", "wear", "profile", "stride_days")}
    if options != AnalyzeOptions(**kept):
        reason = "expected no option of sleep, intervals or series where clinical numbers are left out"
        raise RecordingError(Refusal.INVALID_FIELD, reason, where="clinical")


@station("pat.wear")
def _worn_weeks(recording: Recording, options: AnalyzeOptions) -> tuple[Wear, list[Week]]:
    wear = assess(recording, options.wear)
    return wear, weeks_of(recording, wear.worn, options.stride_days)


@dataclass(frozen=True)
class _Found:
    """What is found in a recording itself, while PAT reads its weeks."""

    quality: Quality
    sleep: Sleep
    rhythm: Rhythm
    activity: Activity
    series: Series | None


@station("pat.clinical")
def _found(recording: Recording, wear: Wear, options: AnalyzeOptions) -> _Found:
    quality = quality_of(recording, wear)
    sections = (
        _clinical(recording, wear, options)
        if options.clinical
        else left_out(recording.unit, quality.valid_days)
    )
    series = series_of(recording, wear.worn, options.sleep()) if options.series else None
    return _Found(quality, *sections, series)


def _clinical(recording: Recording, wear: Wear, options: AnalyzeOptions) -> tuple[Sleep, Rhythm, Activity]:
    slept = sleep.summarise(recording, wear.worn, options.sleep())
    rhythm = circadian.summarise(recording, wear.worn)
    moved = activity.summarise(recording, wear.worn)
    if not options.intervals:
        return slept, rhythm, moved
    return (
        with_night_intervals(slept),
        with_day_intervals(rhythm, recording, wear.worn),
        with_activity_intervals(moved, recording, wear.worn),
    )


async def _weeks(
    recording: Recording, weeks: Sequence[Week], options: AnalyzeOptions, runner: RunnerPort, model: ModelCard
) -> tuple[tuple[WeekResult, ...], Absence | None]:
    if absence := no_weeks(recording, weeks):
        return (), absence
    usable = [week for week in weeks if week.missing_fraction <= MAX_MISSING_FRACTION]
    scaled, calibration = standardise(usable, recording, model.scaling)
    encoded = await runner.run(scaled, Want(profile=options.profile)) if usable else []
    outcomes = dict(zip(map(id, usable), encoded, strict=True))
    return _results(weeks, calibration, outcomes, model), None


@station("pat.standardise")
def standardise(
    weeks: Sequence[Week], recording: Recording, scaling: Scaling | None
) -> tuple[FloatWeeks, Calibration]:
    """Standardise by the checkpoint's cohort if the device is the cohort's, else each week by itself."""
    counts = np.array([week.counts for week in weeks], np.float32).reshape(-1, WEEK_MINUTES)  # (N, 10_080)
    if scaling and scaling.matches(recording.unit, recording.device, recording.wear_site):
        passed(counts, Calibration.REFERENCE_COHORT)
        return scaling.apply(counts), Calibration.REFERENCE_COHORT
    passed(counts, Calibration.PER_RECORDING)
    return per_recording(counts), Calibration.PER_RECORDING


def no_weeks(recording: Recording, weeks: Sequence[Week]) -> Absence | None:
    """Say why PAT has nothing to read in ``recording``; None where it has."""
    allowed = validity(recording.unit, recording.wear_site)
    if allowed.no_pat_reason:
        return absent(allowed.no_pat_reason, "PAT reads activity counts per minute.")
    if not resolves_minutes(recording):
        return absent(
            Reason.INSUFFICIENT_DATA, f"PAT needs minutes; the epochs are {recording.epoch_seconds} s long."
        )
    if not weeks:
        return absent(Reason.INSUFFICIENT_DATA, _days_to_come(recording))
    return None


def _days_to_come(recording: Recording) -> str:
    """What is lacking to a week, in words that a wearer can act on."""
    days = max(0, len(midnights(recording)) - 1)
    lacking = WEEK_DAYS - days
    return (
        f"PAT needs {WEEK_DAYS} days in a row from local midnight to local midnight; the recording has "
        f"{days} of {WEEK_DAYS}: wear the device {lacking} more {'day' if lacking == 1 else 'days'}."
    )


@station("pat.postprocess")
def _results(
    weeks: Sequence[Week], calibration: Calibration, outcomes: Mapping[int, Outcome], model: ModelCard
) -> tuple[WeekResult, ...]:
    """Say of each week what came of it; ``outcomes`` are by the identity of the week."""
    return tuple(_result(week, calibration, outcomes.get(id(week)), model) for week in weeks)


def _result(week: Week, calibration: Calibration, outcome: Outcome | None, model: ModelCard) -> WeekResult:
    encoded = outcome if isinstance(outcome, Encoded) else None
    profile = encoded.profile if encoded else None
    return WeekResult(
        start=week.start,
        end=week.end,
        dst_transition=week.dst_transition,
        dropped_repeated_minutes=week.dropped_minutes,
        missing_fraction=week.missing_fraction,
        calibration=calibration.value,
        embedding=None if encoded is None else shortest(encoded.pooled),
        patch_minutes=model.patch_minutes if profile is not None else None,
        attention_received=None if profile is None else shortest(profile),
        predictions_absent=absent(Reason.NO_HEAD),
        absent=None if encoded else _why_not(week, outcome),
    )


def shortest(numbers: npt.NDArray[np.float32]) -> tuple[float, ...]:
    """Return float32 ``numbers`` (k,) as the shortest decimals that are the same float32."""
    return tuple(float(str(number)) for number in numbers)


def _why_not(week: Week, outcome: Outcome | None) -> Absence:
    if isinstance(outcome, Rejected):
        return absent(Reason.INSUFFICIENT_DATA, outcome.detail)
    limit = f"limit {MAX_MISSING_FRACTION:.0%}"
    return absent(
        Reason.TOO_MUCH_MISSING, f"{week.missing_fraction:.0%} of the week's minutes are missing ({limit})."
    )
