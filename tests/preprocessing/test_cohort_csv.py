"""Cohort CSV: local labels, and nothing made up about what the file does not say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from preprocessing.readers import Hints, read
from preprocessing.recording import Flag, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite
from tests.preprocessing.inputs import cohort, minute_labels
from tests.shared import shared

COUNTS = Hints(unit=Unit.ACTIWATCH_COUNTS)
OSLO = Hints(unit=Unit.ACTIWATCH_COUNTS, zone="Europe/Oslo")
SPRING = minute_labels("2003-03-30 01:00", 60) + minute_labels("2003-03-30 03:00", 60)
AUTUMN = minute_labels("2003-10-26 02:00", 60) * 2 + minute_labels("2003-10-26 03:00", 60)


def refusal(data: bytes, hints: Hints = COUNTS) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        read(data, hints)
    return refused.value


def test_a_file_becomes_a_wall_clock_recording_with_the_hinted_unit():
    hints = Hints(unit=Unit.ACTIWATCH_COUNTS, device=Device.ACTIWATCH, wear_site=WearSite.WRIST)
    found = read(cohort(minute_labels("2003-05-07 12:00", 3)), hints)
    assert found.values.tolist() == [0, 1, 2]
    assert (found.epoch_seconds, found.zone, found.source_format) == (60, None, "cohort-csv")
    assert (found.device, found.wear_site) == (Device.ACTIWATCH, WearSite.WRIST)
    assert found.flags == {Flag.TIMEZONE_UNKNOWN}


def test_without_a_unit_the_file_is_refused_and_the_hint_named():
    refused = refusal(cohort(minute_labels("2003-05-07 12:00", 3)), Hints())
    assert refused.code is Refusal.UNKNOWN_UNIT
    assert "hint" in str(refused)


def test_the_epoch_is_the_commonest_step():
    labels = [f"2003-05-07 12:00:{s:02d}" for s in (0, 15, 30)] + ["2003-05-07 12:01:15"]
    found = read(cohort(labels), COUNTS)
    assert (found.epoch_seconds, found.epochs, found.tidying.gaps) == (15, 6, 2)


def test_one_row_does_not_tell_the_epoch():
    one = cohort(["2003-05-07 12:00:00"])
    assert refusal(one).code is Refusal.NO_EPOCH_INFORMATION
    assert read(one, Hints(unit=Unit.COUNTS, epoch_seconds=60)).epochs == 1


def test_a_skipped_hour_without_zone_is_a_gap_and_flagged():
    found = read(cohort(SPRING), COUNTS)
    assert found.epochs == 180
    assert np.isnan(found.values[60:120]).all()
    assert found.tidying.gaps == 60
    assert found.flags == {Flag.TIMEZONE_UNKNOWN, Flag.CLOCK_GAP_LIKE_DST}


def test_a_skipped_hour_closes_exactly_in_its_zone():
    found = read(cohort(SPRING), OSLO)
    assert found.values.tolist() == list(range(120))
    assert found.tidying.gaps == 0
    assert found.flags == frozenset()


def test_a_repeated_hour_without_zone_is_flagged():
    found = read(cohort(AUTUMN), COUNTS)
    assert (found.epochs, found.tidying.duplicates) == (120, 60)
    assert Flag.CLOCK_REPEAT_LIKE_DST in found.flags


def test_a_repeated_hour_is_two_hours_in_its_zone():
    found = read(cohort(AUTUMN), OSLO)
    assert found.values.tolist() == list(range(180))
    assert found.start.isoformat() == "2003-10-26T02:00:00+02:00"


def test_a_gap_of_another_length_or_day_is_only_a_gap():
    for start, gap in (("2003-03-30 01:00", 61), ("2003-03-29 01:00", 60), ("2003-06-29 01:00", 60)):
        labels = minute_labels(start, 60 + gap + 60)
        found = read(cohort(labels[:60] + labels[60 + gap :]), COUNTS)
        assert found.tidying.gaps == gap
        assert Flag.CLOCK_GAP_LIKE_DST not in found.flags


@pytest.mark.parametrize(
    ("data", "hints", "code"),
    [
        (cohort(minute_labels("2003-03-30 02:00", 3)), OSLO, Refusal.INVALID_FIELD),
        (
            cohort(minute_labels("2003-05-07 12:00", 3)),
            Hints(unit=Unit.COUNTS, epoch_seconds=30),
            Refusal.INVALID_FIELD,
        ),
        (cohort(minute_labels("2003-05-07 12:00", 3), [1, "x", 2]), COUNTS, Refusal.INVALID_FIELD),
        (b"timestamp,date,activity\n2003-05-07 12:00:00,2003-05-08,1\n", COUNTS, Refusal.INVALID_FIELD),
        (b"timestamp,date,activity\n", COUNTS, Refusal.NO_SAMPLES),
        (cohort(["2003-05-07 12:00:00", "2003-05-07 12:00:00.500"]), COUNTS, Refusal.INVALID_FIELD),
        (cohort(["2003-05-07 12:00:00", "2003-05-08 12:00:00"]), COUNTS, Refusal.RESOLUTION_TOO_COARSE),
    ],
)
def test_what_is_wrong_in_a_file_is_refused(data, hints, code):
    assert refusal(data, hints).code is code


def test_an_empty_cell_is_not_recorded():
    found = read(cohort(minute_labels("2003-05-07 12:00", 3), [1, "", 2]), COUNTS)
    np.testing.assert_array_equal(found.values, [1, np.nan, 2])


def test_a_public_recording_over_the_spring_change_reads_in_both_ways():
    week = json.loads(shared("data/clinical/dst_spring_week_depresjon_control_1.json").read_text())
    before = minute_labels("2003-03-27 00:00", 3 * 1440 + 120)
    labels = before + minute_labels("2003-03-30 03:00", 10_020 - len(before))
    data = cohort(labels, week["activity"])
    closed, gap = read(data, OSLO), read(data, COUNTS)
    np.testing.assert_array_equal(closed.values, week["activity"])
    assert closed.end.isoformat() == week["local_end_exclusive"]
    assert (gap.epochs, gap.tidying.gaps) == (10_080, 60)
    assert Flag.CLOCK_GAP_LIKE_DST in gap.flags
