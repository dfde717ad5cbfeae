"""Canonical JSON: what is written is what is read, and what is wrong is refused by field."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocessing.readers import Hints, canonical_json, read
from preprocessing.readers.canonical import CanonicalFields, from_fields
from preprocessing.readers.hints import NO_HINTS
from preprocessing.recording import Flag, RecordingError, Refusal, Tidying
from preprocessing.units import Device, Unit, WearSite
from tests.preprocessing.inputs import document, recording, stamped

NAN = np.nan


def refusal(data: bytes, hints: Hints = NO_HINTS) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        read(data, hints)
    return refused.value


def test_a_document_becomes_the_recording_it_describes():
    found = read(document(wear=[True, True, None, True, False]))
    assert found.start.isoformat() == "2024-01-01T00:00:00+01:00"
    assert (found.zone, found.epoch_seconds) == ("Europe/Berlin", 60)
    assert (found.unit, found.device, found.wear_site) == (
        Unit.ACTIWATCH_COUNTS,
        Device.ACTIWATCH,
        WearSite.WRIST,
    )
    np.testing.assert_array_equal(found.values, [0, 12, NAN, 3.5, 7])
    assert found.wear.tolist() == [True, True, False, True, False]
    assert found.source_format == "canonical-json"
    assert found.flags == frozenset()
    assert found.tidying == Tidying()


def test_a_declared_wall_clock_needs_no_zone_and_says_so():
    found = read(document(zone=..., clock="wall", start="2024-01-01T00:00:00"))
    assert found.zone is None
    assert found.flags == {Flag.TIMEZONE_UNKNOWN}


def test_a_local_start_takes_the_offset_of_the_zone():
    assert read(document(start="2024-07-01T00:00")).start.isoformat() == "2024-07-01T00:00:00+02:00"


def test_a_fixed_offset_is_a_zone():
    found = read(document(start="2024-07-01T00:00:00+05:30", zone="+05:30"))
    assert found.start.isoformat() == "2024-07-01T00:00:00+05:30"


@pytest.mark.parametrize(
    ("change", "code", "where"),
    [
        ({"zone": ...}, Refusal.NO_TIME_ZONE, "zone"),
        ({"clock": "wall"}, Refusal.NO_TIME_ZONE, "zone"),
        ({"zone": "Europe/Nowhere"}, Refusal.NO_TIME_ZONE, "zone"),
        ({"zone": ..., "clock": "utc"}, Refusal.INVALID_FIELD, "clock"),
        ({"zone": ..., "clock": "wall"}, Refusal.INVALID_FIELD, "start"),
        ({"start": "2024-01-01T00:00:00+02:00"}, Refusal.INVALID_FIELD, "start"),
        ({"start": "2024-03-31T02:30:00"}, Refusal.INVALID_FIELD, "start"),
        ({"start": "2024-10-27T02:30:00"}, Refusal.NAIVE_TIMESTAMP, "start"),
        ({"start": "2024-13-01T00:00:00"}, Refusal.INVALID_FIELD, "start"),
        ({"start": "0001-01-01T00:00:00"}, Refusal.INVALID_FIELD, "start"),
        ({"start": "tomorrow at noon"}, Refusal.INVALID_FIELD, "start"),
        ({"start": ...}, Refusal.INVALID_FIELD, "start"),
        ({"timestamps": ["2024-01-01T00:00:00"] * 5}, Refusal.INVALID_FIELD, "start"),
        ({"start": 1704063600}, Refusal.INVALID_FIELD, "start"),
        ({"epoch_seconds": ...}, Refusal.NO_EPOCH_INFORMATION, "epoch_seconds"),
        ({"epoch_seconds": 0}, Refusal.NO_EPOCH_INFORMATION, "epoch_seconds"),
        ({"epoch_seconds": True}, Refusal.INVALID_FIELD, "epoch_seconds"),
        ({"epoch_seconds": "60"}, Refusal.INVALID_FIELD, "epoch_seconds"),
        ({"epoch_seconds": 60.0}, Refusal.INVALID_FIELD, "epoch_seconds"),
        ({"epoch_seconds": 86_400}, Refusal.RESOLUTION_TOO_COARSE, "epoch_seconds"),
        ({"epoch_seconds": 10**30}, Refusal.RESOLUTION_TOO_COARSE, "epoch_seconds"),
        ({"unit": "furlongs"}, Refusal.UNKNOWN_UNIT, "unit"),
        ({"unit": ...}, Refusal.UNKNOWN_UNIT, "unit"),
        ({"device": "toaster"}, Refusal.INVALID_FIELD, "device"),
        ({"wear_site": "ear"}, Refusal.INVALID_FIELD, "wear_site"),
        ({"values": []}, Refusal.NO_SAMPLES, "values"),
        ({"values": ...}, Refusal.NO_SAMPLES, "values"),
        ({"values": [1, True]}, Refusal.INVALID_FIELD, "values"),
        ({"values": [1, "12"]}, Refusal.INVALID_FIELD, "values"),
        ({"values": {"a": 1}}, Refusal.INVALID_FIELD, "values"),
        ({"values": [1, -4321]}, Refusal.INVALID_FIELD, "values"),
        ({"values": [1, 4321000]}, Refusal.INVALID_FIELD, "values"),
        ({"values": [10**400]}, Refusal.INVALID_FIELD, "values"),
        ({"values": [0] * 400_001}, Refusal.TOO_MANY_EPOCHS, "values"),
        ({"wear": [True]}, Refusal.INVALID_FIELD, "wear"),
        ({"wear": [1, 1, 1, 1, 1]}, Refusal.INVALID_FIELD, "wear"),
        ({"patient": "J. Doe"}, Refusal.INVALID_FIELD, None),
    ],
)
def test_what_is_wrong_is_refused_by_code_and_field(change, code, where):
    refused = refusal(document(**change))
    assert (refused.code, refused.where) == (code, where)
    assert "4321" not in str(refused)
    assert "Doe" not in str(refused)
    assert "patient" not in str(refused)


@pytest.mark.parametrize(
    "data",
    [
        document()[:-5],
        document().replace(b"12", b"NaN"),
        document().replace(b"12", b"-Infinity"),
        b'{"values": ' + b"[" * 100_000,
        b'{"values": [' + b"9" * 10_000 + b"]}",
        b"{",
        b'{"unit": "\xff"}',
    ],
)
def test_what_is_no_json_object_is_unparsable(data):
    assert refusal(data).code is Refusal.UNPARSABLE


def test_a_field_written_twice_is_refused():
    assert (
        refusal(document().replace(b'{"start"', b'{"unit": "counts", "start"')).code is Refusal.INVALID_FIELD
    )


def test_a_hint_fills_what_is_missing_and_may_repeat_what_is_there():
    hints = Hints(unit=Unit.COUNTS, zone="Europe/Berlin", epoch_seconds=60, wear_site=WearSite.WRIST)
    found = read(document(unit=..., zone=..., epoch_seconds=..., wear_site="unknown"), hints)
    assert (found.unit, found.zone, found.wear_site) == (Unit.COUNTS, "Europe/Berlin", WearSite.WRIST)


@pytest.mark.parametrize(
    "hints",
    [
        Hints(unit=Unit.COUNTS),
        Hints(device=Device.ACTIGRAPH_GT3X),
        Hints(wear_site=WearSite.HIP),
        Hints(zone="Europe/Oslo"),
        Hints(epoch_seconds=30),
    ],
)
def test_a_hint_that_contradicts_the_document_is_refused(hints):
    assert refusal(document(), hints).code is Refusal.INVALID_FIELD


def test_a_zone_hint_contradicts_a_declared_wall_clock():
    data = document(zone=..., clock="wall", start="2024-01-01T00:00:00")
    assert refusal(data, Hints(zone="Europe/Oslo")).code is Refusal.NO_TIME_ZONE


def test_timestamps_are_sorted_merged_and_gaps_opened_each_counted():
    found = read(stamped([3, 0, 1, 1, 6], [30, 0, 10, 10, 60]))
    np.testing.assert_array_equal(found.values, [0, 10, NAN, 30, NAN, NAN, 60])
    assert found.tidying == Tidying(unsorted=1, duplicates=1, conflicts=0, gaps=3)


def test_of_conflicting_copies_the_largest_is_kept_and_a_value_beats_null():
    found = read(stamped([0, 0, 1, 1], [5, 9, None, 4]))
    np.testing.assert_array_equal(found.values, [9, 4])
    assert found.tidying == Tidying(duplicates=2, conflicts=2)


def test_an_epoch_is_worn_if_any_copy_says_so():
    found = read(stamped([0, 0, 2], [5, 5, 1], wear=[False, True, None]))
    assert found.wear.tolist() == [True, False, False]


def test_timestamps_in_utc_take_the_zone_given():
    stamps = ["2024-03-31T00:59:00+00:00", "2024-03-31T01:00:00Z"]
    found = read(document(start=..., timestamps=stamps, values=[1, 2], zone="UTC"))
    assert found.epochs == 2
    assert refusal(document(start=..., timestamps=stamps, values=[1, 2])).code is Refusal.INVALID_FIELD


def test_local_timestamps_across_the_spring_change_leave_no_gap():
    stamps = ["2024-03-31T01:59:00", "2024-03-31T03:00:00"]
    found = read(document(start=..., timestamps=stamps, values=[1, 2]))
    assert found.values.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("stamps", "code"),
    [
        (["2024-10-27T02:30:00", "2024-10-27T02:31:00"], Refusal.NAIVE_TIMESTAMP),
        (["2024-03-31T02:30:00", "2024-03-31T02:31:00"], Refusal.INVALID_FIELD),
        (["2024-01-01T00:00:00", "2024-01-01T00:01:00+01:00"], Refusal.NAIVE_TIMESTAMP),
        (["2024-01-01T00:00:00", "2024-01-01T00:00:53"], Refusal.INVALID_FIELD),
        (["2024-01-01T00:00:00", "2099-01-01T00:00:00"], Refusal.TOO_MANY_EPOCHS),
        (["2024-01-01T00:00:00", "now"], Refusal.INVALID_FIELD),
        (["2024-01-01T00:00:00", "2024-01-01T00:01:0\N{ARABIC-INDIC DIGIT ONE}"], Refusal.INVALID_FIELD),
        (["2024-01-01T00:00:00"], Refusal.INVALID_FIELD),
    ],
)
def test_timestamps_that_mean_nothing_certain_are_refused(stamps, code):
    assert refusal(document(start=..., timestamps=stamps, values=[1, 2])).code is code


def test_a_sample_within_a_tenth_of_an_epoch_keeps_its_epoch():
    stamps = ["2024-01-01T00:00:00.250", "2024-01-01T00:01:06", "2024-01-01T00:01:55"]
    found = read(document(start=..., timestamps=stamps, values=[1, 2, 3]))
    assert found.values.tolist() == [1, 2, 3]
    assert found.start.isoformat() == "2024-01-01T00:00:00+01:00"


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_permuting_and_doubling_samples_changes_nothing_but_the_counts(data):
    samples = data.draw(
        st.lists(
            st.tuples(st.integers(0, 200), st.none() | st.integers(0, 500), st.booleans()),
            min_size=1,
            max_size=40,
        )
    )
    shuffled = data.draw(
        st.permutations(samples + data.draw(st.lists(st.sampled_from(samples), max_size=10)))
    )
    first, second = (
        read(stamped([m for m, _, _ in rows], [v for _, v, _ in rows], wear=[w for _, _, w in rows]))
        for rows in (samples, shuffled)
    )
    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_array_equal(first.wear, second.wear)
    assert (first.start, first.flags, first.tidying.gaps) == (second.start, second.flags, second.tidying.gaps)


@settings(deadline=None, max_examples=50)
@given(
    values=st.lists(st.none() | st.floats(0, 1e6) | st.integers(0, 10**6), min_size=1, max_size=30),
    zone=st.sampled_from([None, "Europe/Berlin", "Australia/Lord_Howe", "+05:30"]),
    epoch_seconds=st.sampled_from([1, 15, 60, 120]),
    worn=st.none() | st.booleans(),
)
def test_reading_what_was_written_gives_the_same_recording(values, zone, epoch_seconds, worn):
    wear = None if worn is None else np.full(len(values), worn)
    original = recording("2024-10-27T01:59", zone, values=values, epoch_seconds=epoch_seconds, wear=wear)
    again = read(canonical_json.dumps(original).encode())
    np.testing.assert_array_equal(again.values, original.values)
    np.testing.assert_array_equal(again.wear, original.wear)
    assert (again.start, again.zone, again.epoch_seconds) == (original.start, original.zone, epoch_seconds)
    assert (again.unit, again.device, again.wear_site) == (original.unit, original.device, original.wear_site)


def test_the_second_pass_of_the_autumn_hour_is_written_with_its_offset():
    original = read(document(start="2024-10-27T02:30:00+01:00"))
    assert json.loads(canonical_json.dumps(original))["start"] == "2024-10-27T02:30:00+01:00"
    assert read(canonical_json.dumps(original).encode()).start == original.start


def test_the_serial_number_is_not_written():
    assert "V123456" not in canonical_json.dumps(recording(epochs=3, serial="V123456"))


def test_typed_fields_give_the_same_recording_as_their_json():
    fields = CanonicalFields(
        values=canonical_json.values_of([0, 12, None, 3.5, 7]),
        unit="actiwatch_counts",
        epoch_seconds=60,
        start="2024-01-01T00:00:00+01:00",
        zone="Europe/Berlin",
    )
    np.testing.assert_array_equal(from_fields(fields).values, read(document()).values)
    assert from_fields(fields).start == read(document()).start
