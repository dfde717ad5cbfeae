"""SAS transport files: numbers, texts and tables out of 80-byte records, in pieces of bounded size."""

from __future__ import annotations

import io

import numpy as np
import pytest

from preprocessing.readers import xport
from preprocessing.readers.xport import Block, blocks, columns_in
from preprocessing.recording import RecordingError, Refusal
from tests.preprocessing.xport_writer import library, number, padded, table, table_head


def read(data: bytes) -> list[Block]:
    return list(blocks(io.BytesIO(data)))


def column(data: bytes, name: str) -> list[float]:
    return np.concatenate([block.numbers(name) for block in read(data)]).tolist()


def refusal(data: bytes) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        read(data)
    return refused.value


@pytest.mark.parametrize(
    ("letters", "value"),
    [
        ("4110000000000000", 1),
        ("C276A00000000000", -118.625),
        ("4219000000000000", 25),
        ("3D41893754A8E1C8", 2.0**-240 * 0 + 0x41893754A8E1C8 / 2**56 / 16**3),
        ("0000000000000000", 0),
        ("8000000000000000", 0),
        ("4000000000000000", 0),
        ("7FFFFFFFFFFFFFFF", 16.0**63),
        ("00FFFFFFFFFFFFFF", 16.0**-64),
        ("4020000000000000", 0.125),
    ],
)
def test_a_number_is_an_ibm_double(letters, value):
    found = xport._doubles(np.frombuffer(bytes.fromhex(letters), np.uint8).reshape(1, 8))
    assert found.tolist() == [pytest.approx(value, rel=1e-15)]


@pytest.mark.parametrize("value", [1, -1, 0.1, -0.01, 32767, 52651200, 1 / 3, 1e-70, 7.2e70, 2**52 + 1])
def test_a_number_survives_writing_and_reading(value):
    assert column(library(table("T", {"A": [value]})), "A") == [value]


def test_every_missing_code_is_not_recorded():
    codes = [".", "._", *(f".{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")]
    found = column(library(table("T", {"A": [*codes, 0.0, 5.0]})), "A")
    assert np.isnan(found[:28]).all()
    assert found[28:] == [0, 5]


@pytest.mark.parametrize("width", range(2, 9))
def test_a_number_may_be_stored_shorter(width):
    cells = [1, 10, 144, -2, 0, None]
    found = column(library(table("T", {"A": cells, "B": [7] * 6}, {"A": width})), "A")
    assert found[:5] == cells[:5]
    assert np.isnan(found[5])


def test_text_may_spell_numbers():
    (block,) = read(library(table("T", {"DAY": ["1", "12", "", "-0.5"], "NO": [1, 2, 3, 4]})))
    np.testing.assert_array_equal(block.numbers("DAY"), [1, 12, np.nan, -0.5])
    assert block.texts("DAY") == {"1", "12", "", "-0.5"}


@pytest.mark.parametrize("text", ["x", "1_0", "1 2", "nan", "1.2.3", "-", "é"])
def test_other_text_is_no_number(text):
    (block,) = read(library(table("T", {"DAY": [text], "NO": [1]})))
    with pytest.raises(RecordingError) as refused:
        block.numbers("DAY")
    assert (refused.value.code, refused.value.where) == (Refusal.INVALID_FIELD, "DAY")


def test_numbers_are_no_text():
    (block,) = read(library(table("T", {"NO": [1]})))
    with pytest.raises(RecordingError):
        block.texts("NO")


@pytest.mark.parametrize("rows", [1, 2, 9, 10, 11, 20])
def test_blanks_that_fill_the_last_record_are_no_rows(rows):
    assert column(library(table("T", {"A": range(rows)})), "A") == list(range(rows))


def test_blank_rows_before_the_last_record_are_rows():
    data = library(table_head("T", {"A": (True, 8)}) + b" " * 160)
    (block,) = read(data)
    assert len(block.rows) == 11  # twenty would fit; what could be padding is, but for one row


def test_a_text_that_begins_like_a_head_is_a_text():
    cells = ["HEADER ROOM".ljust(80), "HEADER ROW".ljust(80)]
    (block,) = read(library(table("T", {"A": cells})))
    assert block.texts("A") == {"HEADER ROOM", "HEADER ROW"}


