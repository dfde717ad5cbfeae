"""Synthetic people are deterministic, and what the device writes looks like what a device writes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from preprocessing.units import Device, Unit, WearSite
from training.synthetic import (
    DAY,
    SATURATION,
    Work,
    cohort,
    counts_of,
    level,
    minutes,
    person,
    recording,
    week,
)

START = datetime(2024, 5, 13, 16, 20)


@pytest.fixture(scope="module")
def weeks():
    return cohort(60, seed=3)


def test_the_same_seed_gives_the_same_weeks_and_another_seed_gives_others(weeks):
    np.testing.assert_array_equal(cohort(60, seed=3), weeks)
    assert not np.array_equal(cohort(5, seed=4), weeks[:5])


def test_the_first_people_of_a_larger_cohort_are_the_same_people(weeks):
    np.testing.assert_array_equal(cohort(5, seed=3), weeks[:5])


def test_a_person_follows_from_a_seed():
    assert person(8) == person(8)
    assert person(8) != person(9)


def test_counts_are_whole_numbers_from_zero_to_saturation(weeks):
    counts = weeks[~np.isnan(weeks)]
    assert weeks.dtype == np.float32
    assert weeks.shape == (60, 7 * DAY)
    np.testing.assert_array_equal(counts, np.floor(counts))
    assert counts.min() == 0
    assert counts.max() <= SATURATION


def test_the_device_saturates():
    assert counts_of(np.array([-1.0, 0.0, 1.0, 50.0]), gain=100).tolist() == [0, 0, 100, SATURATION]


def test_nobody_moves_alike(weeks):
    assert np.unique(np.nanmean(weeks, axis=1)).size == 60


def test_some_minutes_are_lost_and_some_days_hold_hours_of_zeros_by_day():
    traits = replace(person(1), off_wrist_per_day=3.0, lost_per_week=5.0, naps_per_day=0.0, awake_level=2.5)
    worn = replace(traits, off_wrist_per_day=0.0, lost_per_week=0.0)
    faithless, faithful = (week(one, np.random.default_rng(0)) for one in (traits, worn))
    assert np.isnan(faithless).any()
    assert not np.isnan(faithful).any()
    assert (faithless == 0).mean() > (faithful == 0).mean() + 0.05


def test_a_night_worker_moves_by_night_and_sleeps_by_day():
    traits = replace(person(1), work=Work.NIGHTS, midsleep_hour=3.5, night_to_night_hours=0.5)
    by_night, by_day = (
        minutes(replace(traits, work=work), np.random.default_rng(0), days=28)
        for work in (Work.NIGHTS, Work.DAYS)
    )
    hour = np.arange(28 * DAY) % DAY // 60
    small_hours = (hour >= 1) & (hour < 5)
    assert np.nanmean(by_night[small_hours]) > 2 * np.nanmean(by_day[small_hours])


def test_insomnia_breaks_the_night():
    sound = replace(person(1), awakenings_per_hour=0.0, naps_per_day=0.0, work=Work.DAYS)
    broken = replace(sound, awakenings_per_hour=2.0, awakening_minutes=20.0)
    nights = [
        level(one, np.random.default_rng(0), days=7) < sound.asleep_level / 2 for one in (sound, broken)
    ]
    wakings = [int((np.diff(night.astype(int)) == -1).sum()) for night in nights]
    assert wakings[0] <= 8
    assert wakings[1] > 4 * wakings[0]


def test_free_days_begin_later():
    traits = replace(person(1), free_day_delay_hours=3.0, night_to_night_hours=0.01, naps_per_day=0.0)
    traits = replace(traits, awakenings_per_hour=0.0, work=Work.DAYS)
    asleep = (level(traits, np.random.default_rng(0), days=7) < traits.asleep_level / 2).reshape(7, DAY)
    waking = [int(np.flatnonzero(day[: 14 * 60]).max()) for day in asleep]
    assert min(waking[5:]) - max(waking[:5]) > 2.5 * 60


def test_a_recording_starts_when_it_is_told_and_says_what_it_is():
    made = recording(5, days=8.25, start=START, zone="Europe/Berlin")
    assert made.epochs == 8.25 * DAY
    assert made.start.isoformat() == "2024-05-13T16:20:00+02:00"
    assert (made.unit, made.device, made.wear_site) == (
        Unit.ACTIWATCH_COUNTS,
        Device.SYNTHETIC_DEMO,
        WearSite.WRIST,
    )


def test_a_recording_without_zone_is_the_same_life_on_a_wall_clock():
    zoned = recording(5, days=2, start=START, zone="Europe/Berlin")
    on_the_wall = recording(5, days=2, start=START)
    assert on_the_wall.zone is None
    np.testing.assert_array_equal(zoned.values, on_the_wall.values)
