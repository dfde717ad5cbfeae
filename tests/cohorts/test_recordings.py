"""What a cohort's input holds: files of a folder or rows of a Parquet file, and what is refused."""

import os
from datetime import datetime

import numpy as np
import pyarrow
import pytest

from cohorts.recordings import CohortRunRefused, coded, input_of
from pat_runner.account import content_digest
from preprocessing.readers import canonical_json, read
from preprocessing.readers.hints import NO_HINTS, Hints
from preprocessing.recording import RecordingError, Refusal
from preprocessing.units import Unit
from tests.cohorts.inputs import folder, people, table, written


def of(source, start=0, stop=None):
    stop = len(source.items) if stop is None else stop
    return [reading() for reading in source.readings(start, stop, NO_HINTS)]


def test_a_folder_is_read_in_the_order_of_names_without_hidden_files(tmp_path):
    root = folder(tmp_path / "in", 3)
    (root / "a-site").mkdir()
    (root / "a-site" / "b.json").write_text(canonical_json.dumps(people(1)[0]))
    (root / ".DS_Store").write_bytes(b"hidden")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_bytes(b"hidden")
    names = [item.id for item in input_of(root).items]
    assert names == ["a-site/b.json", "canary-000.json", "canary-001.csv", "canary-002.awd"]


def test_an_item_is_what_is_in_the_file(tmp_path):
    root = folder(tmp_path / "in", 2)
    before = input_of(root).items
    (root / "canary-000.json").write_bytes((root / "canary-000.json").read_bytes() + b"\n")
    after = input_of(root).items
    assert before[0].digest != after[0].digest
    assert before[1] == after[1]


def test_a_folder_without_files_is_refused(tmp_path):
    with pytest.raises(CohortRunRefused, match="found none"):
        input_of(tmp_path)


def test_a_name_that_is_not_utf_8_is_refused(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.json")).write_bytes(b"{}")
    with pytest.raises(CohortRunRefused, match="UTF-8"):
        input_of(tmp_path)


def test_a_file_that_changes_between_plan_and_reading_ends_the_run(tmp_path):
    root = folder(tmp_path / "in", 2)
    source = input_of(root)
    (root / "canary-001.csv").write_text("other")
    with pytest.raises(CohortRunRefused, match="changed"):
        of(source)
    (root / "canary-001.csv").unlink()
    with pytest.raises(CohortRunRefused, match="changed"):
        of(source)


def test_a_parquet_file_holds_the_same_recordings_as_the_canonical_form(tmp_path):
    made = people(5)
    made[2].values[100:200] = np.nan
    source = input_of(written(tmp_path / "in.parquet", table(made)))
    documents = [read(canonical_json.dumps(one).encode()) for one in made]
    assert [content_digest(one) for one in of(source)] == [content_digest(one) for one in documents]
    assert [content_digest(one) for one in of(source, 1, 4)] == [
        content_digest(one) for one in documents[1:4]
    ]
    assert {one.source_format for one in of(source)} == {"parquet"}


def test_null_nan_and_wear_are_read(tmp_path):
    made = pyarrow.table(
        {
            "id": ["a"],
            "start": ["2024-05-13T00:00:00"],
            "clock": ["wall"],
            "epoch_seconds": pyarrow.array([60], pyarrow.int16()),
            "unit": ["counts"],
            "values": pyarrow.array([[1.0, None, float("nan"), 4.5]], pyarrow.large_list(pyarrow.float64())),
            "wear": pyarrow.array([[True, None, False, True]], pyarrow.list_(pyarrow.bool_())),
        }
    )
    (found,) = of(input_of(written(tmp_path / "in.parquet", made)))
    np.testing.assert_array_equal(found.values, [1, np.nan, np.nan, 4.5])
    assert found.wear.tolist() == [True, False, False, True]
    assert found.zone is None
    assert found.start == datetime(2024, 5, 13)


def test_hints_fill_what_a_row_does_not_say(tmp_path):
    made = table(people(1)).drop_columns(["unit", "zone"])
    source = input_of(written(tmp_path / "in.parquet", made))
    with pytest.raises(RecordingError) as refused:
        of(source)
    assert refused.value.code is Refusal.UNKNOWN_UNIT
    hints = Hints(unit=Unit.ACTIWATCH_COUNTS, zone="Europe/Berlin")
    (reading,) = source.readings(0, 1, hints)
    assert reading().unit is Unit.ACTIWATCH_COUNTS


def test_a_row_without_values_is_that_recordings_own_refusal(tmp_path):
    made = table(people(2))
    values = pyarrow.array([None, []], pyarrow.list_(pyarrow.float32()))
    made = made.set_column(made.schema.get_field_index("values"), "values", values)
    source = input_of(written(tmp_path / "in.parquet", made))
    for reading in source.readings(0, 2, NO_HINTS):
        with pytest.raises(RecordingError) as refused:
            reading()
        assert refused.value.code is Refusal.NO_SAMPLES


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda made: made.drop_columns(["id"]), "a column id"),
        (lambda made: made.drop_columns(["values"]), "a column values"),
        (lambda made: made.append_column("name", [["a", "b"]]), "1 other"),
        (lambda made: made.set_column(0, "id", [["same", "same"]]), "each id once"),
        (lambda made: made.set_column(0, "id", [["a", None]]), "an id in every row"),
        (lambda made: made.set_column(0, "id", [["a", ""]]), "an id in every row"),
        (lambda made: made.set_column(0, "id", [[1, 2]]), "expected id to be string"),
        (lambda made: made.set_column(7, "values", [[[1], [2]]]), "list<float>"),
        (lambda made: made.slice(0, 0), "no row"),
    ],
)
def test_a_parquet_file_of_another_form_is_refused_as_a_whole(tmp_path, change, said):
    with pytest.raises(CohortRunRefused, match=said):
        input_of(written(tmp_path / "in.parquet", change(table(people(2, days=0.5)))))


