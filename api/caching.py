"""What is cached, and what decides it: the embedding of a week, and the whole analysis of a recording.

They are cached apart, so that what changes around PAT does not compute PAT again. A key holds everything that
decides the value, the code that makes it included; nothing of it can be told from the name it is kept under.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from api import code_digest
from api.cache_use import note, owner, wanted
from pat_runner.account import PIPELINE, AnalyzeOptions, ModelCard
from pat_runner.engines import Want
from pat_runner.pipeline import FloatWeeks, RunnerPort
from pat_runner.runner import Encoded, Outcome
from postprocessing.analysis import Analysis
from preprocessing.recording import Recording
from serving.cache import Use
from serving.sealed_cache import Filled, Made, SealedCache, Wanted
from serving.settings import Settings

__all__ = ["Analysed", "CachedRunner", "Caching", "Finished", "analysis_digest", "week_digest"]

_FEW_WEEKS = 4  # digested in less time than a thread takes to start, as are so many epochs
_FEW_EPOCHS = 50_000
_LENGTH = struct.Struct("<I")
_ANALYSIS, _EMBEDDING = "analysis", "embedding"


@dataclass(frozen=True, eq=False)
class Finished:
    """An analysis as the JSON that is answered, and as it was made, if it was made here."""

    json: bytes
    made: Analysis | None = None

    @property
    def analysis(self) -> Analysis:
        """The document."""
        return self.made or Analysis.model_validate_json(self.json)


@dataclass(frozen=True)
class Caching:
    """The cache of this process, if it has one, for what the desk computes."""

    settings: Settings
    cache: SealedCache | None = None
    code: str = field(default_factory=code_digest.pipeline)

    @property
    def degraded(self) -> bool:
        """Whether there is a cache that does not do what it should."""
        return self.cache is not None and self.cache.degraded

    async def analysis(self, what: Analysed, make: Callable[[], Awaitable[Analysis]]) -> Finished:
        """Return the analysis that is there, or that ``make`` makes, once for all who want it."""

        async def made() -> Made[Finished]:
            analysis = await make()
            finished = Finished(analysis.model_dump_json().encode(), analysis)
            return Made(finished, finished.json)

        if self.cache is None or not wanted():
            self._past(_ANALYSIS)
            return (await made()).value
        digest = await self._digest(what)
        seconds = self.settings.cache_analysis_seconds
        asked = Wanted(owner(), _ANALYSIS, what.card.sha256, [digest], seconds, Finished)
        filled = await self.cache.fill_once(asked, lambda _: _one(made()))
        note(filled.use)
        return filled.values[0]

    async def _digest(self, what: Analysed) -> bytes:
        if what.recording.epochs <= _FEW_EPOCHS:
            return analysis_digest(what, self.code)
        return await asyncio.to_thread(analysis_digest, what, self.code)

    def runner(self, runner: RunnerPort, card: ModelCard) -> CachedRunner:
        """Return ``runner`` behind the cache, for one request."""
        return CachedRunner(runner, card, self)

    def _past(self, kind: str) -> None:
        if self.cache is not None:
            self.cache.bypassed(kind)
        note(Use.BYPASS)


@dataclass(frozen=True, eq=False)
class Analysed:
    """What an analysis is of, and how it is to be made."""

    recording: Recording
    options: AnalyzeOptions
    card: ModelCard


@dataclass(eq=False)
class CachedRunner:
    """A RunnerPort that computes the weeks that were not computed before; ``use`` says how it went."""

    runner: RunnerPort
    card: ModelCard
    caching: Caching
    use: Use | None = None

    async def run(self, weeks: FloatWeeks, want: Want) -> list[Outcome]:
        """Encode standardised ``weeks`` (N, T); raises as the runner does."""
        return await self._run(weeks, want, SealedCache.fill)

    async def run_once(self, weeks: FloatWeeks, want: Want) -> list[Outcome]:
        """Do as ``run`` does, once for all who send the same weeks at a time."""
        return await self._run(weeks, want, SealedCache.fill_once)

    async def _run(self, weeks: FloatWeeks, want: Want, fill: Any) -> list[Outcome]:
        cache = self.caching.cache
        if cache is None or want.tokens or not wanted():  # tokens are five times as large as the week
            self.use = Use.BYPASS
            if cache is not None:
                cache.bypassed(_EMBEDDING)
            return await self.runner.run(weeks, want)

        async def make(missing: Sequence[int]) -> list[Made[Outcome]]:
            wanting = weeks if len(missing) == len(weeks) else weeks[list(missing)]
            return [Made(outcome, _kept(outcome)) for outcome in await self.runner.run(wanting, want)]

        digests = await self._digests(weeks, want)
        seconds = self.caching.settings.cache_embedding_seconds
        asked = Wanted(owner(), _EMBEDDING, self.card.sha256, digests, seconds, _outcome)
        filled: Filled[Outcome] = await fill(cache, asked, make)
        self.use = filled.use
        return list(filled.values)

    async def _digests(self, weeks: FloatWeeks, want: Want) -> list[bytes]:
        def work() -> list[bytes]:
            return [week_digest(week, want, self.card) for week in weeks]

        return work() if len(weeks) <= _FEW_WEEKS else await asyncio.to_thread(work)


async def _one(work: Awaitable[Made[Finished]]) -> list[Made[Finished]]:
    return [await work]


def _kept(outcome: Outcome) -> bytes | None:
    """Return embedding and profile as float32 behind the length of the first; of a refusal nothing."""
    if not isinstance(outcome, Encoded):
        return None
    parts = (outcome.pooled, np.empty(0) if outcome.profile is None else outcome.profile)
    return _LENGTH.pack(outcome.pooled.size) + b"".join(part.astype("<f4").tobytes() for part in parts)


def _outcome(kept: bytes) -> Outcome:
    (pooled,) = _LENGTH.unpack_from(kept)
    numbers = np.frombuffer(kept, "<f4", offset=_LENGTH.size).astype(np.float32, copy=False)
    return Encoded(numbers[:pooled], numbers[pooled:] if numbers.size > pooled else None)


def week_digest(week: FloatWeeks, want: Want, card: ModelCard) -> bytes:
    """Return the digest of all that decides the embedding of one standardised week (T,)."""
    maker = card.maker
    said = [maker.sha256, maker.engine, maker.precision, want.profile, week.size, code_digest.engines()]
    numbers = np.ascontiguousarray(week, dtype="<f4")
    return hashlib.sha256(json.dumps(said).encode() + b"\n" + numbers.tobytes()).digest()


def analysis_digest(what: Analysed, code: str) -> bytes:
    """Return the digest of all that decides an analysis: every field of the recording, every option."""
    digest = hashlib.sha256(json.dumps([PIPELINE, code, _model(what.card)]).encode())
    for holder in (what.recording, what.options):
        for each in fields(holder):
            told = _told(getattr(holder, each.name))
            digest.update(f"\n{each.name} {len(told)}\n".encode() + told)
    return digest.digest()


def _model(card: ModelCard) -> dict[str, Any]:
    return card.provenance().model_dump(mode="json")


def _told(value: Any) -> bytes:
    """Return bytes that differ where values differ, the same in every process."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str} {value.shape} ".encode() + np.ascontiguousarray(value).tobytes()
    return repr(sorted(map(str, value)) if isinstance(value, frozenset) else value).encode()
