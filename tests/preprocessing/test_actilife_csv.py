"""ActiLife CSV: ten header lines, dates in the order that they state, one clock for the whole recording."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest

from preprocessing.readers import Hints
from preprocessing.readers.actilife_csv import looks_like, read
from preprocessing.readers.hints import NO_HINTS
from preprocessing.recording import Flag, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite
from tests.preprocessing.damage import outcomes

NAMED = "Axis1,Axis2,Axis3,Steps\n5,1,2,0\n0,0,0,0\n7,3,1,1\n"


def export(
    body: str = NAMED,
    order: str = " date format M/d/yyyy",
    day: str = "3/4/2024",
    epoch: str = "00:01:00",
    model: str = "GT3XPlus",
    counts_filter: str = "Normal",
) -> bytes:
    """An ActiLife CSV, 22:30 on 4 March 2024 unless changed."""
    return (
        f"------------ Data Table File Created By ActiGraph {model} ActiLife v6.13.3 Firmware v2.5.0{order} "
        f"Filter {counts_filter} -----------\r\n"
        "Serial Number: MOS2A-001\r\n"
        "Start Time 22:30:00\r\n"
        f"Start Date {day}\r\n"
        f"Epoch Period (hh:mm:ss) {epoch}\r\n"
        "Download Time 09:00:00\r\n"
        "Download Date 3/12/2024\r\n"
        "Current Memory Address: 0\r\n"
        "Current Battery Voltage: 4.1     Mode = 61\r\n"
        "--------------------------------------------------\r\n"
        f"{body}"
    ).encode()


def example() -> bytes:
    """Ten minutes of 10 s epochs with date and time in each row, made up."""
    first = datetime(2024, 3, 4, 22, 30)
    moments = [first + timedelta(seconds=10 * k) for k in range(60)]
    rows = [f"{m.month}/{m.day}/{m.year},{m:%H:%M:%S},{k * 7 % 50},{k % 5},0" for k, m in enumerate(moments)]
    return export("\r\n".join(["Date, Time, Axis1,Axis2,Steps", *rows, ""]), epoch="00:00:10")


def refusal(data: bytes, hints: Hints = NO_HINTS) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        read(data, hints)
    return refused.value


def test_a_file_becomes_vertical_axis_counts_on_a_wall_clock():
    found = read(example(), NO_HINTS)
    assert found.values.tolist() == [k * 7 % 50 for k in range(60)]
    assert (found.start, found.zone, found.epoch_seconds) == (datetime(2024, 3, 4, 22, 30), None, 10)
    assert (found.unit, found.device) == (Unit.ACTIGRAPH_AXIS1_COUNTS, Device.ACTIGRAPH_GT3X)
    assert (found.wear_site, found.serial, found.source_format) == (
        WearSite.UNKNOWN,
        "MOS2A001",
        "actilife-csv",
    )
    assert found.flags == {Flag.TIMEZONE_UNKNOWN, Flag.UNVERIFIED_FORMAT}
    assert looks_like(example()[:4096])
    assert looks_like(b"\xef\xbb\xbf------------ Data File Created By ActiGraph")
    assert not looks_like("Data Table File")


@pytest.mark.parametrize("body", [NAMED, "5\n0\n7\n", "5,1,2\n0,0,0\n7,3,1\n", "5,1\r\n0,0\r\n7,3\r\n"])
def test_the_vertical_axis_is_named_or_first(body):
    assert read(export(body), NO_HINTS).values.tolist() == [5, 0, 7]


@pytest.mark.parametrize(
    ("order", "day", "iso"),
    [
        (" date format M/d/yyyy", "3/4/2024", "2024-03-04"),
        (" date format dd/MM/yyyy", "03/04/2024", "2024-04-03"),
        (" date format dd.MM.yyyy", "03.04.2024", "2024-04-03"),
        (" date format yyyy-MM-dd", "2024-04-03", "2024-04-03"),
        ("", "2024-04-03", "2024-04-03"),
        ("", "3/14/2024", "2024-03-14"),
        ("", "14/3/2024", "2024-03-14"),
        ("", "4/4/2024", "2024-04-04"),
    ],
)
def test_a_date_is_read_in_its_stated_order_or_the_only_one_possible(order, day, iso):
    assert read(export(order=order, day=day), NO_HINTS).start.isoformat() == f"{iso}T22:30:00"


def test_missing_rows_stay_gaps_where_rows_carry_their_time():
    found = read(export("Date,Time,Axis1\n3/4/2024,22:30:00,1\n3/4/2024,22:33:00,4\n"), NO_HINTS)
    np.testing.assert_array_equal(found.values, [1, np.nan, np.nan, 4])


@pytest.mark.parametrize("body", [NAMED, "Date,Time,Axis1\n3/30/2024,22:30:00,5\n3/30/2024,22:31:00,0\n"])
def test_a_zone_hint_sets_the_start(body):
    found = read(export(body, day="3/30/2024"), Hints(zone="Europe/Oslo", wear_site=WearSite.HIP))
    assert (found.start.isoformat(), found.wear_site) == ("2024-03-30T22:30:00+01:00", WearSite.HIP)
    assert found.flags == {Flag.UNVERIFIED_FORMAT}


@pytest.mark.parametrize("changed", [{"model": "GT1M"}, {"counts_filter": "Low Extension"}, {"model": ""}])
def test_counts_of_another_model_or_filter_need_a_unit(changed):
    assert refusal(export(**changed)).code is Refusal.UNKNOWN_UNIT
    assert read(export(**changed), Hints(unit=Unit.COUNTS)).unit is Unit.COUNTS


@pytest.mark.parametrize(
    "hints", [Hints(unit=Unit.COUNTS), Hints(device=Device.ACTIWATCH), Hints(epoch_seconds=30)]
)
def test_a_hint_that_contradicts_the_file_is_refused(hints):
    assert refusal(export(), hints).code is Refusal.INVALID_FIELD


@pytest.mark.parametrize(
    ("data", "code", "where"),
    [
        (export(order="", day="3/4/2024"), Refusal.INVALID_FIELD, "Start Date"),
        (export(day="13/4/2024"), Refusal.INVALID_FIELD, "start"),
        (export(day="3/4/24"), Refusal.INVALID_FIELD, "Start Date"),
        (export(day="2024-03-04"), Refusal.INVALID_FIELD, "Start Date"),
        (export(day="4 March"), Refusal.INVALID_FIELD, "Start Date"),
        (export(order=" date format d/d/yyyy"), Refusal.INVALID_FIELD, "line 1"),
        (export(epoch="00:00:00"), Refusal.NO_EPOCH_INFORMATION, "Epoch Period"),
        (export(epoch="60"), Refusal.NO_EPOCH_INFORMATION, "Epoch Period"),
        (export(epoch="02:00:00"), Refusal.RESOLUTION_TOO_COARSE, "epoch_seconds"),
        (export().replace(b"Serial", b"Cereal"), Refusal.INVALID_FIELD, "Serial Number:"),
        (export().replace(b"22:30:00", b"10:30:00 PM"), Refusal.INVALID_FIELD, "Start Time"),
        (export().replace(b"Data Table", b"Sundries"), Refusal.UNPARSABLE, "header"),
        (export()[:200], Refusal.UNPARSABLE, "header"),
        (export(""), Refusal.NO_SAMPLES, None),
        (export("Axis1\n"), Refusal.NO_SAMPLES, None),
        (export("Vector Magnitude\n1\n"), Refusal.INVALID_FIELD, "line 11"),
        (export("Date,Axis1\n3/4/2024,1\n"), Refusal.INVALID_FIELD, "line 11"),
        (export("1,2,3,4\n"), Refusal.INVALID_FIELD, "line 11"),
        (export("Axis1\n1,2\n"), Refusal.INVALID_FIELD, "rows"),
        (export("Axis1\n-1\n"), Refusal.INVALID_FIELD, "values"),
        (export("Axis1\nNaN\n"), Refusal.INVALID_FIELD, "axis1"),
        (export("Date,Time,Axis1\n3/5/2024,22:30:00,1\n"), Refusal.INVALID_FIELD, "Date"),
        (export("Date,Time,Axis1\n3/4/2024,10:30 PM,1\n"), Refusal.INVALID_FIELD, "Time"),
        (export("0\n" * 400_001), Refusal.TOO_MANY_EPOCHS, "values"),
    ],
    ids=range(24),
)
def test_what_is_wrong_in_a_file_is_refused(data, code, where):
    refused = refusal(data)
    assert (refused.code, refused.where) == (code, where)


def test_a_refusal_never_repeats_the_file():
    assert "4711" not in str(refusal(export("Axis1\n4711x\n")))


def test_damage_is_read_or_refused_and_nothing_else():
    assert outcomes(lambda data: read(data, NO_HINTS), example()) == {"read", "refused"}
