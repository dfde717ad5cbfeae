"""The data's whole way: what reaches the runner, what is said when nothing can, and what the answer names."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from pat_runner import pipeline
from pat_runner.account import AnalyzeOptions, ModelCard, content_digest
from pat_runner.pipeline import analyze, explain
from preprocessing.recording import Recording, RecordingError
from preprocessing.scaling import Scaling
from preprocessing.units import Device, SleepScorer, Unit, WearSite
from preprocessing.wear import WearMode
from serving.admission import Overloaded
from tests.doubles.runners import CountingRunner

OSLO = ZoneInfo("Europe/Oslo")
WEEK = 7 * 1440


def counts(minutes, seed=7):
    clock = np.arange(minutes) % 1440
    level = np.where((clock > 420) & (clock < 1380), 200.0, 4.0)
    return np.random.default_rng(seed).poisson(level).astype(np.float64)


def recording(minutes=15 * 1440, **changes):
    made = Recording(
        start=datetime(2026, 1, 5, 18, 30, tzinfo=OSLO),
        zone="Europe/Oslo",
        epoch_seconds=60,
        values=counts(minutes),
        unit=Unit.ACTIWATCH_COUNTS,
        device=Device.ACTIWATCH,
        wear_site=WearSite.WRIST,
    )
    return replace(made, **changes)


@pytest.fixture(scope="module")
def scaling():
    rng = np.random.default_rng(1)
    weeks = rng.poisson(80, size=(120, WEEK)).astype(np.float32)
    return Scaling.fit(
        weeks, unit=Unit.ACTIWATCH_COUNTS, device=Device.ACTIWATCH, wear_site=WearSite.WRIST, cohort="test"
    )


def card(scaling=None):
    return ModelCard("pat-s:1", "0" * 64, "PAT-S", 18, "test", "none", scaling, "onnxruntime", "fp32")


async def test_clinical_numbers_may_be_left_out_and_then_each_says_so():
    runner = CountingRunner()
    whole = await analyze(recording(), AnalyzeOptions(), runner, card())
    bare = await analyze(recording(), AnalyzeOptions(clinical=False), runner, card())
    sections = [(whole.sleep, bare.sleep), (whole.rhythm, bare.rhythm), (whole.activity, bare.activity)]
    for full, empty in sections:
        assert [metric.code for metric in empty.metrics] == [metric.code for metric in full.metrics]
        assert {metric.absent.reason for metric in empty.metrics} == {"not_requested"}
        assert [metric.unit for metric in empty.metrics] == [metric.unit for metric in full.metrics]
    assert (bare.weeks, bare.quality, bare.recording) == (whole.weeks, whole.quality, whole.recording)
    assert bare.activity.valid_days == whole.activity.valid_days
    assert bare.provenance.options["clinical"] is False


@pytest.mark.parametrize(
    "options",
    [
        {"series": True},
        {"intervals": True},
        {"rescoring": "webster"},
        {"threshold": "low"},
        {"scorer": SleepScorer.OAKLEY},
        {"rest": "tudor-locke"},
    ],
)
async def test_an_option_of_what_is_left_out_is_refused(options):
    with pytest.raises(RecordingError, match="clinical numbers are left out"):
        await analyze(recording(), AnalyzeOptions(clinical=False, **options), CountingRunner(), card())


async def test_a_runner_that_refuses_is_heard_before_anything_else_is_computed(monkeypatch):
    class Full:
        async def run(self, weeks, want):
            raise Overloaded

    monkeypatch.setattr(pipeline, "_found", lambda *_: pytest.fail("computed for nothing"))
    with pytest.raises(Overloaded):
        await analyze(recording(), AnalyzeOptions(), Full(), card())


async def test_every_complete_week_reaches_the_runner_in_one_call():
    runner = CountingRunner()
    analysis = await analyze(recording(), AnalyzeOptions(), runner, card())
    (call,) = runner.calls
    assert call[0].shape == (2, WEEK)
    assert [week.start.isoformat() for week in analysis.weeks] == [
        "2026-01-06T00:00:00+01:00",
        "2026-01-13T00:00:00+01:00",
    ]


async def test_a_device_of_the_cohort_is_standardised_by_it(scaling):
    runner = CountingRunner()
    made = recording()
    analysis = await analyze(made, AnalyzeOptions(), runner, card(scaling))
    first_midnight = 5 * 60 + 30
    expected = (made.values[first_midnight : first_midnight + WEEK] - scaling.mean) / scaling.sd
    assert np.allclose(runner.calls[0][0][0], expected, atol=1e-5)
    assert analysis.weeks[0].calibration == "reference_cohort"
    assert analysis.provenance.model.scaling_sha256 == scaling.digest


@pytest.mark.parametrize(
    "change",
    [
        {"device": Device.UNKNOWN},
        {"wear_site": WearSite.UNKNOWN},
        {"unit": Unit.COUNTS, "device": Device.UNKNOWN},
    ],
)
async def test_a_foreign_device_runs_by_the_labelled_fallback(scaling, change):
    runner = CountingRunner()
    analysis = await analyze(recording(**change), AnalyzeOptions(), runner, card(scaling))
    week = runner.calls[0][0][0]
    assert (float(week.mean()), float(week.std())) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-5))
    assert analysis.weeks[0].calibration == "per_recording"


async def test_a_bad_week_does_not_hurt_its_neighbour():
    analysis = await analyze(recording(), AnalyzeOptions(), CountingRunner(reject={0}), card())
    assert analysis.weeks[0].absent.reason == "insufficient_data"
    assert len(analysis.weeks[1].embedding) == 96


async def test_a_week_with_more_than_30_percent_missing_never_reaches_the_runner():
    values = counts(15 * 1440)
    values[330 : 330 + int(0.31 * WEEK)] = np.nan
    runner = CountingRunner()
    analysis = await analyze(recording(values=values), AnalyzeOptions(), runner, card())
    assert runner.calls[0][0].shape == (1, WEEK)
    assert analysis.weeks[0].absent.reason == "too_much_missing"
    assert analysis.weeks[1].embedding is not None


async def test_a_missing_minute_is_the_cohort_s_mean(scaling):
    values = counts(15 * 1440)
    values[400] = np.nan
    runner = CountingRunner()
    await analyze(recording(values=values), AnalyzeOptions(), runner, card(scaling))
    assert runner.calls[0][0][0][400 - 330] == 0


@pytest.mark.parametrize("minutes", [1, 1439, 1440, WEEK - 1])
async def test_less_than_a_week_asks_the_runner_nothing_and_says_why(minutes):
    runner = CountingRunner()
    midnight = datetime(2026, 1, 5, tzinfo=OSLO)
    analysis = await analyze(recording(minutes, start=midnight), AnalyzeOptions(), runner, card())
    assert runner.calls == []
    assert analysis.weeks_absent.reason == "insufficient_data"


@pytest.mark.parametrize("minutes", [WEEK, WEEK + 1])
async def test_a_week_from_midnight_to_midnight_is_enough(minutes):
    midnight = datetime(2026, 1, 5, tzinfo=OSLO)
    analysis = await analyze(recording(minutes, start=midnight), AnalyzeOptions(), CountingRunner(), card())
    assert len(analysis.weeks) == 1


@pytest.mark.parametrize("unit", [Unit.STEPS, Unit.ENMO_MG])
async def test_a_unit_that_pat_does_not_read_is_absent_with_a_reason(unit):
    analysis = await analyze(recording(unit=unit), AnalyzeOptions(), CountingRunner(), card())
    assert analysis.weeks == ()
    assert analysis.weeks_absent.reason == "unit_not_supported"


async def test_nothing_is_predicted_without_a_head():
    analysis = await analyze(recording(), AnalyzeOptions(), CountingRunner(), card())
    assert all(
        week.predictions == () and week.predictions_absent.reason == "no_head" for week in analysis.weeks
    )


async def test_the_profile_is_there_when_asked_for_and_only_then():
    without = await analyze(recording(), AnalyzeOptions(), CountingRunner(), card())
    with_it = await analyze(recording(), AnalyzeOptions(profile=True), CountingRunner(), card())
    assert without.weeks[0].attention_received is None
    assert len(with_it.weeks[0].attention_received) == 560


async def test_the_options_are_named_in_the_answer():
    options = AnalyzeOptions(wear=WearMode.AS_RECORDED, profile=True)
    analysis = await analyze(recording(), options, CountingRunner(), card())
    assert analysis.provenance.options == {
        "wear": "as_recorded",
        "clinical": True,
        "profile": True,
        "scorer": "by unit",
        "threshold": "medium",
        "rescoring": "none",
        "rest": "hlrb",
        "sleep_log_windows": 0,
        "intervals": False,
        "series": False,
        "stride_days": 7,
    }
    assert analysis.quality.wear_rule == "as_recorded"


async def test_an_option_of_sleep_that_does_not_fit_is_refused_before_pat_is_asked():
    runner = CountingRunner()
    options = AnalyzeOptions(scorer=SleepScorer.SADEH, threshold="low")
    with pytest.raises(RecordingError) as refused:
        await analyze(recording(), options, runner, card())
    assert refused.value.where == "threshold"
    assert runner.calls == []


async def test_the_explanation_folds_the_week_into_a_day():
    explanation = await explain(recording(), AnalyzeOptions(), CountingRunner(), card())
    assert len(explanation.weeks) == 2
    assert explanation.weeks[0].by_time_of_day == pytest.approx([1 / 560] * 80)


async def test_neither_serial_nor_series_stands_in_the_answer():
    analysis = await analyze(recording(serial="V665936"), AnalyzeOptions(), CountingRunner(), card())
    text = analysis.model_dump_json()
    assert "V665936" not in text
    assert "values" not in text


@pytest.mark.parametrize(
    "change",
    [
        {"start": datetime(2026, 1, 5, 17, 30, tzinfo=UTC), "zone": "UTC"},
        {"unit": Unit.COUNTS},
        {"device": Device.UNKNOWN},
        {"wear_site": WearSite.HIP},
        {"values": counts(15 * 1440, seed=8)},
        {"wear": np.ones(15 * 1440, dtype=np.bool_)},
    ],
)
def test_whatever_changes_the_answer_changes_the_content_digest(change):
    assert content_digest(recording(**change)) != content_digest(recording())


def test_the_content_digest_does_not_depend_on_the_file_format():
    assert content_digest(recording(source_format="awd")) == content_digest(recording(source_format="csv"))


async def test_another_scorer_of_the_same_unit_may_be_chosen_and_is_named():
    options = AnalyzeOptions(scorer=SleepScorer.SADEH)
    analysis = await analyze(recording(unit=Unit.ACTIGRAPH_AXIS1_COUNTS), options, CountingRunner(), card())
    assert (analysis.sleep.scorer, analysis.provenance.options["scorer"]) == ("sadeh-actigraph",) * 2


async def test_a_scorer_of_another_device_is_absent_with_a_reason():
    options = AnalyzeOptions(scorer=SleepScorer.SADEH)
    analysis = await analyze(recording(), options, CountingRunner(), card())
    assert (analysis.sleep.scorer, analysis.sleep.absent.reason) == (None, "unit_not_supported")


async def test_a_stride_of_one_day_gives_every_week_that_starts_at_a_midnight():
    analysis = await analyze(recording(), AnalyzeOptions(stride_days=1), CountingRunner(), card())
    assert [week.start.day for week in analysis.weeks] == [6, 7, 8, 9, 10, 11, 12, 13]
