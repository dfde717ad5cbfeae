"""Every code that leaves has a meaning that a receiver can look up, and the documentation says the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from postprocessing.absence import Reason, fhir_reason
from postprocessing.fhir import DEVELOPMENT_BASE, check, code_system
from postprocessing.fhir.codes import (
    DATA_ABSENT_REASONS,
    LOCAL_TERMS,
    LOINC,
    METRIC_TERMS,
    PHR,
    UCUM_LABELS,
    WEARABLES,
    MetricTerm,
    raw_of,
)
from postprocessing.metrics import METRICS, MetricCode
from preprocessing.units import Device, Unit
from tests.postprocessing.factory import CASES, analysis, recording
from tests.shared import ROOT, shared

pytestmark = pytest.mark.fhir

DOCUMENT = ROOT / "docs" / "fhir.md"


def loinc_check_digit(code: str) -> bool:
    """Mod 10 over the digits, doubling every second from the right (LOINC Users' Guide)."""
    body, _, digit = code.partition("-")
    doubled = [int(d) * (2 if place % 2 == 0 else 1) for place, d in enumerate(reversed(body))]
    return (10 - sum(value // 10 + value % 10 for value in doubled)) % 10 == int(digit)


def test_every_metric_has_a_local_code_of_its_own() -> None:
    assert set(METRIC_TERMS) == set(MetricCode)
    assert len({term.local for term in METRIC_TERMS.values()}) == len(METRIC_TERMS)


def test_standard_codes_come_before_ours_and_have_a_valid_check_digit() -> None:
    systems = [
        coding["system"] for coding in METRIC_TERMS[MetricCode.TOTAL_SLEEP_TIME].codings(DEVELOPMENT_BASE)
    ]
    assert systems == [LOINC, PHR, f"{DEVELOPMENT_BASE}/CodeSystem/pat-actigraphy"]
    assert all(loinc_check_digit(term.loinc[0]) for term in METRIC_TERMS.values() if term.loinc)


def test_sleep_efficiency_claims_no_loinc_code() -> None:
    assert METRIC_TERMS[MetricCode.SLEEP_EFFICIENCY].loinc is None


def test_standard_displays_are_those_of_the_reference_list() -> None:
    codes = json.loads(shared("tools/fhir-validator/codes.json").read_text())
    for term in METRIC_TERMS.values():
        for system, pair in ((LOINC, term.loinc), (PHR, term.phr)):
            if pair:
                assert pair[1] in codes[system][pair[0]]


def test_every_unit_reason_and_device_that_can_occur_has_its_row() -> None:
    assert {unit for term in METRIC_TERMS.values() for unit in term.units} <= set(UCUM_LABELS)
    assert {raw_of(unit).ucum for unit in Unit} <= set(UCUM_LABELS)
    assert {raw_of(unit).local for unit in Unit} <= set(LOCAL_TERMS)
    assert {fhir_reason(reason) for reason in Reason} <= set(DATA_ABSENT_REASONS)
    assert set(WEARABLES) == set(Device)


def test_the_code_system_is_complete_case_sensitive_and_says_what_each_code_means() -> None:
    system = code_system("https://pat.example.org/fhir")
    assert system["url"] == "https://pat.example.org/fhir/CodeSystem/pat-actigraphy"
    assert (system["content"], system["caseSensitive"]) == ("complete", True)
    assert system["count"] == len(system["concept"]) == len(LOCAL_TERMS)
    assert all(concept["display"] and concept["definition"] for concept in system["concept"])
    assert {reason.value for reason in Reason} <= {concept["code"] for concept in system["concept"]}
    assert check(system) == []


def metric_rows() -> list[str]:
    """The rows of the metric table in docs/fhir.md."""
    return [metric_row(metric, term) for metric, term in METRIC_TERMS.items()]


def metric_row(metric: MetricCode, term: MetricTerm) -> str:
    standard = [pair[0] if pair else "-" for pair in (term.loinc, term.phr)]
    cells = [term.display, f"`{term.local}`", *standard, unit_of(metric), decimals_of(metric), term.category]
    return f"| {' | '.join(cells)} |"


def unit_of(metric: MetricCode) -> str:
    if METRICS[metric].kind == "clock_time":
        return "valueTime"
    return f"`{METRICS[metric].unit}`" if METRICS[metric].unit else "as the recording"


def decimals_of(metric: MetricCode) -> str:
    return "1 s" if METRICS[metric].kind == "clock_time" else str(METRIC_TERMS[metric].decimals)


def test_the_documentation_has_one_row_per_metric_that_says_the_same() -> None:
    text = Path(DOCUMENT).read_text()
    assert [row for row in metric_rows() if row not in text] == []


def test_the_documentation_has_one_row_per_other_local_code() -> None:
    text = Path(DOCUMENT).read_text()
    others = [term for term in LOCAL_TERMS.values() if term.kind not in {"metric", "absence-reason"}]
    assert [
        term.code for term in others if f"| `{term.code}` | {term.kind} | {term.definition} |" not in text
    ] == []


def test_the_documentation_names_every_reason_with_its_fhir_code() -> None:
    text = Path(DOCUMENT).read_text()
    assert [reason for reason in Reason if f"| `{reason.value}` | {fhir_reason(reason)} |" not in text] == []


def test_the_example_of_the_documentation_runs() -> None:
    [example] = re.findall(r"```python\n(.*?)```", Path(DOCUMENT).read_text(), re.DOTALL)
    names: dict[str, Any] = {"analysis": analysis(CASES["week"]), "recording": recording(CASES["week"])}
    exec(example, names)
    assert check(names["document"]) == []
