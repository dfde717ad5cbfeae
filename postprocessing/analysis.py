"""The Analysis: the answer to one recording, as a document (``pat-analysis/1``).

Every number carries its unit and the algorithm that made it; a number that cannot be known is ``None`` with a
reason. The document never holds the raw series, a subject id or a device serial.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from postprocessing.absence import Absence

__all__ = [
    "METRICS",
    "SCHEMA",
    "STATEMENT",
    "Analysis",
    "Basis",
    "Metric",
    "MetricCode",
    "MetricInfo",
    "ModelProvenance",
    "Night",
    "Parameters",
    "Prediction",
    "Provenance",
    "Quality",
    "RecordingSummary",
    "Rhythm",
    "Sleep",
    "WeekResult",
]

SCHEMA = "pat-analysis/1"
STATEMENT = (
    "Research and wellness information computed from movement; not a diagnosis. "
    "Sleep is estimated from movement and has not been checked against polysomnography for this person."
)


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MetricCode(StrEnum):
    """Every metric of the Analysis; labels, units and definitions stand in docs/clinical-metrics.md."""

    TIME_IN_BED = "time_in_bed"
    TOTAL_SLEEP_TIME = "total_sleep_time"
    SLEEP_EFFICIENCY = "sleep_efficiency"
    WAKE_AFTER_SLEEP_ONSET = "wake_after_sleep_onset"
    AWAKENINGS = "awakenings"
    SLEEP_ONSET_LATENCY = "sleep_onset_latency"
    INTERDAILY_STABILITY = "interdaily_stability"
    INTRADAILY_VARIABILITY = "intradaily_variability"
    RELATIVE_AMPLITUDE = "relative_amplitude"
    L5 = "l5"
    L5_ONSET = "l5_onset"
    M10 = "m10"
    M10_ONSET = "m10_onset"
    MESOR = "mesor"
    AMPLITUDE = "amplitude"
    ACROPHASE = "acrophase"
    COSINOR_R_SQUARED = "cosinor_r_squared"


Parameters = dict[str, float | int | str | bool]
Kind = Literal["quantity", "count", "clock_time"]


@dataclass(frozen=True)
class MetricInfo:
    """How a metric is named and read; ``unit`` None is the recording's level unit, as ``{counts}/min``."""

    label: str
    kind: Kind
    unit: str | None  # UCUM
    section: Literal["sleep", "rhythm"]


METRICS: dict[MetricCode, MetricInfo] = {
    MetricCode.TIME_IN_BED: MetricInfo("Time in bed", "quantity", "min", "sleep"),
    MetricCode.TOTAL_SLEEP_TIME: MetricInfo("Total sleep time", "quantity", "min", "sleep"),
    MetricCode.SLEEP_EFFICIENCY: MetricInfo("Sleep efficiency", "quantity", "%", "sleep"),
    MetricCode.WAKE_AFTER_SLEEP_ONSET: MetricInfo("Wake after sleep onset", "quantity", "min", "sleep"),
    MetricCode.AWAKENINGS: MetricInfo("Number of awakenings", "count", "{#}", "sleep"),
    MetricCode.SLEEP_ONSET_LATENCY: MetricInfo("Sleep onset latency", "quantity", "min", "sleep"),
    MetricCode.INTERDAILY_STABILITY: MetricInfo("Interdaily stability (IS)", "quantity", "1", "rhythm"),
    MetricCode.INTRADAILY_VARIABILITY: MetricInfo("Intradaily variability (IV)", "quantity", "1", "rhythm"),
    MetricCode.RELATIVE_AMPLITUDE: MetricInfo("Relative amplitude (RA)", "quantity", "1", "rhythm"),
    MetricCode.L5: MetricInfo("Mean level of the least active 5 hours (L5)", "quantity", None, "rhythm"),
    MetricCode.L5_ONSET: MetricInfo("Onset of the least active 5 hours", "clock_time", "h", "rhythm"),
    MetricCode.M10: MetricInfo("Mean level of the most active 10 hours (M10)", "quantity", None, "rhythm"),
    MetricCode.M10_ONSET: MetricInfo("Onset of the most active 10 hours", "clock_time", "h", "rhythm"),
    MetricCode.MESOR: MetricInfo("Cosinor mesor", "quantity", None, "rhythm"),
    MetricCode.AMPLITUDE: MetricInfo("Cosinor amplitude", "quantity", None, "rhythm"),
    MetricCode.ACROPHASE: MetricInfo("Cosinor acrophase", "clock_time", "h", "rhythm"),
    MetricCode.COSINOR_R_SQUARED: MetricInfo("Cosinor R squared", "quantity", "1", "rhythm"),
}


