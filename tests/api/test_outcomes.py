"""Under /fhir every refusal leaves as OperationOutcome, whoever made it; elsewhere none does."""

import json
import re

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse

from api.doors import DEFINITIONS
from api.fhir import DOCUMENTS
from api.outcomes import FHIR_TYPE
from api.problems import MEDIA_TYPE, ForeignErrors, problem
from postprocessing.fhir import check
from serving.entrance import caller_left

pytestmark = [pytest.mark.fhir, pytest.mark.security]
ISSUES = {
    400: "structure",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    406: "not-supported",
    408: "timeout",
    413: "too-long",
    415: "not-supported",
    422: "invalid",
    429: "throttled",
    431: "too-long",
    500: "exception",
    503: "transient",
    504: "timeout",
}


async def through(inner, path="/fhir/$analyze"):
    transport = httpx.ASGITransport(ForeignErrors(inner))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.post(path)


def outcome(answer, status):
    assert (answer.status_code, answer.headers["content-type"]) == (status, FHIR_TYPE)
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert check(answer.json()) == []
    return answer.json()["issue"]


@pytest.mark.parametrize("status", ISSUES)
async def test_a_problem_of_ours_becomes_an_outcome_of_its_type(status):
    [issue] = outcome(await through(problem(status, "some_code", "what to do")), status)
    assert issue["code"] == ISSUES[status]
    assert issue["details"] == {
        "coding": [{"system": "urn:pat-service:problem", "code": "some_code"}],
        "text": "what to do",
    }
    assert re.fullmatch(r"request [0-9a-f]{32}", issue["diagnostics"])


@pytest.mark.parametrize("status", [404, 405, 415, 429, 500, 503, 504])
async def test_a_foreign_error_becomes_one_without_its_text(status):
    answer = await through(PlainTextResponse("canary-99 went wrong", status))
    outcome(answer, status)
    assert "canary" not in answer.text


async def test_headers_that_tell_the_client_what_to_do_are_kept():
    answer = await through(problem(503, "overloaded", "later"))
    outcome(answer, 503)
    assert answer.headers["retry-after"] == "5"


async def test_the_place_is_named_where_it_is_a_fhirpath_and_never_where_it_is_none():
    [issue] = outcome(
        await through(problem(422, "invalid_field", "x", where="Bundle.entry[0].resource")), 422
    )
    assert issue["expression"] == ["Bundle.entry[0].resource"]
    for where in ("values.3", "X-PAT-Zone", ""):
        [issue] = outcome(await through(problem(422, "invalid_field", "x", where=where)), 422)
        assert "expression" not in issue


async def test_each_of_several_faults_is_an_issue():
    listed = [{"where": "Observation.status", "code": "a"}, {"where": "(unknown field)", "code": "b"}]
    issues = outcome(await through(problem(422, "invalid_field", "x", extra={"errors": listed})), 422)
    assert [issue.get("expression") for issue in issues] == [["Observation.status"], None]


@pytest.mark.parametrize("path", ["/fhirx", "/v1/fhir/x", "/analyze"])
async def test_elsewhere_problems_stay_problems(path):
    answer = await through(problem(422, "some_code", "x"), path)
    assert answer.headers["content-type"] == MEDIA_TYPE


async def test_what_is_good_and_what_is_an_outcome_already_passes():
    assert (await through(JSONResponse({"resourceType": "Bundle"}))).json() == {"resourceType": "Bundle"}
    made = JSONResponse({"resourceType": "OperationOutcome"}, 422, media_type=FHIR_TYPE)
    assert json.loads((await through(made)).content) == {"resourceType": "OperationOutcome"}


def test_every_definition_that_is_served_is_open_and_no_other():
    served = {f"/fhir{path}" for path in DOCUMENTS}
    assert DEFINITIONS - served == {"/fhir/.well-known/smart-configuration", "/cds-services"}
    assert served < DEFINITIONS


@pytest.mark.parametrize("path", ["/fhir/$analyze", "/analyze"])
async def test_who_left_is_said_in_either_form_though_nobody_hears_it(path):
    transport = httpx.ASGITransport(ForeignErrors(caller_left))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.post(path)
    assert answer.status_code == 499
    assert "caller_left" in answer.text
    assert ("resourceType" in answer.json()) == path.startswith("/fhir")
