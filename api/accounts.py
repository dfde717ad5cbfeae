"""``/v1``: what was done to a subject, by a tenant's callers, in emergencies; to read it is recorded too."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import JSONResponse, Response

from api.access import Access, current_access
from api.headers import media_types
from api.problems import answer, problem
from api.requests import FHIR_JSON
from api.subjects import Identifier, Strict, SubjectRequest, of_subject, safeguards
from postprocessing import fhir
from serving.audit_check import events
from serving.policy import Verb

__all__ = ["router"]

Moment = Annotated[str, Field(pattern=r"^\d{4}(-\d{2}(-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{3})?)?)?)?)?$")]
Found = list[dict[str, Any]]
_ALWAYS = "9999"  # after every time
router = APIRouter(prefix="/v1")


class Between(Strict):
    """From when to before when (UTC, or the beginning of it: 2026-11), and how many at most."""

    since: Moment = "2000"
    until: Moment = _ALWAYS
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class DisclosuresRequest(SubjectRequest, Between):
    """A subject, and a time."""


class AuditQuery(Between):
    """What events of the caller's tenant to find."""

    subject: Identifier | None = None
    uid: Identifier | None = None
    verb: Verb | None = Field(default=None, strict=False)
    outcome: Annotated[int, Field(ge=0, le=12, multiple_of=4)] | None = None  # a Literal takes false for 0
    reason: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")] | None = None

    def wanted(self) -> dict[str, str]:
        """Return what events must say, the subject apart."""
        given = {"actor.uid": self.uid, "verb": self.verb, "outcome": self.outcome, "reason": self.reason}
        return {name: str(value) for name, value in given.items() if value is not None}


@router.post("/subjects:disclosures")
async def read_disclosures(body: DisclosuresRequest) -> Response:
    """Return who was given what of a subject, when and what for, oldest first (45 CFR 164.528)."""

    async def work(access: Access, _: str) -> dict[str, Any]:
        found, more = await _found(access, {"subject": access.subject, "outcome": "0"}, body)
        return {"disclosures": [_disclosure(record) for record in found], "more": more}

    return await of_subject(body.subject, work)


def _disclosure(record: Mapping[str, Any]) -> dict[str, Any]:
    event = record["event"]
    kept = {name: event[name] for name in ("verb", "purpose", "records", "trace")}
    return {"at": record["at"], "uid": event["actor"]["uid"], "roles": event["actor"]["roles"], **kept}


@router.post("/audit:search")
async def search_audit(request: Request, body: AuditQuery) -> Response:
    """Return events of the caller's tenant, oldest first; as FHIR AuditEvents where FHIR is accepted."""
    if (access := current_access()) is None:
        return _nobody()

    async def done() -> Response:
        wanted = body.wanted()
        if body.subject:
            wanted["subject"] = access.subjects.pseudonym(access.caller.tenant, _plain(body.subject))
        found, more = await _found(access, wanted, body)
        if FHIR_JSON in media_types(request.headers):
            return JSONResponse(fhir.audit_bundle(found, "PAT Service"), media_type=FHIR_JSON)
        listed = [{"at": record["at"], **record["event"]} for record in found]
        return JSONResponse({"events": listed, "more": more})

    return await answer(done())


def _plain(subject: str) -> str:
    return subject.removeprefix("Patient/")


async def _found(access: Access, wanted: Mapping[str, str], between: Between) -> tuple[Found, bool]:
    """Return the first events in the order of time, and whether there are more."""
    folder = safeguards().audit_folder
    asked = {**wanted, "actor.tenant": access.caller.tenant}

    def work() -> Found:
        found = events(folder, asked, between.since, between.until) if folder else ()
        return heapq.nsmallest(between.limit + 1, found, key=lambda record: (record["at"], record["seq"]))

    found = await asyncio.to_thread(work)
    access.records = min(len(found), between.limit)
    return found[: between.limit], len(found) > between.limit


@router.get("/emergencies")
async def list_emergencies() -> Response:
    """Return the emergencies of the caller's tenant with their reasons, oldest first."""
    if (access := current_access()) is None:
        return _nobody()

    async def done() -> Response:
        declared = access.subjects.declared(access.caller.tenant)
        found = await asyncio.to_thread(list, declared)
        access.records = len(found)
        return JSONResponse({"emergencies": found})

    return await answer(done())


def _nobody() -> Response:
    return problem(404, "not_found", "nothing is recorded where nobody is asked who they are")
