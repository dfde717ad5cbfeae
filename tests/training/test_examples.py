"""The example files are what their command writes, and every reader reads them."""

from __future__ import annotations

import numpy as np
import pytest

from preprocessing.readers import Hints, read
from preprocessing.units import Device, Unit
from tests.shared import ROOT
from training import examples

NAMES = ["week.json", "week.csv", "week.awd", "public-cohort.csv"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return examples.write(tmp_path_factory.mktemp("examples"))


def test_the_command_writes_four_files(tmp_path, capsys):
    examples.main([str(tmp_path)])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)
    assert capsys.readouterr().out.count("\n") == 4


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_file_is_what_the_command_writes(name, written):
    fresh = next(path for path in written if path.name == name)
    assert (ROOT / "examples" / name).read_bytes() == fresh.read_bytes()


def test_json_and_csv_tell_the_same_recording(written):
    json, csv = read(written[0]), read(written[1])
    np.testing.assert_array_equal(json.values, csv.values)
    assert (json.start, json.zone, json.device) == (csv.start, "Europe/Berlin", Device.SYNTHETIC_DEMO)
    assert json.days > 7
    assert int(np.isnan(json.values).sum()) == 90


def test_awd_and_cohort_csv_tell_the_same_counts_on_a_wall_clock(written):
    awd, rows = read(written[2]), read(written[3], Hints(unit=Unit.ACTIWATCH_COUNTS))
    assert awd.zone is None
    assert rows.zone is None
    assert awd.start == rows.start == examples.START
    np.testing.assert_array_equal(awd.values, rows.values)
    zoned = read(written[0]).values
    recorded = ~np.isnan(zoned)
    np.testing.assert_array_equal(awd.values[recorded], zoned[recorded])
