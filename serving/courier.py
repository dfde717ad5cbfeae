"""The courier: a thread that takes what waits in the outbox to the FHIR server, in one process at a time.

Which process that is, a lease in the durable store says. Every disclosure is in the audit trail before it
leaves, and how each entry ended before the entry says so; what cannot be recorded is not sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from dataclasses import dataclass
from typing import Protocol

from serving.audit import Action, Actor, AuditEvent, AuditUnavailable, Outcome
from serving.breaker import BreakerOpen
from serving.fhir_push import FhirServer, Refused, Unavailable
from serving.keys import Unreadable
from serving.leases import Lease, LeaseLost, Leases
from serving.outbox import Outbox, Ticket
from serving.store import StoreUnavailable
from serving.telemetry import DeliveryTelemetry

__all__ = ["Courier", "Route", "Trail"]

_LEASE = "outbox"
_POLL_SECONDS = 1.0
_LOOKING_SHARE = 10  # a tenth of the time, at most, goes into looking what is due
_SETTLE_SECONDS = 30.0  # that an entry rests whose last try may yet be committed
_FAILING_SECONDS = 1_800.0  # that the server counts as failing after it last did, unless it is seen to work
log = logging.getLogger("pat.outbox")


class Trail(Protocol):
    """Where records go."""

    def record_now(self, event: AuditEvent) -> None:
        """Return when the event is on disk; raises AuditUnavailable."""
        ...


@dataclass(frozen=True)
class Route:
    """From where to where, under whose eyes; ``settle_seconds``: how long an unknown end is let be."""

    outbox: Outbox
    server: FhirServer
    trail: Trail
    leases: Leases
    settle_seconds: float = _SETTLE_SECONDS
    poll_seconds: float = _POLL_SECONDS


class Courier:
    """Delivers until it is closed."""

    def __init__(self, route: Route, telemetry: DeliveryTelemetry) -> None:
        self._route, self._telemetry = route, telemetry
        self._pause = route.poll_seconds
        self._rests_until = 0.0  # by the monotonic clock, while the breaker is open
        self._lease: Lease | None = None
        self._renews_at = 0.0  # by the monotonic clock
        self._failing = True  # as far as we know, some process said so
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self._started.wait()

    async def close(self) -> None:
        """End; a try that is under way is broken off, and its entry rests as after a crash."""
        if self._loop is None or self._work is None:
            return
        with contextlib.suppress(RuntimeError):  # it has ended already
            self._loop.call_soon_threadsafe(self._work.cancel)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._until_closed())

    async def _until_closed(self) -> None:
        self._loop, self._work = asyncio.get_running_loop(), asyncio.current_task()
        self._started.set()
        try:
            while True:
                await self._round()
                await asyncio.sleep(self._pause)
        finally:
            with contextlib.suppress(StoreUnavailable):
                if self._lease is not None:
                    self._lease.release()
            await self._route.server.close()

    async def _round(self) -> None:
        """Deliver what is due, if it is ours to; what cannot be done now waits for the next time."""
        try:
            if time.monotonic() >= self._rests_until:
                await self._deliver_due()
        except (AuditUnavailable, StoreUnavailable, Unreadable) as error:
            log.warning("nothing is delivered now: %s", type(error).__name__)
        except Exception:  # a fault of ours must not end deliveries for good
            log.exception("a round of deliveries failed")

    async def _deliver_due(self) -> None:
        if time.monotonic() >= self._renews_at and not self._holds():
            return
        began = time.monotonic()
        due = self._route.outbox.due()
        self._pause = max(self._route.poll_seconds, _LOOKING_SHARE * (time.monotonic() - began))
        for ticket in due:
            if not self._holds() or not await self._went_on(ticket):
                break
        self._telemetry.has(**self._route.outbox.counts())

    def _holds(self) -> bool:
        """Take the lease or hold it for longer; say whether it is ours."""
        if self._lease is None:
            self._lease = self._route.leases.take(_LEASE)
        else:
            try:
                self._lease.renew()
            except LeaseLost:
                self._lease = None
        self._renews_at = time.monotonic() + self._route.leases.seconds / 3 if self._lease else 0.0
        return self._lease is not None

    async def _went_on(self, ticket: Ticket) -> bool:
        """Try one entry; say whether the next is worth a try."""
        outbox, server = self._route.outbox, self._route.server
        try:
            bundle = outbox.bundle(ticket)
        except Unreadable:
            self._dead(ticket, "unreadable")
            return True
        if bundle is None:
            outbox.lost(ticket)
            return True
        claimed = outbox.claimed(ticket, server.seconds + self._route.settle_seconds)
        try:
            await self._tried(claimed, bundle)
        except BreakerOpen as error:
            outbox.unclaimed(ticket)
            self._rests_until = time.monotonic() + error.seconds
            return False
        except AuditUnavailable:
            outbox.unclaimed(ticket)
            raise
        return True

    async def _tried(self, ticket: Ticket, bundle: bytes) -> None:
        async def leaving() -> None:
            self._record(ticket, Outcome.DONE, "sending", ticket.records)

        try:
            made = await self._route.server.deliver(bundle, leaving)
        except Unavailable as error:
            self._later(ticket, error)
        except Refused as error:
            self._dead(ticket, error.reason, error.status, error.codes)
        except ValueError:  # nothing by which the server would know it again
            self._dead(ticket, "not_recognisable")
        else:
            self._record(ticket, Outcome.DONE, "delivered" if made.sent else "already_there")
            self._route.outbox.delivered(ticket)
            self._telemetry.ended("delivered")
            self._works()

    def _works(self) -> None:
        if self._failing:
            self._route.outbox.works()
            self._failing = False

    def _later(self, ticket: Ticket, error: Unavailable) -> None:
        outbox = self._route.outbox
        log.warning("a delivery failed and is tried again: %s, status %d", error.reason, error.status)
        self._telemetry.ended("postponed")
        if self._route.server.breaker.is_open:
            outbox.fails(_FAILING_SECONDS)
            self._failing = True
        if outbox.is_overdue(ticket):
            self._dead(ticket, f"gave_up_{error.reason}", error.status)
            return
        least = max(error.wait_seconds, self._route.settle_seconds if error.unknown else 0)
        outbox.postponed(ticket, error.reason, error.status, least)

    def _dead(self, ticket: Ticket, reason: str, status: int = 0, codes: tuple[str, ...] = ()) -> None:
        self._record(ticket, Outcome.FAILED, "dead_letter")
        self._route.outbox.dead(ticket, reason, status, codes)
        self._telemetry.ended("dead")
        log.error("a delivery is a dead letter: %s, status %d; see pat outbox list", reason, status)

    def _record(self, ticket: Ticket, outcome: Outcome, reason: str, records: int = 0) -> None:
        event = AuditEvent(
            Action.CREATE,
            "deliver",
            outcome,
            reason,
            Actor(ticket.uid, ticket.tenant),
            subject=ticket.subject,
            trace=ticket.trace,
            records=records,
            detail=f"delivery {ticket.name}",
        )
        self._route.trail.record_now(event)
