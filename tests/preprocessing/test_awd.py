"""AWD: counts as the recorder wrote them, the person left out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from preprocessing.readers import Hints, read
from preprocessing.readers.hints import NO_HINTS
from preprocessing.recording import Flag, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite
from tests.preprocessing.inputs import awd
from tests.shared import shared


def refusal(data: bytes, hints: Hints = NO_HINTS) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        read(data, hints)
    return refused.value


def test_a_file_becomes_counts_on_a_wall_clock():
    found = read(awd())
    assert found.values.tolist() == [0, 12, 7]
    assert (found.start, found.zone, found.epoch_seconds) == (datetime(2018, 1, 23, 13, 58), None, 60)
    assert (found.unit, found.device, found.wear_site) == (
        Unit.ACTIWATCH_COUNTS,
        Device.ACTIWATCH,
        WearSite.UNKNOWN,
    )
    assert (found.serial, found.markers, found.source_format) == ("V123456", 1, "awd")
    assert found.flags == {Flag.TIMEZONE_UNKNOWN}


def test_the_name_age_and_sex_are_not_kept():
    assert "Doe" not in repr(read(awd()))


def test_the_marker_and_the_light_are_kept_out_of_the_counts():
    found = read(awd("776 , 0\r\n584 , 59 M\r\n12M\r\n1205 , 25\r\n"))
    assert found.values.tolist() == [776, 584, 12, 1205]
    assert found.markers == 2


def test_a_zone_hint_sets_the_clock():
    found = read(awd(), Hints(zone="Europe/Oslo", wear_site=WearSite.WRIST))
    assert found.start.isoformat() == "2018-01-23T13:58:00+01:00"
    assert found.wear_site is WearSite.WRIST
    assert found.flags == frozenset()


@pytest.mark.parametrize(
    ("code", "seconds"), [("1", 15), ("2", 30), ("8", 120), ("20", 300), ("81", 2), ("C2", 10)]
)
def test_codes_known_only_by_description_are_flagged(code, seconds):
    found = read(awd(code=code))
    assert found.epoch_seconds == seconds
    assert Flag.UNVERIFIED_FORMAT in found.flags


def test_an_unknown_code_needs_a_hint():
    assert refusal(awd(code="77")).code is Refusal.NO_EPOCH_INFORMATION
    assert read(awd(code="77"), Hints(epoch_seconds=60)).epoch_seconds == 60


@pytest.mark.parametrize(
    "hints",
    [Hints(unit=Unit.COUNTS), Hints(device=Device.ACTIGRAPH_GT3X), Hints(epoch_seconds=30)],
)
def test_a_hint_that_contradicts_the_format_is_refused(hints):
    assert refusal(awd(), hints).code is Refusal.INVALID_FIELD


def test_an_anonymised_or_future_date_is_flagged_not_refused():
    assert Flag.IMPLAUSIBLE_DATE in read(awd(date="23-Jan-1918")).flags
    ahead = datetime.now(UTC) + timedelta(days=400)
    assert Flag.IMPLAUSIBLE_DATE in read(awd(date=f"15-Jun-{ahead.year}")).flags


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (awd("12\r\nabc\r\n"), Refusal.INVALID_FIELD),
        (awd("12\r\n\r\n7\r\n"), Refusal.INVALID_FIELD),
        (awd("12\r\n-7\r\n"), Refusal.INVALID_FIELD),
        (awd("12\r\n9999999\r\n"), Refusal.INVALID_FIELD),
        (awd("1" * 100_000), Refusal.INVALID_FIELD),
        (awd(""), Refusal.NO_SAMPLES),
        (awd(date="31-Feb-2018"), Refusal.INVALID_FIELD),
        (awd(date="23-Mai-2018"), Refusal.INVALID_FIELD),
        (awd("0\r\n" * 400_100), Refusal.TOO_MANY_EPOCHS),
    ],
)
def test_what_is_wrong_in_a_file_is_refused(data, code):
    assert refusal(data).code is code


def test_a_refused_line_is_named_by_number_only():
    refused = refusal(awd("12\r\n4711x\r\n"))
    assert refused.where == "line 9"
    assert "4711" not in str(refused)


@pytest.mark.parametrize("number", ["01", "02"])
def test_vendor_files_give_the_reference_counts(number):
    found = read(shared(f"data/devices/example_{number}.AWD"))
    with np.load(shared("data/clinical/recordings.npz")) as reference:
        np.testing.assert_array_equal(found.values, reference[f"awd_example_{number}|activity"])
    meta = json.loads(shared("data/clinical/recordings_meta.json").read_text())[f"awd_example_{number}"]
    assert found.start.isoformat() == meta["start"]
    assert found.epochs == meta["n"]
    assert found.flags == {Flag.TIMEZONE_UNKNOWN, Flag.IMPLAUSIBLE_DATE}


@pytest.mark.parametrize(
    ("name", "epochs", "markers"),
    [
        ("example_01.AWD", 18_401, 22),
        ("example_02.AWD", 18_413, 21),
        ("example_05.AWD", 21_703, 27),
        ("test_sample.AWD", 11_718, 0),
        ("test_sample_aw4.AWD", 31_854, 29),
        ("test_sample_awl.AWD", 12_774, 0),
    ],
)
def test_every_vendor_file_reads(name, epochs, markers):
    found = read(shared(f"data/devices/{name}"))
    assert (found.epochs, found.markers, found.epoch_seconds) == (epochs, markers, 60)
