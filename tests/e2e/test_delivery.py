"""From a request to the FHIR server: the result is there once; who asked may know how far it is, no other."""

import json
import time

import httpx
import pytest

from serving.audit_check import events
from serving.care import Care
from serving.keys import MasterKeys
from serving.settings import Settings
from serving.state import audit_folder, open_vault
from tests.e2e.guarded import bearer, guarded
from tests.e2e.server import kill, pat
from tests.faults import fault_proxy
from tests.fhir_tools import fhir_server
from tests.security.samples import _observation

pytestmark = [pytest.mark.e2e, pytest.mark.fhir]
FHIR = {"Accept": "application/fhir+json"}
SERVICE = {"roles": ["service"], "sub": "backend"}
LOINC = "http://loinc.org"


@pytest.fixture(scope="module")
def real():
    with fhir_server() as base:
        yield base


@pytest.fixture(scope="module")
def proxy(real):
    with fault_proxy(real) as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("delivering")


@pytest.fixture(scope="module")
def delivering(home, folder, proxy):
    with guarded(home, folder, settings_for(proxy)) as served:
        yield served


def settings_for(proxy):
    return {"PAT_FHIR_SERVER_URL": proxy.url, "PAT_FHIR_SERVER_SECONDS": "5", "PAT_RATE_CALLER": "100000"}


@pytest.fixture(scope="module")
def care(folder):
    keys = MasterKeys.read(folder / "master.keys")
    return Care(open_vault(Settings(state_folder=str(folder / "state")), keys))


def analyzed(served, week, subject, *, who=None, **headers):
    """Ask for a week to be analysed and delivered."""
    wanted = {"X-PAT-Deliver": "true", "X-PAT-Return": "transaction", "X-PAT-Subject": subject, **headers}
    sent = {name: value for name, value in {**FHIR, **wanted}.items() if value}
    with served.client() as client:
        body = json.dumps(week).encode()
        return client.post(
            "/v1/recordings:analyze", content=body, headers={**sent, **bearer(**(who or SERVICE))}
        )


def told(served, delivery, **who):
    with served.client() as client:
        return client.get(f"/v1/deliveries/{delivery}", headers=bearer(**(who or SERVICE)))


def delivered(served, delivery, seconds=60):
    """Wait until the delivery is made."""
    end = time.monotonic() + seconds
    while (state := told(served, delivery).json()).get("state") != "delivered":
        assert time.monotonic() < end, state
        time.sleep(0.2)
    return state


def found(base, kind, **query):
    entries = (
        httpx.get(f"{base}/{kind}", params={"_count": "200", **query}, timeout=30).json().get("entry", [])
    )
    return [entry["resource"] for entry in entries]


def status(served):
    with served.client() as client:
        return client.get("/v1/status", headers=bearer()).json()


def test_a_week_is_analysed_delivered_and_found_by_code_and_patient(delivering, week, real, folder):
    answer = analyzed(delivering, week, "Patient/found")
    assert answer.status_code == 200
    delivery = answer.headers["x-pat-delivery"]
    assert answer.headers["location"] == f"/v1/deliveries/{delivery}"
    state = delivered(delivering, delivery)
    assert (state["delivery"], state["next_attempt"], state["reason"], state["codes"]) == (
        delivery,
        None,
        None,
        [],
    )
    sent = [entry["resource"] for entry in answer.json()["entry"]]
    codes = {
        (coding["code"], json.dumps(resource["valueQuantity"], sort_keys=True))
        for resource in sent
        if resource["resourceType"] == "Observation" and "valueQuantity" in resource
        for coding in resource["code"]["coding"]
        if coding["system"] == LOINC
    }
    assert len(codes) > 3
    for code, value in codes:
        there = found(real, "Observation", code=f"{LOINC}|{code}", subject="Patient/found")
        assert value in [json.dumps(resource.get("valueQuantity"), sort_keys=True) for resource in there]
    [report] = found(real, "DiagnosticReport", subject="Patient/found")
    assert all(result["reference"].startswith("Observation/") for result in report["result"])
    recorded = [record["event"] for record in events(audit_folder(folder / "state"), {"verb": "deliver"})]
    about = [event for event in recorded if event["detail"] == f"delivery {delivery}"]
    assert [(event["reason"], event["records"]) for event in about] == [
        ("sending", len(sent)),
        ("delivered", 0),
    ]
    assert {event["actor"]["uid"] for event in about} == {"backend"}
    with delivering.client() as client:
        asked = {"subject": "found"}
        seen = client.post("/v1/subjects:disclosures", json=asked, headers=bearer(roles=["admin"])).json()
    assert {one["verb"] for one in seen["disclosures"]} == {"analyze", "deliver"}


