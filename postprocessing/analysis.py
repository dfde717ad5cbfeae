"""The Analysis: the answer to one recording, as a document (``pat-analysis/1``).

Every number carries its unit and the algorithm that made it; a number that cannot be known is ``None`` with a
reason. The document never holds the raw series, a subject id or a device serial.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from postprocessing.absence import Absence
from postprocessing.metrics import METRICS, Kind, MetricCode

__all__ = [
    "SCHEMA",
    "STATEMENT",
    "Activity",
    "Analysis",
    "Basis",
    "Interval",
    "Metric",
    "ModelProvenance",
    "Night",
    "Parameters",
    "Prediction",
    "Provenance",
    "Quality",
    "RecordingSummary",
    "Rhythm",
    "Runs",
    "Series",
    "Sleep",
    "WeekResult",
]

SCHEMA = "pat-analysis/1"
STATEMENT = (
    "Research and wellness information computed from movement; not a diagnosis. "
    "Sleep is estimated from movement and has not been checked against polysomnography for this person."
)


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


Count = Annotated[int, Field(json_schema_extra={"unit": "{#}"})]
Minutes = Annotated[float, Field(json_schema_extra={"unit": "min"})]
Seconds = Annotated[int, Field(json_schema_extra={"unit": "s"})]
Share = Annotated[float, Field(json_schema_extra={"unit": "1"})]  # of 1
Parameters = dict[str, float | int | str | bool]


@dataclass(frozen=True)
class Basis:
    """What one or more metrics rest on: the algorithm, its parameters and the data it saw."""

    algorithm: str
    parameters: Parameters = field(default_factory=dict)
    epochs_used: int | None = None
    wear_minutes: float | None = None


class Interval(_Document):
    """How far a summary value would move if other nights or days had been recorded.

    It is no error of measurement: what the algorithm gets wrong every night it gets wrong here too.
    """

    low: float
    """Lower bound, in the metric's unit."""
    high: float
    """Upper bound; of a clock time the interval runs from low forward to high, over midnight if need be."""
    level: Share
    """Share of the resampled values between the bounds."""
    resamples: Count
    """Resamples that gave a value."""
    units: Count
    """Nights or days that were drawn from."""
    method: str
    """How it was made, what was drawn, and the seed."""


class Metric(_Document):
    """One number, or the reason why there is none.

    A ``quantity`` or ``count`` is in UCUM ``unit``; a ``clock_time`` in local decimal hours, 0 <= value < 24
    (``unit`` is then ``h``).
    """

    code: MetricCode
    """Which number; the table of metrics defines it."""
    kind: Kind
    """How to read it."""
    value: float | None
    """The number; null with a reason in absent."""
    unit: str
    """UCUM unit of the value."""
    algorithm: str | None = None
    """What made it."""
    parameters: Parameters = Field(default_factory=dict)
    """The algorithm's settings by name."""
    epochs_used: Annotated[int, Field(ge=0, json_schema_extra={"unit": "{#}"})] | None = None
    """Recorded epochs that it rests on."""
    wear_minutes: Annotated[float, Field(ge=0, json_schema_extra={"unit": "min"})] | None = None
    """Worn time that it rests on."""
    interval: Interval | None = None
    """Bootstrap interval of a summary, on request."""
    absent: Absence | None = None
    """Why there is no value."""

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
    """One rest period, named by the local date of its noon-to-noon window's start.

    Naps enter no median. A night without a rest period has no times and a reason; the metrics of one that is
    not ``valid`` are absent for the night's reason.
    """

    night_of: date
    """Local date on which its noon-to-noon window starts."""
    start: datetime | None
    """Start of the rest interval."""
    end: datetime | None
    """End of the rest interval."""
    onset: datetime | None
    """Start of the first sleep epoch."""
    offset: datetime | None
    """End of the last sleep epoch."""
    valid: bool
    """Whether it enters the medians, apart from naps."""
    nap: bool = False
    """A window of the sleep log beside the longest one of its day, or shorter than three hours."""
    rest_period: str | None = None
    """What found the rest interval: a sleep log, or a rule on movement."""
    absent: Absence | None = None
    """Why it is not valid."""
    metrics: tuple[Metric, ...] = ()
    """Its numbers, the same codes every night."""


