"""Who a job is for, and whether they may still be told of the subjects in it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from api.access import Access, event_of
from api.keeping import Keeping
from serving.audit import Outcome
from serving.auth import Caller, Role
from serving.care import Care
from serving.job_shelf import JobLimits, JobShelf, Owner
from serving.policy import NotThere, Verb
from serving.settings import Settings

__all__ = ["Askers", "access_of", "owner_of", "shelf_of"]


def shelf_of(keeping: Keeping, settings: Settings) -> JobShelf:
    """Return the jobs that are kept."""
    return JobShelf(keeping.store, keeping.vault, JobLimits(size=settings.jobs_bytes))


def owner_of(access: Access | None) -> Owner:
    """Return whose a job is that is asked for now."""
    if access is None:
        return Owner()  # where nobody is asked who they are, everybody is the same
    caller = access.caller
    roles = tuple(sorted(role.value for role in caller.roles))
    return Owner(caller.tenant, caller.uid, roles, caller.subject, caller.auth_time, caller.token)


def access_of(owner: Owner, keeping: Keeping) -> Access:
    """Return the access of a caller whose job is done now."""
    roles = frozenset(map(Role, owner.roles))
    caller = Caller(owner.uid, owner.tenant, roles, owner.subject, owner.auth_time, owner.token)
    return Access(Verb.ANALYZE, caller, Care(keeping.vault))


@dataclass
class Askers:
    """One caller asking about several subjects in one request; ``access`` is the request's own."""

    access: Access | None
    _each: dict[str, Access] = field(default_factory=dict)

    async def may(self, subject: str) -> bool:
        """Whether the caller may be told of the subject; the same answer for one that is not there."""
        if self.access is None or not subject:
            return True
        if (one := self._each.get(subject)) is None:
            one = self._each[subject] = Access(self.access.verb, self.access.caller, self.access.subjects)
            try:
                await one.about(subject)
            except NotThere:
                return False
        return one.decision.allowed

    async def record(self, keeping: Keeping, records: dict[str, int] | None = None) -> None:
        """Write what the request's own record cannot say; raises AuditUnavailable.

        That one names a subject where there is one alone; of several, and of each refused, there is a record.
        """
        if self.access is None:
            return
        allowed = {subject: one for subject, one in self._each.items() if one.decision.allowed}
        refused = [one for one in self._each.values() if not one.decision.allowed]
        if len(allowed) == 1:
            [one] = allowed.values()
            self.access.subject, self.access.decision = one.subject, one.decision
            allowed = {}
        events = [event_of(one, Outcome.REFUSED, one.decision.reason) for one in refused]
        for subject, one in allowed.items():
            counted = replace(one, records=(records or {}).get(subject, 0))
            events.append(event_of(counted, Outcome.DONE, "ok"))
        await asyncio.gather(*map(keeping.trail.record, events))  # they share the syncs of the disk