def operation(subject, **parameters):
    data = {"name": "observation", "resource": _observation(subject)}
    codes = [{"name": "return", "valueCode": "transaction"}, {"name": "deliver", "valueBoolean": True}]
    return {"resourceType": "Parameters", "parameter": [data, *codes]}


def test_the_fhir_operation_delivers_as_well_and_the_same_result_twice_is_there_once(delivering, real):
    headers = {**FHIR, "Content-Type": "application/fhir+json", **bearer(**SERVICE)}
    with delivering.client() as client:
        answers = [
            client.post("/fhir/$analyze", json=operation("twice"), headers={**headers, **more})
            for more in ({}, {}, {"Idempotency-Key": "k1"}, {"Idempotency-Key": "k1"})
        ]
    assert [answer.status_code for answer in answers] == [200] * 4
    deliveries = [answer.headers["x-pat-delivery"] for answer in answers]
    assert len(set(deliveries)) == 3
    assert deliveries[2] == deliveries[3]
    for delivery in deliveries:
        delivered(delivering, delivery)
    assert len(found(real, "DiagnosticReport", subject="Patient/twice")) == 1


def test_a_call_that_is_answered_later_is_delivered_as_well(delivering, real):
    headers = {
        **FHIR,
        "Content-Type": "application/fhir+json",
        "Prefer": "respond-async",
        **bearer(**SERVICE),
    }
    with delivering.client() as client:
        taken = client.post("/fhir/$analyze", json=operation("later"), headers=headers)
        assert taken.status_code == 202
        end = time.monotonic() + 60
        where = taken.headers["content-location"]
        while (answer := client.get(where, headers=bearer(**SERVICE))).status_code == 202:
            assert time.monotonic() < end
            time.sleep(0.2)
        assert (answer.status_code, answer.json()["type"]) == (200, "transaction")
        delivery = answer.headers["x-pat-delivery"]
        assert answer.headers["location"] == f"/v1/deliveries/{delivery}"
        assert client.get(where, headers=bearer(**SERVICE)).headers["x-pat-delivery"] == delivery
    delivered(delivering, delivery)
    assert len(found(real, "DiagnosticReport", subject="Patient/later")) == 1


def test_a_delivery_is_nobody_s_business_but_who_asked_for_it(delivering, week):
    delivery = analyzed(delivering, week, "Patient/own").headers["x-pat-delivery"]
    assert told(delivering, delivery).status_code == 200
    for who, code in (
        ({**SERVICE, "sub": "another"}, 404),
        ({**SERVICE, "tenant": "elsewhere"}, 404),
        ({"roles": ["clinician"], "sub": "doctor"}, 404),
        ({"roles": ["patient"], "sub": "own", "sid": "own"}, 403),
        ({"roles": ["admin"], "sub": "boss"}, 403),
    ):
        assert told(delivering, delivery, **who).status_code == code
    for name in ("A" * 22, "x", f"{delivery}x"):
        assert told(delivering, name).status_code == 404
    delivered(delivering, delivery)


@pytest.mark.parametrize(
    ("who", "headers", "refused"),
    [
        ({"roles": ["patient"], "sid": "anna", "sub": "anna"}, {}, (403, "forbidden")),
        ({"roles": ["clinician"], "sub": "stranger"}, {}, (404, "not_found")),
        (SERVICE, {"X-PAT-Subject": ""}, (422, "invalid_field")),
        (SERVICE, {"X-PAT-Return": ""}, (422, "invalid_field")),
        (SERVICE, {"X-PAT-Return": "collection"}, (422, "invalid_field")),
        (SERVICE, {"X-PAT-Deliver": "yes"}, (422, "invalid_field")),
        (
            SERVICE,
            {"Accept": "application/json", "X-PAT-Return": "", "X-PAT-Subject": ""},
            (422, "invalid_field"),
        ),
    ],
)
def test_what_may_not_or_cannot_be_delivered_is_refused_before_anything_is_computed(
    delivering, week, who, headers, refused
):
    answer = analyzed(delivering, week, "Patient/anna", who=who, **headers)
    assert (answer.status_code, answer.json()["code"]) == refused
    assert "x-pat-delivery" not in answer.headers


