"""Who cares for whom, and emergencies: what a tenant keeps between its callers and its subjects.

A relation is sealed under the subject's key like everything else of a subject, and ends with it. The name
that it is kept under is a pseudonym, for the store does not hide names: who cares is in the sealed value.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from serving.policy import Relation
from serving.store import Subject, Vault

__all__ = ["HELD", "Care", "Emergency"]

_CARE, _EMERGENCY = HELD = ("care", "emergency")  # what is kept of a subject


@dataclass(frozen=True)
class Emergency:
    """A caller who must see a subject without caring for it."""

    tenant: str
    uid: str
    subject: str


class Care:
    """Relations in the vault; an emergency ends by itself."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

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
        """Let the caller see the subject for ``seconds``, for a ``reason`` that is kept as long."""
        said = json.dumps({"uid": emergency.uid, "reason": reason, "since": int(time.time())}).encode()
        at = self._vault.subject(emergency.tenant, emergency.subject)
        name = self._name(emergency.tenant, emergency.uid)
        self._vault.put(at, _EMERGENCY, name, said, time.time() + seconds)

    def _name(self, tenant: str, uid: str) -> str:
        return self._vault.subject(tenant, f"uid {uid}").pseudonym  # no subject's id has a space
