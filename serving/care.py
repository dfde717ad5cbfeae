"""Who cares for whom, and emergencies: what a tenant keeps between its callers and its subjects.

A relation is sealed under the subject's key like everything else of a subject, and ends with it. The name
that it is kept under is a pseudonym, for the store does not hide names: who cares is in the sealed value.
Why the glass was broken is kept for the tenant, under its own key, as long as the audit trail: the deletion
of a subject does not take away the account of who saw it.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from serving.policy import Relation
from serving.retention import AUDIT_DAYS
from serving.store import Subject, Vault

__all__ = ["HELD", "Care", "Emergency"]

_CARE, _EMERGENCY = HELD = ("care", "emergency")  # what is kept of a subject
_REASONS = "emergency-reasons"  # what is kept of emergencies for a tenant
_DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Emergency:
    """A caller who must see a subject without caring for it."""

    tenant: str
    uid: str
    subject: str


class Care:
    """Relations in the vault; an emergency ends by itself."""

    def __init__(self, vault: Vault, reason_days: int = AUDIT_DAYS) -> None:
        self._vault, self._reason_days = vault, reason_days

    def subject(self, tenant: str, subject: str) -> Subject:
        """Return the subject that a tenant calls so."""
        return self._vault.subject(tenant, subject)

    def pseudonym(self, tenant: str, subject: str) -> str:
        """Return the name under which the audit trail knows a subject."""
        return self._vault.subject(tenant, subject).pseudonym

    def relation(self, tenant: str, uid: str, subject: str) -> Relation:
        """Return how ``uid`` stands to ``subject`` now; raises StoreUnavailable or Unreadable."""
        at = self._vault.subject(tenant, subject)
        name = self._name(tenant, uid)
        if self._vault.get(at, _CARE, name) is not None:
            return Relation.CARE
        return Relation.NONE if self._vault.get(at, _EMERGENCY, name) is None else Relation.EMERGENCY

    def begin(self, tenant: str, uid: str, subject: str) -> None:
        """Let ``uid`` care for ``subject`` until ``end``."""
        since = json.dumps({"uid": uid, "since": int(time.time())}).encode()
        self._vault.put(self._vault.subject(tenant, subject), _CARE, self._name(tenant, uid), since)

    def end(self, tenant: str, uid: str, subject: str) -> bool:
        """End it; say whether there was anything to end."""
        return self._vault.delete(self._vault.subject(tenant, subject), _CARE, self._name(tenant, uid))

    def declare(self, emergency: Emergency, reason: str, seconds: float) -> None:
        """Let the caller see the subject for ``seconds``; keep the ``reason`` first."""
        now = time.time()
        at = self._vault.subject(emergency.tenant, emergency.subject)
        said: dict[str, Any] = {"uid": emergency.uid, "subject": at.pseudonym, "reason": reason}
        said |= {"since": int(now), "seconds": int(seconds)}
        ordered = f"{now:017.6f}-{secrets.token_hex(4)}"  # by time
        tenant, value = self._vault.tenant(emergency.tenant), json.dumps(said).encode()
        self._vault.put(tenant, _REASONS, ordered, value, now + self._reason_days * _DAY_SECONDS)
        since = json.dumps({"uid": emergency.uid, "since": int(now)}).encode()
        name = self._name(emergency.tenant, emergency.uid)
        self._vault.put(at, _EMERGENCY, name, since, now + seconds)

    def declared(self, tenant: str) -> Iterator[dict[str, Any]]:
        """Yield a tenant's emergencies: uid, subject (pseudonym), reason, since, seconds; oldest first."""
        at = self._vault.tenant(tenant)
        for name in self._vault.names(at, _REASONS):
            if (value := self._vault.get(at, _REASONS, name)) is not None:
                yield json.loads(value)

    def _name(self, tenant: str, uid: str) -> str:
        return self._vault.subject(tenant, f"uid {uid}").pseudonym  # no subject's id has a space
