"""Several recordings through the pipeline at once, so that their weeks reach the engine in one call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pat_runner.account import AnalyzeOptions, ModelCard
from pat_runner.engines import Want
from pat_runner.pipeline import FloatWeeks, RunnerUnavailable, analyze
from pat_runner.runner import Outcome, Runner
from postprocessing.analysis import Analysis
from preprocessing.recording import Recording

__all__ = ["analyze_together"]


async def analyze_together(
    recordings: Sequence[Recording], options: AnalyzeOptions, runner: Runner, model: ModelCard
) -> list[Analysis | Exception]:
    """Return, for each of ``recordings``, what ``pipeline.analyze`` returns or raises.

    The weeks are encoded in the order of ``recordings``, whichever is ready first. Raises RunnerUnavailable
    where the engine fails, for then it is none of the recordings' fault.
    """
    gathering = _Gathering(runner, len(recordings))
    places = (_Place(gathering, number) for number in range(len(recordings)))
    analyses = (
        _analysis(place, recording, options, model)
        for place, recording in zip(places, recordings, strict=True)
    )
    results = await asyncio.gather(*analyses, return_exceptions=True)
    for result in results:
        if isinstance(result, RunnerUnavailable) or not isinstance(result, Analysis | Exception):
            raise result
    return [result for result in results if isinstance(result, Analysis | Exception)]


async def _analysis(
    place: _Place, recording: Recording, options: AnalyzeOptions, model: ModelCard
) -> Analysis:
    try:
        return await analyze(recording, options, place, model)
    finally:
        await place.leave()


@dataclass(frozen=True, eq=False)
class _Handed:
    """The weeks (N, T) of one recording, and where their outcomes go."""

    weeks: FloatWeeks
    want: Want
    outcomes: asyncio.Future[list[Outcome]]


class _Gathering:
    """Holds weeks until every recording has handed in its own or has none, then encodes all of them."""

    def __init__(self, runner: Runner, recordings: int) -> None:
        self._runner = runner
        self._expected = set(range(recordings))
        self._handed: dict[int, _Handed] = {}

    async def hand_in(self, number: int, handed: _Handed) -> None:
        self._handed[number] = handed
        await self.settle(number)

    async def settle(self, number: int) -> None:
        """Wait for no more from recording ``number``; the last one encodes what was handed in."""
        if number not in self._expected:
            return
        self._expected.discard(number)
        if not self._expected and self._handed:
            await self._encode([self._handed[number] for number in sorted(self._handed)])

    async def _encode(self, handed: Sequence[_Handed]) -> None:
        weeks = np.concatenate([one.weeks for one in handed])  # (N, T)
        wants = [one.want for one in handed for _ in one.weeks]
        try:
            outcomes = iter(await asyncio.to_thread(self._runner.run, weeks, wants))
        except Exception as error:
            for one in handed:
                one.outcomes.set_exception(RunnerUnavailable(f"the engine failed: {type(error).__name__}"))
            return
        for one in handed:
            one.outcomes.set_result([next(outcomes) for _ in one.weeks])


class _Place:
    """One recording's RunnerPort among the others'."""

    def __init__(self, gathering: _Gathering, number: int) -> None:
        self._gathering = gathering
        self._number = number

    async def run(self, weeks: FloatWeeks, want: Want) -> list[Outcome]:
        """Hand in ``weeks`` (N, T), and return their outcomes once all are encoded."""
        outcomes: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        await self._gathering.hand_in(self._number, _Handed(weeks, want, outcomes))
        return await outcomes

    async def leave(self) -> None:
        """Say that no weeks will come, if none came."""
        await self._gathering.settle(self._number)
