"""The week grid: 10,080 slots of local wall clock, each sample once or counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocessing.units import Unit
from preprocessing.week import resolves_minutes, weeks_of
from tests.preprocessing.inputs import recording


def weeks(found, stride_days=7):
    return weeks_of(found, found.recorded, stride_days)


def test_a_week_from_midnight_is_the_samples_themselves():
    (week,) = weeks(recording(epochs=10_080))
    np.testing.assert_array_equal(week.counts, np.arange(10_080))
    assert week.counts.dtype == np.float32
    assert (week.start.isoformat(), week.end.isoformat()) == (
        "2024-01-01T00:00:00+01:00",
        "2024-01-08T00:00:00+01:00",
    )
    assert (week.missing_fraction, week.dst_transition, week.dropped_minutes) == (0.0, None, 0)
    assert week.wear.all()


def test_the_actogram_has_one_row_per_day():
    (week,) = weeks(recording(epochs=10_080))
    assert week.actogram.shape == (7, 1440)
    assert week.actogram[3, 5] == 3 * 1440 + 5
    assert np.shares_memory(week.actogram, week.counts)


@pytest.mark.parametrize(
    ("epochs", "count"), [(1, 0), (1439, 0), (1440, 0), (10_079, 0), (10_080, 1), (10_081, 1)]
)
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_a_week_is_complete_when_all_its_minutes_are_covered(epochs, count, zone):
    assert len(weeks(recording(zone=zone, epochs=epochs))) == count


def test_what_comes_before_the_first_midnight_is_cut_not_rotated():
    (week,) = weeks(recording("2024-01-01T22:30", epochs=90 + 10_080))
    np.testing.assert_array_equal(week.counts, np.arange(90, 90 + 10_080))
    assert week.start.isoformat() == "2024-01-02T00:00:00+01:00"


@settings(deadline=None, max_examples=25)
@given(shift=st.integers(0, 1439), zone=st.sampled_from([None, "Asia/Kathmandu", "Europe/Berlin"]))
def test_shifting_the_start_shifts_the_grid(shift, zone):
    start = f"2024-01-01T{shift // 60:02d}:{shift % 60:02d}"
    (week,) = weeks(recording(start, zone, epochs=8 * 1440))
    first = (1440 - shift) % 1440
    np.testing.assert_array_equal(week.counts, np.arange(first, first + 10_080))


def test_another_zone_gives_another_grid():
    berlin = recording("2024-01-01T00:00", epochs=9 * 1440)
    elsewhere = replace(berlin, zone="America/New_York")
    assert weeks(elsewhere)[0].counts[0] == 6 * 60
    assert weeks(berlin)[0].counts[0] == 0


def test_three_weeks_give_three_results_and_strides_more():
    long = recording(epochs=21 * 1440)
    assert [week.start.day for week in weeks(long)] == [1, 8, 15]
    assert [week.start.day for week in weeks(long, 1)] == list(range(1, 16))
    assert [week.start.day for week in weeks(long, 5)] == [1, 6, 11]
    with pytest.raises(ValueError, match="stride"):
        weeks(long, 0)


CHANGES = [
    ("Europe/Berlin", "2024-03-28", "spring", 60),
    ("Europe/Berlin", "2024-10-24", "autumn", 60),
    ("Australia/Sydney", "2024-10-03", "spring", 60),
    ("Australia/Sydney", "2024-04-04", "autumn", 60),
    ("Australia/Lord_Howe", "2024-10-03", "spring", 30),
    ("Australia/Lord_Howe", "2024-04-04", "autumn", 30),
    ("America/Sao_Paulo", "2018-11-01", "spring", 60),
    ("Asia/Kathmandu", "2024-03-28", None, 0),
    ("Europe/Berlin", "2024-02-26", None, 0),  # over the leap day
]


@pytest.mark.parametrize("epoch_seconds", [15, 60])
@pytest.mark.parametrize(("zone", "start", "kind", "minutes"), CHANGES)
def test_a_week_with_a_clock_change_still_has_10_080_slots(zone, start, kind, minutes, epoch_seconds):
    elapsed = 10_080 + {"spring": -minutes, "autumn": minutes, None: 0}[kind]
    per_minute = 60 // epoch_seconds
    exact = recording(f"{start}T00:00", zone, epochs=elapsed * per_minute, epoch_seconds=epoch_seconds)
    (week,) = weeks(exact)
    assert week.counts.shape == (10_080,)
    assert week.dst_transition == kind
    assert week.missing.sum() == (minutes if kind == "spring" else 0)
    assert week.dropped_minutes == (minutes if kind == "autumn" else 0)
    one_less = recording(f"{start}T00:00", zone, epochs=elapsed * per_minute - 1, epoch_seconds=epoch_seconds)
    assert weeks(one_less) == []


def test_of_the_repeated_hour_the_first_pass_is_kept():
    (week,) = weeks(recording("2024-10-27T00:00", epochs=10_140))
    np.testing.assert_array_equal(week.counts[120:180], np.arange(120, 180))
    assert week.counts[180] == 240


def test_the_skipped_hour_is_missing_at_its_place():
    (week,) = weeks(recording("2024-03-31T00:00", epochs=10_020))
    assert np.flatnonzero(week.missing).tolist() == list(range(120, 180))


@settings(deadline=None, max_examples=40)
@given(
    change=st.sampled_from(CHANGES),
    missing=st.lists(st.integers(0, 10_000), max_size=20),
    offset=st.integers(0, 59),
)
def test_each_sample_is_in_the_grid_once_or_counted(change, missing, offset):
    zone, start, _, _ = change
    values = np.arange(10_140.0 + 1440)
    values[missing] = np.nan
    week = weeks(recording(f"{start}T00:00:{offset:02d}", zone, values=values))[0]
    first = 1440 if offset else 0
    covered = int(week.end.timestamp() - week.start.timestamp()) // 60
    there = week.counts[~week.missing].astype(int)
    assert (np.diff(there) > 0).all()
    recorded = np.flatnonzero(~np.isnan(values[first : first + covered])) + first
    dropped = np.setdiff1d(recorded, there)
    assert np.setdiff1d(there, recorded).size == 0
    assert dropped.size <= week.dropped_minutes
    assert dropped.size == 0 or np.ptp(dropped) < week.dropped_minutes
    if not missing:
        assert dropped.size == week.dropped_minutes


def test_finer_epochs_of_counts_add_up_and_rates_average():
    values = np.tile([1.0, 2.0, 3.0, 6.0], 10_080)
    (counts,) = weeks(recording(values=values, epoch_seconds=15))
    (rate,) = weeks(recording(values=values, epoch_seconds=15, unit=Unit.ENMO_MG))
    assert set(counts.counts) == {12.0}
    assert set(rate.counts) == {3.0}


def test_a_minute_with_a_missing_part_is_missing():
    values = np.ones(4 * 10_080)
    values[[9, 10, 4000]] = np.nan
    (week,) = weeks(recording(values=values, epoch_seconds=15))
    assert np.flatnonzero(week.missing).tolist() == [2, 1000]


@pytest.mark.parametrize("epoch_seconds", [7, 25, 40, 45])
def test_epochs_that_cross_the_border_of_two_minutes_are_split_by_overlap(epoch_seconds):
    epochs = 8 * 86_400 // epoch_seconds
    chance = np.random.default_rng(1)
    values = chance.integers(0, 300, epochs).astype(float)
    found = recording("2024-01-01T11:59:53", values=values, epoch_seconds=epoch_seconds)
    week, *_ = weeks(found)
    per_second = np.repeat(values / epoch_seconds, epoch_seconds)[12 * 3600 + 7 :][: 10_080 * 60]
    np.testing.assert_allclose(week.counts, per_second.reshape(-1, 60).sum(axis=1), rtol=1e-6)
    rate, *_ = weeks(replace(found, unit=Unit.ENMO_MG))
    levels = np.repeat(values, epoch_seconds)[12 * 3600 + 7 :][: 10_080 * 60].reshape(-1, 60)
    np.testing.assert_allclose(rate.counts, levels.mean(axis=1), rtol=1e-6)


def test_an_epoch_that_is_missing_makes_both_its_minutes_missing():
    values = np.ones(7 * 86_400 // 7)
    values[8] = np.nan  # 56 to 63 s
    (week,) = weeks(recording(values=values, epoch_seconds=7))
    assert np.flatnonzero(week.missing).tolist() == [0, 1]


def test_epochs_longer_than_a_minute_give_no_week():
    for epoch_seconds in (61, 120, 3600):
        found = recording(epochs=20_000, epoch_seconds=epoch_seconds)
        assert not resolves_minutes(found)
        assert weeks(found) == []


def test_minutes_not_worn_are_missing_with_their_counts():
    found = recording()
    worn = np.ones(10_080, dtype=bool)
    worn[100:200] = False
    (week,) = weeks_of(found, worn)
    assert np.flatnonzero(week.missing).tolist() == list(range(100, 200))
    assert np.isnan(week.counts[100:200]).all()
    np.testing.assert_array_equal(week.wear, ~week.missing)


def test_zeros_are_values():
    (week,) = weeks(recording(values=np.zeros(10_080)))
    assert week.missing_fraction == 0
    assert (week.counts == 0).all()


def test_a_day_that_never_was_is_missing():
    (week,) = weeks(recording("2011-12-27T00:00", "Pacific/Apia", epochs=6 * 1440))
    assert week.missing.sum() == 1440
    assert week.missing[3 * 1440 : 4 * 1440].all()


def test_a_wall_clock_week_knows_no_clock_change():
    (week,) = weeks(recording("2024-03-28T00:00", None, epochs=10_080))
    assert (week.start, week.zone, week.dst_transition) == (datetime(2024, 3, 28), None, None)
    assert not week.missing.any()
