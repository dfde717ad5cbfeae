"""Columns of large tables: the numbers that Python reads, the times that are written, in bounded memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocessing.readers import Hints, read
from preprocessing.readers.cells import column, columns_from, distinct
from preprocessing.readers.columns import columns_of, numbers_of, split
from preprocessing.readers.stamps import parse
from preprocessing.readers.vendor_table import DateOrder, labels_of, named_columns
from preprocessing.recording import RecordingError, Refusal

EVERY_ROW = Hints(max_epochs=10**7)
HEAD = "# zone: UTC\n# epoch_seconds: 1\n# unit: counts\ntimestamp,value\n"


def labels(n: int, step: int) -> list[str]:
    steps = np.arange(n) * np.timedelta64(step, "s")
    return np.datetime_as_string(np.datetime64("2024-03-04T00:00:00") + steps).tolist()


def refusal(work, *arguments) -> Refusal:
    with pytest.raises(RecordingError) as refused:
        work(*arguments)
    return refused.value.code


decimals = (
    st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.integers(-(10**17), 10**17).map(str)
    | st.decimals(0, 10**7, allow_nan=False, places=7).map(str)
    | st.sampled_from(["", "5.", ".5", "+1", "1e5", "0000000000000000001", "9" * 400])
)


@settings(deadline=None, max_examples=300)
@given(st.lists(decimals, max_size=40))
def test_a_number_is_the_float_that_python_reads(cells):
    expected = np.array([float(cell) if cell else np.nan for cell in cells], dtype=np.float64)
    assert numbers_of(cells, "value").tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "cell", ["1_0", "nan", "inf", "0x1", " 1", "1\0", "\0", "\u0661", "1.2.3", ".", "-", "\ud800"]
)
def test_what_is_no_number_is_refused(cell):
    assert refusal(numbers_of, ["1", cell], "value") is Refusal.INVALID_FIELD


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_plain_and_a_quoted_table_have_the_same_columns(end):
    rows = [("a", "", "ä"), ("", "b c", "1"), ("d", "2", "")]
    plain = columns_of(end.join(",".join(row) for row in rows[:2]), 3, 9)
    assert [list(cells) for cells in plain] == [list(cells) for cells in zip(*rows[:2], strict=True)]
    quoted = columns_of(end.join(",".join(f'"{cell}"' for cell in row) for row in rows), 3, 9)
    assert [list(cells) for cells in quoted] == [list(cells) for cells in zip(*rows, strict=True)]


def test_only_regular_tables_are_split_at_once():
    assert [list(cells) for cells in split("1,2\n3,4", ",", 2)] == [["1", "3"], ["2", "4"]]
    for body in (
        "",
        '"1",2\n',
        "1,2\n\n3,4\n",
        "1,2\r3,4\n",
        "1\n2,3,4\n",
        "1,2\n3\n",
        f"{'1' * 200_000},2\n",
    ):
        assert split(body, ",", 2) == []
    assert split("1\n\n2\n", ",", 1) == []


def test_a_column_is_a_sequence_of_texts():
    cells = column(["a", "", "ßc", "a"])
    assert (len(cells), cells[2], list(cells[1:3]), cells.count("a")) == (4, "ßc", ["", "ßc"], 2)
    assert column(cells) is cells
    texts, which = distinct(cells)
    assert (texts, which.tolist()) == (["a", "", "ßc"], [0, 1, 2, 0])
    assert [list(part) for part in columns_from([], 2)] == [[], []]


def test_cells_of_a_vendor_table_are_stripped_with_quotes_or_without():
    plain = named_columns("\n 1 ;a\t; x;\n2; ;y;\n", ";", ["n", "s", "t"], {"n", "s"}, 9)
    quoted = named_columns('\n" 1 ";a\t; x;\n2; ;y;\n', ";", ["n", "s", "t"], {"n", "s"}, 9)
    assert {name: list(cells) for name, cells in plain.items()} == {"n": ["1", "2"], "s": ["a", ""]}
    assert {name: list(cells) for name, cells in quoted.items()} == {"n": ["1", "2"], "s": ["a", ""]}


def test_labels_join_a_date_and_a_time():
    made = labels_of(["4.7.2015", "4.7.2015"], ["1:05 PM", "23:00:01"], DateOrder.DAY_FIRST)
    assert list(made) == ["2015-07-04T13:05:00", "2015-07-04T23:00:01"]


def test_times_of_every_written_form_are_read_in_one_column():
    texts = ["2024-02-29T00:00Z", "2024-02-29 01:00:00.25+01:00", "2024-02-29T00:00:01.123456789-00:30"]
    stamps = parse(texts, "timestamp")
    first = np.datetime64("2024-02-29", "us").astype(np.int64)
    assert (stamps.local - first).tolist() == [0, 3_600_250_000, 1_123_456]
    assert stamps.offset.tolist() == [0, 3_600_000_000, -1_800_000_000]


@pytest.mark.parametrize(
    "text",
    ["2023-02-29T00:00", "2024-01-01T24:00", "2024-01-01T00:60", "2024-01-01-00:00", "2024-01-01T00:00\0"],
)
def test_what_is_no_time_is_refused(text):
    assert refusal(parse, ["2024-01-01T00:00", text], "timestamp") is Refusal.INVALID_FIELD


def canonical_file() -> bytes:
    rows = "\n".join(f"{label}Z,{k % 300}" for k, label in enumerate(labels(120_000, 1)))
    return f"{HEAD}{rows}\n".encode()


def actiware_file() -> bytes:
    rows = "\n".join(
        f"{k},{label[:10]},{label[11:]},{k % 300}" for k, label in enumerate(labels(80_000, 15), 1)
    )
    return f"Actiware Export File\nEpoch Length:,15,seconds\nLine,Date,Time,Activity\n{rows}\n".encode()


@pytest.mark.parametrize("make", [canonical_file, actiware_file])
def test_a_table_is_read_in_ten_times_its_size(make):
    data = make()
    tracemalloc.start()
    found = read(data, EVERY_ROW)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.values[:4].tolist() in ([0, 1, 2, 3], [1, 2, 3, 4])
    assert len(data) > 2_000_000
    assert peak < 10 * len(data)


HOSTILE = {
    "a row of commas": f"1,2\n{',' * 1_000_000}\n",
    "commas that hide among short rows": "1,2\n" + "1\n" * 300_000 + "," * 300_000 + "\n",
    "blank lines": "\n" * 1_000_000,
    "no line end": "1" * 4_000_000,
    "quotes": '"' * 1_000_000,
    "quoted quotes": '"""",""\n' * 200_000,
    "rows of spaces": (" " * 1000 + ",1\n") * 2_000,
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.timeout(60)  # for those that would take hours if the work grew with the square of the file
def test_hostile_rows_are_refused_in_memory_that_grows_with_the_file(name):
    data = (HEAD + HOSTILE[name]).encode()
    tracemalloc.start()
    refusal(read, data, EVERY_ROW)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * len(data)
