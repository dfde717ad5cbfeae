"""MotionWatch: counts of the motion channel, and no XML that expands."""

from __future__ import annotations

from datetime import datetime

import pytest

from preprocessing.readers import motionwatch
from preprocessing.readers.hints import NO_HINTS, Hints
from preprocessing.recording import Flag, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite
from tests.preprocessing.damage import outcomes
from tests.shared import shared

MOTION = (
    "<channel><name>motion</name><units>Triaxial-Counts</units><epoch>5</epoch><offset>0</offset>"
    '<data encoding="text">0,0,15,\r\n22,14,0,</data></channel>'
)
LIGHT = (
    "<channel><name>Light</name><units>lux</units><epoch>5</epoch><offset>0</offset>"
    '<data encoding="text">1.5,2,3,4,5,6,</data></channel>'
)


def example(motion: str = MOTION, more: str = LIGHT) -> bytes:
    """A log of six epochs of 5 s on the left wrist."""
    properties = {
        "+UserID": "DEMO",
        "+DOB": "1980-02-03",
        "=SerialNo": "001234",
        "+Position": "Wrist (Left)",
        "=StartTime": "2024-05-23 17:30:00",
    }
    changes = "\r\n".join(
        f'<change user="doe"><property><name>{name}</name><content>{content}</content></property></change>'
        for name, content in properties.items()
    )
    return (
        '\ufeff<?xml version="1.0" encoding="UTF-8"?><motionfile><log2 major="2" minor="1">\r\n'
        f"{changes}<change>{motion}</change><change>{more}</change></log2></motionfile>"
    ).encode()


def changed(old: str, new: str) -> bytes:
    data = example()
    assert old.encode() in data
    return data.replace(old.encode(), new.encode(), 1)


def refusal(data: bytes, hints: Hints = NO_HINTS) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        motionwatch.read(data, hints)
    return refused.value


def test_a_log_becomes_the_counts_of_its_motion_channel():
    found = motionwatch.read(example(), NO_HINTS)
    assert found.values.tolist() == [0, 0, 15, 22, 14, 0]
    assert (found.start, found.zone, found.epoch_seconds) == (datetime(2024, 5, 23, 17, 30), None, 5)
    assert (found.unit, found.device, found.wear_site) == (Unit.COUNTS, Device.MOTIONWATCH, WearSite.WRIST)
    assert (found.serial, found.markers, found.source_format) == ("001234", 0, motionwatch.FORMAT)
    assert found.flags == {Flag.TIMEZONE_UNKNOWN}


def test_the_person_is_not_kept():
    assert not any(word in repr(motionwatch.read(example(), NO_HINTS)) for word in ("DEMO", "1980", "doe"))


def test_hints_complete_what_the_log_does_not_say():
    elsewhere = changed("Wrist (Left)", "")
    found = motionwatch.read(elsewhere, Hints(zone="Europe/London", wear_site=WearSite.HIP))
    assert found.start.isoformat() == "2024-05-23T17:30:00+01:00"
    assert found.wear_site is WearSite.HIP
    assert found.flags == frozenset()


def test_counts_of_another_mode_are_flagged():
    assert Flag.UNVERIFIED_FORMAT in motionwatch.read(changed("Triaxial-Counts", "Counts"), NO_HINTS).flags


@pytest.mark.parametrize(
    "hints",
    [
        Hints(unit=Unit.ACTIWATCH_COUNTS),
        Hints(device=Device.ACTIWATCH),
        Hints(epoch_seconds=60),
        Hints(wear_site=WearSite.HIP),
    ],
)
def test_a_hint_that_contradicts_the_file_is_refused(hints):
    assert refusal(example(), hints).code is Refusal.INVALID_FIELD


BOMB = '<!DOCTYPE m [<!ENTITY a "0,0,0,"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE m [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("declaration", [BOMB, OUTSIDE, '<!doctype m SYSTEM "http://localhost/m.dtd">'])
@pytest.mark.parametrize("place", ["<motionfile>", "<log2"])
def test_document_types_and_entities_are_refused_before_parsing(declaration, place):
    assert refusal(changed(place, declaration + place)).code is Refusal.UNPARSABLE


