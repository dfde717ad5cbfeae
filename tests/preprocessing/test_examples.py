"""examples/formats holds one small file of our own per vendor format, as its reader's tests make it."""

from __future__ import annotations

import pytest

from preprocessing.readers import Format, detect, read
from preprocessing.readers.hints import Hints
from preprocessing.units import Unit
from tests.fuzz import readers
from tests.preprocessing import (
    test_actilife_csv,
    test_actiware,
    test_acttrust,
    test_agd,
    test_biobank_timeseries,
    test_epoch_csv,
    test_motionwatch,
    test_tempatilumi,
)
from tests.shared import ROOT

FOLDER = ROOT / "examples" / "formats"
FILES = {
    "actilife.csv": (Format.ACTILIFE_CSV, test_actilife_csv.example, Hints()),
    "actiware.csv": (Format.ACTIWARE, test_actiware.example, Hints()),
    "acttrust.txt": (Format.ACTTRUST, test_acttrust.example, Hints()),
    "biobank-timeseries.csv": (Format.BIOBANK_TIMESERIES, test_biobank_timeseries.example, Hints()),
    "epoch.csv": (Format.EPOCH_CSV, test_epoch_csv.example, Hints(unit=Unit.ACTIGRAPH_AXIS1_COUNTS)),
    "motionwatch.mtn": (Format.MOTIONWATCH, test_motionwatch.example, Hints()),
    "tempatilumi.txt": (Format.TEMPATILUMI, test_tempatilumi.example, Hints()),
}


@pytest.mark.parametrize("name", FILES)
def test_the_example_is_read_as_its_format(name):
    form, example, hints = FILES[name]
    content = (FOLDER / name).read_bytes()
    assert content == example()
    assert detect(content) is form
    assert read(content, hints).source_format == form


def test_the_sqlite_example_is_read_though_its_bytes_depend_on_the_library():
    content = (FOLDER / "actigraph.agd").read_bytes()
    assert detect(content) is Format.AGD
    assert read(content).values.tolist() == read(test_agd.example()).values.tolist()


def test_every_vendor_format_has_an_example():
    week_sized = {Format.CANONICAL_JSON, Format.CANONICAL_CSV, Format.AWD, Format.COHORT_CSV}
    assert {form for form, _, _ in FILES.values()} | {Format.AGD} | week_sized == set(Format)


def test_the_fuzzer_has_a_seed_for_every_format():
    assert {form for form, _, _ in readers.seeds()} == set(Format)


@pytest.mark.parametrize("seed", list(readers.seeds()), ids=lambda seed: seed[0])
def test_a_few_damaged_copies_are_read_or_refused(seed):
    readers.fuzz(*seed, copies=100)
