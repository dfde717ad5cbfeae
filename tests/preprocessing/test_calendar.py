"""The wall clock: every label agrees with the standard library, one transition at a time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocessing.calendar import (
    after,
    elapsed_seconds,
    locate,
    midnight,
    midnights,
    transitions,
    wall_clock,
    wall_clock_of,
    zone_of,
)
from preprocessing.recording import RecordingError, Refusal
from tests.preprocessing.inputs import recording

ZONES = [
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "Africa/Casablanca",
    "Pacific/Apia",
    "Europe/Dublin",
    "UTC",
    "+05:30",
    "-03:30",
]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x",
        "localtime",
        "Factory",
        "right/Europe/Oslo",
        "europe/oslo",
        "../etc",
        "-00:00",
        "+24:00",
        "+5:30",
    ],
)
def test_a_name_that_is_no_zone_is_refused(name):
    with pytest.raises(RecordingError) as refused:
        zone_of(name)
    assert refused.value.code is Refusal.NO_TIME_ZONE


def test_a_refused_zone_is_not_repeated_in_the_message():
    with pytest.raises(RecordingError) as refused:
        zone_of("secret" * 10_000)
    assert "secret" not in str(refused.value)
    assert len(str(refused.value)) < 300


def test_a_fixed_offset_is_a_zone():
    assert zone_of("+05:30").utcoffset(None) == timedelta(hours=5, minutes=30)
    assert zone_of("-03:30").utcoffset(None) == -timedelta(hours=3, minutes=30)


def test_time_added_across_the_spring_change_is_elapsed_time():
    start = datetime(2024, 3, 30, 23, 0, tzinfo=zone_of("Europe/Berlin"))
    assert after(start, timedelta(hours=8)).isoformat() == "2024-03-31T08:00:00+02:00"
    assert elapsed_seconds(start, datetime(2024, 3, 31, 7, 0, tzinfo=zone_of("Europe/Berlin"))) == 7 * 3600


def test_time_added_without_zone_is_plain():
    assert after(datetime(2024, 3, 30, 23, 0), timedelta(hours=8)) == datetime(2024, 3, 31, 7, 0)


@settings(deadline=None, max_examples=60)
@given(
    zone=st.sampled_from(ZONES),
    start=st.datetimes(datetime(1950, 1, 1), datetime(2035, 1, 1)),
    seconds=st.lists(st.integers(0, 400 * 86_400), min_size=1, max_size=30),
)
def test_labels_are_those_of_the_standard_library(zone, start, seconds):
    start = start.replace(microsecond=0, tzinfo=zone_of(zone))
    labels = wall_clock(start, zone, np.array(seconds, dtype=np.int64))
    expected = [after(start, timedelta(seconds=s)).replace(tzinfo=None) for s in seconds]
    assert labels.tolist() == expected


@settings(deadline=None, max_examples=60)
@given(
    zone=st.sampled_from(ZONES),
    instants=st.lists(
        st.datetimes(datetime(1970, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),
        min_size=1,
        max_size=30,
    ),
)
def test_a_label_is_located_at_its_instant_or_one_pass_before(zone, instants):
    tz = zone_of(zone)
    utc = np.array([int(moment.timestamp()) for moment in instants])
    labels = np.array([m.replace(microsecond=0).astimezone(tz).replace(tzinfo=None) for m in instants])
    found = locate(labels.astype("datetime64[s]"), zone)
    assert not found.skipped.any()
    assert ((found.utc == utc) | (found.utc + found.second_pass == utc)).all()


@pytest.mark.parametrize(
    ("zone", "day", "kind", "minutes"),
    [
        ("Europe/Berlin", "2024-03-31", "spring", 60),
        ("Europe/Berlin", "2024-10-27", "autumn", -60),
        ("Australia/Sydney", "2024-10-06", "spring", 60),
        ("Australia/Sydney", "2024-04-07", "autumn", -60),
        ("Australia/Lord_Howe", "2024-10-06", "spring", 30),
        ("Australia/Lord_Howe", "2024-04-07", "autumn", -30),
    ],
)
def test_each_clock_change_is_found_once_with_its_kind(zone, day, kind, minutes):
    begin = datetime.fromisoformat(day).replace(tzinfo=zone_of(zone))
    (change,) = transitions(zone, begin - timedelta(days=30), begin + timedelta(days=30))
    assert change.kind == kind
    assert change.after - change.before == timedelta(minutes=minutes)
    assert change.instant.astimezone(zone_of(zone)).date() == date.fromisoformat(day)


def test_a_zone_without_clock_changes_has_none():
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    assert transitions("Asia/Kathmandu", begin, begin + timedelta(days=366)) == []
    assert transitions("+01:00", begin, begin + timedelta(days=366)) == []
    assert transitions(None, begin.replace(tzinfo=None), datetime(2025, 1, 1)) == []


def test_the_day_of_a_clock_change_is_23_or_25_hours_long():
    for day, hours in ((date(2024, 3, 31), 23), (date(2024, 10, 27), 25), (date(2024, 6, 1), 24)):
        begin, end = midnight(day, "Europe/Berlin"), midnight(day + timedelta(days=1), "Europe/Berlin")
        assert elapsed_seconds(begin, end) == hours * 3600


def test_where_the_clock_change_skips_midnight_the_day_begins_at_the_first_label_there_is():
    assert midnight(date(2018, 11, 4), "America/Sao_Paulo").isoformat() == "2018-11-04T01:00:00-02:00"


def test_midnights_are_the_day_boundaries_inside_a_recording_both_ends_included():
    found = midnights(recording("2024-03-30T00:00", epochs=1440 + 1380))
    assert [moment.isoformat() for moment in found] == [
        "2024-03-30T00:00:00+01:00",
        "2024-03-31T00:00:00+01:00",
        "2024-04-01T00:00:00+02:00",
    ]


def test_a_local_day_that_never_was_has_no_midnight_of_its_own():
    found = midnights(recording("2011-12-29T12:00", "Pacific/Apia", epochs=1440))
    assert [moment.isoformat() for moment in found] == ["2011-12-31T00:00:00+14:00"]


def test_a_wall_clock_without_zone_has_naive_midnights_and_plain_labels():
    plain = recording("2024-03-30T12:00", None, epochs=1440)
    assert midnights(plain) == [datetime(2024, 3, 31)]
    assert wall_clock_of(plain)[[0, -1]].tolist() == [
        datetime(2024, 3, 30, 12),
        datetime(2024, 3, 31, 11, 59),
    ]


def test_labels_of_an_autumn_night_show_the_hour_twice():
    labels = wall_clock_of(recording("2024-10-27T02:00", epochs=120))
    assert (labels[:60] == labels[60:]).all()