def test_an_entity_that_nobody_declared_is_refused():
    assert refusal(changed("0,0,15,", "&a;")).code is Refusal.UNPARSABLE


def test_a_deep_or_endless_document_is_refused():
    deep = b"<motionfile>" + b"<log2>" * 500_000
    assert refusal(deep).code is Refusal.UNPARSABLE


@pytest.mark.parametrize(
    ("data", "code", "where"),
    [
        (b"<html/>", Refusal.UNPARSABLE, None),
        (b"\xff\xfe" + "<motionfile/>".encode("utf-16-le"), Refusal.UNPARSABLE, None),
        (example()[:-40], Refusal.UNPARSABLE, None),
        (changed("<name>motion", "<name>motion</name><name>"), Refusal.UNPARSABLE, None),
        (changed("=StartTime", "=EndTime"), Refusal.INVALID_FIELD, "StartTime"),
        (changed("2024-05-23 17", "2024-05-43 17"), Refusal.INVALID_FIELD, "start"),
        (changed("=SerialNo", "=StartTime"), Refusal.INVALID_FIELD, "StartTime"),
        (changed("<name>motion", "<name>rest"), Refusal.INVALID_FIELD, "motion"),
        (example(more=MOTION), Refusal.INVALID_FIELD, "motion"),
        (changed("<offset>0</offset>", ""), Refusal.INVALID_FIELD, "motion"),
        (changed("<offset>0", "<offset>3"), Refusal.INVALID_FIELD, "motion"),
        (changed('"text"', '"base64"'), Refusal.INVALID_FIELD, "motion"),
        (changed("Triaxial-Counts", "mg"), Refusal.UNKNOWN_UNIT, "units"),
        (changed("<epoch>5", "<epoch>five"), Refusal.NO_EPOCH_INFORMATION, "epoch"),
        (changed("<epoch>5", "<epoch>0"), Refusal.NO_EPOCH_INFORMATION, "epoch_seconds"),
        (changed("<epoch>5", "<epoch>7200"), Refusal.RESOLUTION_TOO_COARSE, "epoch_seconds"),
        (changed("0,0,15,\r\n22,14,0,", " "), Refusal.NO_SAMPLES, "data"),
        (changed("0,0,15,", "0,,15,"), Refusal.INVALID_FIELD, "value 2"),
        (changed("0,0,15,", "0,0,x,"), Refusal.INVALID_FIELD, "motion"),
        (changed("0,0,15,", "0,0,15"), Refusal.INVALID_FIELD, "motion"),
        (changed("0,0,15,", "0,0,-15,"), Refusal.INVALID_FIELD, "values"),
        (changed("0,0,15,", "0," * 400_001), Refusal.TOO_MANY_EPOCHS, "values"),
    ],
)
def test_what_is_wrong_in_a_file_is_refused(data, code, where):
    refused = refusal(data)
    assert (refused.code, refused.where) == (code, where)


def test_the_format_is_told_by_its_root():
    assert motionwatch.looks_like(example()[:4096])
    assert not motionwatch.looks_like(b"<?xml version='1.0'?><HealthData>")


def test_damaged_logs_are_read_or_refused_and_nothing_else():
    assert outcomes(lambda data: motionwatch.read(data, NO_HINTS), example()) == {"read", "refused"}


def test_the_vendor_file_reads_as_a_person_reads_it():
    found = motionwatch.read(shared("data/devices/test_sample.mtn").read_bytes(), NO_HINTS)
    assert (found.start, found.zone) == (datetime(2018, 5, 23, 17, 30), None)
    assert (found.epoch_seconds, found.epochs, found.serial) == (5, 5978, "007565")
    assert (found.unit, found.wear_site) == (Unit.COUNTS, WearSite.WRIST)
    assert found.values[:3].tolist() == [0, 0, 0]
    assert found.values[113:120].tolist() == [15, 22, 14, 0, 0, 58, 38]
    assert found.values[-5:].tolist() == [71, 121, 62, 87, 76]
    assert (found.values.sum(), found.values.max()) == (109_065, 548)
    assert found.flags == {Flag.TIMEZONE_UNKNOWN}
