"""Nights of synthetic recordings whose rest is known by construction.

A day of 500 counts per minute beside stillness makes Oakley wake for one minute more, so a night that is
still from 23:00 to 07:00 has its rest from 23:01 to 06:59: 478 minutes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postprocessing.absence import Reason
from postprocessing.analysis import Night, Sleep
from postprocessing.metrics import MetricCode
from postprocessing.rest_periods import REST_PERIOD, hlrb_blocks
from postprocessing.sleep import SLEEP_METRICS, SleepOptions, summarise
from postprocessing.sleep_nights import NIGHT_METRICS, fragmentation_values, night_values
from postprocessing.sleep_scorers import ASLEEP, AWAKE, UNSCORED
from preprocessing.recording import Flag, Recording
from preprocessing.units import SleepScorer, Unit, WearSite
from tests.postprocessing.synthetic import between, changed, regular, with_values

STILL = 478.0


def sleep_of(recording: Recording) -> Sleep:
    return summarise(recording, recording.recorded)


def night(sleep: Sleep, day: str) -> Night:
    return next(one for one in sleep.nights if one.night_of == date.fromisoformat(day))


def values(holder: Sleep | Night) -> dict[str, float | None]:
    return {metric.code.value: metric.value for metric in holder.metrics}


def reasons(holder: Sleep | Night) -> dict[str, Reason | None]:
    return {metric.code.value: metric.absent and metric.absent.reason for metric in holder.metrics}


def test_a_regular_week_has_its_nights_to_the_minute():
    sleep = sleep_of(regular())
    assert sleep.scorer == "oakley-actiware"
    assert sleep.rest_period == REST_PERIOD
    assert sleep.valid_nights == len(sleep.nights) == 8
    first = sleep.nights[0]
    assert (first.night_of, first.start, first.end) == (
        date(2024, 5, 1),
        datetime(2024, 5, 1, 23, 1),
        datetime(2024, 5, 2, 6, 59),
    )
    assert (first.onset, first.offset) == (first.start, first.end)
    assert values(first) == {
        "time_in_bed": STILL,
        "sleep_period_time": STILL,
        "total_sleep_time": STILL,
        "sleep_efficiency": 100.0,
        "sleep_maintenance_efficiency": 100.0,
        "wake_after_sleep_onset": 0.0,
        "awakenings": 0.0,
        "mean_awakening_length": 0.0,
        "mid_sleep": 3.0,
        "movement_index": 0.0,
        "fragmentation_index": 0.0,
        "sleep_fragmentation_index": 0.0,
        "actiware_fragmentation_index": 0.0,
        "sleep_onset_latency": None,
    }
    assert values(sleep) == values(first) | {
        "mid_sleep_sd": 0.0,
        "sleep_regularity_index": 100.0,
        "social_jetlag": 0.0,
    }


def test_a_burst_at_night_is_one_awakening_and_its_minutes_are_wake():
    recording = changed(regular(), "2024-05-02T03:00", "2024-05-02T03:10", 500)
    found = values(night(sleep_of(recording), "2024-05-01"))
    assert found["wake_after_sleep_onset"] == 12  # ten minutes and one on either side
    assert found["total_sleep_time"] == STILL - 12
    assert found["sleep_efficiency"] == pytest.approx(100 * (STILL - 12) / STILL, abs=1e-12)
    assert found["awakenings"] == 1
    assert found["mean_awakening_length"] == 12
    assert found["movement_index"] == pytest.approx(100 * 10 / STILL, abs=1e-12)
    assert found["sleep_maintenance_efficiency"] == found["sleep_efficiency"]


def test_medians_over_nights_are_not_means():
    recording = changed(regular(5), "2024-05-02T03:00", "2024-05-02T03:10", 500)
    assert values(sleep_of(recording))["wake_after_sleep_onset"] == 0


def test_sleep_onset_latency_is_never_known_without_a_sleep_log():
    sleep = sleep_of(regular())
    for holder in (sleep, *sleep.nights):
        assert reasons(holder)["sleep_onset_latency"] is Reason.NO_SLEEP_LOG


def test_four_valid_nights_are_reported_but_make_no_median():
    sleep = sleep_of(regular(4))
    assert sleep.valid_nights == 4
    assert values(sleep.nights[0])["time_in_bed"] == STILL
    assert reasons(sleep)["time_in_bed"] is Reason.TOO_FEW_VALID_NIGHTS
    assert sleep_of(regular(5)).metrics[0].value == STILL


def test_every_metric_says_what_made_it_and_what_it_rests_on():
    metric = sleep_of(regular()).nights[0].metrics[0]
    assert metric.algorithm == "oakley-actiware"
    assert metric.parameters["wake_above"] == 40
    assert metric.parameters["rest_period"] == REST_PERIOD
    assert (metric.epochs_used, metric.wear_minutes) == (478, 478.0)
    median = sleep_of(regular()).metrics[0]
    assert median.parameters["valid_nights"] == 8
    assert (median.epochs_used, median.wear_minutes) == (8 * 478, 8 * 478.0)


@pytest.mark.parametrize(
    ("start", "day", "minutes"),
    [
        (datetime(2024, 3, 28, 12), "2024-03-30", STILL - 60),  # 23:00 to 07:00 across spring is 7 h
        (datetime(2024, 10, 24, 12), "2024-10-26", STILL + 60),
    ],
)
def test_a_night_across_a_clock_change_is_measured_in_elapsed_time(start, day, minutes):
    found = night(sleep_of(regular(zone="Europe/Oslo", start=start)), day)
    assert values(found)["time_in_bed"] == minutes
    assert (found.start.strftime("%H:%M"), found.end.strftime("%H:%M")) == ("23:01", "06:59")
    assert found.start.utcoffset() != found.end.utcoffset()


def test_a_shift_by_a_day_changes_the_dates_and_nothing_else():
    here = sleep_of(regular())
    there = sleep_of(regular(start=datetime(2024, 5, 2, 12)))
    assert there.metrics == here.metrics
    for before, after in zip(here.nights, there.nights, strict=True):
        assert after.night_of - before.night_of == timedelta(days=1)
        assert after.start - before.start == timedelta(days=1)
        assert after.metrics == before.metrics


def test_a_rest_that_runs_into_an_end_of_the_recording_is_no_valid_night():
    sleep = sleep_of(regular(7.2, start=datetime(2024, 5, 1, 0)))
    cut = [one for one in sleep.nights if not one.valid]
    assert [one.night_of for one in cut] == [date(2024, 4, 30), date(2024, 5, 7)]
    for one in cut:
        assert one.absent.reason is Reason.INSUFFICIENT_DATA
        assert reasons(one)["time_in_bed"] is Reason.INSUFFICIENT_DATA
    assert sleep.valid_nights == 6


def test_a_rest_by_day_is_one_night_even_across_noon():
    sleep = sleep_of(regular(bed=9, rise=17))
    assert values(night(sleep, "2024-05-02"))["time_in_bed"] == STILL
    assert sleep.valid_nights == 7  # the first began before the recording


def test_of_two_rests_of_equal_length_the_later_one_is_the_main_one():
    recording = changed(regular(bed=23, rise=9), "2024-05-02T03:00", "2024-05-02T05:00", 500)
    found = night(sleep_of(recording), "2024-05-01")
    assert (found.start, found.end) == (datetime(2024, 5, 2, 5, 1), datetime(2024, 5, 2, 8, 59))


def test_the_longer_rest_is_the_main_one():
    recording = changed(regular(bed=23, rise=9), "2024-05-02T03:10", "2024-05-02T05:00", 500)
    assert night(sleep_of(recording), "2024-05-01").start == datetime(2024, 5, 1, 23, 1)


@pytest.mark.parametrize(("wake_minutes", "split"), [(57, False), (58, True)])
def test_wake_of_less_than_an_hour_belongs_to_the_rest(wake_minutes, split):
    end = datetime(2024, 5, 2, 3) + timedelta(minutes=wake_minutes)  # Oakley adds a minute on either side
    found = night(sleep_of(changed(regular(), "2024-05-02T03:00", end.isoformat(), 500)), "2024-05-01")
    assert (values(found)["time_in_bed"] < STILL) is split


@pytest.mark.parametrize(("minutes", "valid"), [(181, False), (182, True)])
def test_a_rest_of_less_than_three_hours_is_none(minutes, valid):
    found = sleep_of(regular(bed=1, rise=1 + minutes / 60)).nights[0]
    assert found.valid is valid
    if not valid:
        assert (found.start, found.absent.reason) == (None, Reason.INSUFFICIENT_DATA)


def test_stillness_of_more_than_a_day_is_no_night():
    recording = changed(regular(), "2024-05-03T12:00", "2024-05-05T12:00", 0)
    found = night(sleep_of(recording), "2024-05-03")
    assert (found.valid, found.start) == (False, None)


@pytest.mark.parametrize(("missing_minutes", "valid"), [(43, True), (44, False)])  # and two on either side
def test_a_night_with_a_tenth_unscored_has_no_numbers(missing_minutes, valid):
    end = datetime(2024, 5, 2, 2) + timedelta(minutes=missing_minutes)
    found = night(sleep_of(changed(regular(), "2024-05-02T02:00", end.isoformat(), np.nan)), "2024-05-01")
    assert found.valid is valid
    if valid:
        assert values(found)["total_sleep_time"] == STILL - missing_minutes - 4
        assert values(found)["wake_after_sleep_onset"] == values(found)["awakenings"] == 0
    else:
        assert reasons(found)["sleep_efficiency"] is Reason.TOO_MUCH_MISSING


def test_a_night_without_wear_is_not_sleep():
    recording = regular()
    worn = ~between(recording, "2024-05-02T22:00", "2024-05-03T08:00")
    sleep = summarise(recording, worn)
    found = night(sleep, "2024-05-02")
    assert (found.start, found.absent.reason) == (None, Reason.TOO_MUCH_MISSING)
    assert sleep.valid_nights == 7


def test_the_same_counts_in_ten_second_epochs_give_the_same_nights():
    coarse = changed(regular(), "2024-05-02T03:00", "2024-05-02T03:10", 600)
    fine = replace(coarse, epoch_seconds=10, values=np.repeat(coarse.values / 6, 6))
    assert [values(one) for one in sleep_of(fine).nights] == [values(one) for one in sleep_of(coarse).nights]
    assert sleep_of(fine).nights[0].start == sleep_of(coarse).nights[0].start
    assert sleep_of(fine).nights[0].metrics[0].epochs_used == 6 * 478


def test_actigraph_counts_in_thirty_seconds_are_added_up_to_minutes():
    coarse = regular(unit=Unit.ACTIGRAPH_AXIS1_COUNTS, per_minute=2000)
    fine = replace(coarse, epoch_seconds=30, values=np.repeat(coarse.values / 2, 2))
    assert sleep_of(coarse).scorer == "cole-kripke-actigraph"
    assert (
        values(sleep_of(coarse))["total_sleep_time"] == 474
    )  # 4 minutes after a busy one and 2 before are wake
    assert values(sleep_of(fine)) == values(sleep_of(coarse))


def test_another_scorer_of_the_unit_may_be_chosen():
    recording = regular(unit=Unit.ACTIGRAPH_AXIS1_COUNTS, per_minute=2000)
    sleep = summarise(recording, recording.recorded, SleepOptions(SleepScorer.SADEH))
    assert sleep.scorer == "sadeh-actigraph"
    assert sleep.metrics[0].parameters["sleep_above"] == -4


def test_a_scorer_of_another_unit_is_refused_with_a_reason():
    recording = regular()
    assert (
        summarise(recording, recording.recorded, SleepOptions(SleepScorer.SADEH)).absent.reason
        is Reason.UNIT_NOT_SUPPORTED
    )


@pytest.mark.parametrize("epoch_seconds", [7, 45, 120, 300])
def test_epochs_that_make_no_minutes_have_no_sleep(epoch_seconds):
    sleep = sleep_of(regular(epoch_seconds=epoch_seconds))
    assert sleep.absent.reason is Reason.INSUFFICIENT_DATA
    assert f"{epoch_seconds} s" in sleep.absent.detail


@pytest.mark.parametrize(
    ("unit", "site", "reason"),
    [
        (Unit.STEPS, WearSite.WRIST, Reason.UNIT_NOT_SUPPORTED),
        (Unit.MIMS, WearSite.WRIST, Reason.UNIT_NOT_SUPPORTED),
        (Unit.COUNTS, WearSite.WRIST, Reason.DEVICE_SCALING_UNKNOWN),
        (Unit.ENMO_MG, WearSite.WRIST, Reason.NEEDS_RAW_ACCELERATION),
        (Unit.ACTIGRAPH_7164_COUNTS, WearSite.HIP, Reason.NEEDS_OVERNIGHT_WEAR),
    ],
)
def test_a_unit_without_a_scorer_has_every_metric_absent_for_its_reason(unit, site, reason):
    sleep = sleep_of(regular(unit=unit, wear_site=site))
    assert (sleep.scorer, sleep.rest_period, sleep.nights, sleep.absent.reason) == (None, None, (), reason)
    assert set(reasons(sleep).values()) == {reason, Reason.NO_SLEEP_LOG}
    assert tuple(metric.code for metric in sleep.metrics) == SLEEP_METRICS


def test_night_values_of_a_night_worked_out_by_hand():
    states = np.array([AWAKE, ASLEEP, ASLEEP, AWAKE, UNSCORED, AWAKE, ASLEEP, AWAKE, ASLEEP, AWAKE], np.int8)
    assert night_values(states, 30) == {
        MetricCode.TIME_IN_BED: 5.0,
        MetricCode.TOTAL_SLEEP_TIME: 2.0,
        MetricCode.SLEEP_EFFICIENCY: 40.0,
        MetricCode.WAKE_AFTER_SLEEP_ONSET: 1.5,
        MetricCode.AWAKENINGS: 2.0,  # the unscored epoch does not divide the first
        MetricCode.MEAN_AWAKENING_LENGTH: 0.75,
        MetricCode.SLEEP_PERIOD_TIME: 4.0,
        MetricCode.SLEEP_MAINTENANCE_EFFICIENCY: 50.0,
    }


def test_a_night_awake_has_a_time_in_bed_no_sleep_and_an_efficiency_of_nothing():
    assert night_values(np.full(60, AWAKE, np.int8), 60) == {
        MetricCode.TIME_IN_BED: 60.0,
        MetricCode.TOTAL_SLEEP_TIME: 0.0,
        MetricCode.SLEEP_EFFICIENCY: 0.0,
    }


def test_fragmentation_of_a_period_worked_out_by_hand():
    states = np.array([ASLEEP, ASLEEP, AWAKE, ASLEEP, UNSCORED, AWAKE, ASLEEP, ASLEEP, ASLEEP], np.int8)
    counts = np.array([0.0, 3, 9, 0, 50, 4, 0, 0, 1])
    assert fragmentation_values(states, counts, 60) == {
        MetricCode.MOVEMENT_INDEX: 50.0,  # 3, 9, 4 and 1 of eight scored epochs
        MetricCode.FRAGMENTATION_INDEX: pytest.approx(100 / 3),  # the second of three bouts lasts a minute
        MetricCode.SLEEP_FRAGMENTATION_INDEX: pytest.approx(50 + 100 / 3),
        MetricCode.ACTIWARE_FRAGMENTATION_INDEX: pytest.approx(25 + 100 / 3),  # 9 and 4 are mobile
    }


def test_a_bout_of_two_half_minutes_is_one_of_a_minute():
    states = np.array([ASLEEP, ASLEEP, AWAKE, ASLEEP, ASLEEP, ASLEEP], np.int8)
    counts = np.array([0.0, 0, 90, 0, 0, 0])
    assert fragmentation_values(states, counts, 30)[MetricCode.FRAGMENTATION_INDEX] == 50
    assert fragmentation_values(states, counts, 60)[MetricCode.FRAGMENTATION_INDEX] == 0


def test_actiware_fragmentation_is_absent_where_no_epoch_is_immobile():
    found = fragmentation_values(np.ones(9, np.int8), np.full(9, 4.0), 60)
    assert MetricCode.ACTIWARE_FRAGMENTATION_INDEX not in found


def test_actiware_fragmentation_belongs_to_actiwatch_counts():
    sleep = sleep_of(regular(unit=Unit.ACTIGRAPH_AXIS1_COUNTS, per_minute=2000))
    assert reasons(sleep)["actiware_fragmentation_index"] is Reason.UNIT_NOT_SUPPORTED
    assert reasons(sleep.nights[0])["actiware_fragmentation_index"] is Reason.UNIT_NOT_SUPPORTED


def test_a_device_that_never_reports_zero_has_no_movement_index():
    recording = replace(regular(), flags=frozenset({Flag.CONSTANT_FLOOR}))
    assert reasons(sleep_of(recording))["movement_index"] is Reason.INSUFFICIENT_DATA
    assert reasons(sleep_of(recording))["total_sleep_time"] is None


def test_every_night_holds_the_same_metrics_in_the_same_order():
    for one in sleep_of(regular(7.2, start=datetime(2024, 5, 1, 0))).nights:
        assert tuple(metric.code for metric in one.metrics) == NIGHT_METRICS


def test_a_rest_at_the_edge_of_what_was_worn_is_no_valid_night():
    recording = regular(7)
    worn = ~between(recording, "2024-05-01T12:00", "2024-05-02T01:00")
    first = summarise(recording, worn).nights[0]
    assert (first.valid, first.absent.reason) == (False, Reason.INSUFFICIENT_DATA)


def test_rest_begins_where_more_than_half_of_the_hour_around_is_sleep():
    states = np.zeros(600, np.int8)
    states[100:400] = ASLEEP
    assert hlrb_blocks(states, 60).tolist() == [[100, 400]]
    states[430:500] = ASLEEP
    assert hlrb_blocks(states, 60).tolist() == [[100, 500]]
    assert hlrb_blocks(np.zeros(600, np.int8), 60).shape == (0, 2)


@pytest.mark.parametrize("epochs", [1, 2, 5, 1439, 1440, 1441, 10_080])
@pytest.mark.parametrize("value", [0.0, np.nan, 1000.0])
@pytest.mark.parametrize("unit", [Unit.ACTIWATCH_COUNTS, Unit.ACTIGRAPH_AXIS1_COUNTS])
def test_constant_recordings_of_any_length_have_no_night(epochs, value, unit):
    sleep = sleep_of(with_values(regular(1, unit=unit), np.full(epochs, value)))
    assert sleep.valid_nights == 0
    assert all(metric.value is None for metric in sleep.metrics)
    assert all(metric.value is None for one in sleep.nights for metric in one.metrics)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.6), st.sampled_from([15, 30, 60]))
def test_whatever_is_missing_every_number_is_finite_and_adds_up(seed, share, epoch_seconds):
    random = np.random.default_rng(seed)
    recording = regular(3, epoch_seconds=epoch_seconds)
    noisy = recording.values * random.exponential(1.0, recording.epochs)
    gone = np.repeat(random.random(recording.epochs // 20 + 1) < share, 20)[: recording.epochs]
    for one in sleep_of(with_values(recording, np.where(gone, np.nan, noisy))).nights:
        found = values(one)
        if one.valid:
            assert 0 <= found["total_sleep_time"] + found["wake_after_sleep_onset"] <= found["time_in_bed"]
            assert found["time_in_bed"] == (one.end - one.start).total_seconds() / 60
            assert found["sleep_efficiency"] == pytest.approx(
                100 * found["total_sleep_time"] / found["time_in_bed"], abs=1e-12
            )
