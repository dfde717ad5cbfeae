"""ActTrust: PIM counts of a Condor Instruments report, presses of the button put back on the grid."""

from __future__ import annotations

from datetime import datetime

import pytest

from preprocessing.readers import acttrust
from preprocessing.readers.hints import NO_HINTS, Hints
from preprocessing.recording import Flag, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite
from tests.preprocessing.damage import outcomes
from tests.shared import shared

COLUMNS = "DATE/TIME;MS;EVENT;TEMPERATURE;PIM;PIMn;TAT;TATn;ZCM;ZCMn;LIGHT;STATE"
ROWS = (
    "05/01/2024 09:00:00;0;0;29.38;1800;30;109;1.81667;41;0.683333;384.44;0\r\n"
    "05/01/2024 09:01:00;0;0;29.47;2400;40;134;2.23333;64;1.06667;324.20;0\r\n"
    "05/01/2024 09:02:41;0;1;29.56;60;1;9;0.15;1;0.0166667;320.28;0\r\n"
    "05/01/2024 09:03:00;0;0;29.75;0;0;0;0;0;0;312.00;0\r\n"
)


def example(rows: str = ROWS, columns: str = COLUMNS, interval: str = "INTERVAL : 60\r\n") -> bytes:
    """A report of four minutes with one press of the button, in the third."""
    return (
        "+-------------+ Condor Instruments Report +-------------+\r\n"
        "SOFTWARE_VERSION : 1.0.0\r\nSUBJECT_NAME : J. Doe\r\nSUBJECT_DATE_OF_BIRTH : 02/03/1980\r\n"
        f"DEVICE_ID : A-1234\r\nDEVICE_MODEL : ActTrust\r\nMODE : PIM/TAT/ZCM\r\n{interval}"
        f"+-------------------------------------------------------+\r\n{columns}\r\n{rows}"
    ).encode()


def refusal(data: bytes, hints: Hints = NO_HINTS) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        acttrust.read(data, hints)
    return refused.value


def test_a_report_becomes_its_pim_counts():
    found = acttrust.read(example(), NO_HINTS)
    assert found.values.tolist() == [1800, 2400, 60, 0]
    assert (found.start, found.zone, found.epoch_seconds) == (datetime(2024, 1, 5, 9), None, 60)
    assert (found.unit, found.device, found.wear_site) == (Unit.COUNTS, Device.ACTTRUST, WearSite.UNKNOWN)
    assert (found.serial, found.markers, found.source_format) == ("A1234", 1, acttrust.FORMAT)
    assert found.flags == {Flag.TIMEZONE_UNKNOWN}
    assert found.tidying.gaps == found.tidying.duplicates == 0


def test_the_person_is_not_kept():
    assert not any(word in repr(acttrust.read(example(), NO_HINTS)) for word in ("Doe", "1980"))


def test_a_press_in_the_first_minute_belongs_to_that_minute():
    found = acttrust.read(example(ROWS.replace("09:00:00;0;0", "09:00:59;0;1")), NO_HINTS)
    assert found.start == datetime(2024, 1, 5, 9)
    assert found.values.tolist() == [1800, 2400, 60, 0]
    assert found.markers == 2


def test_presses_are_put_back_also_where_only_the_other_rows_tell_the_epoch():
    assert acttrust.read(example(interval=""), NO_HINTS).values.tolist() == [1800, 2400, 60, 0]


def test_the_columns_may_stand_in_another_order_and_without_events():
    found = acttrust.read(
        example("05/01/2024 09:00:00;3;7\n05/01/2024 09:01:00;4;8\n", "DATE/TIME;TAT;PIM"), NO_HINTS
    )
    assert found.values.tolist() == [7, 8]
    assert found.markers == 0


def test_lines_before_the_title_do_no_harm():
    found = acttrust.read(b"#Model=2.0.0\r\n" + example(), NO_HINTS)
    assert found.epochs == 4


def test_hints_complete_what_the_report_does_not_say():
    found = acttrust.read(
        example(), Hints(zone="America/Sao_Paulo", wear_site=WearSite.WRIST, epoch_seconds=60)
    )
    assert found.start.isoformat() == "2024-01-05T09:00:00-03:00"
    assert found.wear_site is WearSite.WRIST
    assert found.flags == frozenset()


