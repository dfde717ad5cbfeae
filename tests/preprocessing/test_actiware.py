"""Actiware: the epochs of an export in any of its languages, the person and the vendor's scores left out."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest

from preprocessing.readers import actiware
from preprocessing.readers.hints import NO_HINTS, Hints
from preprocessing.recording import Flag, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite
from tests.preprocessing.damage import outcomes
from tests.shared import shared

ENGLISH = (
    '"1","24/01/2020","21:04:00","0","0","0","12.50","NaN","ACTIVE",\r\n'
    '"2","24/01/2020","21:04:30","0","41","1","12.50","1","ACTIVE",\r\n'
    '"3","24/01/2020","21:05:00","0","NaN","0","0.01","0","REST",\r\n'
    '"4","24/01/2020","21:05:30","1","NaN","NaN","0.01","NaN","EXCLUDED",\r\n'
    '"5","24/01/2020","21:06:00","0","7","0","0.01","0","REST-S"\r\n'
)
COLUMNS = (
    '"Line","Date","Time","Off-Wrist Status","Activity","Marker","White Light","Sleep/Wake",'
    '"Interval Status",\r\n\r\n'
)
GERMAN = (
    "Zeile;Datum;Zeit;Status „Nicht am Handgelenk“;Aktivität;Markierung;Schlaf/Wach;Intervallstatus;\n"
    "1;24.01.2020;09:05:00;0;kZ;0;kZ;AKTIV;\n"
    "2;24.01.2020;09:05:30;0;18,5;0;kZ;AKTIV;\n"
    "3;24.01.2020;09:06:00;1;kZ;kZ;kZ;AUSGESCHLOSSEN;\n"
)
FRENCH = (
    '"Fichier d\'exportation Actiware (Version 05.00 )"\n'
    '"Ligne","Date","Heure","Activité",\n'
    '"1","4/02/2015","23:59:00","3",\n'
    '"2","5/02/2015","0:00:00","4",\n'
)


def example(rows: str = ENGLISH, epoch: str = '"30","seconds",""', offset: str = "+01:00") -> bytes:
    """An English export of five epochs of 30 s with an off-wrist status."""
    return (
        '\ufeff"Actiware Export File  (Version 06.00 )"\r\n\r\n'
        '"Identity:","DEMO"\r\n"Full Name:","J. Doe"\r\n"Date of Birth:","02/03/1980"\r\n\r\n'
        f'"Time Zone Offset:","{offset}","hours:minutes"\r\n"Epoch Length:",{epoch}\r\n'
        '"Actiwatch Serial Number:","V123456"\r\n\r\n'
        '"REST","1","24/01/2020","21:05:00","24/01/2020","21:06:00","1.00",\r\n\r\n'
        '"Line","Date","Time","Marker","Interval Status",\r\n'
        f'"2","24/01/2020","21:04:30","Marker!","ACTIVE",\r\n\r\n{COLUMNS}{rows}'
    ).encode()


def german(table: str = GERMAN) -> bytes:
    """A German export with semicolons and decimal commas."""
    return (
        '"Actiware-Exportdatei (Version 05.00 )"\nZeitzonenverschiebung:;+01:00;Stunden:Minuten\n'
        f"Epochenlänge:;30;Sekunden;\nActiwatch-Seriennummer:;PX-1\n{table}"
    ).encode()


def refusal(data: bytes, hints: Hints = NO_HINTS) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        actiware.read(data, hints)
    return refused.value


def rows(*dates: str) -> str:
    """A row at noon of each date, or at the given time of it."""
    return "".join(f'"1","{day}","{time}","0","1","0","1","0","ACTIVE"\n' for day, time in map(_split, dates))


def _split(text: str) -> tuple[str, str]:
    day, _, time = text.partition(" ")
    return day, time or "12:00:00"


def test_an_export_becomes_counts_in_the_stated_offset():
    found = actiware.read(example(), NO_HINTS)
    np.testing.assert_array_equal(found.values, [0, 41, np.nan, np.nan, 7])
    assert found.start.isoformat() == "2020-01-24T21:04:00+01:00"
    assert (found.zone, found.epoch_seconds, found.serial, found.markers) == ("+01:00", 30, "V123456", 1)
    assert (found.unit, found.device) == (Unit.PHILIPS_ACTIWATCH_COUNTS, Device.PHILIPS_ACTIWATCH)
    assert (found.wear_site, found.source_format) == (WearSite.UNKNOWN, actiware.FORMAT)
    assert found.wear is not None
    assert found.wear.tolist() == [True, True, True, False, True]
    assert found.flags == frozenset()


def test_the_person_is_not_kept():
    assert not any(word in repr(actiware.read(example(), NO_HINTS)) for word in ("Doe", "DEMO", "1980"))


def test_the_german_export_reads_with_semicolons_and_decimal_commas():
    found = actiware.read(german(), NO_HINTS)
    np.testing.assert_array_equal(found.values, [np.nan, 18.5, np.nan])
    assert found.start.isoformat() == "2020-01-24T09:05:00+01:00"
    assert (found.zone, found.serial, found.markers) == ("+01:00", "PX1", 0)
    assert found.wear is not None
    assert found.wear.tolist() == [True, True, False]


def test_the_german_export_reads_in_an_8_bit_code_page_too():
    plain = german().decode().replace("„Nicht am Handgelenk“", "ohne").encode("latin-1")
    assert actiware.read(plain, NO_HINTS).values[1] == 18.5


def test_the_french_export_reads_flagged_as_unverified():
    found = actiware.read(FRENCH.encode(), NO_HINTS)
    assert (found.start, found.epoch_seconds) == (datetime(2015, 2, 4, 23, 59), 60)
    assert found.values.tolist() == [3, 4]
    assert found.flags == {Flag.UNVERIFIED_FORMAT, Flag.TIMEZONE_UNKNOWN}


def test_without_an_off_wrist_column_nothing_is_said_about_wear():
    plain = FRENCH.replace("Ligne", "Line").replace("Heure", "Time").replace("Activité", "Activity")
    assert actiware.read(plain.encode(), NO_HINTS).wear is None


def test_an_epoch_that_the_scorer_excluded_is_not_recorded():
    found = actiware.read(
        example(ENGLISH.replace('"7","0","0.01","0","REST-S"', '"7","0","","0","EXCLUDED"')), NO_HINTS
    )
    assert np.isnan(found.values[-1])


@pytest.mark.parametrize(
    ("dates", "start"),
    [
        (("04/07/2015", "05/07/2015"), "2015-07-04"),
        (("7/4/2015", "7/5/2015"), "2015-07-04"),
        (("1/31/2015", "2/1/2015"), "2015-01-31"),
        (("24/01/2020 12:00:00", "24/01/2020 13:00:00"), "2020-01-24"),
        (("1/24/2020 12:00:00", "1/24/2020 13:00:00"), "2020-01-24"),
        (("05/05/2015 12:00:00", "05/05/2015 13:00:00"), "2015-05-05"),
        (("2015-07-04 12:00:00", "2015-07-04 13:00:00"), "2015-07-04"),
    ],
)
def test_day_and_month_are_told_by_the_course_of_the_dates(dates, start):
    two = example(rows(*dates), epoch="", offset="").replace(b'"Epoch Length:",\r\n', b"")
    if "13:00:00" in dates[1]:
        assert actiware.read(two, NO_HINTS).start.date().isoformat() == start
    else:
        near = example(rows(f"{dates[0]} 23:59:30", f"{dates[1]} 00:00:00"), offset="")
        assert actiware.read(near, NO_HINTS).start.date().isoformat() == start


def test_a_single_day_that_could_be_in_two_months_is_refused():
    refused = refusal(example(rows("04/07/2015 12:00:00", "04/07/2015 12:00:30")))
    assert (refused.code, refused.where) == (Refusal.INVALID_FIELD, "Date")


def test_a_clock_of_twelve_hours_reads_and_is_flagged():
    found = actiware.read(example(rows("1/24/2020 11:59:30 AM", "1/24/2020 12:00:00 PM")), NO_HINTS)
    assert found.start.isoformat() == "2020-01-24T11:59:30+01:00"
    assert found.flags == {Flag.UNVERIFIED_FORMAT}
    midnight = actiware.read(example(rows("1/24/2020 12:00:00 AM", "1/24/2020 12:00:30 AM")), NO_HINTS)
    assert midnight.start.hour == 0


def test_missing_rows_are_opened_as_not_recorded():
    found = actiware.read(example(ENGLISH.replace(ENGLISH.splitlines(keepends=True)[2], "")), NO_HINTS)
    assert (found.epochs, found.tidying.gaps) == (5, 1)


def test_a_zone_hint_with_the_stated_offset_sets_the_clock():
    found = actiware.read(example(), Hints(zone="Europe/Oslo", wear_site=WearSite.WRIST))
    assert (found.zone, found.wear_site) == ("Europe/Oslo", WearSite.WRIST)
    assert found.start.isoformat() == "2020-01-24T21:04:00+01:00"


def test_an_export_that_has_no_offset_is_on_a_wall_clock():
    found = actiware.read(example(offset="Not Applicable"), NO_HINTS)
    assert found.zone is None
    assert found.flags == {Flag.TIMEZONE_UNKNOWN}
    assert actiware.read(example(offset="00:00"), NO_HINTS).zone == "+00:00"


@pytest.mark.parametrize(
    "hints",
    [
        Hints(unit=Unit.COUNTS),
        Hints(device=Device.ACTIWATCH),
        Hints(epoch_seconds=60),
        Hints(zone="Europe/London"),
        Hints(zone="+02:00"),
    ],
)
def test_a_hint_that_contradicts_the_file_is_refused(hints):
    assert refusal(example(), hints).code is Refusal.INVALID_FIELD


def test_an_epoch_length_hint_helps_where_one_row_says_nothing():
    one = example(rows("24/01/2020")).replace(b'"Epoch Length:","30","seconds",""\r\n', b"")
    assert refusal(one).code is Refusal.NO_EPOCH_INFORMATION
    assert actiware.read(one, Hints(epoch_seconds=60)).epoch_seconds == 60


@pytest.mark.parametrize(
    ("data", "code", "where"),
    [
        (b"no title", Refusal.UNPARSABLE, "line 1"),
        (example("\0"), Refusal.UNPARSABLE, None),
        (example(ENGLISH + '"6'), Refusal.UNPARSABLE, None),
        (example(""), Refusal.NO_SAMPLES, None),
        (example().replace(b"Activity", b"Light"), Refusal.NO_SAMPLES, "header"),
        (example().replace(b'"Time","Off', b'"Clock","Off'), Refusal.INVALID_FIELD, "header"),
        (example().replace(b'"White Light"', b'"Activity"'), Refusal.INVALID_FIELD, "header"),
        (example(ENGLISH + "1,2,3\r\n"), Refusal.INVALID_FIELD, "row 6"),
        (example(ENGLISH.replace('"41"', '"4' + "1" * 99 + '"')), Refusal.INVALID_FIELD, "row 2"),
        (example(ENGLISH.replace('"41"', '"x"')), Refusal.INVALID_FIELD, "Activity"),
        (example(ENGLISH.replace('"41"', '"4,1"')), Refusal.INVALID_FIELD, "Activity"),
        (example(ENGLISH.replace('"41"', '"-41"')), Refusal.INVALID_FIELD, "values"),
        (example(ENGLISH.replace('"41","1"', '"41","2"')), Refusal.INVALID_FIELD, "Marker"),
        (example(ENGLISH.replace('"0","41"', '"?","41"')), Refusal.INVALID_FIELD, "Off-Wrist Status"),
        (example(ENGLISH.replace("24/01/2020", "24-Jan-20")), Refusal.INVALID_FIELD, "Date"),
        (example(ENGLISH.replace("24/01/2020", "31/02/2020")), Refusal.INVALID_FIELD, "Date"),
        (example(ENGLISH.replace("21:05:00", "9 pm")), Refusal.INVALID_FIELD, "row 3"),
        (example(ENGLISH.replace("21:05:00", "21:65:00")), Refusal.INVALID_FIELD, "Time"),
        (example(ENGLISH.replace("21:05:00", "21:05:07")), Refusal.INVALID_FIELD, "timestamps"),
        (example(epoch='"60","seconds",""'), Refusal.INVALID_FIELD, "epoch_seconds"),
        (example(epoch='"1","minutes",""'), Refusal.NO_EPOCH_INFORMATION, "Epoch Length:"),
        (example(offset="1 hour"), Refusal.INVALID_FIELD, "Time Zone Offset:"),
        (example(offset="+25:00"), Refusal.NO_TIME_ZONE, "zone"),
        (example("1,24/01/2020,21:04:00,0,1,0,0,0,A\n" * 400_001), Refusal.TOO_MANY_EPOCHS, "values"),
    ],
)
def test_what_is_wrong_in_a_file_is_refused(data, code, where):
    refused = refusal(data)
    assert (refused.code, refused.where) == (code, where)


def test_a_refusal_never_repeats_a_cell():
    refused = refusal(example(ENGLISH.replace('"41"', '"4711x"')))
    assert "4711" not in str(refused)


def test_the_format_is_told_by_its_title():
    assert actiware.looks_like(example()[:4096])
    assert actiware.looks_like(german().decode())
    assert actiware.looks_like(FRENCH)
    assert not actiware.looks_like(b"timestamp,value\n")


def test_damaged_exports_are_read_or_refused_and_nothing_else():
    assert outcomes(lambda data: actiware.read(data, NO_HINTS), example()) == {"read", "refused"}


@pytest.mark.parametrize(
    ("file", "name", "start", "serial", "first", "last", "markers", "off_wrist"),
    [
        ("eng", "rpx_eng", "2015-07-04T09:45:00+01:00", "AXXXUK", [0, 0, 0], [654, 594, 540], 1, None),
        (
            "ger_no_light",
            "rpx_ger",
            "2020-01-24T09:05:00+01:00",
            "PXXGER",
            [np.nan, 18, 0],
            [46, 164, 170],
            0,
            494,
        ),
    ],
)
def test_vendor_files_give_the_reference_counts(file, name, start, serial, first, last, markers, off_wrist):
    data = shared(f"data/devices/test_sample_rpx_{file}.csv").read_bytes()
    found = actiware.read(data, NO_HINTS)
    with np.load(shared("data/clinical/more/recordings.npz")) as reference:
        np.testing.assert_array_equal(found.values, reference[f"{name}|activity"])
    assert (found.start.isoformat(), found.zone) == (start, "+01:00")
    assert (found.epoch_seconds, found.epochs, found.serial, found.markers) == (30, 20_160, serial, markers)
    assert found.unit is Unit.PHILIPS_ACTIWATCH_COUNTS
    np.testing.assert_array_equal(found.values[:3], first)
    np.testing.assert_array_equal(found.values[-3:], last)
    assert (None if found.wear is None else int((~found.wear).sum())) == off_wrist
    assert found.flags == frozenset()
    assert (found.tidying.gaps, found.tidying.duplicates) == (0, 0)
