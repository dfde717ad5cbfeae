"""Delivery to the FHIR server: whether a result may go there, the outbox it goes by, and what became of it.

The doors that answer with a transaction call ``ordered`` before they compute anything and ``Order.taken``
with the Bundle: it is on disk when that returns, and the answer's headers name the delivery.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from api.access import Access, current_access
from api.desk import Desk
from api.keeping import Keeping, Worker, keeping
from api.outcomes import request_id, written
from api.problems import answer, problem
from api.requests import FhirWish
from preprocessing.recording import RecordingError, Refusal
from serving.courier import Courier, Route
from serving.leases import Leases
from serving.outbox import NotTaken, Outbox, Parcel, Ticket
from serving.policy import NotThere, Verb, decide
from serving.settings import Settings
from serving.state import open_fhir_server
from serving.telemetry import DeliveryTelemetry

__all__ = ["Order", "courier", "headers_of", "ordered", "parted", "router", "with_delivery"]

log = logging.getLogger("pat.outbox")
router = APIRouter(prefix="/v1")
_NAMED, _OF = b'{"delivery": "', b'", "bundle": '  # JSON, for an export has it as it is kept


@dataclass(frozen=True)
class Order:
    """What a caller may have delivered: the result about one subject."""

    access: Access
    subject: str

    async def taken(self, bundle: dict[str, Any]) -> str:
        """Return the name of the delivery of ``bundle``, which is on disk.

        Raises OutboxFull, StoreUnavailable or Unreadable.
        """
        caller, vault = self.access.caller, keeping().vault

        def work() -> str:
            at = vault.subject(caller.tenant, self.subject)
            parcel = Parcel(written(bundle), at, caller.uid, len(bundle["entry"]), request_id())
            return Outbox(vault).accept(parcel)

        return await asyncio.to_thread(work)


async def ordered(at: Desk, wish: FhirWish) -> Order:
    """Return the order of who asks for the result of ``wish`` to be delivered.

    Raises NotTaken, NotThere, or RecordingError for a wish that cannot be delivered.
    """
    access = current_access()
    if access is None or not at.settings.fhir_server_url:
        raise NotTaken("no_fhir_server")
    if wish.kind != "transaction":
        raise _wrong("expected return=transaction, for that is what is delivered; ask for it")
    if not wish.subject:
        raise _wrong("expected a subject, whose record the result goes to; name it")
    return Order(access, await _permitted(access, wish.subject))


def _wrong(message: str) -> RecordingError:
    return RecordingError(Refusal.INVALID_FIELD, message, where="deliver")


async def _permitted(access: Access, reference: str) -> str:
    """Return the id of the subject, if the caller may have its results delivered."""
    subject = await access.about(reference)
    relation = await asyncio.to_thread(
        access.subjects.relation, access.caller.tenant, access.caller.uid, subject
    )
    decision = decide(access.caller, Verb.DELIVER, subject, relation)
    if decision.allowed:
        return subject
    access.decision = decision
    raise NotThere if decision.hidden else NotTaken("forbidden")


def headers_of(delivery: str) -> dict[str, str]:
    """Return the headers that name a delivery; none without one."""
    return {"X-PAT-Delivery": delivery, "Location": f"/v1/deliveries/{delivery}"} if delivery else {}


def with_delivery(bundle: bytes, delivery: str) -> bytes:
    """Return a Bundle as a job keeps it, with the name of its delivery, if there is one."""
    return _NAMED + delivery.encode() + _OF + bundle + b"}" if delivery else bundle


def parted(kept: bytes) -> tuple[bytes, str]:
    """Return the Bundle and the name of its delivery, of what ``with_delivery`` made."""
    if not kept.startswith(_NAMED):
        return kept, ""
    delivery, _, bundle = kept.removeprefix(_NAMED).partition(_OF)
    return bundle.removesuffix(b"}"), delivery.decode()


@router.get("/deliveries/{id}")
async def read_delivery(id: str) -> Response:  # noqa: A002  # the name in the route's template
    """Return how far a delivery is, to who asked for it."""
    access = current_access()

    async def work() -> Response:
        ticket = None if access is None else await asyncio.to_thread(Outbox(keeping().vault).ticket, id)
        if access is None or ticket is None or not _is_of(ticket, access):
            return problem(404, "not_found", "there is no such delivery of yours")
        access.subject = ticket.subject
        return JSONResponse(ticket.told())

    return await answer(work())


def _is_of(ticket: Ticket, access: Access) -> bool:
    return (ticket.tenant, ticket.uid) == (access.caller.tenant, access.caller.uid)


def courier(kept: Keeping, settings: Settings) -> Worker | None:
    """Return who delivers what waits in ``kept``; None where no FHIR server is named."""
    if (server := open_fhir_server(settings)) is None:
        return None
    return Courier(Route(Outbox(kept.vault), server, kept.trail, Leases(kept.store)), DeliveryTelemetry())