@pytest.mark.parametrize(
    "hints", [Hints(unit=Unit.ACTIWATCH_COUNTS), Hints(device=Device.ACTIWATCH), Hints(epoch_seconds=30)]
)
def test_a_hint_that_contradicts_the_file_is_refused(hints):
    assert refusal(example(), hints).code is Refusal.INVALID_FIELD


def test_one_row_needs_the_interval_or_a_hint():
    one = ROWS.splitlines()[0]
    assert acttrust.read(example(one), NO_HINTS).epoch_seconds == 60
    assert refusal(example(one, interval="")).code is Refusal.NO_EPOCH_INFORMATION
    assert acttrust.read(example(one, interval=""), Hints(epoch_seconds=30)).epoch_seconds == 30


@pytest.mark.parametrize(
    ("data", "code", "where"),
    [
        (b"+---+ Another Report +---+\n", Refusal.UNPARSABLE, "header"),
        (example(columns="TIME;PIM"), Refusal.UNPARSABLE, "header"),
        (example("\0"), Refusal.UNPARSABLE, None),
        (example(columns=COLUMNS.replace("PIM;", "XIM;")), Refusal.INVALID_FIELD, "header"),
        (example(columns=COLUMNS.replace("TAT;", "PIM;")), Refusal.INVALID_FIELD, "header"),
        (example(""), Refusal.NO_SAMPLES, None),
        (example(ROWS + "05/01/2024 09:04:00;0\r\n"), Refusal.INVALID_FIELD, "row 5"),
        (example(ROWS.replace("05/01/2024 09:01", "2024-01-05 09:01")), Refusal.INVALID_FIELD, "row 2"),
        (example(ROWS.replace("09:01:00", "9h01")), Refusal.INVALID_FIELD, "row 2"),
        (example(ROWS.replace("05/01", "32/01")), Refusal.INVALID_FIELD, "DATE/TIME"),
        (example(ROWS.replace(";2400;", ";many;")), Refusal.INVALID_FIELD, "PIM"),
        (example(ROWS.replace(";2400;", ";-2400;")), Refusal.INVALID_FIELD, "values"),
        (example(ROWS.replace("41;0;1;", "41;0;yes;")), Refusal.INVALID_FIELD, "EVENT"),
        (example(interval="INTERVAL : 120\n"), Refusal.INVALID_FIELD, "epoch_seconds"),
        (example(interval="INTERVAL : 1 min\n"), Refusal.NO_EPOCH_INFORMATION, "INTERVAL"),
        (
            example(ROWS.splitlines()[0], interval="INTERVAL : 0\n"),
            Refusal.NO_EPOCH_INFORMATION,
            "epoch_seconds",
        ),
        (example("05/01/2024 09:00:00;0;0;0;0;0;0;0;0;0;0;0\n" * 400_001), Refusal.TOO_MANY_EPOCHS, "values"),
    ],
)
def test_what_is_wrong_in_a_file_is_refused(data, code, where):
    refused = refusal(data)
    assert (refused.code, refused.where) == (code, where)


def test_the_format_is_told_by_its_title():
    assert acttrust.looks_like(example()[:4096])
    assert not acttrust.looks_like(b"DATE/TIME;PIM\n")


def test_damaged_reports_are_read_or_refused_and_nothing_else():
    assert outcomes(lambda data: acttrust.read(data, NO_HINTS), example()) == {"read", "refused"}


def test_the_vendor_file_reads_as_a_person_reads_it():
    found = acttrust.read(shared("data/devices/test_sample_atr.txt").read_bytes(), NO_HINTS)
    assert (found.start, found.zone) == (datetime(1918, 1, 1, 9), None)
    assert (found.epoch_seconds, found.epochs, found.serial, found.markers) == (60, 5760, "myUUID", 8)
    assert (found.unit, found.wear_site) == (Unit.COUNTS, WearSite.UNKNOWN)
    assert found.values[:4].tolist() == [1851, 2683, 5260, 8]
    assert found.values[-3:].tolist() == [543, 837, 4817]
    assert found.values[1013:1016].tolist() == [790, 1635, 0]  # 01:54:26 is the row of 01:54
    assert found.tidying.gaps == found.tidying.duplicates == 0
    assert found.flags == {Flag.TIMEZONE_UNKNOWN, Flag.IMPLAUSIBLE_DATE}
