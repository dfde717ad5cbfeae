"""The de-identified document (``pat-deidentified/1``): what of one recording's answer may leave for research.

It has the sections of the Analysis and less in each. What a field may hold and what is left out is decided
in deidentify.py.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from postprocessing.absence import Reason
from postprocessing.metrics import Kind, MetricCode

__all__ = [
    "SCHEMA",
    "STATEMENT",
    "DeidentifiedAbsence",
    "DeidentifiedActivity",
    "DeidentifiedAnalysis",
    "DeidentifiedMetric",
    "DeidentifiedModel",
    "DeidentifiedPerson",
    "DeidentifiedProvenance",
    "DeidentifiedQuality",
    "DeidentifiedRecording",
    "DeidentifiedRhythm",
    "DeidentifiedSleep",
    "Sex",
]

SCHEMA = "pat-deidentified/1"
STATEMENT = (
    "De-identified: what 45 CFR 164.514(b)(2) lists is left out and numbers are given in steps. Whether "
    "anybody could be recognised all the same is for an expert to determine. Research information computed "
    "from movement; not a diagnosis."
)
Sex = Literal["female", "male", "other", "unknown"]
Days = Annotated[int, Field(ge=0, le=30, json_schema_extra={"unit": "{#}"})]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class DeidentifiedPerson(_Part):
    """The person, as far as the sender describes one."""

    code: str | None = None
    """A random name for one project; only who holds the recordings can tell whose."""
    sex: Sex | None = None
    """As the sender gave it."""
    age_band: str | None = None
    """Ten years of age; 90+ for all above 89."""


class DeidentifiedRecording(_Part):
    """The recording, as far as it decides how to read the numbers."""

    unit: str | None
    """Quantity of the values."""
    wear_site: str | None
    """Where the device was worn."""
    epoch_seconds: Annotated[int, Field(json_schema_extra={"unit": "s"})] | None
    """Length of an epoch, if it is a usual one."""


class DeidentifiedQuality(_Part):
    """What the numbers rest on."""

    wear_rule: str | None
    """How worn time was told from the rest."""
    valid_days: Days
    """Local days with enough wear; 30 stands for 30 and more."""
    flags: tuple[str, ...]
    """What a reader must know of the recording."""


class DeidentifiedAbsence(_Part):
    """The reason for a number that is not there."""

    reason: Reason
    """The code."""


class DeidentifiedMetric(_Part):
    """One number of the whole recording in steps, or the reason why there is none."""

    code: MetricCode
    """Which number; the table of metrics defines it."""
    kind: Kind
    """How to read it."""
    value: float | None
    """The step; null with a reason in absent."""
    unit: str | None
    """UCUM unit of the value."""
    algorithm: str | None
    """What made it."""
    absent: DeidentifiedAbsence | None
    """Why there is no value."""


class DeidentifiedSleep(_Part):
    """Sleep: the scorer, the rule for rest periods and the medians of nights."""

    scorer: str | None
    """Algorithm that told sleep from wake."""
    rest_period: str | None
    """What found the rest intervals."""
    valid_nights: Days
    """Nights behind the medians; 30 stands for 30 and more."""
    metrics: tuple[DeidentifiedMetric, ...]
    """Medians over valid nights, and numbers of the whole recording."""
    absent: DeidentifiedAbsence | None
    """Why there is no sleep at all."""


class DeidentifiedRhythm(_Part):
    """Rest-activity rhythm of the whole recording."""

    metrics: tuple[DeidentifiedMetric, ...]
    """Numbers of the whole recording."""
    flags: tuple[str, ...]
    """What a reader must know of all of them."""


class DeidentifiedActivity(_Part):
    """Activity, means over valid days."""

    valid_days: Days
    """Local days with enough wear; 30 stands for 30 and more."""
    cut_points: str | None
    """Set of thresholds behind minutes of intensity."""
    metrics: tuple[DeidentifiedMetric, ...]
    """Means over valid days."""


class DeidentifiedModel(_Part):
    """The weights that were installed when the numbers were made."""

    sha256: str | None
    """Digest of the weights."""
    architecture: str | None
    """Form of the encoder."""
    engine: str | None
    """What computed the network."""
    precision: str | None
    """Arithmetic of the network's attention."""


class DeidentifiedProvenance(_Part):
    """Program, options and weights."""

    pipeline: str | None
    """Program and version."""
    options: dict[str, str | bool]
    """What was chosen that changes the numbers."""
    model: DeidentifiedModel | None
    """Which weights were installed."""


class DeidentifiedAnalysis(_Part):
    """What of one recording's answer may leave for research."""

    schema_: Literal["pat-deidentified/1"] = Field(default="pat-deidentified/1", alias="schema")
    """Name and version of this document's form."""
    statement: str = STATEMENT
    """What the document is and is not."""
    person: DeidentifiedPerson
    """What is said of the person."""
    recording: DeidentifiedRecording
    """What was recorded."""
    quality: DeidentifiedQuality
    """How well it was recorded."""
    sleep: DeidentifiedSleep
    """Sleep over nights."""
    rhythm: DeidentifiedRhythm
    """Rest-activity rhythm."""
    activity: DeidentifiedActivity
    """Volume and intensity of activity."""
    provenance: DeidentifiedProvenance
    """How the numbers were made."""
    dropped: dict[str, Annotated[int, Field(json_schema_extra={"unit": "{#}"})]]
    """How many fields of the Analysis that held something were left out, by why."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)  # beside those inherited