@dataclass(frozen=True)
class Basis:
    """What one or more metrics rest on: the algorithm, its parameters and the data it saw."""

    algorithm: str
    parameters: Parameters = field(default_factory=dict)
    epochs_used: int | None = None
    wear_minutes: float | None = None


class Metric(_Document):
    """One number, or the reason why there is none.

    ``kind`` says how to read ``value``: a ``quantity`` or ``count`` in UCUM ``unit``, or a ``clock_time`` in
    local decimal hours, 0 <= value < 24 (``unit`` is then ``h``). ``epochs_used`` and ``wear_minutes`` say
    what the number rests on.
    """

    code: MetricCode
    kind: Kind
    value: float | None
    unit: str
    algorithm: str | None = None
    parameters: Parameters = Field(default_factory=dict)
    epochs_used: Annotated[int, Field(ge=0)] | None = None
    wear_minutes: Annotated[float, Field(ge=0)] | None = None
    absent: Absence | None = None

    @model_validator(mode="after")
    def _either_value_or_reason(self) -> Self:
        if (self.value is None) == (self.absent is None):
            raise ValueError("a metric holds either a value or a reason for its absence")
        if self.value is not None and self.algorithm is None:
            raise ValueError("a value names the algorithm that made it")
        if self.kind == "clock_time" and self.value is not None and not 0 <= self.value < 24:
            raise ValueError("a clock time lies in [0, 24)")
        return self

    @classmethod
    def known(cls, code: MetricCode, value: float, basis: Basis, level_unit: str = "1") -> Self:
        """Build a metric that has a value; ``level_unit`` (UCUM) is for those in the recording's own unit."""
        info = METRICS[code]
        return cls(
            code=code,
            kind=info.kind,
            value=value,
            unit=info.unit or level_unit,
            algorithm=basis.algorithm,
            parameters=basis.parameters,
            epochs_used=basis.epochs_used,
            wear_minutes=basis.wear_minutes,
        )

    @classmethod
    def missing(cls, code: MetricCode, absence: Absence, level_unit: str = "1") -> Self:
        """Build a metric that has none, and says why."""
        info = METRICS[code]
        return cls(code=code, kind=info.kind, value=None, unit=info.unit or level_unit, absent=absence)

    @property
    def clock(self) -> str:
        """``value`` of a clock time as HH:MM:SS, rounded to the second."""
        if self.kind != "clock_time" or self.value is None:
            raise ValueError("not a clock time")
        seconds = math.floor(self.value * 3600 + 0.5) % 86_400
        return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


class Night(_Document):
    """One main rest period, named by the local date of its noon-to-noon window's start.

    ``start`` and ``end`` bound the rest interval (algorithmic unless a log was given); ``onset`` and
    ``offset`` the first sleep epoch and the end of the last. A night without a rest period has none of the
    four and a reason. ``metrics`` always holds the same codes; those of a night that is not ``valid`` are
    absent for the night's reason.
    """

    night_of: date
    start: datetime | None
    end: datetime | None
    onset: datetime | None
    offset: datetime | None
    valid: bool
    absent: Absence | None = None
    metrics: tuple[Metric, ...] = ()


class Sleep(_Document):
    """Sleep of the recording: the scorer, the rule for rest periods, the nights and their medians."""

    scorer: str | None
    rest_period: str | None
    valid_nights: int
    nights: tuple[Night, ...]
    metrics: tuple[Metric, ...]  # medians over valid nights
    absent: Absence | None = None


