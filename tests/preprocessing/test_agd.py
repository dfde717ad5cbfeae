"""AGD: ActiGraph epochs out of a database that nobody has to trust."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

import numpy as np
import pytest

from preprocessing.readers import Hints
from preprocessing.readers.agd import looks_like, read
from preprocessing.readers.hints import NO_HINTS
from preprocessing.recording import Flag, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite
from tests.preprocessing.damage import outcomes
from tests.shared import shared

START = datetime(2024, 3, 4, 22, 30)
SETTINGS = {
    "devicename": "wGT3XBT",
    "deviceserial": "MOS2A-001",
    "filter": "Normal",
    "epochlength": "60",
    "limb": "Wrist",
    "subjectname": "J. Doe",
    "dateOfBirth": "0",
}
SCHEMA = (
    "CREATE TABLE settings (settingID INTEGER PRIMARY KEY, settingName TEXT, settingValue TEXT)",
    "CREATE TABLE data (dataTimestamp INTEGER, axis1 REAL)",
)


def ticks(moment: datetime) -> int:
    """.NET ticks of a naive time."""
    return (moment - datetime(1, 1, 1)) // timedelta(microseconds=1) * 10


def database(rows=(), settings=SETTINGS, schema=SCHEMA) -> bytes:
    """An AGD file with these (ticks, axis1) rows."""
    made = sqlite3.connect(":memory:")
    for statement in schema:
        made.execute(statement)
    if schema is SCHEMA:
        pairs = settings.items() if isinstance(settings, dict) else settings
        made.executemany("INSERT INTO settings (settingName, settingValue) VALUES (?, ?)", pairs)
        made.executemany("INSERT INTO data VALUES (?, ?)", rows)
    made.commit()
    return made.serialize()


def epochs(values, step: int = 60):
    return [(ticks(START + timedelta(seconds=step * k)), value) for k, value in enumerate(values)]


def example() -> bytes:
    """Two hours of a wrist-worn device, made up."""
    return database(epochs([k * k % 97 for k in range(120)]))


def refusal(data: bytes, hints: Hints = NO_HINTS) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        read(data, hints)
    return refused.value


def test_a_file_becomes_vertical_axis_counts_on_a_wall_clock():
    found = read(example(), NO_HINTS)
    assert found.values.tolist() == [k * k % 97 for k in range(120)]
    assert (found.start, found.zone, found.epoch_seconds) == (START, None, 60)
    assert (found.unit, found.device) == (Unit.ACTIGRAPH_AXIS1_COUNTS, Device.ACTIGRAPH_GT3X)
    assert (found.wear_site, found.serial, found.source_format) == (WearSite.WRIST, "MOS2A001", "agd")
    assert found.flags == {Flag.TIMEZONE_UNKNOWN}
    assert looks_like(example()[:4096])
    assert not looks_like("SQLite format 3\0")


def test_the_person_is_not_kept():
    assert "Doe" not in repr(read(example(), NO_HINTS))


def test_rows_in_any_order_with_gaps_become_regular_epochs():
    rows = epochs([5, 6, None, 8, 9])
    found = read(database([rows[4], *rows[:3]]), NO_HINTS)
    np.testing.assert_array_equal(found.values, [5, 6, np.nan, np.nan, 9])
    assert (found.tidying.unsorted, found.tidying.gaps) == (1, 1)


def test_a_zone_hint_sets_the_start_and_the_device_clock_runs_on():
    late = datetime(2024, 3, 31, 1, 0)  # the clocks in Oslo skip 02:00 to 03:00
    rows = [(ticks(late + timedelta(minutes=k)), k) for k in range(180)]
    found = read(database(rows), Hints(zone="Europe/Oslo"))
    assert found.start.isoformat() == "2024-03-31T01:00:00+01:00"
    assert found.values.tolist() == list(range(180))
    assert found.flags == frozenset()


@pytest.mark.parametrize(
    ("limb", "site"),
    [("Wrist", WearSite.WRIST), ("Waist", WearSite.HIP), ("Ankle", WearSite.UNKNOWN), ("", WearSite.UNKNOWN)],
)
def test_the_limb_is_the_wear_site(limb, site):
    assert read(database(epochs([1]), {**SETTINGS, "limb": limb}), NO_HINTS).wear_site is site


def test_a_missing_limb_and_epoch_length_may_come_as_hints():
    bare = {name: text for name, text in SETTINGS.items() if name not in ("limb", "epochlength")}
    assert refusal(database(epochs([1]), bare)).code is Refusal.NO_EPOCH_INFORMATION
    found = read(database(epochs([1]), bare), Hints(epoch_seconds=60, wear_site=WearSite.HIP))
    assert (found.epoch_seconds, found.wear_site) == (60, WearSite.HIP)


@pytest.mark.parametrize("changed", [{"devicename": "GT1M"}, {"filter": "Low Frequency Extension"}])
def test_counts_of_another_model_or_filter_need_a_unit(changed):
    data = database(epochs([1]), {**SETTINGS, **changed})
    assert refusal(data).code is Refusal.UNKNOWN_UNIT
    assert read(data, Hints(unit=Unit.COUNTS)).unit is Unit.COUNTS


@pytest.mark.parametrize(
    "hints",
    [
        Hints(unit=Unit.COUNTS),
        Hints(device=Device.ACTIWATCH),
        Hints(epoch_seconds=30),
        Hints(wear_site=WearSite.HIP),
    ],
)
def test_a_hint_that_contradicts_the_file_is_refused(hints):
    assert refusal(example(), hints).code is Refusal.INVALID_FIELD


def test_an_ankle_contradicts_every_hinted_site():
    data = database(epochs([1]), {**SETTINGS, "limb": "Ankle"})
    assert refusal(data, Hints(wear_site=WearSite.WRIST)).code is Refusal.INVALID_FIELD


@pytest.mark.parametrize(
    ("data", "code", "where"),
    [
        (database(), Refusal.NO_SAMPLES, "data"),
        (database([(ticks(START), "x")]), Refusal.INVALID_FIELD, "axis1"),
        (database([(ticks(START), -1)]), Refusal.INVALID_FIELD, "values"),
        (database([(ticks(START), 2e6)]), Refusal.INVALID_FIELD, "values"),
        (database([("x", 1)]), Refusal.INVALID_FIELD, "dataTimestamp"),
        (database([(2**63 - 1, 1)]), Refusal.INVALID_FIELD, "dataTimestamp"),
        (database([(None, 1)]), Refusal.INVALID_FIELD, "dataTimestamp"),
        (database(epochs([1, 2], step=45)), Refusal.INVALID_FIELD, "timestamps"),
        (database(epochs([1, 2], step=60 * 400_000)), Refusal.TOO_MANY_EPOCHS, "values"),
        (database((ticks(START), 1) for _ in range(400_001)), Refusal.TOO_MANY_EPOCHS, "values"),
        (
            database(epochs([1]), {**SETTINGS, "epochlength": "x"}),
            Refusal.NO_EPOCH_INFORMATION,
            "epoch_seconds",
        ),
        (
            database(epochs([1]), {**SETTINGS, "epochlength": "0"}),
            Refusal.NO_EPOCH_INFORMATION,
            "epoch_seconds",
        ),
        (database(epochs([1]), [*SETTINGS.items(), ("filter", "x")]), Refusal.INVALID_FIELD, "settings"),
        (database(epochs([1]), {**SETTINGS, "filter": b"\xff"}), Refusal.INVALID_FIELD, "settings"),
        (b"", Refusal.UNPARSABLE, "file"),
        (b"SQLite format 3\0", Refusal.UNPARSABLE, "file"),
        (example()[:5000], Refusal.UNPARSABLE, "file"),
        (b"SQLite format 3\0" + b"\xff" * 4096, Refusal.UNPARSABLE, "file"),
    ],
    ids=range(18),
)
def test_what_is_wrong_in_a_file_is_refused(data, code, where):
    refused = refusal(data)
    assert (refused.code, refused.where) == (code, where)


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"


@pytest.mark.parametrize(
    "schema",
    [
        ("CREATE TABLE other (x)",),
        (SCHEMA[0], f"CREATE VIEW data AS {ENDLESS} SELECT x AS dataTimestamp, x AS axis1 FROM n"),
        (f"CREATE VIEW settings AS {ENDLESS} SELECT x AS settingName, x AS settingValue FROM n", SCHEMA[1]),
        (SCHEMA[0], "CREATE TABLE data (dataTimestamp INTEGER)"),
        (SCHEMA[0], "CREATE TABLE data (t, dataTimestamp AS (abs(t)), axis1 REAL)"),
        (SCHEMA[0], "CREATE VIRTUAL TABLE data USING fts5(dataTimestamp, axis1)"),
    ],
)
def test_a_database_with_a_program_in_it_is_refused(schema):
    assert refusal(database(schema=schema)).code is Refusal.UNPARSABLE


def test_damage_is_read_or_refused_and_nothing_else():
    assert outcomes(lambda data: read(data, NO_HINTS), example()) == {"read", "refused"}


@pytest.mark.parametrize(
    ("name", "start", "count", "first", "last", "serial"),
    [
        (
            "GT3XPlus-RawData-Day01.agd",
            "2012-06-27T10:54:00",
            8999,
            [377, 465, 505],
            [106, 0, 0],
            "NEO1DXXXXXXXX",
        ),
        ("test_sample.agd", "2019-04-15T15:00:00", 5394, [0, 0, 254], [0, 0, 0], "myUUID"),
    ],
)
def test_vendor_files_read_as_a_person_reads_them(name, start, count, first, last, serial):
    found = read(shared(f"data/devices/{name}").read_bytes(), NO_HINTS)
    assert (found.start.isoformat(), found.zone, found.epoch_seconds) == (start, None, 10)
    assert (found.epochs, found.serial, found.wear_site) == (count, serial, WearSite.UNKNOWN)
    assert (found.unit, found.device) == (Unit.ACTIGRAPH_AXIS1_COUNTS, Device.ACTIGRAPH_GT3X)
    assert (found.values[:3].tolist(), found.values[-3:].tolist()) == (first, last)
    assert found.flags == {Flag.TIMEZONE_UNKNOWN}


def test_the_vendor_day_adds_up_to_the_reference_minutes():
    found = read(shared("data/devices/GT3XPlus-RawData-Day01.agd").read_bytes(), NO_HINTS)
    with np.load(shared("data/clinical/recordings.npz")) as reference:
        minutes = reference["gt3x_day01|activity"]
    np.testing.assert_array_equal(np.add.reduceat(found.values, range(0, found.epochs, 6)), minutes)
