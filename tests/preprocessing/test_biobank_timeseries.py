"""Biobank time series: milli-g in a named zone, what was filled in is not recorded."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from preprocessing.readers import Hints
from preprocessing.readers.biobank_timeseries import looks_like, read
from preprocessing.readers.hints import NO_HINTS
from preprocessing.recording import Flag, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite
from tests.preprocessing.damage import outcomes
from tests.shared import shared

OLDER = "acceleration (mg) - 2015-04-20 10:00:00 - 2015-04-20 10:00:15 - sampleRate = 5 seconds"


def table(cells: list[str], start: datetime | None = None, header: str = "time,acc,sleep") -> bytes:
    """A time series of 30 s epochs in Oslo, a row for each of ``cells``."""
    first = start or datetime(2024, 3, 4, 21, 30, 0, 439000, tzinfo=UTC)
    moments = [
        (first + timedelta(seconds=30 * k)).astimezone(ZoneInfo("Europe/Oslo")) for k in range(len(cells))
    ]
    rows = [
        f"{m:%Y-%m-%d %H:%M:%S.%f%z} [Europe/Oslo],{cell}" for m, cell in zip(moments, cells, strict=True)
    ]
    return "\n".join([header, *rows, ""]).encode()


def example() -> bytes:
    """Half an hour, made up; two epochs were not recorded."""
    cells = ["" if k in (7, 8) else f"{k * 13 % 41 + 0.25}" for k in range(60)]
    return table([f"{cell},0.0" for cell in cells])


def older(values: str = "11.4,\n9.5,1\n0.0,\n20.0,0\n", header: str = f'"{OLDER}",imputed') -> bytes:
    return f"{header}\n{values}".encode()


def refusal(data: bytes, hints: Hints = NO_HINTS) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        read(data, hints)
    return refused.value


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_becomes_milli_g_in_its_zone(pack):
    data = pack(example())
    found = read(data, NO_HINTS)
    expected = [np.nan if k in (7, 8) else k * 13 % 41 + 0.25 for k in range(60)]
    np.testing.assert_array_equal(found.values, expected)
    assert (found.start.isoformat(), found.zone) == ("2024-03-04T22:30:00+01:00", "Europe/Oslo")
    assert (found.unit, found.device, found.epoch_seconds) == (Unit.ENMO_MG, Device.UNKNOWN, 30)
    assert (found.wear_site, found.serial) == (WearSite.UNKNOWN, None)
    assert (found.source_format, found.flags) == ("biobank-timeseries", frozenset())
    assert looks_like(data[:4096])
    assert looks_like(OLDER)
    assert not looks_like("time,value\n")
    assert not looks_like(b"\x1f\x8bnonsense")


def test_the_clock_change_of_the_zone_loses_nothing():
    found = read(table(["1,0"] * 480, datetime(2024, 10, 26, 23, 0, tzinfo=UTC)), NO_HINTS)
    assert (found.epochs, found.tidying.gaps, found.tidying.duplicates) == (480, 0, 0)


def test_imputed_rows_are_not_recorded():
    found = read(table(["1.5,", "2.5,1", "3.5,0"], header="time,acc,imputed"), NO_HINTS)
    np.testing.assert_array_equal(found.values, [1.5, np.nan, 3.5])


def test_the_older_form_takes_its_clock_from_the_header():
    found = read(older(), NO_HINTS)
    np.testing.assert_array_equal(found.values, [11.4, np.nan, 0, 20])
    assert (found.start, found.zone, found.epoch_seconds) == (datetime(2015, 4, 20, 10), None, 5)
    assert found.flags == {Flag.TIMEZONE_UNKNOWN, Flag.UNVERIFIED_FORMAT}
    single = read(older("1\n2\n3\n4\n", OLDER), Hints(zone="Europe/London"))
    assert single.start.isoformat() == "2015-04-20T10:00:00+01:00"
    assert single.values.tolist() == [1, 2, 3, 4]


def test_another_device_or_site_may_be_named():
    found = read(example(), Hints(device=Device.ACTIGRAPH_GT3X, wear_site=WearSite.WRIST))
    assert (found.device, found.wear_site) == (Device.ACTIGRAPH_GT3X, WearSite.WRIST)


@pytest.mark.parametrize(
    ("data", "hints", "code"),
    [
        (example(), Hints(unit=Unit.MIMS), Refusal.INVALID_FIELD),
        (example(), Hints(zone="Europe/Berlin"), Refusal.INVALID_FIELD),
        (example(), Hints(epoch_seconds=60), Refusal.INVALID_FIELD),
        (older(), Hints(epoch_seconds=60), Refusal.INVALID_FIELD),
        (older(), Hints(unit=Unit.MIMS), Refusal.INVALID_FIELD),
        (b"time,value\n", NO_HINTS, Refusal.INVALID_FIELD),
        (b"time,acc\n", NO_HINTS, Refusal.NO_SAMPLES),
        (b"time,acc,acc\n", NO_HINTS, Refusal.INVALID_FIELD),
        (example().replace(b"+0100", b"+0200"), NO_HINTS, Refusal.INVALID_FIELD),
        (example().replace(b"Europe/Oslo", b"Europe/Atlantis"), NO_HINTS, Refusal.NO_TIME_ZONE),
        (example().replace(b"Europe/Oslo", b"Europe/Paris", 1), NO_HINTS, Refusal.INVALID_FIELD),
        (example().replace(b" [Europe/Oslo]", b"", 1), NO_HINTS, Refusal.INVALID_FIELD),
        (table(["1,0"]), NO_HINTS, Refusal.NO_EPOCH_INFORMATION),
        (table(["x,0", "1,0"]), NO_HINTS, Refusal.INVALID_FIELD),
        (table(["-1,0", "1,0"]), NO_HINTS, Refusal.INVALID_FIELD),
        (table(["1,0,0", "1,0"]), NO_HINTS, Refusal.INVALID_FIELD),
        (table(["1,yes", "1,0"], header="time,acc,imputed"), NO_HINTS, Refusal.INVALID_FIELD),
        (older("1,\n2,\n3,\n"), NO_HINTS, Refusal.INVALID_FIELD),
        (older("1,\n2,\n3,\n4,x\n"), NO_HINTS, Refusal.INVALID_FIELD),
        (gzip.compress(example())[:-20], NO_HINTS, Refusal.UNPARSABLE),
        (gzip.compress(example()) + b"more", NO_HINTS, Refusal.UNPARSABLE),
        (b"\x1f\x8bnonsense", NO_HINTS, Refusal.UNPARSABLE),
        (gzip.compress(bytes(65 * 1024 * 1024), 1), NO_HINTS, Refusal.TOO_MANY_EPOCHS),
    ],
    ids=range(23),
)
def test_what_is_wrong_or_contradicted_is_refused(data, hints, code):
    assert refusal(data, hints).code is code


@pytest.mark.parametrize("made", [example, older])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_damage_is_read_or_refused_and_nothing_else(made, pack):
    assert "refused" in outcomes(lambda data: read(data, NO_HINTS), pack(made()))
    assert "read" in outcomes(lambda data: read(pack(data), NO_HINTS), made())


def test_the_published_sample_reads_as_a_person_reads_it():
    found = read(shared("data/devices/sample-timeSeries.csv.gz").read_bytes(), NO_HINTS)
    assert (found.start.isoformat(), found.zone) == ("2014-05-07T13:29:50+01:00", "Europe/London")
    assert (found.epochs, found.epoch_seconds, found.unit) == (16_841, 30, Unit.ENMO_MG)
    assert (found.device, int((~found.recorded).sum())) == (Device.UNKNOWN, 125)
    np.testing.assert_allclose(found.values[:3], [63.146, 5.074, 8.669], rtol=1e-12)
    np.testing.assert_allclose(found.values[-2:], [11.435, 26.418], rtol=1e-12)
    assert found.flags == {Flag.CONSTANT_FLOOR}
