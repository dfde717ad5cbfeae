"""Epoch CSV: named axes, the vertical one read, the zone as the times state it."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest

from preprocessing.readers import Hints
from preprocessing.readers.epoch_csv import looks_like, read
from preprocessing.readers.hints import NO_HINTS
from preprocessing.recording import Flag, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite
from tests.preprocessing.damage import outcomes
from tests.shared import shared

INCLINOMETER = "inclineoff,inclinestanding,inclinesitting,inclinelying"
COUNTS = Hints(unit=Unit.COUNTS)


def table(rows: str, header: str = "timestamp,axis1") -> bytes:
    return f"{header}\n{rows}".encode()


def example() -> bytes:
    """Twenty minutes of 30 s epochs with three axes and the inclinometer, made up."""
    first = datetime(2024, 3, 4, 22, 30)
    rows = [
        f"{(first + timedelta(seconds=30 * k)).isoformat()}+01:00,{k * 7 % 50},{k % 9},{k % 5},0,0,30,0"
        for k in range(40)
    ]
    return table("\n".join([*rows, ""]), f"timestamp,axis1,axis2,axis3,{INCLINOMETER}")


def refusal(data: bytes, hints: Hints = NO_HINTS) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        read(data, hints)
    return refused.value


def test_a_file_becomes_vertical_axis_counts_in_its_stated_offset():
    found = read(example(), NO_HINTS)
    assert found.values.tolist() == [k * 7 % 50 for k in range(40)]
    assert (found.start.isoformat(), found.zone) == ("2024-03-04T22:30:00+01:00", "+01:00")
    assert (found.epoch_seconds, found.source_format) == (30, "epoch-csv")
    assert (found.unit, found.device) == (Unit.ACTIGRAPH_AXIS1_COUNTS, Device.ACTIGRAPH_GT3X)
    assert (found.wear_site, found.serial, found.flags) == (WearSite.UNKNOWN, None, frozenset())
    assert looks_like(example()[:4096])
    assert looks_like("\ufeffTimestamp, Axis1\n")
    assert not looks_like("timestamp,value\n")


def test_a_zone_hint_that_agrees_replaces_the_offset():
    assert read(example(), Hints(zone="Europe/Oslo")).zone == "Europe/Oslo"


def test_axes_alone_do_not_say_what_they_count():
    data = table("2024-03-04 22:30:00,1\n2024-03-04 22:31:00,2\n")
    assert refusal(data).code is Refusal.UNKNOWN_UNIT
    found = read(data, Hints(unit=Unit.ACTIGRAPH_7164_COUNTS, device=Device.ACTIGRAPH_7164))
    assert (found.unit, found.device) == (Unit.ACTIGRAPH_7164_COUNTS, Device.ACTIGRAPH_7164)
    assert (found.zone, found.flags) == (None, {Flag.TIMEZONE_UNKNOWN})


def test_unsorted_doubled_and_missing_rows_are_put_in_order():
    rows = ["22:32:00,3", "22:30:00,1", "22:30:00,9", "22:31:00,", "22:34:00,5"]
    found = read(table("".join(f"2024-03-04T{row}\n" for row in rows)), COUNTS)
    np.testing.assert_array_equal(found.values, [9, np.nan, 3, np.nan, 5])
    assert (found.tidying.duplicates, found.tidying.gaps) == (1, 1)


@pytest.mark.parametrize(
    ("data", "hints", "code"),
    [
        (example(), Hints(unit=Unit.COUNTS), Refusal.INVALID_FIELD),
        (example(), Hints(device=Device.ACTIWATCH), Refusal.INVALID_FIELD),
        (example(), Hints(epoch_seconds=60), Refusal.INVALID_FIELD),
        (example(), Hints(zone="Asia/Tokyo"), Refusal.INVALID_FIELD),
        (table("", "timestamp,value"), COUNTS, Refusal.INVALID_FIELD),
        (table("", "timestamp,axis1,axis1"), COUNTS, Refusal.INVALID_FIELD),
        (table("", "timestamp,axis1" + ",x" * 70), COUNTS, Refusal.INVALID_FIELD),
        (table(""), COUNTS, Refusal.NO_SAMPLES),
        (table("2024-03-04 22:30:00,1\n"), COUNTS, Refusal.NO_EPOCH_INFORMATION),
        (table("2024-03-04 22:30:00,1,2\n"), COUNTS, Refusal.INVALID_FIELD),
        (table("2024-03-04 22:30:00\n2024-03-04 22:31:00,1\n"), COUNTS, Refusal.INVALID_FIELD),
        (table("03/04/2024 22:30:00,1\n"), COUNTS, Refusal.INVALID_FIELD),
        (table("2024-03-04 22:30:00,x\n2024-03-04 22:31:00,1\n"), COUNTS, Refusal.INVALID_FIELD),
        (table("2024-03-04 22:30:00,-1\n2024-03-04 22:31:00,1\n"), COUNTS, Refusal.INVALID_FIELD),
        (table("2024-03-04 22:30:00,1\n2024-03-04 22:30:00.5,1\n"), COUNTS, Refusal.INVALID_FIELD),
        (table("2024-03-04 22:30:00,1\n2024-03-04 22:31:00Z,1\n"), COUNTS, Refusal.NAIVE_TIMESTAMP),
        (table("2024-03-04 22:30:00Z,1\n2024-03-04 22:31:00+01:00,1\n"), COUNTS, Refusal.NO_TIME_ZONE),
        (table('2024-03-04 22:30:00,"1\n'), COUNTS, Refusal.UNPARSABLE),
        (b"\xff\xfe", COUNTS, Refusal.UNPARSABLE),
        (table("2024-03-04 22:30:00,1\n" * 400_001), COUNTS, Refusal.TOO_MANY_EPOCHS),
    ],
    ids=range(20),
)
def test_what_is_wrong_or_contradicted_is_refused(data, hints, code):
    assert refusal(data, hints).code is code


def test_damage_is_read_or_refused_and_nothing_else():
    assert outcomes(lambda data: read(data, NO_HINTS), example()) == {"read", "refused"}


@pytest.mark.parametrize(
    ("name", "seconds", "count", "first", "last"),
    [
        ("GT3XPlus-RawData-Day01.csv", 10, 8999, [377, 465, 505], [106, 0, 0]),
        ("GT3XPlus-RawData-Day01-10sec60sec.csv", 60, 1500, [1465, 207, 169], [48, 0, 106]),
    ],
)
def test_the_published_day_reads_as_a_person_reads_it(name, seconds, count, first, last):
    found = read(shared(f"data/devices/{name}").read_bytes(), NO_HINTS)
    assert (found.start.isoformat(), found.zone) == ("2012-06-27T10:54:00+00:00", "UTC")
    assert (found.epoch_seconds, found.epochs, found.unit) == (seconds, count, Unit.ACTIGRAPH_AXIS1_COUNTS)
    assert (found.values[:3].tolist(), found.values[-3:].tolist()) == (first, last)
    assert found.flags == frozenset()
    with np.load(shared("data/clinical/recordings.npz")) as reference:
        minutes = reference["gt3x_day01|activity"]
    np.testing.assert_array_equal(np.add.reduceat(found.values, range(0, count, 60 // seconds)), minutes)
