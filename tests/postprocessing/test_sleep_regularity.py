"""Regularity of nights worked out by hand, on the clock and across its changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postprocessing.absence import Reason
from postprocessing.analysis import Metric
from postprocessing.metrics import MetricCode
from postprocessing.sleep import SleepOptions, summarise
from postprocessing.sleep_regularity import (
    clock_median,
    clock_sd_minutes,
    sleep_regularity,
    social_jetlag_hours,
)
from postprocessing.sleep_scorers import ASLEEP, AWAKE, UNSCORED
from preprocessing.calendar import wall_clock_of
from preprocessing.recording import Flag, Recording, ZoneChange
from tests.postprocessing.synthetic import between, changed, regular, with_values

MONDAY_NOON = datetime(2024, 4, 29, 12)


def metric(recording: Recording, code: MetricCode, options: SleepOptions | None = None) -> Metric:
    sleep = summarise(recording, recording.recorded, options or SleepOptions())
    return next(one for one in sleep.metrics if one.code is code)


def labels(epochs: int, epoch_seconds: int = 60) -> np.ndarray:
    return np.datetime64("2024-05-01T12:00:00") + np.arange(epochs) * np.timedelta64(epoch_seconds, "s")


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ([23.5, 0.5, 0.75], 0.5),
        ([23.0, 1.0], 0.0),
        ([2.0, 3.0, 4.0, 10.0], 3.5),
        ([23.75, 23.5, 0.5], 23.75),
    ],
)
def test_the_median_of_clock_times_goes_over_midnight(hours, expected):
    assert clock_median(np.array(hours)) == pytest.approx(expected, abs=1e-12)


def test_clock_times_all_around_the_clock_have_no_middle():
    hours = np.array([0.0, 6.0, 12.0, 18.0])
    assert clock_median(hours) is None
    assert clock_sd_minutes(hours) is None
    assert social_jetlag_hours(hours, np.array([True, False, False, False])) is None


def test_the_sd_of_clock_times_is_that_of_a_sample_in_minutes():
    assert clock_sd_minutes(np.array([23.0, 0.0, 1.0])) == pytest.approx(60, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=2, max_size=14), st.floats(0, 23.99))
def test_clock_statistics_turn_with_the_clock(apart, turn):
    hours = 12 + np.array(apart)
    turned = (hours + turn) % 24
    assert clock_sd_minutes(turned) == pytest.approx(clock_sd_minutes(hours), abs=1e-6)
    difference = (clock_median(turned) - clock_median(hours) - turn + 12) % 24 - 12
    assert difference == pytest.approx(0, abs=1e-9)


def test_social_jetlag_is_the_distance_of_the_means():
    hours = np.array([23.0, 1.0, 2.5, 3.5])
    assert social_jetlag_hours(hours, np.array([False, False, True, True])) == pytest.approx(3, abs=1e-9)
    assert social_jetlag_hours(hours, np.array([True, True, False, False])) == pytest.approx(3, abs=1e-9)


def late_weekend(hours: int = 2, days: int = 8, start: datetime = MONDAY_NOON) -> Recording:
    """Two hours later to bed and up before Saturday and Sunday."""
    recording = regular(days, start=start)
    for night in ("2024-05-03", "2024-05-04"):
        morning = datetime.fromisoformat(night) + timedelta(days=1)
        recording = changed(recording, f"{night}T23:00", f"{morning.date()}T0{hours - 1}:00", 500)
        recording = changed(recording, f"{morning.date()}T07:00", f"{morning.date()}T0{7 + hours}:00", 0)
    return recording


def test_two_hours_later_on_free_nights_are_two_hours_of_jetlag():
    found = metric(late_weekend(), MetricCode.SOCIAL_JETLAG)
    assert found.value == pytest.approx(2, abs=1e-9)
    assert (found.parameters["free_nights"], found.parameters["work_nights"]) == (2, 6)
    assert found.parameters["free_days_iso"] == "6 7"


def test_another_week_may_have_other_free_days():
    options = SleepOptions(free_days=frozenset({5, 6, 7}))
    found = metric(late_weekend(), MetricCode.SOCIAL_JETLAG, options)
    assert found.parameters["free_nights"] == 3
    assert found.value == pytest.approx(4 / 3, abs=1e-9)


@pytest.mark.parametrize("flag", [Flag.DATE_UNKNOWN, Flag.IMPLAUSIBLE_DATE])
def test_without_a_known_weekday_there_is_no_social_jetlag(flag):
    recording = replace(late_weekend(), flags=frozenset({flag}))
    assert metric(recording, MetricCode.SOCIAL_JETLAG).absent.reason is Reason.WEEKDAY_UNKNOWN
    assert metric(recording, MetricCode.MID_SLEEP_SD).value is not None


@pytest.mark.parametrize(("days", "start"), [(4, MONDAY_NOON), (3, datetime(2024, 5, 2, 12))])
def test_jetlag_needs_a_free_night_and_two_of_work(days, start):
    found = metric(regular(days, start=start), MetricCode.SOCIAL_JETLAG)
    assert found.absent.reason is Reason.TOO_FEW_VALID_NIGHTS


def test_the_spread_of_mid_sleep_needs_five_nights():
    assert metric(regular(4), MetricCode.MID_SLEEP_SD).absent.reason is Reason.TOO_FEW_VALID_NIGHTS
    spread = metric(late_weekend(), MetricCode.MID_SLEEP_SD)
    assert spread.value == pytest.approx(float(np.std([0, 0, 0, 0, 120, 120, 0, 0], ddof=1)), abs=1e-9)
    assert (spread.parameters["valid_nights"], spread.wear_minutes) == (8, 8 * 478.0)


def test_the_index_of_alternating_days_is_minus_100_and_of_equal_days_100():
    day, other = np.repeat([ASLEEP, AWAKE], 720), np.repeat([AWAKE, ASLEEP], 720)
    equal = np.tile(day, 6).astype(np.int8)
    assert sleep_regularity(equal, labels(6 * 1440), 60).index == 100
    turned = np.concatenate([day, other] * 3).astype(np.int8)
    assert sleep_regularity(turned, labels(6 * 1440), 60).index == -100
    assert sleep_regularity(turned[::2], labels(6 * 720, 120), 120).index == -100


def test_pairs_with_a_missing_member_are_dropped():
    states = np.tile(np.repeat([ASLEEP, AWAKE], 720), 3).astype(np.int8)
    states[100:200] = AWAKE  # differs from the next day
    whole = sleep_regularity(states, labels(states.size), 60)
    assert whole.index == pytest.approx(-100 + 200 * (2 * 1440 - 100) / (2 * 1440), abs=1e-12)
    states[1440 + 100 : 1440 + 200] = UNSCORED  # now neither pair of those minutes is one
    found = sleep_regularity(states, labels(states.size), 60)
    assert (found.index, found.day_pairs) == (100, 2)
    assert not found.used[100:200].any()


@pytest.mark.parametrize(("missing", "pairs"), [(489, 3), (490, 1)])
def test_a_day_pair_needs_two_thirds_on_both_days(missing, pairs):
    states = np.tile(np.repeat([ASLEEP, AWAKE], 720), 4).astype(np.int8)
    states[1440 : 1440 + missing] = UNSCORED
    assert sleep_regularity(states, labels(states.size), 60).day_pairs == pairs


@pytest.mark.parametrize("start", [datetime(2024, 3, 27, 12), datetime(2024, 10, 23, 12)])
def test_across_a_clock_change_the_days_are_compared_by_the_clock(start):
    recording = regular(8, zone="Europe/Oslo", start=start)
    found = metric(recording, MetricCode.SLEEP_REGULARITY_INDEX)
    assert found.value == pytest.approx(100, abs=0.05)  # only around the change do windows differ
    fixed = regular(8, zone="Europe/Oslo", start=start)
    utc = replace(fixed, zone="+00:00", start=fixed.start.astimezone(UTC))
    assert metric(utc, MetricCode.SLEEP_REGULARITY_INDEX).value < 98


def test_of_a_repeated_hour_the_first_pass_counts():
    recording = regular(3, zone="Europe/Oslo", start=datetime(2024, 10, 27, 2, 30))  # first pass
    clock = wall_clock_of(recording)
    assert clock.min() < clock[0]
    states = np.tile([ASLEEP, AWAKE], recording.epochs // 2).astype(np.int8)
    states[60:90] = UNSCORED  # 02:30 to 03:00 again
    found = sleep_regularity(states, clock, 60)
    assert found.index == 100
    assert found.used[:30].all()


def test_regularity_says_what_was_compared():
    found = metric(regular(7), MetricCode.SLEEP_REGULARITY_INDEX)
    assert found.parameters["states"] == "all scored epochs"
    assert found.parameters["valid_day_pairs"] == 6
    assert (found.epochs_used, found.wear_minutes) == (7 * 1440 - 4, 7 * 1440.0 - 4)


@pytest.mark.parametrize(("days", "known"), [(5.9, True), (5.6, False)])
def test_regularity_needs_five_pairs_of_days(days, known):
    found = metric(regular(days), MetricCode.SLEEP_REGULARITY_INDEX)
    assert (found.value is not None) is known
    if not known:
        assert found.absent.reason is Reason.TOO_FEW_VALID_DAYS


def test_a_recording_that_never_changes_has_no_regularity():
    still = with_values(regular(8), np.zeros(8 * 1440))
    found = metric(still, MetricCode.SLEEP_REGULARITY_INDEX)
    assert found.absent.reason is Reason.INSUFFICIENT_DATA


def test_a_journey_leaves_durations_and_takes_clock_times():
    recording = regular(8, zone="Europe/Oslo")
    moved = recording.start + timedelta(days=3)
    travelled = replace(recording, travel=(ZoneChange(moved, "America/New_York"),))
    for code in (
        MetricCode.MID_SLEEP,
        MetricCode.MID_SLEEP_SD,
        MetricCode.SLEEP_REGULARITY_INDEX,
        MetricCode.SOCIAL_JETLAG,
    ):
        assert metric(travelled, code).absent.reason is Reason.ZONE_CHANGED
    assert metric(travelled, MetricCode.TOTAL_SLEEP_TIME).value is not None


def test_a_masked_day_changes_no_other_night():
    recording = regular(9)
    whole = summarise(recording, recording.recorded)
    masked = summarise(recording, ~between(recording, "2024-05-04T12:00", "2024-05-05T12:00"))
    for before, after in zip(whole.nights, masked.nights, strict=True):
        if before.night_of.isoformat() != "2024-05-04":
            assert (before.metrics, before.start, before.end) == (after.metrics, after.start, after.end)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([15, 30, 60]), st.sampled_from(["hlrb", "tudor-locke"]))
def test_a_shift_by_a_week_changes_the_dates_and_nothing_else(seed, epoch_seconds, rest):
    random = np.random.default_rng(seed)
    here = regular(6, epoch_seconds=epoch_seconds)
    here = with_values(here, here.values * random.exponential(1.0, here.epochs))
    there = replace(here, start=here.start + timedelta(days=7))
    options = SleepOptions(rest=rest)
    assert (
        summarise(here, here.recorded, options).metrics == summarise(there, there.recorded, options).metrics
    )
