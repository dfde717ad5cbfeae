"""What guards a service, as the guard and the doors see it; api/safeguards.py puts it together."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry

from api.access import Subjects
from api.keeping import Keeping
from serving import lifecycle
from serving.audit import AuditEvent, AuditUnavailable
from serving.auth import Caller
from serving.codes import Codes
from serving.deletion import Registry
from serving.rates import Rates
from serving.store import Store, answers, takes
from serving.sweeper import Sweeper
from serving.telemetry import AdmissionTelemetry, SafeguardTelemetry

__all__ = ["RATES", "Identity", "Safeguards", "Trail"]

RATES = {"address": 600, "caller": 120, "tenant": 1_200}  # requests per minute


class Identity(Protocol):
    """Tells who sends an Authorization header."""

    @property
    def degraded(self) -> bool:
        """Whether callers are told by what is no longer fresh."""
        ...

    async def identify(self, authorization: str | None) -> Caller:
        """Return the caller; raises Unauthenticated or IdentityUnavailable."""
        ...

    async def confirm(self, caller: Caller) -> None:
        """Return if the caller's sign-in still holds; raises as ``identify`` does."""
        ...


class Trail(Protocol):
    """Where records go."""

    @property
    def healthy(self) -> bool:
        """Whether the last record reached the disk."""
        ...

    async def record(self, event: AuditEvent) -> None:
        """Return when the event is on disk; raises AuditUnavailable."""
        ...

    def record_now(self, event: AuditEvent) -> None:
        """Do as ``record`` does, outside an event loop."""
        ...

    def close(self) -> None:
        """Write what waits, and end."""
        ...


@dataclass(frozen=True)
class Safeguards:
    """What the guard works with."""

    identity: Identity
    trail: Trail
    subjects: Subjects
    registry: Registry | None = None
    audit_folder: Path | None = None
    sweeper: Sweeper | None = None
    telemetry: SafeguardTelemetry = field(  # to nobody, unless it is told to whom
        default_factory=lambda: SafeguardTelemetry(CollectorRegistry())
    )
    admission: AdmissionTelemetry = field(default_factory=lambda: AdmissionTelemetry(CollectorRegistry()))
    rates: Rates = field(default_factory=lambda: Rates(RATES))
    stores: Sequence[Store] = ()  # of values and of keys
    codes: Codes | None = None
    keeping: Keeping | None = None

    @property
    def able(self) -> bool:
        """Whether anything may be answered now."""
        return self.trail.healthy

    @property
    def ready(self) -> bool:
        """Whether everything may be answered now; asks the stores, so not from an event loop."""
        return self.able and answers(*self.stores)

    @property
    def degraded(self) -> list[str]:
        """What works, but not as it should; writes to the stores, so not from an event loop."""
        found = {
            "certificates": self.identity.degraded,
            "rates": self.rates.alone,
            "store": not takes(*self.stores),
        }
        return [name for name, there in found.items() if there]

    def close(self) -> None:
        """End what runs beside the requests; the trail is the last, and says so."""
        if self.sweeper is not None:
            self.sweeper.close()
        with contextlib.suppress(AuditUnavailable):  # then the file that is left open says so
            lifecycle.stopped(self.trail)
        self.trail.close()
