"""docs/inputs.md is true: its examples read, and its tables name every code there is."""

from __future__ import annotations

import re

import pytest

from preprocessing.readers import Format, Hints, detect, read
from preprocessing.recording import Flag, Refusal
from preprocessing.units import Device, Unit, WearSite
from tests.shared import ROOT

PAGE = (ROOT / "docs" / "inputs.md").read_text(encoding="utf-8")
EXAMPLES = {
    "json": (Format.CANONICAL_JSON, Hints(), 5),
    "csv": (Format.CANONICAL_CSV, Hints(), 3),
    "awd": (Format.AWD, Hints(), 3),
    "cohort": (Format.COHORT_CSV, Hints(unit=Unit.ACTIWATCH_COUNTS), 2),
}


@pytest.mark.parametrize("language", EXAMPLES)
def test_each_example_reads_as_its_format(language):
    (example,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    form, hints, epochs = EXAMPLES[language]
    assert detect(example.encode()) is form
    assert read(example.encode(), hints).epochs == epochs


@pytest.mark.parametrize("code", [*Refusal, *Flag, *Unit, *Device, *WearSite, *Format])
def test_every_code_stands_on_the_page(code):
    assert f"`{code}`" in PAGE
