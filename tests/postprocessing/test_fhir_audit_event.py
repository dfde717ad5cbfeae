"""Records of the trail as AuditEvents: valid R4, the right way round, and nothing added."""

import json

import pytest

from postprocessing.fhir import audit_bundle, audit_event, check
from tests.fhir_tools import validate

pytestmark = pytest.mark.fhir

ACTOR = {
    "uid": "doctor-1",
    "tenant": "clinic",
    "roles": ["clinician"],
    "address": "10.0.0.7",
    "auth_time": 1_790_000_000,
    "token": "a" * 16,
}
EVENT = {
    "action": "E",
    "verb": "analyze",
    "outcome": 0,
    "reason": "http_200",
    "actor": ACTOR,
    "subject": "f" * 32,
    "purpose": "TREAT",
    "trace": "4" * 32,
    "model": "b" * 64,
    "records": 1,
    "detail": "",
}
NOBODY = {**ACTOR, "uid": "", "tenant": "", "roles": [], "auth_time": None, "token": ""}
CASES = {
    "analysis": {},
    "deletion": {"action": "D", "verb": "delete_subject", "model": "", "purpose": "PATRQT"},
    "export": {"action": "R", "verb": "export_subject", "model": ""},
    "care": {"action": "U", "verb": "change_care", "purpose": "HOPERAT"},
    "emergency": {"verb": "break_glass", "purpose": "ETREAT", "reason": "emergency_declared"},
    "search": {"action": "R", "verb": "search_audit", "purpose": "HOPERAT", "subject": ""},
    "refusal": {"outcome": 4, "reason": "no_relation", "records": 0, "model": ""},
    "nobody": {"outcome": 4, "reason": "no_token", "actor": NOBODY, "subject": "", "model": "", "verb": ""},
    "failure": {"outcome": 8, "reason": "http_503", "trace": "0" * 32},
    "start": {"verb": "start", "actor": None, "subject": "", "model": "", "purpose": "HSYSADMIN"},
    "settings": {
        "action": "U",
        "verb": "change_settings",
        "actor": None,
        "detail": "PAT_ENGINE",
        "subject": "",
    },
    "retention": {"action": "D", "verb": "retention", "actor": None, "detail": "audit", "subject": ""},
}


def record(**changes):
    at = "2026-11-27T14:05:06.123+00:00"
    return {
        "at": at,
        "file": "audit-20261127T140000000000-7-0a1b2c3d",
        "seq": 5,
        "event": {**EVENT, **changes},
    }


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_record_is_a_conformant_audit_event(case):
    assert check(audit_event(record(**CASES[case]), "PAT Service")) == []


def test_the_validator_finds_nothing_to_object_to(tmp_path):
    files = []
    for name, changes in CASES.items():
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(audit_event(record(**changes), "PAT Service")))
    records = [{**record(**changes), "seq": number} for number, changes in enumerate(CASES.values())]
    files.append(tmp_path / "bundle.json")
    files[-1].write_text(json.dumps(audit_bundle(records, "PAT")))
    assert [finding for finding in validate(files) if finding.severity == "error"] == []


def roles(made):
    return [agent["type"]["coding"][0]["code"] for agent in made["agent"]]


def test_data_flow_from_the_client_to_the_service_and_the_other_way_when_it_is_read():
    assert roles(audit_event(record(), "PAT")) == ["110153", "110152"]
    assert roles(audit_event(record(**CASES["export"]), "PAT")) == ["110152", "110153"]


def test_who_asked_whose_data_why_and_how_it_ended_is_there():
    made = audit_event(record(), "PAT")
    client = made["agent"][0]
    assert (client["who"]["identifier"]["value"], client["requestor"]) == ("doctor-1", True)
    assert client["network"] == {"address": "10.0.0.7", "type": "2"}
    assert client["purposeOfUse"][0]["coding"][0]["code"] == "TREAT"
    assert [entity["what"]["identifier"]["value"] for entity in made["entity"]] == [
        "f" * 32,
        "4" * 32,
        "b" * 64,
    ]
    assert (made["outcome"], made["outcomeDesc"], made["action"]) == ("0", "http_200", "E")


def test_what_the_service_does_itself_was_asked_by_itself():
    [agent] = audit_event(record(**CASES["start"]), "PAT")["agent"]
    assert (agent["who"], agent["requestor"]) == ({"display": "PAT"}, True)


def test_the_token_and_the_tenant_are_not_in_it():
    text = json.dumps(audit_event(record(), "PAT"))
    assert ACTOR["token"] not in text
    assert "1790000000" not in text


def test_the_same_record_has_the_same_id_and_another_has_another():
    one, other = audit_event(record(), "PAT"), audit_event({**record(), "seq": 6}, "PAT")
    assert one["id"] == audit_event(record(), "PAT")["id"] != other["id"]


def test_a_search_that_finds_nothing_is_a_bundle_without_entries():
    assert audit_bundle([], "PAT") == {"resourceType": "Bundle", "type": "searchset", "total": 0}
