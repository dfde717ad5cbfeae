"""The desk: where a verb becomes an answer. BentoML's APIs and the REST routes both come here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from api.requests import EmbedRequest
from models.checkpoint import CheckpointError
from pat_runner.account import AnalyzeOptions, ModelCard
from pat_runner.engines import Want
from pat_runner.pipeline import (
    MAX_MISSING_FRACTION,
    RunnerPort,
    RunnerUnavailable,
    analyze,
    explain,
    shortest,
)
from pat_runner.runner import Encoded, Outcome
from postprocessing import fhir, report
from postprocessing.analysis import Analysis
from postprocessing.explanation import Explanation
from preprocessing.recording import Recording, RecordingError, Refusal
from preprocessing.scaling import WEEK_MINUTES, Calibration, per_recording
from preprocessing.units import Device, Unit, WearSite
from serving.settings import Settings

__all__ = ["Desk", "FhirWish"]

Rows = npt.NDArray[np.float32]  # (N, T)


@dataclass(frozen=True)
class FhirWish:
    """What a caller wants of the Bundle; ``subject`` is passed through, never looked up."""

    kind: Literal["collection", "transaction"] = "collection"
    subject: str | None = None


@dataclass(frozen=True)
class Desk:
    """Answers with one model; without a proven one every verb raises RunnerUnavailable."""

    settings: Settings
    runner: RunnerPort
    model: ModelCard | CheckpointError

    @property
    def card(self) -> ModelCard:
        """The model, or RunnerUnavailable when its checkpoint is missing or damaged."""
        if isinstance(self.model, CheckpointError):
            raise RunnerUnavailable(
                "the pinned weights are missing or damaged; the operator's log names the cause"
            )
        return self.model

    async def analyze(self, recording: Recording, options: AnalyzeOptions) -> Analysis:
        """Analyse one recording."""
        return await analyze(recording, options, self.runner, self.card)

    async def explain(self, recording: Recording, options: AnalyzeOptions) -> Explanation:
        """Show where in its weeks PAT looked."""
        return await explain(recording, options, self.runner, self.card)

    async def bundle(self, recording: Recording, options: AnalyzeOptions, wish: FhirWish) -> dict[str, Any]:
        """Analyse one recording and say it in FHIR R4."""
        analysis = await self.analyze(recording, options)
        return await asyncio.to_thread(fhir.bundle, analysis, recording, self._fhir_options(wish))

    async def report(self, recording: Recording, options: AnalyzeOptions) -> str:
        """Analyse one recording and say it as one HTML page."""
        analysis = await self.analyze(recording, options)
        return await asyncio.to_thread(report.page, analysis, recording)

    def _fhir_options(self, wish: FhirWish) -> fhir.BundleOptions:
        return fhir.BundleOptions(
            kind=wish.kind,
            subject=wish.subject,
            canonical_base=self.settings.fhir_canonical_base,
            organization=self.settings.organization,
            issued=datetime.now(UTC),
        )

    async def embed(self, request: EmbedRequest) -> dict[str, Any]:
        """Encode weeks; the answer lists one result per row, in order."""
        rows, calibration = await asyncio.to_thread(self._standardised, request)
        outcomes = await self.runner.run(rows, Want(profile=request.profile, tokens=request.tokens))
        return {
            "model": self.card.provenance().model_dump(),
            "calibration": calibration.value,
            "patch_minutes": self.card.patch_minutes,
            "weeks": [_embedded(outcome) for outcome in outcomes],
        }

    def _standardised(self, request: EmbedRequest) -> tuple[Rows, Calibration]:
        if request.standardized:
            _refuse_device_fields(request)
            return _stacked(request.rows(), multiple_of=self.card.patch_minutes), Calibration.CALLER
        raw = _raw_weeks(request.rows())
        source = (
            _member(Unit, request.unit, "unit"),
            _member(Device, request.device, "device"),
            _member(WearSite, request.wear_site, "wear_site"),
        )
        scaling = self.card.scaling
        if scaling and scaling.matches(*source):
            return scaling.apply(raw), Calibration.REFERENCE_COHORT
        return per_recording(raw), Calibration.PER_RECORDING


def _embedded(outcome: Outcome) -> dict[str, Any]:
    if not isinstance(outcome, Encoded):
        return {"embedding": None, "error": {"code": outcome.code, "detail": outcome.detail}}
    profile, tokens = outcome.profile, outcome.tokens
    return {
        "embedding": shortest(outcome.pooled),
        **({} if profile is None else {"attention_received": shortest(profile)}),
        **({} if tokens is None else {"tokens": tokens.tolist()}),
    }


def _stacked(rows: Sequence[Rows], *, multiple_of: int) -> Rows:
    lengths = {row.size for row in rows}
    if len(lengths) != 1 or 0 in lengths or lengths.pop() % multiple_of:
        expected = f"rows of one length, a multiple of {multiple_of} minutes (a week has {WEEK_MINUTES})"
        raise _wrong_weeks(f"expected {expected}")
    stacked = np.stack(rows)
    if not np.isfinite(stacked).all():
        raise _wrong_weeks("expected standardised rows without null; a missing minute is 0")
    return stacked


def _raw_weeks(rows: Sequence[Rows]) -> Rows:
    if any(row.size != WEEK_MINUTES for row in rows):
        raise _wrong_weeks(f"expected raw rows of {WEEK_MINUTES} minutes from local midnight")
    raw = np.stack(rows)
    if bool((raw < 0).any()):
        raise _wrong_weeks("expected counts of at least 0; a missing minute is null")
    if float(np.isnan(raw).mean(axis=1).max()) > MAX_MISSING_FRACTION:
        raise _wrong_weeks(f"expected rows with at most {MAX_MISSING_FRACTION:.0%} of the minutes missing")
    return raw


def _wrong_weeks(message: str) -> RecordingError:
    return RecordingError(Refusal.INVALID_FIELD, message, where="weeks")


def _refuse_device_fields(request: EmbedRequest) -> None:
    if request.unit or request.device or request.wear_site:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected no unit, device or wear_site with standardized rows, for they would be ignored",
            where="standardized",
        )


def _member(kind: Any, name: str | None, where: str) -> Any:
    try:
        return kind(name)
    except ValueError:
        code = Refusal.UNKNOWN_UNIT if kind is Unit else Refusal.INVALID_FIELD
        raise RecordingError(code, f"expected one of {', '.join(kind)} for raw rows", where=where) from None
