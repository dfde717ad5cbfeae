"""The switch for bootstrap intervals: off unless asked for, and named in the answer."""

from __future__ import annotations

from pat_runner.account import AnalyzeOptions
from pat_runner.pipeline import analyze
from tests.doubles.runners import CountingRunner
from tests.pat_runner.test_pipeline import card, recording


async def intervals(options: AnalyzeOptions):
    analysis = await analyze(recording(), options, CountingRunner(), card())
    metrics = (*analysis.sleep.metrics, *analysis.rhythm.metrics, *analysis.activity.metrics)
    return analysis, [metric for metric in metrics if metric.interval]


async def test_an_answer_has_no_intervals_unless_asked():
    analysis, found = await intervals(AnalyzeOptions())
    assert not found
    assert analysis.provenance.options["intervals"] is False


async def test_an_answer_with_intervals_has_the_same_values_and_is_the_same_again():
    plain, _ = await intervals(AnalyzeOptions())
    analysis, found = await intervals(AnalyzeOptions(intervals=True))
    again, _ = await intervals(AnalyzeOptions(intervals=True))
    assert {"total_sleep_time", "l5", "total_activity"} <= {metric.code for metric in found}
    assert analysis == again
    assert analysis.provenance.options["intervals"] is True
    for section in ("sleep", "rhythm", "activity"):
        before, after = (getattr(one, section).metrics for one in (plain, analysis))
        assert [metric.model_copy(update={"interval": None}) for metric in after] == list(before)