def test_what_is_neither_a_folder_nor_parquet_is_refused(tmp_path):
    (tmp_path / "week.json").write_text("{}")
    with pytest.raises(CohortRunRefused, match="neither"):
        input_of(tmp_path / "week.json")
    with pytest.raises(FileNotFoundError):
        input_of(tmp_path / "nothing")


def test_a_parquet_file_that_changes_ends_the_run(tmp_path):
    path = written(tmp_path / "in.parquet", table(people(2)))
    source = input_of(path)
    written(path, table(people(3)))
    with pytest.raises(CohortRunRefused, match="changed"):
        of(source, 0, 2)


def codes(tmp_path, text):
    path = tmp_path / "codes.csv"
    path.write_text(text)
    return path


def test_codes_stand_in_the_place_of_names(tmp_path):
    items = input_of(folder(tmp_path / "in", 2)).items
    made = coded(items, codes(tmp_path, "file,code\ncanary-001.csv,P2\ncanary-000.json,P1\nother,P9\n"))
    assert [item.id for item in made] == ["P1", "P2"]
    assert [item.digest for item in made] == [item.digest for item in items]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,code\ncanary-000.json,P1\n", "1 have none"),
        ("file,code\ncanary-000.json,P1\ncanary-001.csv,P1\n", "each code once"),
        ("file,code\ncanary-000.json,P1\ncanary-000.json,P2\n", "each file once"),
        ("file,code\ncanary-000.json,\ncanary-001.csv,P1\n", "both filled"),
        ("file,name\ncanary-000.json,P1\n", "columns file,code"),
        ('file,code\n"canary', "CSV"),
    ],
)
def test_a_table_of_codes_that_does_not_fit_is_refused_without_a_name(tmp_path, text, said):
    items = input_of(folder(tmp_path / "in", 2)).items
    with pytest.raises(CohortRunRefused, match=said) as refused:
        coded(items, codes(tmp_path, text))
    assert "canary" not in str(refused.value)
