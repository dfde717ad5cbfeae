"""The documents that say what the FHIR face does pass the validator, and say what is so."""

import json

import pytest

from postprocessing.fhir import (
    CONCEPT_MAP,
    Fault,
    Instance,
    capability_statement,
    check,
    code_system,
    concept_map,
    operation_definition,
    operation_outcome,
)
from postprocessing.fhir.codes import LOINC, METRIC_TERMS, PHR
from postprocessing.fhir.r4 import REQUIRED_CODES
from tests.fhir_tools import validate

pytestmark = pytest.mark.fhir
BASE = "https://actigraphy.hospital.example/fhir"
STATUSES = (400, 401, 403, 404, 405, 406, 408, 409, 413, 415, 422, 429, 431, 500, 503, 504)
CODES = ("no_time_zone", "mixed_quantities", "invalid_field", "idempotency_key_reused", "bundle_too_large")


def instance(**changes):
    return Instance(**{"base": BASE, "version": "1", "organization": "Hospital", "guarded": True, **changes})


def documents():
    faults = [Fault(status, "code", "what to do") for status in STATUSES]
    faults += [Fault(422, code, "what to do", "Bundle.entry[0].resource") for code in CODES]
    return {
        "open": capability_statement(instance(guarded=False)),
        "guarded": capability_statement(instance()),
        "keeps": capability_statement(instance(keeps=True)),
        "smart": capability_statement(instance(token_endpoint="https://issuer.example/token")),
        "operation": operation_definition(BASE),
        "map": concept_map(BASE),
        "codes": code_system(BASE),
        "outcome": operation_outcome(faults, "0" * 32),
    }


def test_every_definition_passes_the_validator_without_error_or_warning(tmp_path):
    files = []
    for name, document in documents().items():
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(document))
    assert validate(files) == []


def test_smart_is_claimed_only_where_tokens_are_given():
    made = documents()
    assert "service" not in made["open"]["rest"][0]["security"]
    assert "service" not in made["guarded"]["rest"][0]["security"]
    [service] = made["smart"]["rest"][0]["security"]["service"]
    assert service["coding"][0]["code"] == "SMART-on-FHIR"


def test_answers_that_come_later_are_claimed_only_where_they_can_be_kept():
    made = documents()
    assert "documentation" not in made["open"]["rest"][0]["operation"][0]
    assert "Prefer: respond-async" in made["keeps"]["rest"][0]["operation"][0]["documentation"]


def test_the_map_holds_every_standard_code_and_no_other():
    groups = {group["target"]: group["element"] for group in concept_map(BASE)["group"]}
    assert concept_map(BASE)["url"] == f"{BASE}/ConceptMap/{CONCEPT_MAP}"
    for system, pair in ((LOINC, "loinc"), (PHR, "phr")):
        said = {one["code"]: one["target"][0]["code"] for one in groups[system]}
        known = {term.local: getattr(term, pair) for term in METRIC_TERMS.values()}
        assert said == {local: standard[0] for local, standard in known.items() if standard}


def test_every_issue_is_of_a_type_that_r4_knows_and_names_its_request():
    outcome = documents()["outcome"]
    assert check(outcome) == []
    for issue in outcome["issue"]:
        assert issue["code"] in REQUIRED_CODES["OperationOutcome.issue.code"]
        assert issue["diagnostics"] == f"request {'0' * 32}"
    types = {issue["details"]["coding"][0]["code"]: issue["code"] for issue in outcome["issue"]}
    assert types["no_time_zone"] == "required"
    assert types["mixed_quantities"] == types["bundle_too_large"] == "business-rule"
    assert types["invalid_field"] == "value"