def test_tables_follow_each_other():
    data = library(
        table("ONE", {"A": [1, 2]}), table("EMPTY", {"B": []}), table("TWO", {"A": [3], "C": ["x"]})
    )
    found = read(data)
    assert [(sorted(block.columns), len(block.rows)) for block in found] == [
        (["A"], 2),
        (["B"], 0),
        (["A", "C"], 1),
    ]
    assert [block.numbers("A").tolist() for block in (found[0], found[2])] == [[1, 2], [3]]


@pytest.mark.parametrize("piece", [80, 240, 800])
@pytest.mark.parametrize("rows", [0, 9, 10, 29, 30, 31, 100])
def test_rows_are_the_same_in_pieces_of_any_size(monkeypatch, piece, rows):
    monkeypatch.setattr(xport, "_PIECE", piece)
    numbers = list(range(rows))
    data = library(table("ONE", {"A": numbers}), table("TWO", {"A": numbers, "B": numbers, "C": numbers}))
    assert column(data, "A") == numbers + numbers


def test_rows_are_chosen_by_a_mask_and_columns_by_name():
    (block,) = read(library(table("T", {"A": [1, 2, 3], "B": ["x", "y", "z"], "C": [4, 5, 6]})))
    found = block.chosen(np.array([True, False, True]), ["C", "B"])
    assert (found.numbers("C").tolist(), found.texts("B"), found.rows.shape) == ([4, 6], {"x", "z"}, (2, 9))


def test_the_names_of_the_first_table_show_in_the_head():
    data = library(table("T", {"SEQN": [1], "PAXN": [2]}), table("U", {"OTHER": [1]}))
    assert columns_in(data[:4096]) == {"SEQN", "PAXN"}
    assert columns_in(data[: 640 + 200]) == {"SEQN"}
    for other in (
        b"",
        b"SQLite format 3\0",
        data[80:],
        data[:300],
        data[:240],
        data.replace(b"NAMESTR", b"NAMESTX"),
    ):
        assert columns_in(other) == frozenset()


SMALL = library(table("T", {"A": [1, 2, 3], "B": ["x", "y", "z"]}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x" * 800,
        SMALL[:100],
        SMALL[:500],
        SMALL[:700],
        SMALL[:-1],
        SMALL[:-80] + SMALL[-80:-53] + b"?" * 53,
        SMALL + b" " * 79,
        SMALL + b"x" * 80,
        SMALL.replace(b"LIBRARY ", b"LIBV8   "),
        SMALL.replace(b"DSCRPTR", b"DSCPTV8"),
        SMALL.replace(b"OBS     HEADER", b"OBSV8   HEADER"),
        SMALL.replace(b"00000140", b"00000141"),
        SMALL.replace(b"00000140", b"000001x0"),
        SMALL.replace(b"0000000002", b"0000000000"),
        SMALL.replace(b"0000000002", b"0000009999"),
        library(table_head("T", {"A": (False, 9)})),
        library(table_head("T", {"A": (False, 1)})),
        library(table_head("T", {"A": (True, 0)})),
        library(table_head("T", {"A": (True, 201)})),
        library(table_head("T", {f"A{k}": (True, 200) for k in range(330)})),
        library(table_head("T", {"A": (False, 8), "a": (False, 8)})),
        library(
            table_head("T", {"A": (False, 8)})[:640] + b"\0\3" + table_head("T", {"A": (False, 8)})[642:]
        ),
        library(table_head("T", {"A": (False, 8)}).replace(b"\0\1\0\0\0\x08", b"\0\5\0\0\0\x08")),
        library(table("T", {"A": [1]})) + SMALL,
        library(*[table("T", {"A": [1]})] * 101),
    ],
    ids=range(26),
)
def test_what_is_no_whole_file_of_version_5_is_refused(data):
    assert refusal(data).code is Refusal.UNPARSABLE


def test_the_writer_pads_to_records():
    assert len(SMALL) % 80 == 0
    assert padded(b"x" * 81) == b"x" * 81 + b" " * 79
    assert number(1) == bytes.fromhex("4110000000000000")
