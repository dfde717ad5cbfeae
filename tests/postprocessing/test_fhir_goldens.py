"""The form of a result does not change by accident: goldens, and what a major version promises."""

from __future__ import annotations

import json
from typing import Any

import pytest

from postprocessing.fhir.code_system import VERSION
from postprocessing.fhir.codes import RESULT_FORMAT
from tests.postprocessing.fhir_goldens import FOLDER, goldens
from tests.shared import ROOT

pytestmark = pytest.mark.fhir

GOLDENS = dict(goldens())


@pytest.mark.parametrize("name", GOLDENS)
def test_a_bundle_is_the_golden_to_the_last_character(name: str) -> None:
    assert json.dumps(GOLDENS[name]) == json.dumps(stored(name))


def stored(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


def test_every_code_of_the_goldens_is_in_the_code_system_of_the_same_version() -> None:
    system = stored("code-system.json")
    assert system["version"] == VERSION
    known = {concept["code"] for concept in system["concept"]}
    assert RESULT_FORMAT in known
    for name in ("full.json", "bare.json"):
        assert set(local_codes(stored(name))) <= known


def local_codes(value: Any) -> list[str]:
    """Every code of our CodeSystem within ``value``."""
    if isinstance(value, dict):
        own = [value["code"]] if str(value.get("system")).endswith("/CodeSystem/pat-actigraphy") else []
        return own + [code for child in value.values() for code in local_codes(child)]
    return [code for child in value for code in local_codes(child)] if isinstance(value, list) else []


def test_the_documentation_names_the_version_of_the_form_and_of_the_codes() -> None:
    text = (ROOT / "docs" / "fhir.md").read_text()
    assert f"`{RESULT_FORMAT}`" in text
    assert f"CodeSystem version is {VERSION}" in text
