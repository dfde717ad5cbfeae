"""What an answer says of itself: what came in, how well it was recorded, and what made the numbers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from models.checkpoint import Checkpoint
from models.reference import Reference
from pat_runner import engines
from pat_runner.engines import EngineOptions, Precision
from pat_runner.runner import Maker
from postprocessing.analysis import ModelProvenance, Provenance, Quality, RecordingSummary
from postprocessing.sleep_scored import LogEntry, Rescoring, RestRule, SleepOptions, Threshold
from postprocessing.valid_days import ValidDays
from preprocessing.recording import Recording
from preprocessing.scaling import Scaling
from preprocessing.units import SleepScorer
from preprocessing.wear import Wear, WearMode

__all__ = [
    "PIPELINE",
    "AnalyzeOptions",
    "ModelCard",
    "content_digest",
    "minutes_of_sources",
    "provenance_of",
    "quality_of",
    "summary_of",
    "valid_days",
]

PIPELINE = "pat-service/0.1.0"


@dataclass(frozen=True)
class AnalyzeOptions:
    """What a caller may choose; every choice is named in the answer."""

    wear: WearMode = WearMode.DETECT
    profile: bool = False  # the last layer's attention over each week
    scorer: SleepScorer | None = None  # default: the one of the recording's unit
    threshold: Threshold = "medium"  # of Oakley's scorer
    rescoring: Rescoring = "none"
    rest: RestRule | None = None  # default: the HLRB-like rule
    sleep_log: tuple[LogEntry, ...] = ()
    clinical: bool = True  # sleep, rhythm and activity; without them only weeks and their embeddings
    stride_days: int = 7  # from the start of one week to that of the next, 1 to 7
    intervals: bool = False  # bootstrap intervals of the numbers over nights and days
    series: bool = False  # the states behind the numbers, run-length coded

    def sleep(self) -> SleepOptions:
        """Return those of sleep."""
        return SleepOptions(self.scorer, self.threshold, self.rescoring, self.rest, self.sleep_log)


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
    precision: Precision
    reference: Reference | None = None

    @classmethod
    def of(cls, tag: str, checkpoint: Checkpoint, options: EngineOptions) -> ModelCard:
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
            engine=engines.chosen(options.name),
            precision=options.precision,
            reference=checkpoint.reference,
        )

    @property
    def maker(self) -> Maker:
        """What must have made an outcome that this card describes."""
        return Maker(self.sha256, self.engine, self.precision)

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
            precision=self.precision,
        )


def summary_of(recording: Recording) -> RecordingSummary:
    """Say what was analysed."""
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
        sources=minutes_of_sources(recording),
    )


def minutes_of_sources(recording: Recording) -> dict[str, float]:
    """Minutes that each source gave most of, by name; empty for a recording of one device."""
    if recording.source is None:
        return {}
    masks = {name: recording.source == place for place, name in enumerate(recording.sources)}
    return {name: recording.minutes_of(mask) for name, mask in masks.items() if mask.any()}


def quality_of(recording: Recording, wear: Wear) -> Quality:
    """Say what the numbers rest on."""
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
        overlapping_samples=tidying.overlaps,
        set_aside_samples=tidying.set_aside,
        flags=tuple(sorted(recording.flags | wear.flags)),
    )


def valid_days(recording: Recording, wear: Wear) -> int:
    """Count the local calendar days with at least 16 h of wear, or 10 h on the hip."""
    return ValidDays.of(recording, wear.worn).count


def provenance_of(recording: Recording, options: AnalyzeOptions, model: ModelCard) -> Provenance:
    """Say how the answer was made."""
    return Provenance(
        pipeline=PIPELINE,
        input_sha256=content_digest(recording),
        options={
            "wear": options.wear.value,
            "clinical": options.clinical,
            "profile": options.profile,
            "scorer": options.scorer or "by unit",
            "threshold": options.threshold,
            "rescoring": options.rescoring,
            "rest": "sleep log" if options.sleep_log else options.rest or "hlrb",
            "sleep_log_windows": len(options.sleep_log),
            "stride_days": options.stride_days,
            "intervals": options.intervals,
            "series": options.series,
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
