"""One table from error to answer; foreign errors are rewritten and lose what they repeat."""

import asyncio
import json

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse

from api.problems import MEDIA_TYPE, ForeignErrors, answer, problem_of
from pat_runner.pipeline import RunnerUnavailable
from postprocessing.fhir import BundleOptionsError
from preprocessing.recording import RecordingError, Refusal
from serving.admission import Overloaded, TooLate


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RecordingError(Refusal.UNPARSABLE, "x"), 400, "unparsable"),
        (RecordingError(Refusal.UNKNOWN_UNIT, "x"), 422, "unknown_unit"),
        (BundleOptionsError("subject", "x"), 422, "invalid_field"),
        (Overloaded(), 503, "overloaded"),
        (TooLate(), 503, "deadline"),
        (RunnerUnavailable("x"), 503, "model_unavailable"),
    ],
)
def test_each_error_has_its_status_and_code(error, status, code):
    made = problem_of(error)
    body = json.loads(made.body)
    assert (made.status_code, body["status"], body["code"]) == (status, status, code)
    assert body["type"] == f"urn:pat-service:problem:{code}"
    assert ("retry-after" in made.headers) == (status == 503)


@pytest.mark.parametrize("error", [Overloaded(7), TooLate(7)], ids=["overloaded", "deadline"])
def test_when_to_come_back_is_said_as_it_was_measured(error):
    assert problem_of(error).headers["retry-after"] == "7"


async def test_an_error_outside_the_table_goes_on():
    async def work():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await answer(work())


def validation(*errors):
    return JSONResponse({"error": "n validation errors", "detail": list(errors)}, 400)


async def through(inner):
    transport = httpx.ASGITransport(ForeignErrors(inner))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.post("/analyze")


async def test_a_schema_error_becomes_422_without_the_sender_s_own_words():
    inner = validation(
        {"type": "extra_forbidden", "loc": ["patient_name"], "msg": "no"},
        {"type": "float_type", "loc": ["values", 3], "msg": "no"},
    )
    found = await through(inner)
    assert (found.status_code, found.headers["content-type"]) == (422, MEDIA_TYPE)
    assert "patient_name" not in found.text
    assert [e["where"] for e in found.json()["errors"]] == ["(unknown field)", "values.3"]


@pytest.mark.parametrize("kind", ["json_invalid", "finite_number"])
async def test_what_is_no_json_becomes_400(kind):
    found = await through(validation({"type": kind, "loc": [], "msg": "no"}))
    assert (found.status_code, found.json()["code"]) == (400, "unparsable")


@pytest.mark.parametrize("status", [404, 405, 415, 429, 500, 503, 504])
async def test_a_foreign_error_keeps_its_status_and_loses_its_text(status):
    found = await through(PlainTextResponse("canary-99 went wrong", status))
    assert (found.status_code, found.headers["content-type"]) == (status, MEDIA_TYPE)
    assert "canary-99" not in found.text
    assert ("retry-after" in found.headers) == (status in (429, 503))


async def test_a_rewritten_error_keeps_the_request_s_id():
    found = await through(
        PlainTextResponse("no", 405, headers={"x-bentoml-request-id": "42", "allow": "POST"})
    )
    assert (found.headers["x-bentoml-request-id"], found.headers["allow"]) == ("42", "POST")


async def failing(scope, receive, send):
    raise RuntimeError("canary-99")


async def hanging(scope, receive, send):
    await asyncio.sleep(60)


async def half(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError("canary-99")


async def at(path, inner, **options):
    transport = httpx.ASGITransport(ForeignErrors(inner, **options))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.post(path)


async def test_what_fails_without_an_answer_is_answered_at_once_and_says_nothing_of_itself():
    found = await at("/analyze", failing)
    assert (found.status_code, found.json()["code"]) == (500, "internal")
    assert "canary-99" not in found.text
    fhir = await at("/fhir/$analyze", failing)
    assert (fhir.status_code, fhir.json()["resourceType"]) == (500, "OperationOutcome")


async def test_what_does_not_begin_an_answer_in_time_is_answered_like_any_other_refusal():
    found = await at("/analyze", hanging, seconds=0.05)
    assert (found.status_code, found.headers["content-type"]) == (504, MEDIA_TYPE)
    assert found.json()["code"] == "timeout"


async def test_an_answer_that_began_is_not_cut_off_by_the_time():
    async def slow(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.2)
        await send({"type": "http.response.body", "body": b"whole"})

    assert (await at("/analyze", slow, seconds=0.05)).text == "whole"


async def test_an_answer_that_breaks_off_is_not_made_another():
    with pytest.raises(RuntimeError):
        await at("/analyze", half)


@pytest.mark.parametrize("inner", [failing, hanging])
async def test_a_probe_that_cannot_be_answered_says_not_ready(inner, monkeypatch):
    monkeypatch.setattr("api.problems._PROBE_SECONDS", 0.05)
    found = await at("/readyz", inner)
    assert (found.status_code, found.text) == (503, "not ready")


async def test_an_answer_that_is_no_error_passes_untouched():
    found = await through(PlainTextResponse("fine"))
    assert found.text == "fine"
