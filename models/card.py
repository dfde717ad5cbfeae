"""The card of a checkpoint, ``checkpoint.json``: what its other files are, and what gives them meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.config import HeadConfig
from models.reference import INPUT, OUTPUT, InputName, OutputName
from preprocessing.units import Device, Unit, WearSite

__all__ = ["Card", "CheckpointProvenance", "File", "ReferenceCard", "ScalingCard", "StatisticCard"]


@dataclass(frozen=True)
class CheckpointProvenance:
    """Where weights come from; ``created`` is an ISO date, ``source_sha256`` that of the imported file."""

    source: str
    licence: str
    created: str
    source_sha256: str | None = None
    note: str = ""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, from_attributes=True)


class File(_Strict):
    """How long another file is, and its digest."""

    bytes: int
    sha256: str


class ScalingCard(_Strict):
    """Whose weeks the scaling is of; its numbers are in a file."""

    unit: Unit
    device: Device
    wear_site: WearSite
    cohort: str
    n: int


class StatisticCard(_Strict):
    """One statistic of the cohort."""

    mean: float
    sd: Annotated[float, Field(ge=0)]


class ReferenceCard(_Strict):
    """What weeks of the cohort and their embeddings are like."""

    cohort: str
    n: Annotated[int, Field(gt=1)]
    input: Annotated[dict[InputName, StatisticCard], Field(min_length=len(INPUT))]
    output: Annotated[dict[OutputName, StatisticCard], Field(min_length=len(OUTPUT))]


class Card(_Strict):
    """All that is said of a checkpoint beside its numbers."""

    format: Literal["pat-checkpoint/2"]
    name: str
    architecture: str
    digest: str
    provenance: CheckpointProvenance
    heads: tuple[HeadConfig, ...]
    scaling: ScalingCard | None
    files: dict[str, File]
    reference: ReferenceCard | None = None
