"""``POST /v1/subjects:analyze``: what the health data service holds of a subject, analysed.

The caller's own token is passed on to the health data service, which lists the data of the token's owner:
so it is for patients and their own data. Nothing of the token is kept.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

import bentoml
from fastapi import APIRouter, Depends, Request
from pydantic import Field
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from api.access import current_access
from api.desk import Desk
from api.headers import media_types
from api.problems import answer, problem
from api.requests import FHIR_JSON, FhirWish, Options, Text
from api.subjects import Identifier, Strict
from api.v1 import desk
from postprocessing.analysis import Analysis
from preprocessing.readers import Hints, hints_of, read
from preprocessing.recording import Recording
from serving.auth import Unauthenticated, signed_token
from serving.health_data import HealthData, Pulled, Result, Written
from serving.health_exchange import Token
from serving.health_items import Wanted
from serving.policy import NotThere

__all__ = ["router"]

_WRITTEN_BEFORE = timedelta(days=1)  # an analysis may be that much older than the end of its recording
router = APIRouter(prefix="/v1")


class SubjectAnalysisRequest(Strict):
    """A subject, the local days wanted (both included), and what to do with the answer."""

    subject: Identifier
    since: Text
    until: Text
    zone: Text | None = None
    quantity: Literal["counts", "mims", "enmo", "steps"] | None = None
    options: Options = Options()
    write_back: bool = False
    return_: Annotated[Literal["collection", "transaction"], Field(alias="return")] = "collection"

    def hints(self) -> Hints:
        """Return what the reader is told; raises RecordingError for days or a zone that are none."""
        days = {"since": self.since, "until": self.until}
        return hints_of(days if self.zone is None else {**days, "zone": self.zone})


@dataclass(frozen=True)
class _Analysed:
    """What was found, and where."""

    subject: str
    recording: Recording
    analysis: Analysis
    pulled: Pulled
    written: Written | None

    def document(self) -> dict[str, Any]:
        """Return the JSON answer."""
        return {
            "analysis": self.analysis.model_dump(mode="json"),
            "source": self.pulled.source,
            "written_back": None if self.written is None else self.written.document(),
        }

    def headers(self) -> dict[str, str]:
        """Return what a FHIR answer says of its source: the same, of uploads how many."""
        source = dict(self.pulled.source)
        source["processing_ids"] = len(source["processing_ids"])
        said = {"X-PAT-Source": json.dumps(source)}
        if self.written is not None:
            said["X-PAT-Written-Back"] = json.dumps(self.written.document())
        return said


@router.post("/subjects:analyze")
async def analyze_subject(
    body: SubjectAnalysisRequest, request: Request, at: Annotated[Desk, Depends(desk)]
) -> Response:
    """Pull what the health data service holds of a subject, analyse it and, if wanted, write it back."""
    accepted = set(media_types(request.headers))
    if FHIR_JSON not in accepted and not {"*/*", "application/*", "application/json"} & accepted:
        return problem(406, "not_acceptable", f"this door answers application/json or {FHIR_JSON}")
    if (source := _health_data()) is None:
        return problem(404, "no_health_data_service", "no health data service is set up here")
    try:
        token = _token(request.headers)
    except Unauthenticated as error:
        refused = problem(401, "unauthenticated", str(error))
        refused.headers["WWW-Authenticate"] = "Bearer"
        return refused
    work = _in_fhir if FHIR_JSON in accepted else _in_json
    return await answer(work(body, at, _Source(source, token)))


@dataclass(frozen=True)
class _Source:
    """The health data service as one caller sees it."""

    service: HealthData
    token: Token


def _health_data() -> HealthData | None:
    service: Any = bentoml.get_current_service()
    return service.health_data  # type: ignore[no-any-return]  # BentoML does not type its services


def _token(headers: Headers) -> Token:
    """The caller's token: verified by the guard, or at least of the form of a signed one."""
    authorization = headers.get("authorization")
    if current_access() is not None and authorization:
        return Token(authorization.split(" ", 1)[1])
    return Token(signed_token(authorization))


async def _in_json(body: SubjectAnalysisRequest, at: Desk, source: _Source) -> Response:
    found = await _analysed(body, at, source)
    return Response(json.dumps(found.document()), media_type="application/json")


async def _in_fhir(body: SubjectAnalysisRequest, at: Desk, source: _Source) -> Response:
    found = await _analysed(body, at, source)
    wish = FhirWish(body.return_, f"Patient/{found.subject}")
    bundle = await at.in_fhir(found.analysis, found.recording, wish)
    return JSONResponse(bundle, media_type=FHIR_JSON, headers=found.headers())


async def _analysed(body: SubjectAnalysisRequest, at: Desk, source: _Source) -> _Analysed:
    subject = await _allowed(body.subject)
    hints = body.hints()
    user = source.service.writer(subject) if body.write_back else source.service.user_of(subject)
    assert hints.since is not None  # noqa: S101  # both are required
    assert hints.until is not None  # noqa: S101  # same
    wanted = Wanted(hints.since, hints.until, body.zone, body.quantity, user)
    pulled = await source.service.pull(wanted, source.token)
    recording = await asyncio.to_thread(read, pulled.document, hints)
    analysis = await at.analyze(recording, body.options.chosen(recording))
    written = await _written(user, analysis, pulled, source) if body.write_back and user else None
    return _Analysed(subject, recording, analysis, pulled, written)


async def _allowed(subject: str) -> str:
    """Return the id of a subject whose data the caller may have pulled; raises NotThere for any other."""
    if (access := current_access()) is not None:
        return await access.about(subject)
    if not (bare := subject.removeprefix("Patient/")):
        raise NotThere
    return bare


async def _written(user: str, analysis: Analysis, pulled: Pulled, source: _Source) -> Written:
    since = analysis.recording.end - _WRITTEN_BEFORE
    result = Result(user, analysis.model_dump(mode="json"), since, pulled.analyses)
    return await source.service.write_back(result, source.token)
