"""CDS Hooks: one service that says what it computed from what it was handed, and nothing else."""

import copy

import pytest

from tests.e2e.fhir_inputs import SUBJECT, bundled, series, steps

pytestmark = [pytest.mark.e2e, pytest.mark.fhir]
ASKED = {
    "hook": "patient-view",
    "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
    "fhirServer": "http://never.asked.invalid/fhir",
    "fhirAuthorization": {"access_token": "never-used"},
    "context": {"userId": "Practitioner/1", "patientId": "example"},
}
PATH = "/cds-services/pat-activity"
RISKY = ("risk", "diagnos", "disorder", "depress", "recommend", "should")


def viewed(client, prefetch=None, **changes):
    return client.post(PATH, json={**ASKED, "prefetch": prefetch or {}, **changes})


def test_discovery_names_the_service_and_what_it_wants(client):
    [service] = client.get("/cds-services").json()["services"]
    assert (service["hook"], service["id"]) == ("patient-view", PATH.rpartition("/")[2])
    assert set(service["prefetch"]) == {"activity", "steps"}
    for search in service["prefetch"].values():
        assert search.startswith("Observation?patient={{context.patientId}}&code=")
    assert "http://loinc.org|55423-8" in service["prefetch"]["steps"]


@pytest.mark.parametrize(
    "prefetch",
    [{}, {"activity": None}, {"steps": {"resourceType": "Bundle", "type": "searchset", "total": 0}}],
)
def test_without_data_there_is_no_card(client, prefetch):
    answer = viewed(client, prefetch)
    assert (answer.status_code, answer.json()) == (200, {"cards": []})


@pytest.mark.parametrize(
    ("prefetch", "said"),
    [
        ({"activity": bundled(series(), kind="searchset")}, "Interdaily stability (IS): 0."),
        ({"activity": bundled(series(f"https://ehr.example/fhir/{SUBJECT}"))}, "Relative amplitude (RA): 0."),
        ({"activity": bundled(), "steps": bundled(*steps(9))}, "Steps per day: 16152 steps/day"),
    ],
)
def test_a_recording_gives_one_card_of_information_alone(client, prefetch, said):
    [card] = viewed(client, prefetch).json()["cards"]
    assert set(card) == {"summary", "detail", "indicator", "source"}
    assert card["indicator"] == "info"
    assert len(card["summary"]) < 140
    assert card["source"]["label"]
    numbers, _, statement = card["detail"].rpartition("\n\n")
    assert "not a diagnosis" in statement
    assert said in numbers
    assert not any(word in f"{card['summary']} {numbers}".lower() for word in RISKY)


def test_what_cannot_be_read_is_said_and_not_guessed(client):
    broken = copy.deepcopy(series())
    broken["valueSampledData"]["period"] = -1
    [card] = viewed(client, {"activity": bundled(broken)}).json()["cards"]
    assert card["summary"] == "Activity data: not analysed"
    assert card["detail"].startswith("expected")


@pytest.mark.parametrize(
    "subject", ["Patient/another", None, "Patient/example2", "https://ehr.example/fhir/Patient/another"]
)
def test_data_of_another_patient_are_refused(client, subject):
    answer = viewed(client, {"activity": bundled(series(subject))})
    assert (answer.status_code, answer.json()["where"]) == (422, "prefetch")
    assert "another" not in answer.json()["detail"]


@pytest.mark.parametrize(
    "changes",
    [
        {"hook": "order-select"},
        {"context": {"userId": "Practitioner/1"}},
        {"context": {"userId": "Practitioner/1", "patientId": "no id/../x"}},
        {"context": {**ASKED["context"], "secret": 1}},
        {"unknown": 1},
        {"prefetch": []},
    ],
)
def test_a_call_that_is_none_is_refused(client, changes):
    answer = (
        viewed(client, **changes) if "prefetch" not in changes else client.post(PATH, json=ASKED | changes)
    )
    assert answer.status_code == 422
    assert "secret" not in answer.text
