"""``Prefer: respond-async`` on ``$analyze``: 202, then the Bundle that the call would have had."""

import time

import pytest

from serving.care import Care
from serving.keys import MasterKeys
from serving.settings import Settings
from serving.state import open_vault
from tests.e2e.guarded import bearer, guarded

pytestmark = [pytest.mark.e2e, pytest.mark.fhir, pytest.mark.slow]
FHIR_TYPE = "application/fhir+json; fhirVersion=4.0"
ZONE = {"url": "http://hl7.org/fhir/StructureDefinition/timezone", "valueCode": "Europe/Berlin"}
ASYNC = {"Prefer": "respond-async", "Content-Type": "application/fhir+json"}


def observation(subject, data="12 0 E 431", unit="counts"):
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "activity"},
        **({"subject": {"reference": f"Patient/{subject}"}} if subject else {}),
        "effectivePeriod": {"start": "2026-03-02T18:30:00+01:00", "_start": {"extension": [ZONE]}},
        "valueSampledData": {
            "origin": {"value": 0, "unit": unit},
            "period": 60_000,
            "dimensions": 1,
            "data": data,
        },
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("async")


@pytest.fixture(scope="module")
def service(home, folder):
    with guarded(home, folder, {"PAT_RATE_CALLER": "100000", "PAT_RATE_TENANT": "100000"}) as running:
        yield running


@pytest.fixture(scope="module")
def care(folder, service):
    keys = MasterKeys.read(folder / "master.keys")
    care = Care(open_vault(Settings(state_folder=str(folder / "state")), keys))
    care.begin("clinic", "user-1", "p-1")
    return care


@pytest.fixture
def client(service, care):
    with service.client(headers=bearer()) as client:
        yield client


def accepted(client, document, **headers):
    answer = client.post("/fhir/$analyze", json=document, headers={**ASYNC, **headers})
    assert answer.status_code == 202, answer.text
    assert answer.headers["preference-applied"] == "respond-async"
    return answer.headers["content-location"]


def polled(client, where, seconds=30):
    deadline = time.monotonic() + seconds
    while (answer := client.get(where)).status_code == 202:
        assert answer.headers["x-progress"] in ("waiting", "running")
        assert answer.headers["retry-after"] == "1"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return answer


def bare(bundle):
    """A Bundle without when it was issued."""
    if isinstance(bundle, dict):
        return {k: bare(v) for k, v in bundle.items() if k not in ("issued", "recorded", "timestamp")}
    return [bare(part) for part in bundle] if isinstance(bundle, list) else bundle


def test_the_answer_is_the_one_that_the_call_has(client):
    where = accepted(client, observation("p-1"))
    answer = polled(client, where)
    assert (answer.status_code, answer.headers["content-type"]) == (200, FHIR_TYPE)
    at_once = client.post(
        "/fhir/$analyze", json=observation("p-1"), headers={**ASYNC, "Prefer": "handling=strict"}
    )
    assert at_once.status_code == 200
    assert bare(answer.json()) == bare(at_once.json())
    assert client.get(where).content == answer.content


def test_the_capability_statement_says_so_only_where_there_is_a_store(client, served):
    def operation(at):
        return at.get("/fhir/metadata").json()["rest"][0]["operation"][0]

    assert "Prefer: respond-async" in operation(client)["documentation"]
    with served.client() as without:
        assert "documentation" not in operation(without)


def test_what_cannot_be_is_refused_at_once_as_the_call_would_be(client):
    wrong = observation("p-1", unit="parsecs")
    hidden = observation("p-hidden")
    for document, status in ((wrong, 422), (hidden, 404), ({"resourceType": "Patient"}, 422)):
        deferred = client.post("/fhir/$analyze", json=document, headers=ASYNC)
        at_once = client.post(
            "/fhir/$analyze", json=document, headers={"Content-Type": "application/fhir+json"}
        )
        assert deferred.status_code == at_once.status_code == status
        first, second = (answer.json()["issue"][0] for answer in (deferred, at_once))
        assert {k: v for k, v in first.items() if k != "diagnostics"} == {
            k: v for k, v in second.items() if k != "diagnostics"
        }


def test_it_is_its_caller_s_and_ends_with_delete(client, service):
    where = accepted(client, observation("p-1"))
    polled(client, where)
    for claims in ({"sub": "someone-else"}, {"tenant": "elsewhere"}):
        with service.client(headers=bearer(**claims)) as other:
            for answer in (other.get(where), other.delete(where)):
                assert answer.status_code == 404
                assert answer.json()["resourceType"] == "OperationOutcome"
    assert client.get(where.replace("/fhir/", "/v1/")).status_code == 404
    assert client.delete(where).status_code == 202
    gone = client.get(where)
    assert (gone.status_code, gone.json()["resourceType"]) == (404, "OperationOutcome")
    assert client.delete(where).status_code == 404


def test_a_key_gives_the_same_address(client):
    where = accepted(client, observation("p-1"), **{"Idempotency-Key": "once"})
    assert accepted(client, observation("p-1"), **{"Idempotency-Key": "once"}) == where
    other = client.post(
        "/fhir/$analyze", json=observation(None), headers={**ASYNC, "Idempotency-Key": "once"}
    )
    assert (other.status_code, other.json()["issue"][0]["code"]) == (422, "business-rule")


def test_a_subject_s_deletion_takes_the_answer(client, service, care):
    care.begin("clinic", "user-1", "p-gone")
    where = accepted(client, observation("p-gone"))
    assert polled(client, where).status_code == 200
    with service.client(headers=bearer(roles=["admin"])) as admin:
        assert admin.post("/v1/subjects:delete", json={"subject": "p-gone"}).json()["deleted"]["jobs"] == 1
    care.begin("clinic", "user-1", "p-gone")
    assert client.get(where).status_code == 404


def test_without_a_store_the_preference_is_refused_with_what_to_set(served):
    with served.client() as client:
        answer = client.post("/fhir/$analyze", json=observation(None), headers=ASYNC)
        assert (answer.status_code, answer.json()["resourceType"]) == (503, "OperationOutcome")
        assert "PAT_MASTER_KEYS_FILE" in answer.text
        answer = client.post("/v1/jobs", content=b"{}", headers={"Content-Type": "application/x-ndjson"})
        assert (answer.status_code, answer.json()["code"]) == (503, "no_store")
        assert client.delete("/v1/jobs/" + "A" * 22).json()["code"] == "no_store"
        assert client.put("/v1/jobs").status_code == 405
