"""Every vendor file at hand, told by content: start, epoch, count, unit and values as a person reads them."""
# ruff: noqa: E501  # a table with one file a line

from __future__ import annotations

import numpy as np
import pytest

from preprocessing.readers import read
from tests.shared import shared

NAN = float("nan")
# file: format, unit, start, zone, epoch (s), epochs, first two values, last two values
FILES = {
    "example_01.AWD": ("awd", "actiwatch_counts", "1918-01-23T13:58:00", None, 60, 18401, (0, 0), (0, 0)),
    "example_02.AWD": ("awd", "actiwatch_counts", "1918-01-23T13:52:00", None, 60, 18413, (0, 0), (0, 0)),
    "example_05.AWD": ("awd", "actiwatch_counts", "1918-01-30T11:15:00", None, 60, 21703, (0, 0), (0, 0)),
    "test_sample.AWD": ("awd", "actiwatch_counts", "2018-01-01T08:30:00", None, 60, 11718, (0, 0), (102, 0)),
    "test_sample_aw4.AWD": ("awd", "actiwatch_counts", "2011-02-22T12:00:00", None, 60, 31854, (1124, 2460), (0, 0)),
    "test_sample_awl.AWD": ("awd", "actiwatch_counts", "1996-11-10T16:22:00", None, 60, 12774, (776, 584), (1205, 298)),
    "test_sample.agd": ("agd", "actigraph_axis1_counts", "2019-04-15T15:00:00", None, 10, 5394, (0, 0), (0, 0)),
    "GT3XPlus-RawData-Day01.agd": ("agd", "actigraph_axis1_counts", "2012-06-27T10:54:00", None, 10, 8999, (377, 465), (0, 0)),
    "GT3XPlus-RawData-Day01.csv": ("epoch-csv", "actigraph_axis1_counts", "2012-06-27T10:54:00+00:00", "UTC", 10, 8999, (377, 465), (0, 0)),
    "GT3XPlus-RawData-Day01-10sec60sec.csv": ("epoch-csv", "actigraph_axis1_counts", "2012-06-27T10:54:00+00:00", "UTC", 60, 1500, (1465, 207), (0, 106)),
    "test_sample_rpx_eng.csv": ("actiware", "philips_actiwatch_counts", "2015-07-04T09:45:00+01:00", "+01:00", 30, 20160, (0, 0), (594, 540)),
    "test_sample_rpx_ger_no_light.csv": ("actiware", "philips_actiwatch_counts", "2020-01-24T09:05:00+01:00", "+01:00", 30, 20160, (NAN, 18), (164, 170)),
    "test_sample.mtn": ("motionwatch-mtn", "counts", "2018-05-23T17:30:00", None, 5, 5978, (0, 0), (87, 76)),
    "test_sample_atr.txt": ("acttrust", "counts", "1918-01-01T09:00:00", None, 60, 5760, (1851, 2683), (837, 4817)),
    "test_sample_tal.txt": ("tempatilumi", "counts", "2000-01-01T00:00:00", None, 60, 10080, (0, 723), (9, 190)),
    "sample-timeSeries.csv.gz": ("biobank-timeseries", "enmo_mg", "2014-05-07T13:29:50+01:00", "Europe/London", 30, 16841, (63.146, 5.074), (11.435, 26.418)),
}  # fmt: skip
NO_RECORDING = {"sample-summary.json", "README.md"}


@pytest.mark.parametrize("name", FILES)
def test_a_vendor_file_is_read_as_a_person_reads_it(name):
    found = read(shared(f"data/devices/{name}"))
    source, unit, start, zone, epoch, epochs, first, last = FILES[name]
    assert (found.source_format, found.unit, found.start.isoformat()) == (source, unit, start)
    assert (found.zone, found.epoch_seconds, found.epochs) == (zone, epoch, epochs)
    np.testing.assert_allclose(found.values[:2], first, atol=5e-4)
    np.testing.assert_allclose(found.values[-2:], last, atol=5e-4)


def test_the_table_names_every_vendor_file():
    present = {path.name for path in shared("data/devices").iterdir() if path.is_file()}
    assert present - NO_RECORDING == set(FILES)


@pytest.mark.parametrize(
    ("file", "name", "kind"),
    [
        ("example_01.AWD", "awd_example_01", "recordings"),
        ("example_02.AWD", "awd_example_02", "recordings"),
        ("GT3XPlus-RawData-Day01-10sec60sec.csv", "gt3x_day01", "recordings"),
        ("example_05.AWD", "awd_example_05", "more/recordings"),
        ("test_sample_rpx_eng.csv", "rpx_eng", "more/recordings"),
        ("test_sample_rpx_ger_no_light.csv", "rpx_ger", "more/recordings"),
    ],
)
def test_a_vendor_file_equals_the_same_recording_of_the_oracle_set(file, name, kind):
    with np.load(shared(f"data/clinical/{kind}.npz")) as arrays:
        np.testing.assert_array_equal(read(shared(f"data/devices/{file}")).values, arrays[f"{name}|activity"])
