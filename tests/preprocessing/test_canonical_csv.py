"""Canonical CSV: the same fields as canonical JSON, as a table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocessing.readers import Hints, canonical_csv, read
from preprocessing.recording import RecordingError, Refusal
from preprocessing.units import Unit
from tests.preprocessing.inputs import CANONICAL_CSV, recording


def test_a_table_becomes_the_recording_it_describes():
    found = read(CANONICAL_CSV)
    np.testing.assert_array_equal(found.values, [0, 12, np.nan, 3.5])
    assert found.wear.tolist() == [True, True, False, True]
    assert found.start.isoformat() == "2024-01-01T00:00:00+01:00"
    assert (found.unit, found.source_format) == (Unit.ACTIWATCH_COUNTS, "canonical-csv")


def test_a_table_from_a_spreadsheet_reads_the_same():
    spread = b"\xef\xbb\xbf" + CANONICAL_CSV.replace(b"\n", b"\r\n").replace(b"value", b"Value") + b"\r\n"
    np.testing.assert_array_equal(read(spread).values, read(CANONICAL_CSV).values)


def test_hints_describe_a_bare_table():
    bare = b"timestamp,value\n2024-01-01 00:00,1\n2024-01-01 00:01,2\n"
    found = read(bare, Hints(unit=Unit.STEPS, zone="Asia/Kathmandu", epoch_seconds=60))
    assert found.values.tolist() == [1, 2]
    assert found.start.isoformat() == "2024-01-01T00:00:00+05:45"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"# unit: actiwatch_counts\n", b"", Refusal.UNKNOWN_UNIT),
        (b"# epoch_seconds: 60\n", b"", Refusal.NO_EPOCH_INFORMATION),
        (b"# zone: Europe/Berlin\n", b"", Refusal.NO_TIME_ZONE),
        (b"seconds: 60", b"seconds: sixty", Refusal.NO_EPOCH_INFORMATION),
        (b"# unit:", b"# patient: J. Doe\n# unit:", Refusal.INVALID_FIELD),
        (b"# unit:", b"# zone: UTC\n# unit:", Refusal.INVALID_FIELD),
        (b",12,", b",twelve,", Refusal.INVALID_FIELD),
        (b",12,", b",nan,", Refusal.INVALID_FIELD),
        (b",12,", b",1e999,", Refusal.INVALID_FIELD),
        (b",12,", b",1-2,", Refusal.INVALID_FIELD),
        (b",12,", b",-12,", Refusal.INVALID_FIELD),
        (b",12,1", b",12,yes", Refusal.INVALID_FIELD),
        (b",12,1", b",12", Refusal.INVALID_FIELD),
        (b",12,1", b',"12,1', Refusal.UNPARSABLE),
        (b",12,1", b",1\x002,1", Refusal.UNPARSABLE),
        (b",12,1", b",1\xff2,1", Refusal.UNPARSABLE),
    ],
)
def test_what_is_wrong_in_a_table_is_refused(old, new, code):
    assert old in CANONICAL_CSV
    with pytest.raises(RecordingError) as refused:
        read(CANONICAL_CSV.replace(old, new, 1))
    assert refused.value.code is code
    assert "Doe" not in str(refused.value)


def test_a_header_without_rows_holds_no_samples():
    with pytest.raises(RecordingError) as refused:
        read(b"timestamp,value\n", Hints(unit=Unit.COUNTS, zone="UTC", epoch_seconds=60))
    assert refused.value.code is Refusal.NO_SAMPLES


@settings(deadline=None, max_examples=50)
@given(
    values=st.lists(st.none() | st.floats(0, 1e6) | st.integers(0, 10**6), min_size=1, max_size=30),
    zone=st.sampled_from([None, "Europe/Berlin", "Australia/Lord_Howe", "+05:30", "Europe/Amsterdam"]),
    start=st.sampled_from(["2024-10-27T01:50", "2024-03-31T01:50", "1918-05-01T12:00"]),
    worn=st.none() | st.booleans(),
)
def test_reading_what_was_written_gives_the_same_recording(values, zone, start, worn):
    wear = None if worn is None else np.full(len(values), worn)
    original = recording(start, zone, values=values, wear=wear)
    again = read(canonical_csv.dumps(original).encode())
    np.testing.assert_array_equal(again.values, original.values)
    np.testing.assert_array_equal(again.wear, original.wear)
    assert (again.start, again.zone, again.unit) == (original.start, original.zone, original.unit)


def test_the_autumn_hour_survives_being_written():
    original = recording("2024-10-27T00:00", epochs=300)
    again = read(canonical_csv.dumps(original).encode())
    assert again.values.tolist() == original.values.tolist()
    assert again.tidying.duplicates == 0