class Sleep(_Document):
    """Sleep of the recording: the scorer, the rule for rest periods, the nights and their medians."""

    scorer: str | None
    """Algorithm that told sleep from wake; null where none fits the unit."""
    rest_period: str | None
    """What found the rest intervals."""
    valid_nights: Count
    """Nights behind the medians."""
    nights: tuple[Night, ...]
    """Every noon-to-noon window and nap."""
    metrics: tuple[Metric, ...]
    """Medians over valid nights, and numbers of the whole recording."""
    absent: Absence | None = None
    """Why there is no sleep at all."""


class Rhythm(_Document):
    """Rest-activity rhythm over the whole recording.

    Flag ``hip_worn``: a device that is taken off at night records zeros there, which push the relative
    amplitude towards 1.
    """

    metrics: tuple[Metric, ...]
    """Numbers of the whole recording."""
    flags: tuple[str, ...] = ()
    """What a reader must know of all of them."""


class Activity(_Document):
    """Volume and intensity of activity, means over valid days."""

    valid_days: Count
    """Local days with enough wear."""
    cut_points: str | None
    """Set of thresholds behind minutes of intensity; null where none fits the unit and site."""
    metrics: tuple[Metric, ...]
    """Means over valid days."""


class Runs(_Document):
    """A series, run-length coded: ``values[i]`` holds for ``lengths[i]`` epochs of ``epoch_seconds``."""

    start: datetime
    """Start of the first epoch."""
    epoch_seconds: Seconds
    """Length of an epoch."""
    values: tuple[int, ...]
    """What holds during each run."""
    lengths: tuple[Count, ...]
    """How many epochs each run lasts."""

    @model_validator(mode="after")
    def _one_length_per_value(self) -> Self:
        if len(self.values) != len(self.lengths) or any(length < 1 for length in self.lengths):
            raise ValueError("every value has a length of at least one epoch")
        return self


class Series(_Document):
    """What the numbers were made from, on request."""

    sleep: Runs | None
    """1 sleep, 0 wake, -1 unscored; null without a scorer."""
    wear: Runs
    """1 worn, 0 not worn or not recorded."""
    day_profile: tuple[float | None, ...]
    """Mean level per minute of each of the 1,440 clock minutes; null where never valid."""


class RecordingSummary(_Document):
    """What was analysed; a device serial or subject id never stands here."""

    source_format: str
    """Format of the input."""
    start: datetime
    """Start of the first epoch; without offset where the zone is unknown."""
    end: datetime
    """End of the last epoch."""
    zone: str | None
    """IANA zone or offset; null on wall clock."""
    epoch_seconds: Seconds
    """Length of an epoch."""
    epochs: Count
    """Number of epochs, recorded or not."""
    unit: str
    """Quantity of the values."""
    device: str
    """Device family."""
    wear_site: str
    """Where it was worn."""
    sources: dict[str, float] = Field(default_factory=dict, json_schema_extra={"unit": "min"})
    """Minutes that each source gave, where several may."""


class Quality(_Document):
    """What the numbers rest on: wear, gaps, disorder and everything the reader must know."""

    wear_rule: str
    """How worn time was told from the rest."""
    wear_minutes: Minutes
    """Worn time."""
    nonwear_minutes: Minutes
    """Recorded but not worn."""
    not_recorded_minutes: Minutes
    """Time within the recording that was not recorded."""
    valid_days: Count
    """Local days with at least 16 h of wear."""
    unsorted_samples: Count
    """Samples that came out of order and were sorted."""
    duplicate_samples: Count
    """Samples of a time that was there already."""
    conflicting_samples: Count
    """Duplicates whose value differed from the one kept."""
    inserted_epochs: Count
    """Epochs put in, as not recorded, to close gaps."""
    overlapping_samples: Count = 0
    """Cut or dropped because another sample covers their time."""
    set_aside_samples: Count = 0
    """Not of this quantity, too long, or without a time zone."""
    flags: tuple[str, ...]
    """What a reader must know of the recording."""


