"""``/v1``: recordings de-identified for research, and the way back from a research code to a subject."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field
from starlette.responses import JSONResponse, Response

from api.access import current_access
from api.desk import Desk
from api.problems import answer
from api.requests import RecordingRequest
from api.subjects import Identifier, Strict, safeguards
from api.v1 import desk
from postprocessing.deidentified import Sex
from postprocessing.deidentify import Person, deidentified
from preprocessing.recording import RecordingError, Refusal
from serving.codes import Codes
from serving.policy import NotThere

__all__ = ["router"]

Project = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
router = APIRouter(prefix="/v1")


class DeidentifyRequest(RecordingRequest):
    """One recording, and what the sender says of the person; ``subject`` and ``project`` ask for a code."""

    subject: Identifier | None = None
    project: Project | None = None
    age: Annotated[int, Field(ge=0, le=130)] | None = None
    sex: Sex | None = None


class CodeRequest(Strict):
    """A research code, and the project that it is of."""

    project: Project
    code: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


def _codes() -> Codes:
    codes = safeguards().codes
    assert codes is not None  # noqa: S101  # what serves has them
    return codes


@router.post("/recordings:deidentify")
async def deidentify_recording(body: DeidentifyRequest, at: Annotated[Desk, Depends(desk)]) -> Response:
    """Analyse one recording and answer with what may leave for research."""

    async def work() -> Response:
        named = await _named(body)
        recording = await asyncio.to_thread(body.recording)
        analysis = await at.analyze(recording, body.options.chosen(recording))
        code = await asyncio.to_thread(_codes().code, *named) if named else None
        made = deidentified(analysis, Person(code, body.age, body.sex))
        return Response(made.model_dump_json(), media_type="application/json")

    return await answer(work())


async def _named(body: DeidentifyRequest) -> tuple[str, str, str] | None:
    """Return tenant, project and subject that a code is wanted for; raises NotThere unless the caller may."""
    if body.subject is None:
        if body.project is not None:
            raise RecordingError(
                Refusal.INVALID_FIELD,
                "expected project together with a subject, found it alone; add the subject or drop it",
                where="project",
            )
        return None
    if (access := current_access()) is None:
        raise NotThere  # nothing is kept of anybody where nobody is asked who they are
    subject = await access.about(body.subject)
    return None if body.project is None else (access.caller.tenant, body.project, subject)


@router.post("/research-codes:resolve")
async def resolve_code(body: CodeRequest) -> Response:
    """Return the subject of the caller's tenant that a code stands for."""

    async def work() -> Response:
        if (access := current_access()) is None:
            raise NotThere
        tenant = access.caller.tenant
        subject = await asyncio.to_thread(_codes().subject, tenant, body.project, body.code)
        if subject is None:
            raise NotThere
        access.records = 1
        return JSONResponse({"subject": await access.about(subject)})

    return await answer(work())
