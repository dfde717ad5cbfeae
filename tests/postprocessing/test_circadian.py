"""Rhythm numbers against cases worked out by hand, and what must not change them."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postprocessing.absence import Reason
from postprocessing.analysis import Rhythm
from postprocessing.circadian import (
    ClockSeries,
    binarised,
    clock_profile,
    cosinor,
    day_profile,
    extreme_window,
    hourly_means,
    interdaily_stability,
    intradaily_variability,
    relative_amplitude,
    summarise,
)
from preprocessing.recording import Recording, ZoneChange
from preprocessing.units import Unit, WearSite
from tests.postprocessing.synthetic import between, changed, clock_hours, regular, with_values

STABILITY = ("interdaily_stability", "intradaily_variability")
LEVELS = ("l5", "m10", "mesor", "amplitude")


def rhythm_of(recording: Recording) -> Rhythm:
    return summarise(recording, recording.recorded)


def values(rhythm: Rhythm) -> dict[str, float | None]:
    return {metric.code.value: metric.value for metric in rhythm.metrics}


def reasons(rhythm: Rhythm) -> dict[str, Reason | None]:
    return {metric.code.value: metric.absent and metric.absent.reason for metric in rhythm.metrics}


def lively(days: float = 7, seed: int = 1, **how) -> Recording:
    recording = regular(days, **how)
    random = np.random.default_rng(seed)
    return with_values(
        recording, np.round((recording.values + 5) * random.exponential(1.0, recording.epochs))
    )


def hours(*levels: float) -> np.ndarray:
    return np.array(levels, dtype=np.float64)


def test_one_busy_hour_on_one_of_three_days_worked_out_by_hand():
    hourly = np.zeros(72)
    hourly[0] = 3
    # m = 1/24; sum_h (x_h - m)^2 = 23/24; sum_i (x_i - m)^2 = 9 - 1/8; one step of 3
    assert interdaily_stability(hourly, np.arange(72) % 24) == pytest.approx(
        72 * (23 / 24) / (24 * 8.875), rel=1e-14
    )
    assert intradaily_variability(hourly) == pytest.approx(72 * 9 / (71 * 8.875), rel=1e-14)


def test_days_that_repeat_exactly_are_perfectly_stable():
    assert interdaily_stability(np.tile(np.arange(24.0), 4), np.arange(96) % 24) == pytest.approx(
        1, abs=1e-14
    )


def test_steps_beside_a_missing_hour_are_left_out():
    assert intradaily_variability(hours(0, 1, math.nan, 1, 0)) == 4  # two steps of 1, variance 1/4
    assert intradaily_variability(hours(0, math.nan, 1)) is None


def test_nothing_that_varies_has_no_stability_or_variability():
    assert interdaily_stability(np.full(96, 0.1), np.arange(96) % 24) is None
    assert intradaily_variability(np.full(96, 0.1)) is None


def test_a_clock_hour_that_is_never_valid_leaves_stability_undefined():
    hourly = np.random.default_rng(1).random(96)
    hourly[5::24] = np.nan
    assert interdaily_stability(hourly, np.arange(96) % 24) is None
    assert intradaily_variability(hourly) is not None


@pytest.mark.parametrize(("recorded_minutes", "valid"), [(29, False), (30, True)])
def test_an_hour_counts_with_thirty_valid_minutes(recorded_minutes, valid):
    recording = changed(regular(1), "2024-05-01T14:00", f"2024-05-01T14:{60 - recorded_minutes}", np.nan)
    means, clock_hour = hourly_means(ClockSeries.of(recording, recording.recorded))
    assert clock_hour.tolist() == [*range(12, 24), *range(12)]
    assert means[1] == 500 or not np.isfinite(means[2:]).any()
    assert np.isfinite(means[2]) == valid


@pytest.mark.parametrize(
    ("start", "hours_of_day", "expected"),
    [(datetime(2024, 3, 31), 23, [0, 1, 3, 4]), (datetime(2024, 10, 27), 25, [0, 1, 2, 2, 3])],
)
def test_a_clock_change_makes_a_day_of_23_or_25_hours(start, hours_of_day, expected):
    recording = regular(hours_of_day / 24, start=start, zone="Europe/Oslo")
    means, clock_hour = hourly_means(ClockSeries.of(recording, recording.recorded))
    assert means.size == hours_of_day
    assert clock_hour[: len(expected)].tolist() == expected


def test_the_repeated_hour_is_the_mean_of_both_passes_on_one_day():
    recording = regular(25 / 24, start=datetime(2024, 10, 27), zone="Europe/Oslo")
    numbered = with_values(recording, np.arange(recording.epochs, dtype=np.float64))
    profile, seen = day_profile(ClockSeries.of(numbered, numbered.recorded))
    assert profile[120] == (120 + 180) / 2
    assert profile[180] == 240
    assert set(seen.tolist()) == {1}


def test_levels_are_means_over_the_days_that_have_the_minute():
    recording = regular(3, start=datetime(2024, 5, 1))
    days = (
        between(recording, "2024-05-02", "2024-05-03") * 2
        + between(recording, "2024-05-03", "2024-05-04") * 6.0
    )
    gone = between(recording, "2024-05-02T10:00", "2024-05-02T11:00")
    profile, seen = day_profile(ClockSeries.of(with_values(recording, days), ~gone))
    assert (profile[0], profile[600]) == (8 / 3, 3)
    assert (seen[0], seen[600]) == (3, 2)


def plateau(low: float, high: float, *busy: tuple[int, int]) -> np.ndarray:
    profile = np.full(1440, low)
    for first, end in busy:
        profile[first:end] = high
    return profile


def test_the_least_and_most_active_hours_may_cross_midnight():
    night = np.roll(plateau(100, 0, (0, 300)), -90)  # still from 22:30 to 03:30
    assert extreme_window(night, 300, highest=False).onset == 22.5
    assert extreme_window(night, 300, highest=False).level == 0
    shift = np.roll(plateau(10, 100, (0, 600)), -120)
    assert extreme_window(shift, 600, highest=True).onset == 22
    assert extreme_window(shift, 600, highest=True).level == 100


def test_equal_starts_in_a_row_give_their_middle():
    still = np.roll(plateau(100, 0, (0, 361)), -60)  # 23:00 to 05:01: 62 starts from 23:00 to 00:01
    assert extreme_window(still, 300, highest=False).onset == pytest.approx((23 + 30.5 / 60) % 24, abs=1e-12)


def test_equal_starts_apart_or_all_day_give_no_onset_but_a_level():
    two_nights = plateau(100, 0, (0, 300), (720, 1020))
    assert extreme_window(two_nights, 300, highest=False).onset is None
    assert extreme_window(two_nights, 300, highest=False).level == 0
    assert extreme_window(np.full(1440, 7.0), 300, highest=False).onset is None


@given(st.integers(0, 1439), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_turning_the_day_turns_the_onset_by_as_much(turn, seed):
    profile = np.random.default_rng(seed).random(1440)
    here, there = (extreme_window(p, 300, highest=False) for p in (profile, np.roll(profile, turn)))
    assert there.level == pytest.approx(here.level, rel=1e-12)
    assert math.remainder(there.onset - here.onset - turn / 60, 24) == pytest.approx(0, abs=1e-9)


def test_relative_amplitude_lies_between_none_and_one():
    assert relative_amplitude(10, 90) == 0.8
    assert relative_amplitude(0, 90) == 1
    assert relative_amplitude(0, 0) is None


@pytest.mark.parametrize("peak", [0.0, 0.25, 6, 15.5, 23.99])
def test_cosinor_finds_the_curve_it_was_given(peak):
    clock = np.arange(0, 48, 0.5)
    fit = cosinor(clock, 100 + 50 * np.cos(2 * np.pi * (clock - peak) / 24))
    assert (fit.mesor, fit.amplitude, fit.r_squared) == pytest.approx((100, 50, 1), rel=1e-12)
    assert math.remainder(fit.acrophase - peak, 24) == pytest.approx(0, abs=1e-12)


def test_cosinor_of_a_flat_day_has_a_mesor_and_no_peak():
    fit = cosinor(np.arange(24.0), np.full(24, 0.1))
    assert (fit.amplitude, fit.acrophase, fit.r_squared) == (0, None, None)
    assert fit.mesor == pytest.approx(0.1)
    clock = np.arange(24.0)
    twice_a_day = cosinor(clock, 5 + np.cos(2 * np.pi * clock / 12))
    assert twice_a_day.acrophase is None
    assert twice_a_day.r_squared == pytest.approx(0, abs=1e-12)


def test_a_regular_week_has_the_numbers_of_its_construction():
    found = values(rhythm_of(regular(7)))
    assert found["interdaily_stability"] == pytest.approx(1, abs=1e-12)
    assert found["intradaily_variability"] == pytest.approx(14 / 167 / (1 / 3 * 2 / 3), rel=1e-12)  # 14 steps
    assert (found["l5"], found["m10"], found["relative_amplitude"]) == (0, 500, 1)
    assert found["l5_onset"] == 0.5  # starts from 23:00 to 02:00
    assert found["m10_onset"] == 10  # starts from 07:00 to 13:00
    assert found["mesor"] == pytest.approx(1000 / 3)
    assert found["acrophase"] == pytest.approx(15 - 0.5 / 60, abs=1e-9)  # minutes are labelled by their start


def test_every_metric_says_what_made_it_and_what_it_rests_on():
    recording = regular(7)
    for metric in rhythm_of(recording).metrics:
        assert metric.algorithm
        assert (metric.epochs_used, metric.wear_minutes) == (10_080, 10_080.0)
    first = rhythm_of(recording).metrics[0]
    assert first.parameters["binarized"] is False
    assert first.parameters["valid_hours"] == 168


@pytest.mark.parametrize(
    ("epoch_seconds", "per_epoch"), [(30, 0.5), (10, 1 / 6), (120, 2), (300, 5), (900, 15)]
)
def test_levels_are_per_minute_whatever_the_epoch(epoch_seconds, per_epoch):
    minutes = regular(7, start=datetime(2024, 5, 1))
    other = regular(7, start=datetime(2024, 5, 1), epoch_seconds=epoch_seconds)
    np.testing.assert_allclose(other.values.max(), 500 * per_epoch)
    here, there = values(rhythm_of(minutes)), values(rhythm_of(other))
    for code in ("l5", "m10", "mesor", "relative_amplitude", *STABILITY, "l5_onset", "m10_onset"):
        assert there[code] == pytest.approx(here[code], rel=1e-9, abs=1e-12), code


def test_a_rate_is_not_scaled_by_the_epoch():
    fine = regular(4, unit=Unit.ENMO_MG, epoch_seconds=30)
    rate = replace(fine, values=fine.values * 2)
    assert values(rhythm_of(rate))["m10"] == 500
    assert {metric.unit for metric in rhythm_of(rate).metrics if metric.code.value in LEVELS} == {"m[g]"}


@settings(max_examples=15, deadline=None)
@given(st.floats(0.01, 100), st.integers(0, 2**32 - 1))
def test_scaling_the_counts_scales_the_levels_and_nothing_else(factor, seed):
    recording = lively(seed=seed)
    here, there = (
        values(rhythm_of(recording)),
        values(rhythm_of(with_values(recording, recording.values * factor))),
    )
    assert [value is None for value in there.values()] == [value is None for value in here.values()]
    for code, value in here.items():
        if code.startswith("log_") or code.endswith("_binarized"):  # of a logarithm, of a fixed threshold
            continue
        if value is None:  # starts that tie apart do so at every scale
            continue
        expected = value * factor if code in LEVELS else value
        assert there[code] == pytest.approx(expected, rel=1e-9, abs=1e-9), code


def test_a_shift_by_a_day_changes_nothing():
    assert rhythm_of(lively(start=datetime(2024, 5, 2, 12))) == rhythm_of(
        lively(start=datetime(2024, 5, 1, 12))
    )


def test_a_shift_by_an_hour_moves_every_clock_statement_by_an_hour():
    recording = lively()
    later = replace(recording, start=recording.start.replace(hour=13))
    here, there = values(rhythm_of(recording)), values(rhythm_of(later))
    for code, value in here.items():
        moved = code in {"l5_onset", "m10_onset", "acrophase", "log_acrophase"}
        assert there[code] == pytest.approx((value + 1) % 24 if moved else value, rel=1e-9), code


def test_a_masked_day_counts_for_nothing():
    recording = lively(start=datetime(2024, 5, 1))
    day = between(recording, "2024-05-04", "2024-05-05")
    shaken = with_values(recording, np.where(day, 9999.0, recording.values))
    unrecorded = with_values(recording, np.where(day, np.nan, recording.values))
    assert summarise(shaken, ~day) == summarise(recording, ~day) == rhythm_of(unrecorded)
    series = ClockSeries.of(recording, ~day)
    assert (day_profile(series)[1] == 6).all()
    kept = recording.values[~day]
    assert values(summarise(recording, ~day))["mesor"] == pytest.approx(
        cosinor(clock_hours(recording)[~day], kept).mesor, rel=1e-12
    )


def test_less_than_three_days_have_no_stability_but_levels():
    found = reasons(rhythm_of(lively(2.99)))
    assert {found[code] for code in STABILITY} == {Reason.TOO_FEW_VALID_DAYS}
    assert found["l5"] is found["acrophase"] is None
    assert all(reason is None for reason in reasons(rhythm_of(lively(3))).values())


@pytest.mark.parametrize(("nights_gone", "enough"), [(4, True), (5, False)])
def test_three_quarters_of_the_hours_must_be_valid(nights_gone, enough):
    recording = lively(8, start=datetime(2024, 5, 1))
    worn = np.ones(recording.epochs, bool)
    for day in range(1, nights_gone + 1):
        worn &= ~between(recording, f"2024-05-{day:02d}T00:00", f"2024-05-{day:02d}T12:00")
    assert (reasons(summarise(recording, worn))["interdaily_stability"] is None) is enough
    if not enough:
        assert reasons(summarise(recording, worn))["interdaily_stability"] is Reason.TOO_MUCH_MISSING


def test_an_hour_of_the_day_that_is_never_worn_leaves_the_profile_unknown():
    recording = lively()
    worn = ~((clock_hours(recording) >= 19) & (clock_hours(recording) < 20))
    assert set(reasons(summarise(recording, worn)).values()) == {Reason.TOO_MUCH_MISSING}


def test_a_clock_minute_must_be_seen_on_two_days():
    assert reasons(rhythm_of(lively(1.99)))["l5"] is Reason.TOO_FEW_VALID_DAYS
    assert reasons(rhythm_of(lively(2)))["l5"] is None
    recording = lively(2)
    worn = ~between(recording, "2024-05-02T15:00", "2024-05-02T15:01")
    assert reasons(summarise(recording, worn))["l5"] is reasons(summarise(recording, worn))["mesor"]
    assert reasons(summarise(recording, worn))["l5"] is Reason.TOO_MUCH_MISSING


def test_a_week_without_movement_has_levels_of_zero_and_no_rhythm():
    recording = regular(7)
    found = rhythm_of(with_values(recording, np.zeros(recording.epochs)))
    assert {code: values(found)[code] for code in LEVELS} == dict.fromkeys(LEVELS, 0)
    assert reasons(found)["relative_amplitude"] is Reason.INSUFFICIENT_DATA
    assert {reasons(found)[code] for code in STABILITY} == {Reason.INSUFFICIENT_DATA}
    assert {reasons(found)[code] for code in ("l5_onset", "m10_onset", "acrophase")} == {Reason.NOT_UNIQUE}


def test_steps_have_no_rhythm():
    found = rhythm_of(regular(7, unit=Unit.STEPS))
    assert set(reasons(found).values()) == {Reason.UNIT_NOT_SUPPORTED}
    assert len(found.metrics) == 17


def test_a_hip_worn_device_is_computed_and_flagged():
    found = rhythm_of(regular(7, unit=Unit.ACTIGRAPH_7164_COUNTS, wear_site=WearSite.HIP))
    assert found.flags == ("hip_worn",)
    assert values(found)["relative_amplitude"] == 1
    assert rhythm_of(regular(7)).flags == ()


@pytest.mark.parametrize("epochs", [1, 2, 1439, 1440, 1441, 2879, 2880, 4319, 4320])
@pytest.mark.parametrize("value", [0.0, np.nan, 1000.0])
def test_constant_recordings_of_any_length_are_answered(epochs, value):
    found = rhythm_of(with_values(regular(1), np.full(epochs, value)))
    assert len(found.metrics) == 17
    if math.isnan(value) or epochs < 2880:
        assert all(metric.value is None for metric in found.metrics)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.6), st.sampled_from([17, 30, 60, 61, 300, 3600]))
def test_whatever_is_missing_every_number_is_finite_and_in_its_range(seed, share, epoch_seconds):
    recording = lively(4, seed=seed, epoch_seconds=epoch_seconds)
    worn = np.random.default_rng(seed).random(recording.epochs) >= share
    found = values(summarise(recording, worn))
    if found["l5"] is not None:
        assert 0 <= found["l5"] <= found["m10"]
        assert 0 <= found["relative_amplitude"] <= 1
    for code in STABILITY:
        assert found[code] is None or found[code] >= 0


@pytest.mark.parametrize(
    ("travel", "absent_for"),
    [
        ("America/New_York", Reason.ZONE_CHANGED),
        ("+05:30", Reason.ZONE_CHANGED),
        ("Europe/London", None),
        ("Africa/Lagos", None),  # no summer time: an hour from Oslo in summer, none in winter
        ("Europe/Oslo", None),
    ],
)
def test_a_journey_of_more_than_an_hour_leaves_no_clock_statement(travel, absent_for):
    home = lively(8, start=datetime(2024, 5, 1), zone="Europe/Oslo")
    away = ZoneChange(datetime(2024, 5, 4, 12, tzinfo=UTC), travel)
    found = reasons(rhythm_of(replace(home, travel=(away,))))
    assert set(found.values()) == {absent_for}


def test_a_journey_after_the_recording_changes_nothing():
    home = lively(8, start=datetime(2024, 5, 1), zone="Europe/Oslo")
    later = ZoneChange(datetime(2024, 6, 4, 12, tzinfo=UTC), "Asia/Tokyo")
    assert rhythm_of(replace(home, travel=(later,))) == rhythm_of(home)


def test_binarised_stability_looks_only_at_whether_a_minute_is_above_four_counts():
    recording = lively()
    loud = with_values(recording, np.where(recording.values > 4, 9000.0, recording.values))
    here, there = values(rhythm_of(recording)), values(rhythm_of(loud))
    for code in STABILITY:
        assert there[f"{code}_binarized"] == here[f"{code}_binarized"]
        assert there[code] != here[code]
    (metric,) = (m for m in rhythm_of(recording).metrics if m.code.value == "interdaily_stability_binarized")
    assert metric.parameters["binarized"] is True
    assert metric.parameters["above_counts_per_minute"] == 4


def test_four_counts_are_still_and_a_missing_minute_stays_missing():
    recording = with_values(regular(1), np.tile([4.0, 5.0, np.nan], 480))
    moved = binarised(ClockSeries.of(recording, recording.recorded)).levels
    np.testing.assert_array_equal(moved[:3], [0, 1, np.nan])


def test_finer_epochs_are_binarised_as_minutes():
    minutes = regular(7, start=datetime(2024, 5, 1))
    fine = regular(7, start=datetime(2024, 5, 1), epoch_seconds=15)
    spiky = with_values(fine, np.tile([4.0, 0.0, 0.0, 1.0], fine.epochs // 4) * (fine.values > 0))
    expected = values(rhythm_of(minutes))["interdaily_stability_binarized"]
    assert values(rhythm_of(spiky))["interdaily_stability_binarized"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("unit", [Unit.MIMS, Unit.ENMO_MG])
def test_a_unit_without_counts_has_no_threshold_of_counts(unit):
    found = reasons(rhythm_of(lively(unit=unit)))
    absences = {code for code, reason in found.items() if reason is Reason.UNIT_NOT_SUPPORTED}
    assert absences == {f"{code}_binarized" for code in STABILITY}
    assert {reason for code, reason in found.items() if code not in absences} == {None}


def test_epochs_that_make_no_minutes_are_not_binarised():
    found = reasons(rhythm_of(lively(epoch_seconds=300)))
    assert {found[f"{code}_binarized"] for code in STABILITY} == {Reason.INSUFFICIENT_DATA}
    assert found["interdaily_stability"] is None


@pytest.mark.parametrize("seed", [1, 2])
def test_both_cosinors_are_the_closed_form_over_whole_days(seed):
    """Over whole days sine and cosine are orthogonal: each coefficient is twice a mean."""
    recording = lively(5, seed=seed, start=datetime(2024, 5, 1))
    angle = 2 * np.pi * clock_hours(recording) / 24
    found = values(rhythm_of(recording))
    for prefix, levels in (("", recording.values), ("log_", np.log1p(recording.values))):
        cosine, sine = 2 * (levels * np.cos(angle)).mean(), 2 * (levels * np.sin(angle)).mean()
        assert found[f"{prefix}mesor"] == pytest.approx(levels.mean(), rel=1e-9)
        assert found[f"{prefix}amplitude"] == pytest.approx(math.hypot(cosine, sine), rel=1e-9)
        assert found[f"{prefix}acrophase"] == pytest.approx(
            math.atan2(sine, cosine) * 12 / math.pi % 24, rel=1e-9
        )
        explained = (cosine**2 + sine**2) / 2 / levels.var()
        assert found[f"{prefix}cosinor_r_squared"] == pytest.approx(explained, rel=1e-9)


def test_the_day_profile_has_a_level_for_each_clock_minute_and_none_where_never_worn():
    recording = regular(3, start=datetime(2024, 5, 1))
    worn = ~((clock_hours(recording) >= 12) & (clock_hours(recording) < 13))
    profile = clock_profile(recording, worn)
    assert len(profile) == 1440
    assert profile[720:780] == (None,) * 60
    assert (profile[0], profile[600]) == (0, 500)


def test_no_clock_minute_has_a_level_where_nothing_was_worn():
    recording = regular(3)
    assert clock_profile(recording, np.zeros(recording.epochs, bool)) == (None,) * 1440


def test_a_journey_that_was_over_before_the_recording_changes_nothing():
    home = lively(8, start=datetime(2024, 5, 10), zone="Europe/Oslo")
    away = ZoneChange(datetime(2024, 5, 1, tzinfo=UTC), "Asia/Tokyo")
    back = ZoneChange(datetime(2024, 5, 4, tzinfo=UTC), "Europe/Oslo")
    assert rhythm_of(replace(home, travel=(away, back))) == rhythm_of(home)
    assert set(reasons(rhythm_of(replace(home, travel=(away,)))).values()) == {Reason.ZONE_CHANGED}
