"""The OpenAPI document describes every door of the guard's table as it is, and nothing beside."""

import json

import httpx
import pytest

from api import raw_weeks, v1
from api.app import build
from api.guard import PUBLIC, ROUTES
from api.openapi import HEADERS, Description
from api.requests import FHIR_JSON


@pytest.fixture(scope="module")
def document():
    return Description(build()).document


def refs(node):
    if isinstance(node, dict):
        yield from ([node["$ref"]] if "$ref" in node else [])
        for part in node.values():
            yield from refs(part)
    elif isinstance(node, list):
        for part in node:
            yield from refs(part)


def test_every_route_and_no_other_is_described(document):
    found = {(method.upper(), path) for path, at in document["paths"].items() for method in at}
    assert found == ROUTES.keys() | {("GET", path) for path in PUBLIC}


def test_every_reference_leads_somewhere(document):
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(refs(document)) <= known
    assert "HTTPValidationError" not in json.dumps(document)


def test_all_but_probes_want_a_token(document):
    assert document["security"] == [{"firebase": []}]
    assert document["components"]["securitySchemes"]["firebase"]["scheme"] == "bearer"
    opened = {path for path, at in document["paths"].items() for made in at.values() if "security" in made}
    assert opened == PUBLIC


@pytest.mark.parametrize("route", ROUTES)
def test_an_operation_says_what_it_takes_and_how_it_refuses(document, route):
    method, path = route
    made = document["paths"][path][method.lower()]
    assert made["summary"]
    assert ("requestBody" in made) == (method == "POST")
    assert {"401", "403", "404", "429", "503"} <= made["responses"].keys()
    assert {"200", "202"} & made["responses"].keys()
    assert ({"400", "413", "415", "422"} <= made["responses"].keys()) == (method == "POST")
    for status, answer in made["responses"].items():
        refused = FHIR_JSON if path.startswith("/fhir/") else "application/problem+json"
        assert status in ("200", "202") or set(answer["content"]) == {refused}


def test_the_headers_are_those_that_the_doors_know():
    assert set(HEADERS["/v1/recordings:analyze"]) == v1._HINTS | v1._OPTIONS
    assert set(HEADERS["/v1/recordings:report"]) == (v1._HINTS | v1._OPTIONS) - v1._OF_FHIR
    assert set(HEADERS["/v1/embed"]) == set(raw_weeks._KNOWN)


def test_bodies_are_strict(document):
    schemas = document["components"]["schemas"]
    for name in ("RecordingRequest", "EmbedRequest", "SubjectRequest", "CareRequest", "EmergencyRequest"):
        assert schemas[name]["additionalProperties"] is False
    assert FHIR_JSON in document["paths"]["/analyze_fhir"]["post"]["responses"]["200"]["content"]


async def test_it_is_served():
    transport = httpx.ASGITransport(build())
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/openapi.json")
    assert answer.json()["openapi"].startswith("3.1")