def test_who_cares_for_a_patient_may_have_a_result_delivered_and_an_emergency_is_no_reason_to(
    delivering, week, care
):
    doctor = {"roles": ["clinician"], "sub": "doctor"}
    with delivering.client() as client:
        why = {"subject": "cared", "reason": "found unconscious at home"}
        assert client.post("/v1/emergencies", json=why, headers=bearer(**doctor)).status_code == 200
    assert analyzed(delivering, week, "Patient/cared", who=doctor).status_code == 404
    care.begin("clinic", "doctor", "cared")
    assert analyzed(delivering, week, "Patient/cared", who=doctor).status_code == 200


def test_the_operation_refuses_as_fhir_refuses(delivering):
    wrong = operation("anna")
    wrong["parameter"][1]["valueCode"] = "collection"
    headers = {**FHIR, "Content-Type": "application/fhir+json"}
    with delivering.client() as client:
        answer = client.post("/fhir/$analyze", json=wrong, headers={**headers, **bearer(**SERVICE)})
        patient = {"roles": ["patient"], "sid": "anna", "sub": "anna"}
        forbidden = client.post(
            "/fhir/$analyze", json=operation("anna"), headers={**headers, **bearer(**patient)}
        )
    [issue] = answer.json()["issue"]
    assert (answer.status_code, issue["expression"]) == (422, ["Parameters.parameter[2]"])
    assert (forbidden.status_code, forbidden.json()["issue"][0]["code"]) == (403, "forbidden")


def test_a_service_that_delivers_nowhere_says_so(served, week):
    answer = analyzed(served, week, "Patient/anna")
    assert (answer.status_code, answer.json()["code"]) == (422, "no_fhir_server")
    assert told(served, "A" * 22).status_code == 404


def test_while_the_server_fails_results_wait_and_it_is_said_and_a_deleted_subject_s_are_gone(
    delivering, week, proxy, real, folder
):
    end = time.monotonic() + 30
    while status(delivering)["deliveries"]["waiting"]:  # of the tests before
        assert time.monotonic() < end
        time.sleep(0.2)
    proxy.set("refuse")
    names = [
        analyzed(delivering, {**week, "values": week["values"][number:]}, "Patient/gone").headers[
            "x-pat-delivery"
        ]
        for number in range(3)
    ]
    end = time.monotonic() + 30
    while "fhir_server" not in (now := status(delivering))["degraded"]:
        assert time.monotonic() < end, now
        time.sleep(0.2)
    assert now["deliveries"] == {"waiting": 3, "dead": 0}
    waits = told(delivering, names[0]).json()
    assert (waits["state"], waits["reason"], waits["ended"]) == ("waiting", "unreachable", None)
    listed = outbox("list", folder)
    assert names[0] in listed
    assert "waiting" in listed
    assert "gone" not in listed
    with delivering.client() as client:
        who = bearer(roles=["admin"])
        done = client.post("/v1/subjects:delete", json={"subject": "gone"}, headers=who).json()
    assert done["deleted"]["outbox"] == 3
    assert [told(delivering, name).status_code for name in names] == [404] * 3
    assert status(delivering)["deliveries"] == {"waiting": 0, "dead": 0}
    proxy.set("pass")
    assert found(real, "DiagnosticReport", subject="Patient/gone") == []


def outbox(verb, folder, *arguments):
    state = ("--state", str(folder / "state"), "--keys", str(folder / "master.keys"))
    return pat("outbox", verb, *state, *arguments, home=folder).stdout


@pytest.mark.slow
def test_a_service_that_is_killed_after_it_accepted_delivers_once_when_it_is_back(home, tmp_path, week, real):
    with fault_proxy(real) as own:
        own.set("latency", 2)
        with guarded(home, tmp_path, settings_for(own)) as served:
            delivery = analyzed(served, week, "Patient/killed").headers["x-pat-delivery"]
            end = time.monotonic() + 60
            while not found(real, "DiagnosticReport", subject="Patient/killed"):
                assert time.monotonic() < end
                time.sleep(0.05)
            kill(served.process)  # the answer is on its way for two seconds
        own.set("pass")
        with guarded(home, tmp_path, settings_for(own)) as served:
            assert told(served, delivery).json()["state"] == "waiting"
            delivered(served, delivery, 120)
    assert len(found(real, "DiagnosticReport", subject="Patient/killed")) == 1
