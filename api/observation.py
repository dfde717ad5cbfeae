"""The desk, observed: what went into the model and came out is counted and written down, never as values.

Every inference leaves one line of the log ``pat.inference``: which weights on which engine, how many weeks,
how much was missing (in steps of a twentieth), how it ended and how long it took. Where the service has keys
the line has fingerprints of input and output as well: keyed, so that whoever has the recording and not the
key can neither make nor recognise one. Without keys there are none: a plain digest would name a recording.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiohttp
import numpy as np
import numpy.typing as npt

from api.access import current_access
from api.caching import Analysed, CachedRunner
from api.desk import Desk
from api.requests import FhirWish
from api.weeks import Embedded, EmbedOrder
from models.checkpoint import CheckpointError
from pat_runner.account import PIPELINE, AnalyzeOptions, ModelCard
from pat_runner.drift import Drift
from pat_runner.engines import Want
from pat_runner.pipeline import FloatWeeks, RunnerPort, RunnerUnavailable
from pat_runner.runner import Encoded, Outcome
from postprocessing.analysis import Analysis, Metric, WeekResult
from postprocessing.explanation import Explanation
from preprocessing.recording import Recording
from preprocessing.scaling import Calibration, Weeks
from preprocessing.stations import station, watching
from serving import under_way
from serving.model_telemetry import DriftTelemetry, InferenceTelemetry, inferences_of_process

__all__ = ["ObservedDesk", "Observer"]

log = logging.getLogger("pat.inference")
_STEP = 0.05
_MARK_BYTES = 16


@dataclass
class _Record:
    """One inference on its way."""

    verb: str
    outcome: str = "done"
    weeks: int = 0
    encoded: int = 0
    missing: float | None = None
    calibration: str = ""
    reasons: set[str] = field(default_factory=set)
    went_in: bytes = b""
    came_out: bytes = b""


class Observer:
    """What observes the inferences of one process; ``key`` marks what went in and came out."""

    def __init__(self, model: ModelCard | CheckpointError, key: bytes = b"") -> None:
        self._model, self._key = model, key
        self.told: InferenceTelemetry = inferences_of_process()
        drifts = DriftTelemetry()
        self._drift = Drift(model.reference if isinstance(model, ModelCard) else None, drifts.drifted)
        self._held = drifts.holds

    @contextmanager
    def inference(self, verb: str) -> Iterator[_Record]:
        """Record what is done meanwhile, however it ends."""
        record, began = _Record(verb), time.perf_counter()
        try:
            with watching(partial(self._saw, record)):
                yield record
        except Exception as error:
            record.outcome = type(error).__name__
            if isinstance(error, (RunnerUnavailable, aiohttp.ClientError)):
                self.told.ended("unavailable", max(1, record.weeks))
            raise
        finally:
            self._write(record, time.perf_counter() - began)

    def analysed(self, record: _Record, analysis: Analysis) -> None:
        """Note what came of a recording."""
        self._of_weeks(record, analysis.weeks)
        record.went_in = analysis.provenance.input_sha256.encode()
        record.reasons |= {analysis.weeks_absent.reason.value} if analysis.weeks_absent else set()
        self.told.absent(_absences(analysis))

    def explained(self, record: _Record, explanation: Explanation) -> None:
        """Note the weeks that were explained."""
        shown = sum(week.attention_received is not None for week in explanation.weeks)
        record.weeks, record.encoded = len(explanation.weeks), shown

    def embedded(self, record: _Record, rows: Sequence[npt.NDArray[np.float32]], embedded: Embedded) -> None:
        """Note what came of rows of weeks."""
        outcomes = embedded.outcomes
        record.weeks, record.calibration = len(outcomes), embedded.calibration.value
        self._of_outcomes(record, outcomes)
        if self._key:
            record.went_in = _digest(rows)
            record.came_out = _digest(
                [outcome.pooled for outcome in outcomes if isinstance(outcome, Encoded)]
            )
        if embedded.calibration is Calibration.REFERENCE_COHORT:
            self._drift.came_out(_stacked([made.pooled for made in outcomes if isinstance(made, Encoded)]))

    def _saw(self, record: _Record, weeks: Weeks, calibration: Calibration) -> None:
        """See raw weeks on their way into the model."""
        record.weeks, record.calibration = len(weeks), calibration.value
        shares = 1 - np.isnan(weeks).mean(axis=1)
        for share in map(float, shares):
            self.told.valid(share)
        if calibration is Calibration.REFERENCE_COHORT:
            self._drift.went_in(weeks)
            self._held(len(self._drift))

    def _of_weeks(self, record: _Record, weeks: Sequence[WeekResult]) -> None:
        found = [week.embedding for week in weeks if week.embedding is not None]
        record.weeks, record.encoded = len(weeks), len(found)
        record.reasons |= {week.absent.reason.value for week in weeks if week.absent}
        if weeks:
            record.missing = sum(week.missing_fraction for week in weeks) / len(weeks)
        embeddings = _stacked(found)
        record.came_out = _digest([embeddings]) if self._key and found else b""
        self.told.ended("rejected", len(weeks) - len(found))
        if record.calibration == Calibration.REFERENCE_COHORT.value:
            self._drift.came_out(embeddings)

    def _of_outcomes(self, record: _Record, outcomes: Sequence[Outcome]) -> None:
        record.encoded = _encoded(outcomes)
        record.reasons |= {outcome.code for outcome in outcomes if not isinstance(outcome, Encoded)}
        self.told.ended("rejected", len(outcomes) - record.encoded)

    def _write(self, record: _Record, seconds: float) -> None:
        model, request = self._model, under_way.current()
        made: dict[str, Any] = {
            "verb": record.verb,
            "outcome": record.outcome,
            "weeks": record.weeks,
            "encoded": record.encoded,
            "missing_share": None
            if record.missing is None
            else round(round(record.missing / _STEP) * _STEP, 2),
            "calibration": record.calibration or None,
            "reasons": sorted(record.reasons),
            "pipeline": PIPELINE,
            "ms": round(seconds * 1000, 1),
            "input": self._mark(record.went_in),
            "output": self._mark(record.came_out),
        }
        if isinstance(model, ModelCard):
            named = {"checkpoint": model.checkpoint, "sha256": model.sha256}
            made |= {**named, "engine": model.engine, "precision": str(model.precision)}
        if request is not None and request.cache:
            made["cache"] = request.cache
        log.info("inference", extra={"fields": made})

    def _mark(self, content: bytes) -> str | None:
        """Return the fingerprint of ``content``, other for each tenant; None without a key."""
        if not (self._key and content):
            return None
        access = current_access()
        tenant = access.caller.tenant.encode() if access else b""
        return hmac.new(self._key, tenant + b"\0" + content, hashlib.sha256).digest()[:_MARK_BYTES].hex()


def _digest(arrays: Sequence[npt.NDArray[np.float32]]) -> bytes:
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(np.ascontiguousarray(array, "<f4").tobytes())
    return whole.digest()


def _stacked(rows: Sequence[Sequence[float] | npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    return np.array(rows, np.float32) if rows else np.empty((0, 1), np.float32)


def _absences(analysis: Analysis) -> Counter[str]:
    """Count the reasons for which PAT or a metric is absent."""
    sections = (analysis.sleep, analysis.rhythm, analysis.activity)
    metrics: list[Metric] = [metric for section in sections for metric in section.metrics]
    absences = [metric.absent for metric in metrics] + [week.absent for week in analysis.weeks]
    return Counter(one.reason.value for one in (*absences, analysis.weeks_absent) if one is not None)


@dataclass
class _Counted:
    """A runner below the cache, and how many weeks it encoded."""

    runner: RunnerPort
    told: InferenceTelemetry
    encoded: int = 0

    async def run(self, weeks: FloatWeeks, want: Want) -> list[Outcome]:
        """Encode weeks."""
        outcomes = await self.runner.run(weeks, want)
        encoded = _encoded(outcomes)
        self.encoded += encoded
        self.told.ended("encoded", encoded)
        return outcomes


@dataclass(eq=False)
class _ObservedRunner(CachedRunner):
    """A runner behind the cache; what it answers without computing it is counted apart."""

    runner: _Counted

    async def _run(self, weeks: FloatWeeks, want: Want, fill: Any) -> list[Outcome]:
        before = self.runner.encoded
        outcomes = await super()._run(weeks, want, fill)
        self.runner.told.ended("cached", _encoded(outcomes) - (self.runner.encoded - before))
        return outcomes


def _encoded(outcomes: Sequence[Outcome]) -> int:
    return sum(isinstance(outcome, Encoded) for outcome in outcomes)


@dataclass(frozen=True, kw_only=True)
class ObservedDesk(Desk):
    """A desk whose inferences are observed; otherwise it answers as a Desk does."""

    observer: Observer

    def _runner(self) -> CachedRunner:
        """Return the runner behind the cache, for one request."""
        counted = _Counted(self.runner, self.observer.told)
        return _ObservedRunner(counted, self.card, self.caching)

    async def _made(self, what: Analysed) -> Analysis:
        """Make an analysis that the cache does not have."""
        with self.observer.inference("analyze") as record:
            analysis = await super()._made(what)
            self.observer.analysed(record, analysis)
        return analysis

    async def explain(self, recording: Recording, options: AnalyzeOptions) -> Explanation:
        """Show where in its weeks PAT looked."""
        with self.observer.inference("explain") as record:
            explanation = await super().explain(recording, options)
            self.observer.explained(record, explanation)
        return explanation

    async def embed(self, order: EmbedOrder) -> Embedded:
        """Encode weeks."""
        with self.observer.inference("embed") as record:
            embedded = await super().embed(order)
            self.observer.embedded(record, order.rows, embedded)
        return embedded

    @station("pat.report")
    async def report(self, recording: Recording, options: AnalyzeOptions) -> str:
        """Analyse one recording and say it as one HTML page."""
        return await super().report(recording, options)

    @station("pat.fhir")
    async def in_fhir(self, analysis: Analysis, recording: Recording, wish: FhirWish) -> dict[str, Any]:
        """Say an analysis in FHIR R4."""
        return await super().in_fhir(analysis, recording, wish)
