"""What is being done, by whom and about whom, as handlers tell it and the audit trail hears it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from opentelemetry.trace import get_current_span

from serving.audit import Action, Actor, AuditEvent, Outcome, Purpose
from serving.auth import Caller, Role
from serving.policy import Decision, NotThere, Relation, Verb, decide

__all__ = [
    "Access",
    "Subjects",
    "acting",
    "action_of",
    "actor_of",
    "current_access",
    "event_of",
    "with_access",
]

_current: ContextVar[Access | None] = ContextVar("access", default=None)
_ACTIONS = {
    Verb.READ_STATUS: Action.READ,
    Verb.READ_SCHEMA: Action.READ,
    Verb.DELETE_SUBJECT: Action.DELETE,
    Verb.READ_JOB: Action.READ,
    Verb.DELETE_JOB: Action.DELETE,
    Verb.EXPORT_SUBJECT: Action.READ,
    Verb.READ_DISCLOSURES: Action.READ,
    Verb.SEARCH_AUDIT: Action.READ,
    Verb.CHANGE_CARE: Action.UPDATE,
    Verb.RESOLVE_CODE: Action.READ,
    Verb.DELIVER: Action.READ,
}
_PURPOSES = {
    **dict.fromkeys((Verb.DEIDENTIFY, Verb.RESOLVE_CODE), Purpose.RESEARCH),
    **dict.fromkeys((Verb.CHANGE_CARE, Verb.SEARCH_AUDIT), Purpose.OPERATIONS),
    **dict.fromkeys((Verb.READ_STATUS, Verb.READ_SCHEMA), Purpose.OPERATIONS),
}
_OF_ROLES = {  # by the only role of a caller
    frozenset({Role.PATIENT}): Purpose.PATIENT_REQUEST,
    frozenset({Role.RESEARCHER}): Purpose.RESEARCH,
    frozenset({Role.ADMIN}): Purpose.OPERATIONS,
}


class Subjects(Protocol):
    """What is known between callers and subjects."""

    def pseudonym(self, tenant: str, subject: str) -> str:
        """Return the name under which the audit trail knows a subject."""
        ...

    def relation(self, tenant: str, uid: str, subject: str) -> Relation:
        """Return how a caller stands to a subject now."""
        ...

    def declared(self, tenant: str) -> Iterator[dict[str, Any]]:
        """Yield the emergencies of a tenant."""
        ...


@dataclass
class Access:
    """One request by one caller, as far as it is known; handlers say whose data it is about."""

    verb: Verb
    caller: Caller
    subjects: Subjects
    subject: str = ""  # the pseudonym
    decision: Decision = field(default_factory=lambda: Decision(allowed=True, reason="ok"))
    model: str = ""
    records: int = 0
    cache: str = ""  # what it was to the answer: hit, miss or bypass

    async def about(self, subject: str) -> str:
        """Say that the request is about ``subject`` (id or Patient/id), and return its id.

        Raises NotThere unless the caller may.
        """
        tenant, uid, subject = self.caller.tenant, self.caller.uid, subject.removeprefix("Patient/")
        if not subject:  # where a tenant's own things are
            self.decision = Decision(allowed=False, reason="no_subject", hidden=True)
            raise NotThere
        self.subject = self.subjects.pseudonym(tenant, subject)
        relation = await asyncio.to_thread(self.subjects.relation, tenant, uid, subject)
        self.decision = decide(self.caller, self.verb, subject, relation)
        if not self.decision.allowed:
            raise NotThere
        return subject


def current_access() -> Access | None:
    """Return the access that is being answered; None where nobody is asked who they are (development)."""
    return _current.get()


@contextlib.contextmanager
def acting(access: Access | None) -> Iterator[None]:
    """Let what is done here be done for the caller of ``access``, outside of any request."""
    token = _current.set(access)
    try:
        yield
    finally:
        _current.reset(token)


def event_of(access: Access, outcome: Outcome, reason: str) -> AuditEvent:
    """Return the record of one of several things that a request, or a job, does."""
    event = AuditEvent(
        action=action_of(access.verb),
        verb=access.verb.value,
        outcome=outcome,
        reason=reason,
        actor=actor_of(access.caller, ""),
        trace=f"{get_current_span().get_span_context().trace_id:032x}",
    )
    return with_access(event, access, disclosed=outcome is Outcome.DONE)


def action_of(verb: Verb | None) -> Action:
    """Return what a verb does, as the trail calls it."""
    return Action.EXECUTE if verb is None else _ACTIONS.get(verb, Action.EXECUTE)


def actor_of(caller: Caller | None, address: str) -> Actor:
    """Return who asks from ``address``, as the trail knows them; never the token."""
    if caller is None:
        return Actor(uid="", address=address)
    roles = tuple(sorted(role.value for role in caller.roles))
    return Actor(caller.uid, caller.tenant, roles, address, caller.auth_time, caller.token)


def with_access(event: AuditEvent, access: Access | None, *, disclosed: bool) -> AuditEvent:
    """Add to ``event`` what the handler has told of the access."""
    if access is None:
        return event
    decision = access.decision
    return replace(
        event,
        reason=event.reason if decision.allowed and not decision.emergency else decision.reason,
        subject=access.subject,
        purpose=Purpose.EMERGENCY if decision.emergency else _purpose(access),
        model=access.model,
        records=access.records if disclosed else 0,
        cache=access.cache if disclosed else "",
    )


def _purpose(access: Access) -> Purpose:
    of_role = _OF_ROLES.get(access.caller.roles, Purpose.TREATMENT)
    return _PURPOSES.get(access.verb, of_role)
