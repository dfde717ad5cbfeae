"""Activity numbers against days worked out by hand, what must not change them, and why they are absent."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postprocessing import activity
from postprocessing.absence import Reason
from postprocessing.activity import bouts_of, nonwear_as_sedentary
from postprocessing.analysis import Activity
from postprocessing.cut_points import CUT_POINTS, cut_points_of
from postprocessing.metrics import METRICS, codes_of
from postprocessing.valid_days import DayLevels, ValidDays
from preprocessing.calendar import wall_clock_of
from preprocessing.recording import Flag, Recording
from preprocessing.units import Device, Unit, WearSite
from tests.postprocessing.synthetic import between, changed, regular, with_values

MIDNIGHT = datetime(2024, 5, 1)
VOLUME = {"mean_level", "total_activity"}
INTENSITY = {"sedentary_time", "light_time", "moderate_time", "vigorous_time", "mvpa_time"}
BOUTS = {"sedentary_bout", "active_bout", "sedentary_to_active", "active_to_sedentary"}
STEPS = {"steps_per_day", "moderate_cadence_time", "vigorous_cadence_time"}
LOG = {"total_log_activity"}
ALL = VOLUME | INTENSITY | BOUTS | STEPS | LOG


def activity_of(recording: Recording) -> Activity:
    return activity.summarise(recording, recording.recorded)


def values(found: Activity) -> dict[str, float]:
    return {metric.code.value: metric.value for metric in found.metrics if metric.value is not None}


def reasons(found: Activity) -> dict[str, Reason]:
    return {metric.code.value: metric.absent.reason for metric in found.metrics if metric.absent}


def hip(days: float = 7, **how) -> Recording:
    return regular(days, start=MIDNIGHT, unit=Unit.ACTIGRAPH_7164_COUNTS, wear_site=WearSite.HIP, **how)


def lively(days: float = 7, seed: int = 1, **how) -> Recording:
    recording = hip(days, **how)
    random = np.random.default_rng(seed)
    return with_values(recording, np.round(recording.values * random.exponential(2.0, recording.epochs)))


def one_day(*levels: tuple[int, float]) -> Recording:
    """A hip-worn day of so many minutes at each level, in order."""
    minutes = np.concatenate([np.full(count, level, dtype=np.float64) for count, level in levels])
    return with_values(hip(1), minutes)


def test_a_day_worked_out_by_hand():
    found = activity_of(
        one_day((840, 0), (300, 99), (180, 100), (60, 2019), (30, 2020), (20, 5998), (10, 5999))
    )
    total = 300 * 99 + 180 * 100 + 60 * 2019 + 30 * 2020 + 20 * 5998 + 10 * 5999
    assert values(found) == pytest.approx(
        {
            "mean_level": total / 1440,
            "total_activity": total,
            "total_log_activity": 300 * math.log(100)
            + 180 * math.log(101)
            + 60 * math.log(2020)
            + 30 * math.log(2021)
            + 20 * math.log(5999)
            + 10 * math.log(6000),
            "sedentary_time": 1140,
            "light_time": 240,
            "moderate_time": 50,
            "vigorous_time": 10,
            "mvpa_time": 60,
            "sedentary_bout": 1140,
            "active_bout": 300,
            "sedentary_to_active": 1 / 1140,
            "active_to_sedentary": 1 / 300,
        },
        rel=1e-12,
    )
    assert (found.valid_days, found.cut_points) == (1, "troiano-2008")


def test_bouts_are_averaged_over_a_day_and_then_over_days():
    first, second = [0, 0, 0, 200, 0, 200, 200], [200, 200, 200, 200, 0, 0, 200]
    minutes = nonwear_as_sedentary(np.array([first, second], dtype=np.float64), np.ones((2, 7), bool))
    bouts = bouts_of(minutes, 100)
    assert bouts.sedentary.tolist() == [2, 2]  # 3 and 1; 2
    assert bouts.active.tolist() == [1.5, 2.5]  # 1 and 2; 4 and 1


def test_non_wear_ends_a_bout_and_is_none():
    levels = np.array([0.0, 0, 0, 0, 0, 200])
    place = np.array([0, 0, -1, 0, 0, 0])
    bouts = bouts_of(DayLevels(levels, place, 1, 1.0), 100)
    assert bouts.sedentary.tolist() == [2]
    worn = place >= 0
    assert bouts_of(nonwear_as_sedentary(levels[None], worn[None]), 100).sedentary.tolist() == [5]


def test_a_day_without_an_active_minute_has_no_active_bout_and_leaves_the_mean():
    recording = changed(hip(3), "2024-05-02", "2024-05-03", 0.0)
    found = activity_of(recording)
    by_code = {metric.code.value: metric for metric in found.metrics}
    assert by_code["active_bout"].value == 960
    assert by_code["active_bout"].parameters["valid_days"] == 2
    assert by_code["mvpa_time"].parameters["valid_days"] == 3
    still = activity_of(with_values(recording, np.zeros(recording.epochs)))
    assert reasons(still) == {
        **dict.fromkeys(STEPS, Reason.UNIT_NOT_SUPPORTED),
        "active_bout": Reason.INSUFFICIENT_DATA,
        "active_to_sedentary": Reason.INSUFFICIENT_DATA,
    }


@pytest.mark.parametrize(
    ("site", "hours"), [(WearSite.WRIST, 16), (WearSite.UNKNOWN, 16), (WearSite.HIP, 10)]
)
def test_a_day_counts_with_sixteen_worn_hours_or_ten_on_the_hip(site, hours):
    recording = replace(regular(1, start=MIDNIGHT), wear_site=site)
    worn = np.arange(1440) < hours * 60
    assert activity.summarise(recording, worn).valid_days == 1
    worn[hours * 60 - 1] = False
    short = activity.summarise(recording, worn)
    assert short.valid_days == 0
    assert reasons(short)["total_activity"] is Reason.TOO_FEW_VALID_DAYS


def test_a_valid_day_is_never_prorated():
    recording = changed(hip(2), "2024-05-02T12:00", "2024-05-02T15:00", np.nan)
    found = values(activity_of(recording))
    assert found["total_activity"] == (960 * 500 + 780 * 500) / 2
    assert found["light_time"] == (960 + 780) / 2


def test_a_day_that_is_not_valid_counts_for_nothing():
    recording = lively()
    off = between(recording, "2024-05-03T04:00", "2024-05-03T23:00")
    shaken = with_values(
        recording, np.where(between(recording, "2024-05-03", "2024-05-04"), 9999.0, recording.values)
    )
    assert activity.summarise(shaken, ~off) == activity.summarise(recording, ~off)
    kept = [
        values(activity_of(replace(recording, values=part, start=MIDNIGHT)))["total_activity"]
        for number, part in enumerate(recording.values.reshape(7, 1440))
        if number != 2
    ]
    assert values(activity.summarise(recording, ~off))["total_activity"] == pytest.approx(
        np.mean(kept), rel=1e-12
    )


def test_every_number_says_what_made_it_and_what_it_rests_on():
    recording = changed(lively(), "2024-05-03", "2024-05-04", np.nan)
    for metric in activity_of(recording).metrics:
        if metric.value is not None:
            assert metric.algorithm
            assert (metric.epochs_used, metric.wear_minutes) == (6 * 1440, 6 * 1440.0)
            assert metric.parameters["valid_days"] == 6
            assert metric.unit == METRICS[metric.code].unit_for(recording.unit)


@pytest.mark.parametrize("epoch_seconds", [1, 15, 30, 60])
def test_minutes_are_made_of_finer_epochs(epoch_seconds):
    recording = hip(2, epoch_seconds=epoch_seconds)
    found = activity_of(recording)
    assert values(found) == pytest.approx(values(activity_of(hip(2))), rel=1e-9)
    (light,) = (metric for metric in found.metrics if metric.code.value == "light_time")
    assert (light.epochs_used, light.wear_minutes) == (recording.epochs, 2880)


@pytest.mark.parametrize("epoch_seconds", [17, 300])
def test_epochs_that_make_no_minutes_have_volume_only(epoch_seconds):
    found = activity_of(hip(3, epoch_seconds=epoch_seconds))
    assert set(values(found)) == VOLUME
    assert {reasons(found)[code] for code in INTENSITY | BOUTS | LOG} == {Reason.INSUFFICIENT_DATA}


def test_a_minute_of_which_a_part_is_missing_does_not_count():
    recording = changed(hip(1, epoch_seconds=30), "2024-05-01T12:00:30", "2024-05-01T12:01", np.nan)
    assert values(activity_of(recording))["light_time"] == 959


def enmo(device: Device, **how) -> Recording:
    recording = regular(3, start=MIDNIGHT, unit=Unit.ENMO_MG, per_minute=100.0, **how)
    return replace(recording, device=device)


@pytest.mark.parametrize(
    ("device", "name", "moderate"),
    [
        (Device.ACTIGRAPH_GT3X, "hildebrand-2014-actigraph", 0),
        (Device.GENEACTIV, "hildebrand-2014-geneactiv", 960),
    ],
)
def test_wrist_enmo_has_the_cut_points_of_its_device(device, name, moderate):
    found = activity_of(enmo(device))
    assert found.cut_points == name
    assert values(found)["moderate_time"] == moderate
    assert values(found)["sedentary_time"] == 480
    assert {reasons(found)[code] for code in BOUTS | STEPS | LOG} == {Reason.UNIT_NOT_SUPPORTED}


@pytest.mark.parametrize(
    ("unit", "site", "device", "reason"),
    [
        (Unit.ENMO_MG, WearSite.WRIST, Device.AXIVITY, Reason.DEVICE_SCALING_UNKNOWN),
        (Unit.ENMO_MG, WearSite.WRIST, Device.UNKNOWN, Reason.DEVICE_SCALING_UNKNOWN),
        (Unit.ENMO_MG, WearSite.HIP, Device.ACTIGRAPH_GT3X, Reason.DEVICE_SCALING_UNKNOWN),
        (Unit.MIMS, WearSite.WRIST, Device.ACTIGRAPH_GT3X, Reason.UNIT_NOT_SUPPORTED),
        (Unit.ACTIWATCH_COUNTS, WearSite.WRIST, Device.ACTIWATCH, Reason.DEVICE_SCALING_UNKNOWN),
        (
            Unit.PHILIPS_ACTIWATCH_COUNTS,
            WearSite.WRIST,
            Device.PHILIPS_ACTIWATCH,
            Reason.DEVICE_SCALING_UNKNOWN,
        ),
        (Unit.COUNTS, WearSite.HIP, Device.UNKNOWN, Reason.DEVICE_SCALING_UNKNOWN),
        (Unit.ACTIGRAPH_AXIS1_COUNTS, WearSite.WRIST, Device.ACTIGRAPH_GT3X, Reason.DEVICE_SCALING_UNKNOWN),
        (Unit.ACTIGRAPH_AXIS1_COUNTS, WearSite.UNKNOWN, Device.ACTIGRAPH_GT3X, Reason.DEVICE_SCALING_UNKNOWN),
    ],
)
def test_where_no_cut_points_were_published_there_are_no_minutes_of_intensity(unit, site, device, reason):
    recording = replace(regular(3, start=MIDNIGHT, unit=unit, wear_site=site), device=device)
    found = activity_of(recording)
    assert found.cut_points is None
    assert {reasons(found)[code] for code in INTENSITY | BOUTS} == {reason}
    assert set(values(found)) >= VOLUME
    assert (set(values(found)) >= LOG) is unit.is_count


def test_volume_carries_the_unit_of_the_recording():
    for unit in Unit:
        by_code = {m.code.value: m.unit for m in activity_of(regular(2, start=MIDNIGHT, unit=unit)).metrics}
        assert by_code["mean_level"] == unit.ucum_per_minute
        assert by_code["total_activity"] == unit.ucum_per_day


def test_steps_have_steps_and_cadence_only():
    recording = regular(2, start=MIDNIGHT, unit=Unit.STEPS, per_minute=100.0)
    recording = changed(recording, "2024-05-02T10:00", "2024-05-02T10:30", 130.0)
    recording = changed(recording, "2024-05-02T11:00", "2024-05-02T11:30", 99.0)
    found = activity_of(recording)
    assert values(found) == {
        "steps_per_day": 96_000 + (30 * 30 - 30) / 2,
        "moderate_cadence_time": 960 - 15,
        "vigorous_cadence_time": 15,
    }
    assert set(reasons(found).values()) == {Reason.UNIT_NOT_SUPPORTED}
    assert {m.parameters["samples_spread"] for m in found.metrics if "cadence" in m.code} == {False}


def test_where_non_wear_cannot_be_seen_nothing_is_called_rest():
    floor = with_values(hip(3), hip(3).values + 3)
    floor = replace(floor, flags=frozenset({Flag.CONSTANT_FLOOR}))
    assert {
        code for code, why in reasons(activity_of(floor)).items() if why is Reason.NONWEAR_NOT_ASSESSABLE
    } == {
        "sedentary_time",
        "sedentary_bout",
        "sedentary_to_active",
    }
    assert {"mvpa_time", "active_bout", "total_activity"} <= set(values(activity_of(floor)))
    told = replace(floor, wear=floor.recorded)
    assert reasons(activity_of(told)) == dict.fromkeys(STEPS, Reason.UNIT_NOT_SUPPORTED)


def test_nothing_worn_is_too_few_days_and_nothing_else():
    recording = hip()
    found = activity.summarise(recording, np.zeros(recording.epochs, bool))
    assert found.valid_days == 0
    assert reasons(found) == dict.fromkeys(ALL - STEPS, Reason.TOO_FEW_VALID_DAYS) | dict.fromkeys(
        STEPS, Reason.UNIT_NOT_SUPPORTED
    )


def test_a_shift_by_a_day_changes_nothing():
    recording = lively()
    assert activity_of(replace(recording, start=MIDNIGHT + timedelta(days=1))) == activity_of(recording)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.01, 100), st.integers(0, 2**32 - 1))
def test_scaling_the_counts_scales_their_volume(factor, seed):
    recording = lively(3, seed=seed)
    here, there = (
        values(activity_of(one)) for one in (recording, with_values(recording, recording.values * factor))
    )
    for code in VOLUME:
        assert there[code] == pytest.approx(here[code] * factor, rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(0, 0.9),
    st.sampled_from([1, 17, 30, 60, 300, 3600]),
    st.sampled_from(list(Unit)),
    st.sampled_from([None, "Europe/Oslo", "America/Sao_Paulo"]),
)
def test_whatever_is_missing_every_number_is_finite_and_a_day_has_its_minutes(
    seed, share, seconds, unit, zone
):
    days = 0.2 if seconds == 1 else 3
    recording = regular(
        days, start=datetime(2017, 10, 14, 22, 0, 30), zone=zone, epoch_seconds=seconds, unit=unit
    )
    random = np.random.default_rng(seed)
    recording = replace(
        with_values(recording, random.exponential(300, recording.epochs)), wear_site=WearSite.HIP
    )
    found = activity.summarise(recording, random.random(recording.epochs) >= share)
    assert [metric.code for metric in found.metrics] == list(codes_of("activity"))
    known = values(found)
    assert all(math.isfinite(value) and value >= 0 for value in known.values())
    if set(known) >= INTENSITY:
        assert known["sedentary_time"] + known["light_time"] + known["mvpa_time"] <= 25 * 60


def test_a_day_on_which_the_clock_changes_has_its_own_hours():
    for start, minutes in ((datetime(2024, 3, 31), 1380), (datetime(2024, 10, 27), 1500)):
        recording = regular(minutes / 1440, start=start, zone="Europe/Oslo", wear_site=WearSite.HIP)
        days = ValidDays.of(recording, recording.recorded)
        assert days.count == 1
        assert int(days.by_epoch.counted.sum()) == minutes
        assert len(set(wall_clock_of(recording).astype("datetime64[D]").tolist())) == 1


def test_each_recording_fits_one_set_of_cut_points_at_most():
    for unit in Unit:
        for site in WearSite:
            for device in Device:
                recording = Recording(MIDNIGHT, None, 60, np.zeros(1), unit, device=device, wear_site=site)
                fitting = [
                    points
                    for points in CUT_POINTS
                    if unit in points.units
                    and site is points.wear_site
                    and (not points.devices or device in points.devices)
                ]
                assert len(fitting) <= 1
                assert (cut_points_of(recording) in CUT_POINTS) is bool(fitting)
