"""``Prefer: respond-async`` for ``$analyze``: a job of one item, and the address that has its answer."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from api.delivery import headers_of, parted
from api.desk import Desk
from api.fhir_analyze import Asked, subject_of
from api.job_access import owner_of
from api.jobs import FHIR, Counter, JobId, counter
from api.outcomes import FHIR_TYPE, written
from api.problems import answer, problem
from api.v1 import desk
from serving.audit import AuditUnavailable
from serving.job_shelf import REFUSED, Record
from serving.job_state import State
from serving.jobs import Item, NoJob, Reception
from serving.repeats import KeyReused

__all__ = ["deferred", "router"]

_OK = 200
_AFTER = {"Retry-After": "1"}

router = APIRouter(prefix="/fhir", tags=["FHIR"])


async def deferred(at: Desk, asked: Asked) -> Response:
    """Take a call in as a job; what would refuse it at once does."""
    return await answer(_deferred(at, asked))


async def _deferred(at: Desk, asked: Asked) -> Response:
    here, digest = counter(at), hashlib.sha256(asked.body).hexdigest()
    reception, owner = Reception(here.shelf), owner_of(here.askers.access)
    if (known := await asyncio.to_thread(reception.known, owner, asked.key)) is not None:
        if (known.digest, known.output) != (digest, FHIR):
            raise KeyReused
        return _accepted(known)
    subject = await subject_of(asked.body)
    access = here.askers.access
    named = await access.about(subject) if access and subject else subject.removeprefix("Patient/")
    intake = await asyncio.to_thread(reception.begin, owner, FHIR, asked.key, len(asked.body))
    try:
        await asyncio.to_thread(reception.add, intake, [Item(asked.body, named)])
        return _accepted(await asyncio.to_thread(reception.finish, intake, digest))
    except BaseException:
        await asyncio.to_thread(reception.abandon, intake)
        raise


def _accepted(record: Record) -> Response:
    where = {"Content-Location": f"/fhir/jobs/{record.id}", "Preference-Applied": "respond-async"}
    return Response(status_code=202, headers=where, media_type=FHIR_TYPE)


@router.get("/jobs/{id}", response_class=Response)
async def read_deferred(job: JobId, at: Annotated[Desk, Depends(desk)]) -> Response:
    """Return the answer to a call that was taken in; 202 while it is not there."""
    try:
        return await answer(_answered(job, at))
    except AuditUnavailable:
        return problem(503, "audit_unavailable", "nothing is disclosed unrecorded; try again later")


async def _answered(job: str, at: Desk) -> Response:
    here = counter(at)
    record, held = await here.of(job, fhir=True)
    if held.open:
        return Response(status_code=202, headers={"X-Progress": held.state, **_AFTER}, media_type=FHIR_TYPE)
    if held.state is State.FAILED:
        return problem(500, "job_failed", "the call could not be answered in time; send it again")
    found = await _told(here, record) if held.state is State.DONE else None
    if found is None:
        raise NoJob
    made, aside = found
    access = here.askers.access
    if aside:
        said = json.loads(made)
        return Response(written(said["outcome"]), said["status"], media_type=FHIR_TYPE)
    if access is not None:
        access.records, access.model = 1, at.card.sha256
    bundle, delivery = parted(made)
    return Response(bundle, _OK, headers_of(delivery), media_type=FHIR_TYPE)


async def _told(at: Counter, record: Record) -> tuple[bytes, bool] | None:
    """Return the answer, if the caller may still be told of its subject."""
    [whose] = record.items
    if whose not in ("", REFUSED):
        subject = await asyncio.to_thread(at.shelf.subject, record, whose)
        if subject is None or not await at.askers.may(subject):
            return None
        await at.askers.record(at.kept)
    return await asyncio.to_thread(at.jobs.result, record, 0)


@router.delete("/jobs/{id}", status_code=202)
async def cancel_deferred(job: JobId, at: Annotated[Desk, Depends(desk)]) -> Response:
    """Cancel a call that was taken in, or remove its answer."""

    async def work() -> Response:
        here = counter(at)
        record, held = await here.of(job, fhir=True)
        await asyncio.to_thread(here.jobs.delete, record)
        if held.open:  # a cancelled call is not there any more, as R4 asks
            await asyncio.to_thread(here.jobs.delete, record)
        return Response(status_code=202, media_type=FHIR_TYPE)

    return await answer(work())
