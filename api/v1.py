"""``/v1``: raw device files in, JSON or FHIR out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import bentoml
from fastapi import APIRouter, Depends, Request
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from api.desk import Desk, FhirWish
from api.problems import answer, problem
from pat_runner.account import AnalyzeOptions
from postprocessing.analysis import Analysis
from preprocessing.readers import Hints, hints_of, read
from preprocessing.readers.hints import TEXT_HINTS
from preprocessing.recording import RecordingError, Refusal
from preprocessing.units import SleepScorer
from preprocessing.wear import WearMode

__all__ = ["FHIR_JSON", "router"]

FHIR_JSON = "application/fhir+json"
_PREFIX = "x-pat-"
_HINTS = {name.replace("_", "-") for name in TEXT_HINTS}
_OPTIONS = {"wear", "profile", "scorer", "stride-days", "subject", "return"}
_STRIDES = tuple("1234567")

router = APIRouter(prefix="/v1")


def desk() -> Desk:
    """Return the desk of the service this worker runs."""
    service: Any = bentoml.get_current_service()
    return service.desk  # type: ignore[no-any-return]  # BentoML does not type its services


@router.post("/recordings:analyze")
async def analyze_file(request: Request, at: Annotated[Desk, Depends(desk)]) -> Response:
    """Analyse one device file: body = the file, hints and options in ``X-PAT-*`` headers."""
    if (kind := _accepted(request.headers)) is None:
        return problem(406, "not_acceptable", f"this door answers application/json or {FHIR_JSON}")
    body = await request.body()
    return await (
        _bundle(at, body, request.headers) if kind == FHIR_JSON else _analysis(at, body, request.headers)
    )


async def _analysis(at: Desk, body: bytes, headers: Headers) -> Response:
    async def work() -> Analysis:
        _refuse(headers, {"subject", "return"}, "only a FHIR answer has a subject or a Bundle type")
        options = _options(headers)
        return await at.analyze(await asyncio.to_thread(read, body, _hints(headers)), options)

    made = await answer(work())
    return (
        made
        if isinstance(made, JSONResponse)
        else Response(made.model_dump_json(), media_type="application/json")
    )


async def _bundle(at: Desk, body: bytes, headers: Headers) -> Response:
    async def work() -> dict[str, Any]:
        options, wish = _options(headers), _wish(headers)
        return await at.bundle(await asyncio.to_thread(read, body, _hints(headers)), options, wish)

    made = await answer(work())
    return made if isinstance(made, JSONResponse) else JSONResponse(made, media_type=FHIR_JSON)


def _accepted(headers: Headers) -> str | None:
    wanted = [part.split(";")[0].strip() for part in headers.get("accept", "*/*").split(",")]
    if FHIR_JSON in wanted:
        return FHIR_JSON
    return "application/json" if {"*/*", "application/*", "application/json"} & set(wanted) else None


def _given(headers: Headers) -> dict[str, str]:
    given = {name[len(_PREFIX) :]: value for name, value in headers.items() if name.startswith(_PREFIX)}
    if given.keys() - _HINTS - _OPTIONS:
        known = ", ".join(f"X-PAT-{name.title()}" for name in sorted(_HINTS | _OPTIONS))
        raise RecordingError(Refusal.INVALID_FIELD, f"expected only the headers {known}", where="headers")
    return given


def _refuse(headers: Headers, names: set[str], why: str) -> None:
    if _given(headers).keys() & names:
        raise RecordingError(Refusal.INVALID_FIELD, why, where="headers")


def _hints(headers: Headers) -> Hints:
    given = {name.replace("-", "_"): value for name, value in _given(headers).items() if name in _HINTS}
    return hints_of(given)


def _options(headers: Headers) -> AnalyzeOptions:
    given = _given(headers)
    return AnalyzeOptions(
        wear=WearMode(_one_of(given.get("wear", WearMode.DETECT), tuple(WearMode), "X-PAT-Wear")),
        profile=_one_of(given.get("profile", "false"), ("true", "false"), "X-PAT-Profile") == "true",
        scorer=SleepScorer(_one_of(given["scorer"], tuple(SleepScorer), "X-PAT-Scorer"))
        if "scorer" in given
        else None,
        stride_days=int(_one_of(given.get("stride-days", "7"), _STRIDES, "X-PAT-Stride-Days")),
    )


def _one_of(value: str, known: Sequence[str], where: str) -> str:
    if value not in known:
        raise RecordingError(Refusal.INVALID_FIELD, f"expected one of {', '.join(known)}", where=where)
    return value


def _wish(headers: Headers) -> FhirWish:
    given = _given(headers)
    kind = _one_of(given.get("return", "collection"), ("collection", "transaction"), "X-PAT-Return")
    return FhirWish(kind=kind, subject=given.get("subject"))  # type: ignore[arg-type]  # checked above
