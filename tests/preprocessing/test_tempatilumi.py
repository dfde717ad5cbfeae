"""Tempatilumi: activity under Portuguese column names, the comment left out."""

from __future__ import annotations

from datetime import datetime

import pytest

from preprocessing.readers import tempatilumi
from preprocessing.readers.hints import NO_HINTS, Hints
from preprocessing.recording import Flag, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite
from tests.preprocessing.damage import outcomes
from tests.shared import shared

COLUMNS = "Data; Hora; Evento; Luminosidade; Atividade"
ROWS = "2024/1/9; 23:58:00; 1; 10; 0;\r\n2024/1/9; 23:59:00; 0; 0; 723;\r\n2024/1/10; 00:00:00; 0; 0; 5;\r\n"


def example(rows: str = ROWS, columns: str = COLUMNS, encoding: str = "utf-8") -> bytes:
    """An export of three minutes over midnight."""
    return (
        "J. Doe, second visit\r\n\r\nN° de Série: 01234\r\n\r\nAceleração: Mini-Mitter\r\n"
        f"Sensibilidade do acelerômetro: 1.5 G\r\n\r\n{columns}\r\n{rows}"
    ).encode(encoding)


def refusal(data: bytes, hints: Hints = NO_HINTS) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        tempatilumi.read(data, hints)
    return refused.value


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_an_export_becomes_its_activity(encoding):
    found = tempatilumi.read(example(encoding=encoding), NO_HINTS)
    assert found.values.tolist() == [0, 723, 5]
    assert (found.start, found.zone, found.epoch_seconds) == (datetime(2024, 1, 9, 23, 58), None, 60)
    assert (found.unit, found.device, found.wear_site) == (Unit.COUNTS, Device.TEMPATILUMI, WearSite.UNKNOWN)
    assert (found.serial, found.markers, found.source_format) == ("01234", 1, tempatilumi.FORMAT)
    assert found.flags == {Flag.TIMEZONE_UNKNOWN}


def test_the_comment_is_not_kept():
    assert "Doe" not in repr(tempatilumi.read(example(), NO_HINTS))


def test_hints_complete_what_the_export_does_not_say():
    hints = Hints(zone="America/Sao_Paulo", wear_site=WearSite.WRIST, epoch_seconds=60)
    found = tempatilumi.read(example(), hints)
    assert found.start.isoformat() == "2024-01-09T23:58:00-03:00"
    assert found.wear_site is WearSite.WRIST
    assert found.flags == frozenset()


@pytest.mark.parametrize(
    "hints", [Hints(unit=Unit.ACTIWATCH_COUNTS), Hints(device=Device.ACTIWATCH), Hints(epoch_seconds=30)]
)
def test_a_hint_that_contradicts_the_file_is_refused(hints):
    assert refusal(example(), hints).code is Refusal.INVALID_FIELD


def test_one_row_needs_a_hint():
    one = ROWS.splitlines()[0]
    assert refusal(example(one)).code is Refusal.NO_EPOCH_INFORMATION
    assert tempatilumi.read(example(one), Hints(epoch_seconds=60)).epochs == 1


@pytest.mark.parametrize(
    ("data", "code", "where"),
    [
        (example(columns="Data; Hora; Evento"), Refusal.INVALID_FIELD, "header"),
        (example(columns="Data; Hora; Atividade; Atividade"), Refusal.INVALID_FIELD, "header"),
        (b"Atividade\n", Refusal.INVALID_FIELD, "header"),
        (example("\0"), Refusal.UNPARSABLE, None),
        (example(""), Refusal.NO_SAMPLES, None),
        (example(ROWS + "2024/1/10; 00:01:00;\r\n"), Refusal.INVALID_FIELD, "row 4"),
        (example(ROWS.replace("2024/1/10", "10/1/2024")), Refusal.INVALID_FIELD, "row 3"),
        (example(ROWS.replace("2024/1/9", "2024/2/30")), Refusal.INVALID_FIELD, "Hora"),
        (example(ROWS.replace("23:59:00", "noon")), Refusal.INVALID_FIELD, "row 2"),
        (example(ROWS.replace("723", "7.2.3")), Refusal.INVALID_FIELD, "Atividade"),
        (example(ROWS.replace("723", "-723")), Refusal.INVALID_FIELD, "values"),
        (example(ROWS.replace("; 1; 10", "; X; 10")), Refusal.INVALID_FIELD, "Evento"),
        (example("2024/1/9; 23:58:00; 1; 10; 0;\n" * 400_001), Refusal.TOO_MANY_EPOCHS, "values"),
    ],
)
def test_what_is_wrong_in_a_file_is_refused(data, code, where):
    refused = refusal(data)
    assert (refused.code, refused.where) == (code, where)


def test_the_format_is_told_by_its_columns():
    assert tempatilumi.looks_like(example()[:4096])
    assert not tempatilumi.looks_like(b"Data; Hora; Temperatura\n")


def test_damaged_exports_are_read_or_refused_and_nothing_else():
    assert outcomes(lambda data: tempatilumi.read(data, NO_HINTS), example()) == {"read", "refused"}


def test_the_vendor_file_reads_as_a_person_reads_it():
    found = tempatilumi.read(shared("data/devices/test_sample_tal.txt").read_bytes(), NO_HINTS)
    assert (found.start, found.zone) == (datetime(2000, 1, 1), None)
    assert (found.epoch_seconds, found.epochs, found.serial, found.markers) == (60, 10_080, "00000", 1)
    assert (found.unit, found.wear_site) == (Unit.COUNTS, WearSite.UNKNOWN)
    assert found.values[:3].tolist() == [0, 723, 5]
    assert found.values[-3:].tolist() == [233, 9, 190]
    assert found.flags == {Flag.TIMEZONE_UNKNOWN, Flag.CONSTANT_FLOOR}