class Rhythm(_Document):
    """Rest-activity rhythm over the whole recording.

    ``flags`` says what a reader must know of all its numbers; ``hip_worn``: a device that is taken off at
    night records zeros there, which push the relative amplitude towards 1.
    """

    metrics: tuple[Metric, ...]
    flags: tuple[str, ...] = ()


class RecordingSummary(_Document):
    """What was analysed; a device serial or subject id never stands here."""

    source_format: str
    start: datetime
    end: datetime
    zone: str | None
    epoch_seconds: int
    epochs: int
    unit: str
    device: str
    wear_site: str
    sources: dict[str, float] = Field(
        default_factory=dict
    )  # minutes that each source gave, where several may


class Quality(_Document):
    """What the numbers rest on: wear, gaps, disorder and everything the reader must know."""

    wear_rule: str
    wear_minutes: float
    nonwear_minutes: float
    not_recorded_minutes: float
    valid_days: int
    unsorted_samples: int
    duplicate_samples: int
    conflicting_samples: int  # duplicates whose value differed from the one kept
    inserted_epochs: int
    overlapping_samples: int = 0  # cut or dropped because another sample covers their time
    set_aside_samples: int = 0  # not of this quantity, too long, or without a time zone
    flags: tuple[str, ...]


class Prediction(_Document):
    """A head's output for one week, with the evidence it stands on."""

    head: str
    probability: float
    threshold: float
    calibrated: bool
    evidence: str
    checkpoint: str


class WeekResult(_Document):
    """PAT on one local week of 10,080 wall-clock minutes that starts at local midnight.

    ``embedding`` (96,) is the mean over patches of the encoder's output. ``attention_received`` (T/P,), if
    asked for, is the share of the last layer's attention each patch receives; it sums to 1 and is not an
    attribution of any prediction. ``patch_minutes`` is the length of a patch.
    """

    start: datetime
    end: datetime
    dst_transition: Literal["spring", "autumn"] | None
    dropped_repeated_minutes: int
    missing_fraction: float
    calibration: Literal["reference_cohort", "per_recording"]
    embedding: tuple[float, ...] | None
    patch_minutes: int | None = None
    attention_received: tuple[float, ...] | None = None
    predictions: tuple[Prediction, ...] = ()
    predictions_absent: Absence | None = None
    absent: Absence | None = None

    @model_validator(mode="after")
    def _embedding_or_reason(self) -> Self:
        if (self.embedding is None) == (self.absent is None):
            raise ValueError("a week holds either an embedding or a reason for its absence")
        if self.calibration != "reference_cohort" and any(head.calibrated for head in self.predictions):
            raise ValueError("a week scaled by itself carries no calibrated probability")
        return self


class ModelProvenance(_Document):
    """Which weights answered, and what they are."""

    checkpoint: str  # store tag name:version
    sha256: str
    architecture: str  # PAT-S, PAT-M, PAT-L, PAT-Conv-...
    source: str
    licence: str
    scaling_sha256: str | None
    scaling_cohort: str | None
    engine: str


class Provenance(_Document):
    """How the answer was made; the same input, options and versions give the same bytes."""

    pipeline: str
    input_sha256: str
    options: Parameters
    model: ModelProvenance | None


class Analysis(_Document):
    """One recording's answer."""

    schema_: Literal["pat-analysis/1"] = Field(default="pat-analysis/1", alias="schema")
    statement: str = STATEMENT
    recording: RecordingSummary
    quality: Quality
    sleep: Sleep
    rhythm: Rhythm
    weeks: tuple[WeekResult, ...]
    weeks_absent: Absence | None = None
    provenance: Provenance

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True, serialize_by_alias=True
    )

    @model_validator(mode="after")
    def _weeks_or_reason(self) -> Self:
        if bool(self.weeks) == (self.weeks_absent is not None):
            raise ValueError("an analysis holds weeks or a reason for their absence")
        return self
