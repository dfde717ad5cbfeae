"""The data's whole way on one screen: a Recording goes in, an Analysis comes out."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from models.checkpoint import Checkpoint
from pat_runner import engines
from pat_runner.runner import Encoded, Outcome, Rejected, Want
from postprocessing import circadian, sleep
from postprocessing.absence import Absence, Reason, absent
from postprocessing.analysis import (
    Analysis,
    ModelProvenance,
    Provenance,
    Quality,
    RecordingSummary,
    Rhythm,
    Sleep,
    WeekResult,
)
from postprocessing.explanation import Explanation, explained
from preprocessing.calendar import wall_clock_of
from preprocessing.recording import Recording
from preprocessing.scaling import Calibration, Scaling, per_recording
from preprocessing.units import SleepScorer, validity
from preprocessing.wear import Wear, WearMode, assess
from preprocessing.week import Week, resolves_minutes, weeks_of

__all__ = [
    "MAX_MISSING_FRACTION",
    "PIPELINE",
    "AnalyzeOptions",
    "ModelCard",
    "RunnerPort",
    "RunnerUnavailable",
    "analyze",
    "explain",
    "shortest",
]

PIPELINE = "pat-service/0.1.0"
MAX_MISSING_FRACTION = 0.30  # of a week's minutes; more and PAT is absent (project choice)
VALID_DAY_MINUTES = 960  # 16 h of wear in a 24 h wrist protocol
FloatWeeks = npt.NDArray[np.float32]  # (N, 10_080)


class RunnerUnavailable(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """The runner has no proven weights, cannot be reached, or answers with other weights than pinned."""


class RunnerPort(Protocol):
    """Where weeks are computed: in this process, or in the runner service."""

    async def run(self, weeks: FloatWeeks, want: Want) -> list[Outcome]:
        """Encode standardised ``weeks`` (N, T); one outcome per week. Raises RunnerUnavailable."""
        ...


@dataclass(frozen=True)
class AnalyzeOptions:
    """What a caller may choose; every choice is named in the answer."""

    wear: WearMode = WearMode.DETECT
    profile: bool = False  # the last layer's attention over each week
    scorer: SleepScorer | None = None  # default: the one of the recording's unit


@dataclass(frozen=True)
class ModelCard:
    """What the API process must know of the weights that the runner owns."""

    checkpoint: str
    sha256: str
    architecture: str
    patch_minutes: int
    source: str
    licence: str
    scaling: Scaling | None
    engine: str

    @classmethod
    def of(cls, tag: str, checkpoint: Checkpoint, engine: str) -> ModelCard:
        """Take the card from a verified checkpoint; raises UnknownEngine."""
        made, config = checkpoint.provenance, checkpoint.config
        return cls(
            checkpoint=tag,
            sha256=checkpoint.digest,
            architecture=config.name,
            patch_minutes=config.patch,
            source=made.source,
            licence=made.licence,
            scaling=checkpoint.scaling,
            engine=engines.chosen(engine),
        )

    def provenance(self) -> ModelProvenance:
        """Return what the Analysis prints about the weights."""
        return ModelProvenance(
            checkpoint=self.checkpoint,
            sha256=self.sha256,
            architecture=self.architecture,
            source=self.source,
            licence=self.licence,
            scaling_sha256=self.scaling.digest if self.scaling else None,
            scaling_cohort=self.scaling.cohort if self.scaling else None,
            engine=self.engine,
        )


async def analyze(
    recording: Recording, options: AnalyzeOptions, runner: RunnerPort, model: ModelCard
) -> Analysis:
    """Analyse one recording; raises RunnerUnavailable, and whatever the runner's admission raises."""
    wear = await asyncio.to_thread(assess, recording, options.wear)
    weeks = await asyncio.to_thread(weeks_of, recording, wear.worn)
    results, no_weeks = await _weeks(recording, weeks, options, runner, model)
    slept, rhythm = await asyncio.to_thread(_clinical, recording, wear, options)
    return Analysis(
        recording=_summary(recording),
        quality=_quality(recording, wear),
        sleep=slept,
        rhythm=rhythm,
        weeks=results,
        weeks_absent=no_weeks,
        provenance=_provenance(recording, options, model),
    )


async def explain(
    recording: Recording, options: AnalyzeOptions, runner: RunnerPort, model: ModelCard
) -> Explanation:
    """Show where in each week of ``recording`` PAT's last layer looked; raises as ``analyze`` does."""
    wear = await asyncio.to_thread(assess, recording, options.wear)
    weeks = await asyncio.to_thread(weeks_of, recording, wear.worn)
    results, no_weeks = await _weeks(recording, weeks, replace(options, profile=True), runner, model)
    return Explanation(weeks=tuple(map(explained, results)), weeks_absent=no_weeks, model=model.provenance())


