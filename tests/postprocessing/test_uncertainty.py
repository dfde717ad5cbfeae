"""Bootstrap intervals: their draws, clock times, and that resampled days are the numbers themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postprocessing import activity, circadian, sleep
from postprocessing.circadian import ClockSeries
from postprocessing.metrics import METRICS, MetricCode
from postprocessing.resampled_days import (
    Days,
    rhythm_of,
    weights,
    with_activity_intervals,
    with_day_intervals,
)
from postprocessing.specimens import specimens
from postprocessing.uncertainty import (
    Bootstrap,
    bootstrap,
    draws,
    interval_of,
    mean,
    median,
    standard_deviation,
    with_night_intervals,
)
from preprocessing.recording import Recording
from preprocessing.units import Unit, WearSite
from tests.postprocessing.synthetic import regular, with_values

SMALL = Bootstrap(resamples=200)


@pytest.fixture(scope="module")
def uneven() -> Recording:
    """Fifteen days of drawn activity, with a gap on the third and a late fifth night."""
    made = next(one for one in specimens() if one.unit is Unit.ACTIWATCH_COUNTS)
    values = made.values.copy()
    values[3_000:3_200] = np.nan
    values[5 * 1_440 + 600 : 5 * 1_440 + 720] = 500.0
    return with_values(made, values)


def test_the_draws_are_the_same_on_every_machine_and_every_unit_is_drawn_alike():
    assert draws(7)[0].tolist() == [2, 1, 0, 0, 2, 0, 2]
    assert draws(7).shape == (1_000, 7)
    np.testing.assert_allclose(np.bincount(draws(7).ravel()) / 7_000, 1 / 7, atol=0.015)
    assert draws(7) is draws(7)
    with pytest.raises(ValueError, match="read-only"):
        draws(7)[0, 0] = 1


def test_weights_say_how_often_each_unit_is_drawn():
    drawn = weights(7)
    assert drawn[0].tolist() == [3, 1, 3, 0, 0, 0, 0]
    assert (drawn.sum(axis=1) == 7).all()


def test_the_interval_of_a_mean_is_near_that_of_the_normal_law():
    values = np.random.default_rng(3).normal(100, 10, 400)
    found = bootstrap(values, mean)
    half = 1.96 * values.std(ddof=1) / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.15)
    assert found.high == pytest.approx(values.mean() + half, abs=0.15)
    assert (found.level, found.resamples, found.units) == (0.95, 1_000, 400)
    assert found.method == "percentile bootstrap over nights, seed 20261122"


def test_equal_nights_have_an_interval_without_width():
    found = bootstrap(np.full(7, 480.0), median)
    assert (found.low, found.high) == (480.0, 480.0)


def test_fewer_than_five_units_have_no_interval():
    assert bootstrap(np.arange(4.0), median) is None
    assert bootstrap(np.arange(5.0), median) is not None


def test_clock_times_are_laid_out_around_midnight():
    hours = np.array([23.0, 23.5, 0.0, 0.5, 1.0])
    found = bootstrap(hours, median, scale="clock")
    shifted = bootstrap(hours + np.where(hours > 12, -24, 0), median)
    assert found.low == pytest.approx(shifted.low % 24)
    assert found.high == pytest.approx(shifted.high % 24)
    assert found.low > 12 > found.high


def test_clock_times_all_around_the_clock_have_no_interval():
    assert bootstrap(np.array([0.0, 6.0, 12.0, 18.0, 0.0, 6.0, 12.0, 18.0]), median, scale="clock") is None


def test_an_estimate_that_most_resamples_cannot_give_has_no_interval():
    estimates = np.linspace(0, 1, 1_000)
    estimates[:100] = np.nan
    assert interval_of(estimates, 7, Bootstrap(), over="days").resamples == 900
    estimates[100] = np.nan
    assert interval_of(estimates, 7, Bootstrap(), over="days") is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=20), st.floats(0.1, 100), st.floats(-1000, 1000))
def test_an_interval_moves_and_scales_with_the_values_and_stays_within_them(values, scale, shift):
    values = np.array(values)
    one, other = bootstrap(values, median, SMALL), bootstrap(values * scale + shift, median, SMALL)
    assert values.min() <= one.low <= one.high <= values.max()
    assert (other.low, other.high) == pytest.approx(
        (one.low * scale + shift, one.high * scale + shift), rel=1e-9, abs=1e-6
    )


def test_the_interval_of_a_deviation_follows_it():
    values = np.random.default_rng(2).normal(0, 30, 14)
    found = bootstrap(values, standard_deviation)
    assert found.low < values.std(ddof=1) < found.high


def test_days_of_weight_one_give_the_numbers_of_the_rhythm_itself(uneven):
    days = Days.of(ClockSeries.of(uneven, uneven.recorded))
    found = rhythm_of(days, np.ones((1, days.count)))
    known = {
        metric.code: metric.value
        for metric in circadian.summarise(uneven, uneven.recorded).metrics
        if metric.value is not None
    }
    assert set(known) - set(found) == {
        MetricCode.INTERDAILY_STABILITY,
        MetricCode.INTERDAILY_STABILITY_BINARIZED,
        MetricCode.INTRADAILY_VARIABILITY_BINARIZED,
    }
    for code, values in found.items():
        assert values == pytest.approx([known[code]], rel=1e-9, abs=1e-12), code


def test_a_day_drawn_twice_counts_twice():
    """Two half weeks of different level: the mesor of a weighting is the weighted mean of the days."""
    week = regular(7)
    days = Days.of(ClockSeries.of(week, week.recorded))
    chosen = np.zeros((1, days.count))
    chosen[0, [2, 3]] = 2, 1
    level = [week.values[days.series.clock.astype("datetime64[D]") == days.dates[day]] for day in (2, 2, 3)]
    assert rhythm_of(days, chosen)[MetricCode.MESOR] == pytest.approx([np.concatenate(level).mean()])


def test_intervals_hold_their_value_or_stand_beside_none(uneven):
    slept = with_night_intervals(sleep.summarise(uneven, uneven.recorded))
    rhythm = with_day_intervals(circadian.summarise(uneven, uneven.recorded), uneven, uneven.recorded)
    moved = with_activity_intervals(activity.summarise(uneven, uneven.recorded), uneven, uneven.recorded)
    for metric in (*slept.metrics, *rhythm.metrics, *moved.metrics):
        if metric.interval is None:
            continue
        assert metric.value is not None
        assert np.isfinite([metric.interval.low, metric.interval.high]).all()
        if metric.kind != "clock_time":
            assert metric.interval.low <= metric.interval.high
            assert metric.interval.low <= metric.value <= metric.interval.high
        else:
            assert 0 <= metric.interval.low < 24
            width = (metric.interval.high - metric.interval.low) % 24
            assert (metric.value - metric.interval.low) % 24 <= width + 1e-9
    with_one = {
        metric.code for metric in (*slept.metrics, *rhythm.metrics, *moved.metrics) if metric.interval
    }
    assert {
        MetricCode.TOTAL_SLEEP_TIME,
        MetricCode.MID_SLEEP,
        MetricCode.MID_SLEEP_SD,
        MetricCode.L5,
        MetricCode.M10_ONSET,
        MetricCode.LOG_ACROPHASE,
        MetricCode.TOTAL_ACTIVITY,
    } <= with_one
    assert not with_one & {
        MetricCode.SLEEP_REGULARITY_INDEX,
        MetricCode.SOCIAL_JETLAG,
        MetricCode.INTERDAILY_STABILITY,
        MetricCode.SLEEP_ONSET_LATENCY,
    }


def test_a_short_recording_has_no_interval_anywhere():
    short = regular(4)
    rhythm = circadian.summarise(short, short.recorded)
    assert with_day_intervals(rhythm, short, short.recorded) == rhythm
    moved = activity.summarise(short, short.recorded)
    assert with_activity_intervals(moved, short, short.recorded) == moved
    slept = sleep.summarise(short, short.recorded)
    assert with_night_intervals(slept) == slept


def test_steps_and_a_recording_without_any_value_have_no_interval_of_rhythm():
    steps = regular(8, unit=Unit.STEPS, wear_site=WearSite.WRIST)
    rhythm = circadian.summarise(steps, steps.recorded)
    assert with_day_intervals(rhythm, steps, steps.recorded) == rhythm
    empty = with_values(regular(8), np.full(8 * 1_440, np.nan))
    rhythm = circadian.summarise(empty, empty.recorded)
    assert with_day_intervals(rhythm, empty, empty.recorded) == rhythm
    moved = activity.summarise(empty, empty.recorded)
    assert with_activity_intervals(moved, empty, empty.recorded) == moved


def test_every_interval_is_of_a_metric_of_the_table(uneven):
    days = Days.of(ClockSeries.of(uneven, uneven.recorded))
    assert set(rhythm_of(days, np.ones((1, days.count)))) <= set(METRICS)
