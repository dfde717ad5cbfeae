"""``/fhir`` of the served process: $analyze in all its forms, the definitions, and every refusal."""

import json

import httpx
import pytest

from postprocessing.fhir import check
from tests.e2e.fhir_inputs import SUBJECT, bundled, parameters, series, steps
from tests.e2e.fhir_paths import evaluated, of_code
from tests.fhir_tools import validate
from tests.shared import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.fhir]
FHIR = "application/fhir+json"
ANSWERED = "application/fhir+json; fhirVersion=4.0"
DEFINITIONS = (
    *("metadata", "OperationDefinition/analyze", "CodeSystem/pat-actigraphy"),
    "ConceptMap/pat-actigraphy-standard",
)


def sent(client, body, **headers) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post("/fhir/$analyze", content=content, headers={"Content-Type": FHIR, **headers})


def bundle(client, body, **headers):
    answer = sent(client, body, **headers)
    assert answer.status_code == 200, answer.text[:500]
    assert answer.headers["content-type"] == ANSWERED
    return answer.json()


def issue(answer, status):
    assert answer.status_code == status, answer.text[:300]
    assert answer.headers["content-type"] == ANSWERED
    outcome = answer.json()
    assert check(outcome) == []
    [found] = outcome["issue"]
    assert found["diagnostics"].startswith("request ")
    return found


@pytest.mark.parametrize("form", ["observation", "bundle", "parameters", "parameters around a bundle"])
def test_every_form_of_the_same_recording_gives_the_same_numbers(client, form):
    around = {"resourceType": "Parameters", "parameter": [{"name": "bundle", "resource": bundled(series())}]}
    body = {"observation": series(), "bundle": bundled(series()), "parameters around a bundle": around}
    document = bundle(client, body.get(form, parameters()))
    assert document["type"] == "collection"
    [stability] = of_code(document, "IS", "value.value")
    assert float(stability) == pytest.approx(0.548, abs=0.02)
    assert set(evaluated(document, "Bundle.entry.resource.subject.reference")) == {SUBJECT}


def test_the_numbers_are_those_of_the_json_door(client, week):
    document = bundle(client, parameters())
    analysis = client.post("/analyze", json=week).json()
    sleep = {metric["code"]: metric["value"] for metric in analysis["sleep"]["metrics"]}
    assert of_code(document, "93832-4", "value.value") == [round(sleep["total_sleep_time"], 2)]
    assert len(evaluated(document, "Bundle.entry.resource.ofType(DocumentReference)")) == len(
        analysis["weeks"]
    )
    statuses = evaluated(document, "Bundle.entry.resource.ofType(Observation).status.distinct()")
    assert set(statuses) == {"final", "preliminary"}


def test_steps_as_healthkit_on_fhir_writes_them_are_analysed(client):
    document = bundle(client, bundled(*steps(), kind="searchset"))
    assert of_code(document, "41950-7", "exists()") == [True]


def test_the_answers_pass_the_validator(client, tmp_path):
    wanted = {"name": "return", "valueCode": "transaction"}, {"name": "profile", "valueBoolean": True}
    answers = {
        "collection": bundle(client, series()),
        "transaction": bundle(client, parameters(*wanted)),
        "steps": bundle(client, bundled(*steps())),
        "refusal": sent(client, b"{").json(),
        "negotiation": sent(client, series(), Accept="application/xml").json(),
        **{path.replace("/", "-"): client.get(f"/fhir/{path}").json() for path in DEFINITIONS},
    }
    files = []
    for name, document in answers.items():
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(document))
    findings = [one for one in validate(files) if "is not in the Bundle" not in one.message]
    assert findings == []


def test_the_same_post_twice_gives_the_same_bytes(client):
    body = parameters({"name": "return", "valueCode": "transaction"})
    first, second = sent(client, body), sent(client, body)
    assert first.content == second.content
    anew = sent(client, parameters()).json()
    assert anew["type"] == "collection"
    assert anew["timestamp"] == first.json()["timestamp"]  # another shape of the same result


def test_so_do_the_other_doors_that_answer_in_fhir(client, week):
    first, second = (client.post("/analyze_fhir", json=week) for _ in range(2))
    assert first.status_code == 200
    assert first.content == second.content
    headers = {"Accept": FHIR, "X-PAT-Zone": "Europe/Berlin"}
    file = (ROOT / "examples" / "week.awd").read_bytes()
    first, second = (client.post("/v1/recordings:analyze", content=file, headers=headers) for _ in range(2))
    assert first.status_code == 200
    assert first.content == second.content


