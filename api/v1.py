"""``/v1``: raw bodies in, device files or weeks; JSON, FHIR or numbers out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, cast, get_args

import bentoml
from fastapi import APIRouter, Depends, Request
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, Response

from api import raw_weeks
from api.caching import Finished
from api.delivery import headers_of, ordered
from api.desk import Desk
from api.headers import BOOLEANS, boolean, given, media_types, one_of
from api.problems import answer, problem
from api.requests import FHIR_JSON, FhirWish
from pat_runner.account import AnalyzeOptions
from pat_runner.sleep_log import entries, pairs_in_intervals
from postprocessing.report import CONTENT_POLICY
from postprocessing.sleep_scored import Rescoring, RestRule, Threshold
from preprocessing.readers import Hints, hints_of, read
from preprocessing.readers.hints import TEXT_HINTS
from preprocessing.recording import Recording, RecordingError, Refusal
from preprocessing.units import SleepScorer
from preprocessing.wear import WearMode

__all__ = ["router"]

OCTETS = "application/octet-stream"
_HINTS = {name.replace("_", "-") for name in TEXT_HINTS}
_OPTIONS = {"wear", "clinical", "profile", "scorer", "stride-days", "subject", "return"}
_OPTIONS |= {"deliver", "threshold", "rescoring", "rest", "sleep-log", "intervals", "series"}
_OF_FHIR = {"subject", "return", "deliver"}
_STRIDES = tuple("1234567")
_PAGE_HEADERS = {"Content-Security-Policy": f"{CONTENT_POLICY}; frame-ancestors 'none'"}

router = APIRouter(prefix="/v1")


async def desk() -> Desk:  # async only so that FastAPI calls it here and not in a thread
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
    async def work() -> Finished:
        _refuse(headers, _OF_FHIR, "only a FHIR answer has a subject or a Bundle type, or is delivered")
        _given(headers)
        recording = await asyncio.to_thread(read, body, _hints(headers))
        return await at.finished(recording, _options(headers, recording))

    made = await answer(work())
    return made if isinstance(made, JSONResponse) else Response(made.json, media_type="application/json")


async def _bundle(at: Desk, body: bytes, headers: Headers) -> Response:
    async def work() -> Response:
        wish = _wish(headers)
        order = await ordered(at, wish) if boolean(_given(headers), "deliver") else None
        recording = await asyncio.to_thread(read, body, _hints(headers))
        made = await at.bundle(recording, _options(headers, recording), wish)
        delivery = await order.taken(made) if order else ""
        return JSONResponse(made, media_type=FHIR_JSON, headers=headers_of(delivery))

    return await answer(work())


@router.post("/embed")
async def embed_weeks(request: Request, at: Annotated[Desk, Depends(desk)]) -> Response:
    """Encode weeks: body = rows of little-endian float32, the rest in ``X-PAT-*`` headers."""
    raw = OCTETS in (wanted := media_types(request.headers))
    if not raw and not {"*/*", "application/*", "application/json"} & set(wanted):
        return problem(406, "not_acceptable", f"this door answers application/json or {OCTETS}")
    body = await request.body()
    return await answer(_embedded(at, body, request.headers, raw=raw))


async def _embedded(at: Desk, body: bytes, headers: Headers, *, raw: bool) -> Response:
    embedded = await at.embed(raw_weeks.order(body, headers))
    if raw:
        return Response(embedded.raw(), media_type=OCTETS, headers=raw_weeks.described(embedded))
    return JSONResponse(embedded.document())


@router.post("/recordings:report")
async def report_file(request: Request, at: Annotated[Desk, Depends(desk)]) -> Response:
    """Analyse one device file and answer with an HTML page; the same headers, attention drawn by default."""
    if not {"*/*", "text/*", "text/html"} & set(media_types(request.headers)):
        return problem(406, "not_acceptable", "this door answers text/html")
    body = await request.body()
    return await _report(at, body, request.headers)


async def _report(at: Desk, body: bytes, headers: Headers) -> Response:
    async def work() -> str:
        _refuse(headers, _OF_FHIR, "only a FHIR answer has a subject or a Bundle type, or is delivered")
        recording = await asyncio.to_thread(read, body, _hints(headers))
        return await at.report(recording, _options(headers, recording, profile="true"))

    made = await answer(work())
    return made if isinstance(made, JSONResponse) else HTMLResponse(made, headers=_PAGE_HEADERS)


def _accepted(headers: Headers) -> str | None:
    wanted = media_types(headers)
    if FHIR_JSON in wanted:
        return FHIR_JSON
    return "application/json" if {"*/*", "application/*", "application/json"} & set(wanted) else None


def _given(headers: Headers) -> dict[str, str]:
    return given(headers, _HINTS | _OPTIONS)


def _refuse(headers: Headers, names: set[str], why: str) -> None:
    if _given(headers).keys() & names:
        raise RecordingError(Refusal.INVALID_FIELD, why, where="headers")


def _hints(headers: Headers) -> Hints:
    found = _given(headers).items()
    return hints_of({name.replace("-", "_"): value for name, value in found if name in _HINTS})


def _options(headers: Headers, recording: Recording, profile: str = "false") -> AnalyzeOptions:
    """Return the options that the headers choose for a recording; ``profile`` is this door's default."""
    found = _given(headers)

    def chosen(name: str, known: Sequence[str], default: str) -> str:
        return one_of(found[name], known, name) if name in found else default

    log = pairs_in_intervals(found["sleep-log"]) if "sleep-log" in found else []
    scorer = chosen("scorer", tuple(SleepScorer), "")
    rest = chosen("rest", get_args(RestRule), "")
    return AnalyzeOptions(
        wear=WearMode(chosen("wear", tuple(WearMode), WearMode.DETECT)),
        clinical=chosen("clinical", BOOLEANS, "true") == "true",
        profile=chosen("profile", BOOLEANS, profile) == "true",
        scorer=SleepScorer(scorer) if scorer else None,
        threshold=cast("Threshold", chosen("threshold", get_args(Threshold), "medium")),
        rescoring=cast("Rescoring", chosen("rescoring", get_args(Rescoring), "none")),
        rest=cast("RestRule", rest) if rest else None,
        sleep_log=entries(log, recording.zone),
        stride_days=int(chosen("stride-days", _STRIDES, "7")),
        intervals=boolean(found, "intervals"),
        series=boolean(found, "series"),
    )


def _wish(headers: Headers) -> FhirWish:
    found = _given(headers)
    kind = one_of(found.get("return", "collection"), ("collection", "transaction"), "return")
    return FhirWish(kind=kind, subject=found.get("subject"))  # type: ignore[arg-type]  # checked above
