"""``/v1``: what is done to a subject and to those who care for one. Ids are in bodies, never in addresses."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Any

import bentoml
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from api.access import Access, current_access
from api.problems import answer, problem
from api.protection import Safeguards
from serving.care import Care, Emergency
from serving.deletion import Registry
from serving.rates import TooOften

__all__ = ["Identifier", "Strict", "SubjectRequest", "of_subject", "router", "safeguards"]

log = logging.getLogger("pat.access")
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:@/-]{1,128}$")]
router = APIRouter(prefix="/v1")


class Strict(BaseModel):
    """A body of exactly these fields and types."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class SubjectRequest(Strict):
    """A subject of the caller's tenant."""

    subject: Identifier


class CareRequest(SubjectRequest):
    """A subject and the uid of who cares for it."""

    uid: Identifier


class EmergencyRequest(SubjectRequest):
    """A subject, why its data are needed without a relation of care, and for how long."""

    reason: Annotated[str, Field(min_length=10, max_length=500)]
    minutes: Annotated[int, Field(ge=1, le=240)] = 60


def safeguards() -> Safeguards:
    """Return what guards the service of this worker."""
    service: Any = bentoml.get_current_service()
    return service.safeguards  # type: ignore[no-any-return]  # BentoML does not type its services


def _care() -> Care:
    return safeguards().subjects  # type: ignore[return-value]  # what serves is no other


def _registry() -> Registry:
    registry = safeguards().registry
    assert registry is not None  # noqa: S101  # what serves has one
    return registry


Work = Callable[[Access, str], Awaitable[dict[str, Any]]]


async def of_subject(subject: str, work: Work) -> Response:
    """Do ``work`` for the caller on the subject, if the caller may."""
    access = current_access()
    if access is None:
        return problem(404, "not_found", "nothing is kept of anybody where nobody is asked who they are")

    async def done() -> Response:
        return JSONResponse(await work(access, await access.about(subject)))

    return await answer(done())


@router.post("/subjects:delete")
async def delete_subject(body: SubjectRequest) -> Response:
    """Delete all that is kept of a subject and shred its key; the report says what there was."""

    async def work(access: Access, subject: str) -> dict[str, Any]:
        done = await asyncio.to_thread(_registry().delete, _care().subject(access.caller.tenant, subject))
        access.records = sum(done.items.values())
        return {"deleted": dict(done.items), "key_shredded": done.shredded}

    return await of_subject(body.subject, work)


@router.post("/subjects:export")
async def export_subject(body: SubjectRequest) -> Response:
    """Return all that is kept of a subject."""

    async def work(access: Access, subject: str) -> dict[str, Any]:
        found = await asyncio.to_thread(_registry().find, _care().subject(access.caller.tenant, subject))
        access.records = sum(map(len, found.values()))
        held = {store: {name: json.loads(value) for name, value in of.items()} for store, of in found.items()}
        return {"subject": subject, "held": held}

    return await of_subject(body.subject, work)


@router.post("/care:begin")
async def begin_care(body: CareRequest) -> Response:
    """Let a caller of the tenant care for a subject."""

    async def work(access: Access, subject: str) -> dict[str, Any]:
        await asyncio.to_thread(_care().begin, access.caller.tenant, body.uid, subject)
        return {"cares": True}

    return await of_subject(body.subject, work)


@router.post("/care:end")
async def end_care(body: CareRequest) -> Response:
    """End a relation of care."""

    async def work(access: Access, subject: str) -> dict[str, Any]:
        ended = await asyncio.to_thread(_care().end, access.caller.tenant, body.uid, subject)
        return {"cares": False, "ended": ended}

    return await of_subject(body.subject, work)


@router.post("/emergencies")
async def declare_emergency(body: EmergencyRequest) -> Response:
    """Break the glass: see a subject without a relation of care, for a reason and a time that are kept."""

    async def work(access: Access, subject: str) -> dict[str, Any]:
        declared = Emergency(access.caller.tenant, access.caller.uid, subject)
        if many := await safeguards().rates.refusal("emergency", f"{declared.tenant}/{declared.uid}"):
            raise TooOften(many)
        await asyncio.to_thread(_care().declare, declared, body.reason, body.minutes * 60)
        access.decision = replace(access.decision, emergency=True, reason="emergency_declared")
        safeguards().telemetry.emergency()
        log.warning("glass broken for %d minutes; the audit trail says by whom", body.minutes)
        return {"minutes": body.minutes}

    return await of_subject(body.subject, work)
