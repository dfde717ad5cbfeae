"""The FHIR face where callers are identified: whose data, which refusals, and what is kept of a request."""

import json

import pytest

from postprocessing.fhir import check
from serving.audit_check import events
from serving.care import Care
from serving.keys import MasterKeys
from serving.settings import Settings
from serving.state import audit_folder, open_vault
from tests.e2e.fhir_inputs import bundled, parameters, series
from tests.e2e.guarded import asked, bearer, guarded

pytestmark = [pytest.mark.e2e, pytest.mark.fhir, pytest.mark.security, pytest.mark.slow]
PATH = "/fhir/$analyze"
HOOK = "/cds-services/pat-activity"
CALL = {
    "hook": "patient-view",
    "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
    "context": {"userId": "Practitioner/1", "patientId": "p1"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("guarded-fhir")


@pytest.fixture(scope="module")
def served(home, folder):
    with guarded(home, folder, {"PAT_RATE_CALLER": "40"}) as served:
        yield served


@pytest.fixture(scope="module")
def care(folder, served):
    keys = MasterKeys.read(folder / "master.keys")
    return Care(open_vault(Settings(state_folder=str(folder / "state")), keys))


@pytest.fixture
def recorded(folder):
    before = len(list(events(audit_folder(folder / "state"), {})))
    return lambda: [record["event"] for record in events(audit_folder(folder / "state"), {})][before:]


def refused(answer, status, kind):
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/fhir+json; fhirVersion=4.0"
    assert check(answer.json()) == []
    [issue] = answer.json()["issue"]
    assert issue["code"] == kind
    return issue


@pytest.mark.parametrize("path", ["/fhir/metadata", "/fhir/CodeSystem/pat-actigraphy", "/cds-services"])
def test_definitions_need_no_token(served, recorded, path):
    assert asked(served, path, method="GET").status_code == 200
    assert recorded() == []


def test_the_guard_s_refusals_are_outcomes_with_the_id_of_their_record(served, recorded):
    answer = asked(served, PATH, series("Patient/p1"))
    issue = refused(answer, 401, "login")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert issue["diagnostics"] == f"request {recorded()[0]['trace']}"
    refused(asked(served, PATH, series("Patient/p1"), **bearer(roles=["researcher"])), 403, "forbidden")
    refused(asked(served, "/fhir/Patient/p1", method="GET", **bearer()), 404, "not-found")
    refused(asked(served, PATH, method="GET", **bearer()), 405, "not-supported")


def test_a_subject_that_is_not_the_caller_s_is_not_there(served, recorded, care):
    own = bearer(roles=["patient"], sid="p1", sub="user-p1")
    doctor = bearer(sub="doctor-1")
    refused(asked(served, PATH, series("Patient/p1"), **doctor), 404, "not-found")
    nobody = asked(served, PATH, series("Patient/nobody"), **doctor)
    refused(nobody, 404, "not-found")
    assert asked(served, PATH, series("Patient/p1"), **own).status_code == 200
    refused(asked(served, PATH, series("Patient/p2"), **own), 404, "not-found")
    named = parameters({"name": "subject", "valueReference": {"reference": "Patient/p2"}})
    named["parameter"][0]["resource"].pop("subject")
    refused(asked(served, PATH, named, **own), 404, "not-found")
    care.begin("clinic", "doctor-1", "p1")
    assert asked(served, PATH, series("Patient/p1"), **doctor).status_code == 200
    assert [event["verb"] for event in recorded()] == ["analyze"] * 6


def test_a_subject_that_is_only_an_identifier_is_refused_for_nobody_can_tell_who_may_see_it(served):
    body = series(None) | {"subject": {"identifier": {"system": "urn:oid:1.2", "value": "p1"}}}
    issue = refused(asked(served, PATH, body, **bearer(sub="doctor-7")), 422, "value")
    assert issue["expression"] == ["Observation.subject"]


def test_a_key_is_the_caller_s_own_and_who_may_see_the_subject_is_asked_again(served, care):
    key = {"Idempotency-Key": "one"}
    first, second = bearer(sub="doctor-2"), bearer(sub="doctor-3")
    for uid in ("doctor-2", "doctor-3"):
        care.begin("clinic", uid, "p3")
    answer = asked(served, PATH, series("Patient/p3"), **first, **key)
    assert asked(served, PATH, series("Patient/p3"), **first, **key).content == answer.content
    refused(asked(served, PATH, bundled(series("Patient/p3")), **first, **key), 422, "business-rule")
    other = asked(served, PATH, bundled(series("Patient/p3")), **second, **key)
    assert other.status_code == 200
    assert other.json()["timestamp"] != answer.json()["timestamp"]  # what another was given is not told
    care.end("clinic", "doctor-2", "p3")
    refused(asked(served, PATH, series("Patient/p3"), **first, **key), 404, "not-found")


def test_what_is_kept_for_a_key_is_exported_and_deleted_with_its_subject(served, folder):
    own, key = bearer(roles=["patient"], sid="p-kept", sub="user-kept"), {"Idempotency-Key": "mine"}
    answer = asked(served, PATH, series("Patient/p-kept"), **own, **key)
    assert (
        asked(served, PATH, series("Patient/p-kept"), **own).json()["timestamp"] == answer.json()["timestamp"]
    )
    held = asked(served, "/v1/subjects:export", {"subject": "p-kept"}, **own).json()["held"]["answers"]
    assert answer.json() in held.values()
    assert len(held) == 2  # and when it was first issued
    stored = (folder / "state" / "store" / "pat.sqlite").read_bytes()
    assert b"p-kept" not in stored
    assert b"resourceType" not in stored
    deleted = asked(served, "/v1/subjects:delete", {"subject": "p-kept"}, **own).json()
    assert deleted["deleted"]["answers"] == 2
    anew = asked(served, PATH, series("Patient/p-kept"), **own, **key)
    assert anew.json()["timestamp"] != answer.json()["timestamp"]


def test_a_view_of_a_patient_who_is_not_the_caller_s_is_none(served, care):
    doctor = bearer(sub="doctor-4")
    assert asked(served, HOOK, CALL, **doctor).status_code == 404
    assert asked(served, HOOK, CALL).status_code == 401
    care.begin("clinic", "doctor-4", "p1")
    assert asked(served, HOOK, CALL, **doctor).json() == {"cards": []}
    handed = {**CALL, "prefetch": {"activity": bundled(series("Patient/p1"))}}
    assert len(asked(served, HOOK, handed, **doctor).json()["cards"]) == 1
    handed = {**CALL, "prefetch": {"activity": bundled(series("Patient/p2"))}}
    assert asked(served, HOOK, handed, **doctor).status_code == 422


def test_who_asks_too_often_is_throttled_in_fhir(served):
    caller = bearer(sub="hasty")
    answers = [asked(served, "/fhir/nothing", method="GET", **caller) for _ in range(41)]
    issue = refused(answers[-1], 429, "throttled")
    assert int(answers[-1].headers["retry-after"]) > 0
    assert "hasty" not in json.dumps(issue)


@pytest.mark.slow
def test_a_new_process_gives_the_same_bytes(home, tmp_path):
    own, answers = bearer(roles=["patient"], sid="p1", sub="user-p1"), []
    body = parameters(
        {"name": "return", "valueCode": "transaction"}, {"name": "profile", "valueBoolean": True}
    )
    body["parameter"][0]["resource"]["subject"]["reference"] = "Patient/p1"
    for _ in range(2):
        with guarded(home, tmp_path) as served:
            answers.append(asked(served, PATH, body, **own))
    assert answers[0].status_code == 200
    assert answers[0].content == answers[1].content
