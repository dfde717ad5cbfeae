"""Recordings together: each gets what it would get alone, and their weeks are one call of the engine."""

import asyncio

import numpy as np
import pytest

from models.checkpoint import load
from pat_runner.account import AnalyzeOptions, ModelCard
from pat_runner.engines import EngineOptions
from pat_runner.pipeline import RunnerUnavailable, analyze
from pat_runner.runner import Encoded, Runner
from pat_runner.together import analyze_together
from preprocessing.recording import RecordingError
from preprocessing.units import Device, Unit, WearSite
from preprocessing.wear import WearMode
from tests.e2e.server import DEMO
from tests.pat_runner.test_pipeline import card, counts, recording


class SpyRunner:
    """Answers with the mean of each week, and remembers how many came at once."""

    def __init__(self, error=None):
        self.calls = []
        self._error = error

    def run(self, weeks, wants):
        self.calls.append([float(week.mean()) for week in weeks])
        if self._error:
            raise self._error
        assert len(weeks) == len(wants)
        return [Encoded(pooled=np.full(96, week.mean(), np.float32)) for week in weeks]


class AloneRunner:
    """The same runner, as the port of one recording."""

    def __init__(self, runner):
        self._runner = runner

    async def run(self, weeks, want):
        return self._runner.run(weeks, [want] * len(weeks))


def several():
    """Two, no and one week, each another."""
    days = (15, 3, 8)
    return [recording(n * 1440 + 400, values=counts(n * 1440 + 400, seed)) for seed, n in enumerate(days)]


@pytest.mark.parametrize("engine", ["auto", "onnxruntime"])
def test_each_recording_gets_to_the_last_digit_what_it_gets_alone(engine):
    options = EngineOptions(engine)
    checkpoint = load(DEMO)
    runner, model = Runner(checkpoint, options), ModelCard.of("demo:1", checkpoint, options)
    together = asyncio.run(analyze_together(several(), AnalyzeOptions(), runner, model))
    alone = [asyncio.run(analyze(one, AnalyzeOptions(), AloneRunner(runner), model)) for one in several()]
    assert [len(one.weeks) for one in together] == [2, 0, 1]
    assert together == alone


async def test_the_weeks_of_all_are_one_call_in_the_order_of_the_recordings():
    spy = SpyRunner()
    results = await analyze_together(several(), AnalyzeOptions(), spy, card())
    found = [pytest.approx(week.embedding[0], abs=1e-6) for result in results for week in result.weeks]
    assert len(spy.calls) == 1
    assert spy.calls[0] == found


async def test_one_that_cannot_be_analysed_keeps_its_error_and_harms_no_other():
    hip = recording(unit=Unit.ACTIGRAPH_AXIS1_COUNTS, device=Device.ACTIGRAPH_GT3X, wear_site=WearSite.HIP)
    options = AnalyzeOptions(wear=WearMode("choi2011"))  # which is refused on the wrist
    first, second, third = await analyze_together([hip, recording(), hip], options, SpyRunner(), card())
    assert isinstance(second, RecordingError)
    assert len(first.weeks) == len(third.weeks) == 2


async def test_recordings_without_any_week_do_not_call_the_engine():
    spy = SpyRunner()
    short = recording(3 * 1440)
    results = await analyze_together([short, short], AnalyzeOptions(), spy, card())
    assert [one.weeks for one in results] == [(), ()]
    assert spy.calls == []
    assert await analyze_together([], AnalyzeOptions(), spy, card()) == []


async def test_a_week_too_full_of_gaps_is_not_handed_in():
    values = counts(15 * 1440)
    values[: 8 * 1440] = np.nan
    holed = recording(values=values)
    spy = SpyRunner()
    (result,) = await analyze_together([holed], AnalyzeOptions(), spy, card())
    assert [week.absent is None for week in result.weeks].count(True) == len(spy.calls[0]) == 1


async def test_an_engine_that_fails_is_no_fault_of_a_recording():
    with pytest.raises(RunnerUnavailable, match="FloatingPointError"):
        await analyze_together(several(), AnalyzeOptions(), SpyRunner(FloatingPointError("13.5")), card())