def _clinical(recording: Recording, wear: Wear, options: AnalyzeOptions) -> tuple[Sleep, Rhythm]:
    slept = sleep.summarise(recording, wear.worn, options.scorer)
    return slept, circadian.summarise(recording, wear.worn)


async def _weeks(
    recording: Recording, weeks: Sequence[Week], options: AnalyzeOptions, runner: RunnerPort, model: ModelCard
) -> tuple[tuple[WeekResult, ...], Absence | None]:
    if no_weeks := _no_weeks(recording, weeks):
        return (), no_weeks
    scaled, calibration = standardise(
        [week for week in weeks if not _too_much_missing(week)], recording, model.scaling
    )
    outcomes = iter(await runner.run(scaled, Want(profile=options.profile)) if len(scaled) else ())
    return tuple(
        _result(week, calibration, None if _too_much_missing(week) else next(outcomes), model)
        for week in weeks
    ), None


def standardise(
    weeks: Sequence[Week], recording: Recording, scaling: Scaling | None
) -> tuple[FloatWeeks, Calibration]:
    """Standardise by the checkpoint's cohort if the device is the cohort's, else each week by itself."""
    counts = (
        np.stack([week.counts for week in weeks]) if weeks else np.empty((0, 10_080), np.float32)
    )  # (N, 10_080)
    if scaling and scaling.matches(recording.unit, recording.device, recording.wear_site):
        return scaling.apply(counts), Calibration.REFERENCE_COHORT
    return per_recording(counts) if len(counts) else counts, Calibration.PER_RECORDING


def _no_weeks(recording: Recording, weeks: Sequence[Week]) -> Absence | None:
    allowed = validity(recording.unit, recording.wear_site)
    if allowed.no_pat_reason:
        return absent(allowed.no_pat_reason, "PAT reads activity counts per minute.")
    if not resolves_minutes(recording):
        return absent(
            Reason.INSUFFICIENT_DATA, f"PAT needs minutes; the epochs are {recording.epoch_seconds} s long."
        )
    if not weeks:
        needed = "PAT needs 7 days from local midnight to local midnight"
        return absent(Reason.INSUFFICIENT_DATA, f"{needed}; the recording has {recording.days:.1f} days.")
    return None


def _too_much_missing(week: Week) -> bool:
    return week.missing_fraction > MAX_MISSING_FRACTION


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


def _summary(recording: Recording) -> RecordingSummary:
    return RecordingSummary(
        source_format=recording.source_format,
        start=recording.start,
        end=recording.end,
        zone=recording.zone,
        epoch_seconds=recording.epoch_seconds,
        epochs=recording.epochs,
        unit=recording.unit,
        device=recording.device,
        wear_site=recording.wear_site,
    )


def _quality(recording: Recording, wear: Wear) -> Quality:
    recorded, tidying = recording.recorded, recording.tidying
    return Quality(
        wear_rule=wear.rule,
        wear_minutes=recording.minutes_of(wear.worn),
        nonwear_minutes=recording.minutes_of(recorded & ~wear.worn),
        not_recorded_minutes=recording.minutes_of(~recorded),
        valid_days=valid_days(recording, wear),
        unsorted_samples=tidying.unsorted,
        duplicate_samples=tidying.duplicates,
        conflicting_samples=tidying.conflicts,
        inserted_epochs=tidying.gaps,
        flags=tuple(sorted(recording.flags | wear.flags)),
    )


def valid_days(recording: Recording, wear: Wear) -> int:
    """Count the local calendar days with at least 16 h of wear."""
    days = wall_clock_of(recording)[wear.worn].astype("datetime64[D]")
    _, epochs = np.unique(days, return_counts=True)
    return int((epochs * recording.epoch_seconds >= VALID_DAY_MINUTES * 60).sum())


def _provenance(recording: Recording, options: AnalyzeOptions, model: ModelCard) -> Provenance:
    return Provenance(
        pipeline=PIPELINE,
        input_sha256=content_digest(recording),
        options={
            "wear": options.wear.value,
            "profile": options.profile,
            "scorer": options.scorer or "by unit",
        },
        model=model.provenance(),
    )


def content_digest(recording: Recording) -> str:
    """SHA-256 of what was recorded, the same for every file format that carries it."""
    label = "|".join(
        [
            recording.start.isoformat(),
            recording.zone or "wall",
            str(recording.epoch_seconds),
            recording.unit,
            recording.device,
            recording.wear_site,
        ]
    )
    wear = b"" if recording.wear is None else np.packbits(recording.wear).tobytes()
    return hashlib.sha256(label.encode() + recording.values.astype("<f8").tobytes() + wear).hexdigest()
