"""The desk: where a verb becomes an answer. BentoML's APIs and the REST routes both come here."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from api.access import current_access
from api.cache_use import note
from api.caching import Analysed, CachedRunner, Caching, Finished
from api.requests import FhirWish
from api.weeks import Embedded, EmbedOrder, prepared
from models.checkpoint import CheckpointError
from pat_runner.account import AnalyzeOptions, ModelCard
from pat_runner.pipeline import RunnerPort, RunnerUnavailable, analyze, explain
from postprocessing import fhir, report
from postprocessing.analysis import Analysis
from postprocessing.explanation import Explanation
from preprocessing.recording import Recording
from serving.repeats import Repeats
from serving.settings import Settings

__all__ = ["Desk", "whose"]

T = TypeVar("T")
FEW_WEEKS = 4  # standardised in less time than a thread takes to start


def whose() -> str:
    """Return a name for the caller that is answered; the same for all where nobody is asked."""
    access = current_access()
    return json.dumps([access.caller.tenant, access.caller.uid]) if access else ""


@dataclass(frozen=True)
class Desk:
    """Answers with one model; without a proven one every verb raises RunnerUnavailable."""

    settings: Settings
    runner: RunnerPort
    model: ModelCard | CheckpointError
    repeats: Repeats = field(default_factory=Repeats)
    caching: Caching = field(default_factory=lambda: Caching(Settings()))

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
        return (await self.finished(recording, options)).analysis

    async def finished(self, recording: Recording, options: AnalyzeOptions) -> Finished:
        """Analyse one recording; the answer is JSON already."""
        what = Analysed(recording, options, self.card)
        return self._disclosed(await self.caching.analysis(what, partial(self._made, what)), 1)

    async def _made(self, what: Analysed) -> Analysis:
        """Make an analysis that the cache does not have."""
        return await analyze(what.recording, what.options, self._runner(), what.card)

    def _runner(self) -> CachedRunner:
        """Return the runner behind the cache, for one request."""
        return self.caching.runner(self.runner, self.card)

    async def explain(self, recording: Recording, options: AnalyzeOptions) -> Explanation:
        """Show where in its weeks PAT looked."""
        runner = self._runner()
        explanation = await explain(recording, options, runner, self.card)
        note(runner.use)
        return self._disclosed(explanation, 1)

    def _disclosed(self, answer: T, records: int) -> T:
        """Note for the audit trail what is about to be disclosed, and what made it."""
        if access := current_access():
            access.records, access.model = records, self.card.sha256
        return answer

    async def bundle(self, recording: Recording, options: AnalyzeOptions, wish: FhirWish) -> dict[str, Any]:
        """Analyse one recording and say it in FHIR R4; raises NotThere for another's subject.

        A result is issued once: what repeats it says when that was.
        """
        access = current_access()
        if wish.identifier and access:
            raise fhir.BundleOptionsError(
                "subject", "expected a reference such as Patient/id; send that instead"
            )
        if wish.subject and access:
            await access.about(wish.subject)
        return await self.in_fhir(await self.analyze(recording, options), recording, wish)

    async def in_fhir(self, analysis: Analysis, recording: Recording, wish: FhirWish) -> dict[str, Any]:
        """Say an analysis of ``recording`` in FHIR R4; who may see the subject has been asked."""
        wanted = self._fhir_options(wish)
        result = fhir.digest(analysis, wanted)
        issued = await self.repeats.first_issued(whose(), wish.subject or "", result)
        return await asyncio.to_thread(fhir.bundle, analysis, recording, replace(wanted, issued=issued))

    async def report(self, recording: Recording, options: AnalyzeOptions) -> str:
        """Analyse one recording and say it as one HTML page."""
        analysis = await self.analyze(recording, options)
        return await asyncio.to_thread(report.page, analysis, recording)

    def _fhir_options(self, wish: FhirWish) -> fhir.BundleOptions:
        return fhir.BundleOptions(
            kind=wish.kind,
            subject=wish.subject,
            subject_identifier=wish.identifier,
            canonical_base=self.settings.fhir_canonical_base,
            organization=self.settings.organization,
            issued=datetime.now(UTC),
        )

    async def embed(self, order: EmbedOrder) -> Embedded:
        """Encode weeks; the answer has one outcome per row, in order."""
        few = len(order.rows) <= FEW_WEEKS
        weeks = prepared(order, self.card) if few else await asyncio.to_thread(prepared, order, self.card)
        runner = self._runner()
        outcomes = await runner.run_once(weeks.good, order.want)
        note(runner.use)
        return self._disclosed(Embedded(weeks.whole(outcomes), weeks.calibration, self.card), len(order.rows))
