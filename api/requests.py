"""The request models: strict types, no unknown field, input never repeated in an error.

Types are checked here; meaning (units, zones, ranges) is checked once by preprocessing.readers, so that a
file and a request are refused with the same code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from api.weeks import MAX_WEEKS, EmbedOrder
from pat_runner.account import AnalyzeOptions
from pat_runner.engines import Want
from pat_runner.sleep_log import MOST_WINDOWS, entries
from preprocessing.readers.canonical import CanonicalFields, from_fields, values_of
from preprocessing.readers.hints import MAX_EPOCHS
from preprocessing.recording import Recording
from preprocessing.stations import station
from preprocessing.units import SleepScorer
from preprocessing.wear import WearMode

__all__ = [
    "FHIR_JSON",
    "EmbedRequest",
    "ExplainRequest",
    "FhirRequest",
    "FhirWish",
    "Options",
    "RecordingRequest",
]

FHIR_JSON = "application/fhir+json"

MAX_JOURNEYS = 1000
Text = Annotated[str, Field(max_length=128)]
Texts = Annotated[list[Text], Field(max_length=MAX_EPOCHS, fail_fast=True)]
Value = Annotated[float, Field(allow_inf_nan=False)] | None
Row = Annotated[list[Value], Field(max_length=100_800, fail_fast=True)]


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


class WeekOptions(_Request):
    """How wear is found, and how far apart the weeks start."""

    wear: Literal["detect", "as_recorded", "choi2011", "troiano2008"] = "detect"
    stride_days: Annotated[int, Field(ge=1, le=7)] = 7

    def chosen(self, _: Recording) -> AnalyzeOptions:
        """Return the pipeline's options for a recording."""
        return AnalyzeOptions(wear=WearMode(self.wear), stride_days=self.stride_days)


class SleepWindow(_Request):
    """One window of a sleep log."""

    in_bed: Text
    out_of_bed: Text


class Options(WeekOptions):
    """All that may be chosen: also how sleep is scored and found, and what is added to the answer."""

    clinical: bool = True
    profile: bool = False
    scorer: Literal["oakley-actiware", "cole-kripke-actigraph", "sadeh-actigraph"] | None = None
    threshold: Literal["low", "medium", "high", "automatic"] = "medium"
    rescoring: Literal["none", "webster"] = "none"
    rest: Literal["hlrb", "tudor-locke"] | None = None
    sleep_log: Annotated[list[SleepWindow], Field(max_length=MOST_WINDOWS, fail_fast=True)] = []
    intervals: bool = False
    series: bool = False

    def chosen(self, recording: Recording) -> AnalyzeOptions:
        """Return the pipeline's options for a recording; RecordingError for a log that is none."""
        pairs = [(window.in_bed, window.out_of_bed) for window in self.sleep_log]
        return replace(
            super().chosen(recording),
            clinical=self.clinical,
            profile=self.profile,
            scorer=None if self.scorer is None else SleepScorer(self.scorer),
            threshold=self.threshold,
            rescoring=self.rescoring,
            rest=self.rest,
            sleep_log=entries(pairs, recording.zone),
            intervals=self.intervals,
            series=self.series,
        )


class Travel(_Request):
    """From an instant on the wearer's clock showed another zone."""

    from_: Text = Field(alias="from")
    zone: Text


class _RecordingFields(_Request):
    start: Text | None = None
    timestamps: Texts | None = None
    ends: Texts | None = None
    sources: Texts | None = None
    ids: Texts | None = None
    sampling: Literal["irregular"] | None = None
    travel: Annotated[list[Travel], Field(max_length=MAX_JOURNEYS, fail_fast=True)] = []
    zone: Text | None = None
    clock: Literal["wall"] | None = None
    epoch_seconds: int | None = None
    unit: Text | None = None
    device: Text | None = None
    wear_site: Text | None = None
    values: Annotated[list[Value], Field(max_length=MAX_EPOCHS, fail_fast=True)]
    wear: Annotated[list[bool | None], Field(max_length=MAX_EPOCHS, fail_fast=True)] | None = None

    @station("pat.read")
    def recording(self) -> Recording:
        """Return the Recording these fields describe; raises RecordingError."""
        return from_fields(
            CanonicalFields(
                start=self.start,
                timestamps=self.timestamps,
                ends=self.ends,
                sources=self.sources,
                ids=self.ids,
                sampling=self.sampling,
                travel=[(change.from_, change.zone) for change in self.travel],
                zone=self.zone,
                clock=self.clock,
                epoch_seconds=self.epoch_seconds,
                unit=self.unit,
                device=self.device,
                wear_site=self.wear_site,
                values=values_of(self.values),
                wear=None
                if self.wear is None
                else np.array([flag is True for flag in self.wear], dtype=np.bool_),
            )
        )


class RecordingRequest(_RecordingFields):
    """One recording in the canonical form, with options."""

    options: Options = Options()


class ExplainRequest(_RecordingFields):
    """One recording whose weeks are to be explained."""

    options: WeekOptions = WeekOptions()


@dataclass(frozen=True)
class FhirWish:
    """What a caller wants of the Bundle; ``subject`` or ``identifier`` is passed through, never looked up."""

    kind: Literal["collection", "transaction"] = "collection"
    subject: str | None = None
    identifier: tuple[str, str] | None = None


class FhirRequest(RecordingRequest):
    """One recording, answered as a FHIR R4 Bundle."""

    subject: Annotated[str, Field(max_length=256)] | None = None
    return_: Literal["collection", "transaction"] = Field(default="collection", alias="return")

    def wish(self) -> FhirWish:
        """Return what is wanted of the Bundle."""
        return FhirWish(self.return_, self.subject)


class EmbedRequest(_Request):
    """Weeks for the encoder: ``standardized`` ones as they are, raw ones with unit, device and wear site."""

    weeks: Annotated[list[Row], Field(min_length=1, max_length=MAX_WEEKS, fail_fast=True)]
    standardized: bool
    unit: Text | None = None
    device: Text | None = None
    wear_site: Text | None = None
    profile: bool = False
    tokens: bool = False

    def order(self) -> EmbedOrder:
        """Return the rows as float32 vectors, null as NaN, with what goes with them."""
        return EmbedOrder(
            rows=[np.array(row, dtype=np.float64).astype(np.float32) for row in self.weeks],
            standardized=self.standardized,
            unit=self.unit,
            device=self.device,
            wear_site=self.wear_site,
            want=Want(self.profile, self.tokens),
        )