def test_a_key_stands_for_one_request(client):
    key = {"Idempotency-Key": "a-key-of-the-test"}
    first = sent(client, series(), **key)
    assert sent(client, series(), **key).content == first.content
    refused = issue(sent(client, bundled(series()), **key), 422)
    assert (refused["code"], refused["details"]["coding"][0]["code"]) == (
        "business-rule",
        "idempotency_key_reused",
    )
    assert issue(sent(client, series(), **{"Idempotency-Key": "k" * 129}), 422)["code"] == "value"
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b"), ("Content-Type", FHIR)]
    assert client.post("/fhir/$analyze", content=b"{}", headers=twice).status_code == 422


def test_an_error_is_not_kept_for_its_key(client):
    key = {"Idempotency-Key": "another-key-of-the-test"}
    issue(sent(client, b"{", **key), 400)
    assert sent(client, series(), **key).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "kind", "code", "expression"),
    [
        (b"", 400, "structure", "unparsable", None),
        (b"{", 400, "structure", "unparsable", None),
        (b"[]", 400, "structure", "unparsable", None),
        (b"[" * 100_000, 400, "structure", "unparsable", None),
        (b'{"resourceType": "Patient"}', 422, "value", None, None),
        (b'{"resourceType": "Observation"}', 422, "required", "no_samples", None),
        ({**series(), "status": "well"}, 422, "value", "invalid_field", "Observation.status"),
        (parameters({"name": "heads", "valueString": "x"}), 422, "value", None, "parameter[4].name"),
        (parameters({"name": "return", "valueCode": "x"}), 422, "value", None, "parameter[4].valueCode"),
        (parameters({"name": "zone", "valueCode": "x"}), 422, "required", "no_time_zone", "parameter[4]"),
        (bundled(series(), series("Patient/2")), 422, "value", None, "Observation.subject"),
        (bundled(series(), *steps()), 422, "business-rule", "mixed_quantities", None),
        (series("urn:uuid:8cc44a5f-e437-5c96-88f1-616a442a1d61"), 422, "value", None, "Observation.subject"),
        (bundled(series(), kind="history"), 422, "value", None, "Bundle.type"),
    ],
)
def test_what_cannot_be_analysed_is_refused_by_element_and_never_repeated(
    client, body, status, kind, code, expression
):
    found = issue(sent(client, body), status)
    assert found["code"] in (kind, "required", "invalid")
    assert code is None or found["details"]["coding"][0]["code"] == code
    if expression is not None:
        assert found["expression"][0].endswith(expression)
    assert "Patient/2" not in json.dumps(found)
    assert "8cc44a5f" not in json.dumps(found)


def test_an_operation_speaks_r4_json_only(client):
    assert issue(sent(client, series(), Accept="application/fhir+xml"), 406)["code"] == "not-supported"
    assert issue(sent(client, series(), **{"Content-Type": "application/fhir+xml"}), 415)["code"] == (
        "not-supported"
    )
    five = "application/fhir+json; fhirVersion=5.0"
    assert issue(sent(client, series(), **{"Content-Type": five}), 415)["code"] == "not-supported"
    assert issue(sent(client, series(), Accept=five), 406)["code"] == "not-supported"
    assert issue(sent(client, series(), **{"Content-Encoding": "gzip"}), 415)["code"] == "not-supported"


def test_limits_and_wrong_addresses_are_outcomes_as_well(client):
    assert issue(sent(client, b" " * 16_000_001), 413)["code"] == "too-long"
    assert issue(client.get("/fhir/$analyze"), 405)["code"] == "not-supported"
    assert issue(client.get("/fhir/Patient/anna"), 404)["code"] == "not-found"
    assert issue(client.post("/fhir/metadata"), 405)["code"] == "not-supported"
    assert issue(client.get("/fhir"), 404)["code"] == "not-found"
    large = {"X-Large": "x" * 40_000}
    assert client.get("/fhir/metadata", headers=large).headers["content-type"] in (ANSWERED, "text/plain")
    assert client.post("/fhir/%24analyze", json=series()).status_code == 200


@pytest.mark.parametrize("path", DEFINITIONS)
def test_the_definitions_are_served(client, path):
    answer = client.get(f"/fhir/{path}", headers={"Accept": "*/*"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, ANSWERED)
    kind, _, name = path.partition("/")
    assert answer.json()["resourceType"] == ("CapabilityStatement" if kind == "metadata" else kind)
    assert not name or answer.json()["url"].endswith(f"/{path}")
    assert client.get(f"/fhir/{path}?_format=xml").status_code == 406


def test_without_a_place_for_tokens_there_is_no_smart_configuration(client):
    assert issue(client.get("/fhir/.well-known/smart-configuration"), 404)["code"] == "not-found"
    security = client.get("/fhir/metadata").json()["rest"][0]["security"]
    assert "service" not in security
