"""What the trail says of the service itself: that it starts and stops, and which settings and keys changed.

Which settings were in force is remembered in the durable store as keyed hashes, so that a change is seen by
the next start, and nothing of the values is.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Protocol

from serving.audit import Action, AuditEvent, Outcome, Purpose
from serving.store import Store

__all__ = ["KEY", "changed", "started", "stopped", "system_event"]

_ROOM, _NAME = "service", "settings"
KEY = "master key"  # the one fact that is no setting


class Trail(Protocol):
    """Where it is said."""

    def record_now(self, event: AuditEvent) -> None:
        """Return when the event is on disk; raises AuditUnavailable."""
        ...


def system_event(verb: str, detail: str = "", action: Action = Action.EXECUTE) -> AuditEvent:
    """Return an event of the service's own."""
    return AuditEvent(action, verb, Outcome.DONE, "ok", purpose=Purpose.SYSTEM, detail=detail)


def started(trail: Trail, store: Store, facts: Mapping[str, str], secret: bytes) -> None:
    """Record the start, and what differs in ``facts`` from the start before.

    Raises AuditUnavailable or StoreUnavailable; what is not recorded is not remembered either.
    """
    trail.record_now(system_event("start"))
    digests = {name: _digest(name, value, secret) for name, value in facts.items()}
    before = store.get(_ROOM, _NAME)
    if names := changed(json.loads(before), digests) if before else []:
        for verb, detail in _verbs(names, facts):
            trail.record_now(system_event(verb, detail, Action.UPDATE))
    store.put(_ROOM, _NAME, json.dumps(digests, sort_keys=True).encode())


def stopped(trail: Trail) -> None:
    """Record that the service stops."""
    trail.record_now(system_event("stop"))


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names whose digests differ, or that only one side has."""
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def _verbs(names: list[str], facts: Mapping[str, str]) -> list[tuple[str, str]]:
    settings = [name for name in names if name != KEY]
    found = [("change_settings", " ".join(settings))] if settings else []
    return [*found, ("change_keys", facts[KEY])] if KEY in names else found


def _digest(name: str, value: str, secret: bytes) -> str:
    return hmac.new(secret, json.dumps([name, value]).encode(), hashlib.sha256).hexdigest()[:32]
