"""The OpenAPI document describes every door of the guard's table as it is, and nothing beside."""

import json
import re

import httpx
import pytest
from fastapi import FastAPI
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from api import raw_weeks, v1
from api.app import build
from api.doors import PAGES
from api.openapi import HEADERS, Description
from api.openapi import document as document_module
from api.openapi.refusals import EXAMPLES
from api.requests import FHIR_JSON
from api.routes import PUBLIC, ROUTES
from serving.policy import Verb
from tests.examples_of import conform, examples
from tests.shared import ROOT

OPEN = {("GET", path) for path in PUBLIC - PAGES}
ALL = sorted(ROUTES.keys() | OPEN)


@pytest.fixture(scope="module")
def document():
    return Description(build()).document


@pytest.fixture
def operation(document, route):
    return document["paths"][route[1]][route[0].lower()]


def refs(node):
    if isinstance(node, dict):
        yield from ([node["$ref"]] if "$ref" in node else [])
        for part in node.values():
            yield from refs(part)
    elif isinstance(node, list):
        for part in node:
            yield from refs(part)


def test_the_document_is_valid_openapi_3_1(document):
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    assert document["openapi"].startswith("3.1")


def test_every_route_and_no_other_is_described(document):
    found = {(method.upper(), path) for path, at in document["paths"].items() for method in at}
    assert found == ROUTES.keys() | OPEN


def test_every_reference_leads_somewhere(document):
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(refs(document)) <= known
    assert "HTTPValidationError" not in json.dumps(document)


def test_all_but_what_is_open_wants_a_token(document):
    assert document["security"] == [{"firebase": []}, {"system": []}]
    schemes = document["components"]["securitySchemes"]
    assert {scheme["scheme"] for scheme in schemes.values()} == {"bearer"}
    told = [(path, made) for path, at in document["paths"].items() for made in at.values()]
    assert {path for path, made in told if made.get("security") == []} == PUBLIC - PAGES
    assert {path for path, made in told if "security" in made} == PUBLIC - PAGES


def test_operations_have_names_of_their_own(document):
    names = [made["operationId"] for at in document["paths"].values() for made in at.values()]
    assert len(names) == len(set(names)) == len(ALL)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]+", name) for name in names)


@pytest.mark.parametrize("route", ALL)
def test_an_operation_says_what_it_is_for(document, operation):
    assert operation["summary"]
    assert operation["description"].split("\n\n")[0]
    assert len(operation["tags"]) == 1
    assert {"name", "description"} <= document["tags"][0].keys()
    assert operation["tags"][0] in {tag["name"] for tag in document["tags"]}


@pytest.mark.parametrize("route", ALL)
def test_a_body_has_an_example_and_an_answer_a_schema(document, route, operation):
    assert ("requestBody" in operation) == (route[0] == "POST")
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]
        assert [one for at in content.values() for one in examples(at, document)]
    good = [at for status, at in operation["responses"].items() if status.startswith("2")]
    assert good
    assert all(kind["schema"] for at in good for kind in at.get("content", {}).values())


@pytest.mark.parametrize("route", ROUTES)
def test_an_operation_says_how_it_refuses(document, route, operation):
    found = operation["responses"]
    assert {"401", "403", "404", "429", "503"} <= found.keys()
    assert ({"400", "413", "415", "422"} <= found.keys()) == ("requestBody" in operation)
    for status, answer in found.items():
        if status >= "400":
            [at] = answer["content"].values()
            conform(at["example"], at["schema"], document)


def test_the_refusals_of_examples_are_those_of_the_api_page(document):
    page = (ROOT / "docs" / "api.md").read_text()
    told = {
        status for at in document["paths"].values() for made in at.values() for status in made["responses"]
    }
    for status, (code, _) in EXAMPLES.items():
        if str(int(status)) in told:
            [row] = [line for line in page.splitlines() if re.match(rf"\| [0-9, ]*{int(status)}\b", line)]
            assert f"`{code}`" in row


def test_the_headers_are_those_that_the_doors_know():
    assert set(HEADERS["/v1/recordings:analyze"]) == v1._HINTS | v1._OPTIONS
    assert set(HEADERS["/v1/recordings:report"]) == (v1._HINTS | v1._OPTIONS) - v1._OF_FHIR
    assert set(HEADERS["/v1/embed"]) == set(raw_weeks._KNOWN)


def test_bodies_are_strict(document):
    schemas = document["components"]["schemas"]
    for name in ("RecordingRequest", "EmbedRequest", "SubjectRequest", "CareRequest", "EmergencyRequest"):
        assert schemas[name]["additionalProperties"] is False
    assert FHIR_JSON in document["paths"]["/analyze_fhir"]["post"]["responses"]["200"]["content"]


class Sent(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"a": 1}]})
    a: int


def test_a_route_of_fastapi_may_tell_of_itself(monkeypatch):
    app = FastAPI()
    kept = {"description": "Kept.", "content": {"application/json": {"schema": {"type": "object"}}}}

    @app.put(
        "/v1/things/{thing}", tags=["Audit"], summary="Keep a thing", status_code=201, responses={201: kept}
    )
    async def keep(thing: str, sent: Sent) -> Response:
        """Keep what is sent."""

    monkeypatch.setattr(document_module, "ROUTES", {("PUT", "/v1/things/{thing}"): Verb.ANALYZE})
    made = Description(app).document
    told = made["paths"]["/v1/things/{thing}"]["put"]
    assert (told["tags"], told["summary"], told["operationId"]) == (
        ["Audit"],
        "Keep a thing",
        "put_v1_things_thing",
    )
    assert told["description"].startswith("Keep what is sent.")
    assert {"201", "401", "404", "422"} <= told["responses"].keys()
    assert "application/problem+json" in told["responses"]["422"]["content"]
    assert examples(told["requestBody"]["content"]["application/json"], made) == [{"a": 1}]


async def test_it_is_served():
    transport = httpx.ASGITransport(build())
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/openapi.json")
    assert answer.json()["openapi"].startswith("3.1")
