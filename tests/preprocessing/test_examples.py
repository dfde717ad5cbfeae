"""examples/formats holds one small file of our own per format, as its reader's tests make it."""

from __future__ import annotations

import numpy as np
import pytest

from preprocessing.readers import Format, detect, read
from tests.fuzz import readers
from tests.preprocessing.examples import FILES, WEEK_SIZED
from tests.shared import ROOT

FOLDER = ROOT / "examples" / "formats"
SQLITE = "actigraph.agd"  # its bytes depend on the version of the library


@pytest.mark.parametrize("name", FILES)
def test_the_example_is_read_as_its_format(name):
    example = FILES[name]
    content = (FOLDER / name).read_bytes()
    assert detect(content) is example.form
    found = read(FOLDER / name, example.hints)
    assert found.source_format == example.form
    made = read(example.make(), example.hints)
    assert found.start == made.start
    np.testing.assert_array_equal(found.values, made.values)
    assert content == example.make() or name == SQLITE


def test_every_format_has_an_example():
    assert {example.form for example in FILES.values()} | WEEK_SIZED == set(Format)
    assert {path.name for path in FOLDER.iterdir()} == set(FILES)


def test_the_fuzzer_has_a_seed_for_every_format():
    assert {seed.form for seed in readers.seeds()} == set(Format)


@pytest.mark.parametrize("seed", list(readers.seeds()), ids=lambda seed: seed.form)
def test_a_few_damaged_copies_are_read_or_refused(seed):
    readers.fuzz(seed, copies=100)