class Prediction(_Document):
    """A head's output for one week, with the evidence it stands on."""

    head: str
    """Name of the trained head."""
    probability: Share
    """Its output for the week."""
    threshold: Share
    """Where its label changes."""
    calibrated: bool
    """Whether the probability was calibrated on people like this."""
    evidence: str
    """Study, number of people and measured strength."""
    checkpoint: str
    """Store tag of the head's weights."""


class WeekResult(_Document):
    """PAT on one local week of 10,080 wall-clock minutes that starts at local midnight."""

    start: datetime
    """Local midnight that it begins at."""
    end: datetime
    """Local midnight that it ends at."""
    dst_transition: Literal["spring", "autumn"] | None
    """Clock change within it."""
    dropped_repeated_minutes: Count
    """Minutes of the repeated autumn hour that the grid has no place for."""
    missing_fraction: Share
    """Share of its minutes not recorded or not worn."""
    calibration: Literal["reference_cohort", "per_recording"]
    """What it was standardised by."""
    embedding: tuple[float, ...] | None
    """Mean over patches of the encoder's output (96 numbers)."""
    patch_minutes: Annotated[int, Field(json_schema_extra={"unit": "min"})] | None = None
    """Length of a patch."""
    attention_received: tuple[Share, ...] | None = None
    """Share of the last layer's attention each patch receives, on request; it explains no prediction."""
    predictions: tuple[Prediction, ...] = ()
    """Outputs of the installed heads."""
    predictions_absent: Absence | None = None
    """Why there are none."""
    absent: Absence | None = None
    """Why there is no embedding."""

    @model_validator(mode="after")
    def _embedding_or_reason(self) -> Self:
        if (self.embedding is None) == (self.absent is None):
            raise ValueError("a week holds either an embedding or a reason for its absence")
        if self.calibration != "reference_cohort" and any(head.calibrated for head in self.predictions):
            raise ValueError("a week scaled by itself carries no calibrated probability")
        return self


class ModelProvenance(_Document):
    """Which weights answered, and what they are."""

    checkpoint: str
    """Store tag, name:version."""
    sha256: str
    """Digest of the weights."""
    architecture: str
    """PAT-S, PAT-M, PAT-L or a Conv form."""
    source: str
    """Who trained it, on what."""
    licence: str
    """Licence of the weights."""
    scaling_sha256: str | None
    """Digest of the cohort's minute table."""
    scaling_cohort: str | None
    """Cohort behind it."""
    engine: str
    """What computed the network."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of the network's attention."""


class Provenance(_Document):
    """How the answer was made; the same input, options and versions give the same bytes."""

    pipeline: str
    """Program and version."""
    input_sha256: str
    """Digest of what was recorded, the same for every file format that carries it."""
    options: Parameters
    """What the caller chose, with defaults."""
    model: ModelProvenance | None
    """Which weights answered."""


class Analysis(_Document):
    """One recording's answer."""

    schema_: Literal["pat-analysis/1"] = Field(default="pat-analysis/1", alias="schema")
    """Name and version of this document's form."""
    statement: str = STATEMENT
    """What the document is not."""
    recording: RecordingSummary
    """What was analysed."""
    quality: Quality
    """How well it was recorded."""
    sleep: Sleep
    """Sleep, by night and over nights."""
    rhythm: Rhythm
    """Rest-activity rhythm."""
    activity: Activity
    """Volume and intensity of activity."""
    series: Series | None = None
    """What the numbers were made from, on request."""
    weeks: tuple[WeekResult, ...]
    """PAT on each local week."""
    weeks_absent: Absence | None = None
    """Why there is no week."""
    provenance: Provenance
    """How the answer was made."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)  # beside those inherited

    @model_validator(mode="after")
    def _weeks_or_reason(self) -> Self:
        if bool(self.weeks) == (self.weeks_absent is not None):
            raise ValueError("an analysis holds weeks or a reason for their absence")
        return self
