"""Who may do what: one table, and nothing beyond it.

A verb is what a route does; a role may do it in a scope, or not at all. Of a subject outside a caller's scope
the caller learns nothing, not even that there is one: the answer is that of a subject that does not exist.

Errors:

    NotThere                  the subject is not there, or not for this caller; which of both is not said
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from serving.auth import Caller, Role

__all__ = [
    "CONFIRMED",
    "POLICY",
    "Decision",
    "NotThere",
    "Relation",
    "Scope",
    "Verb",
    "decide",
    "may_begin",
    "scopes",
]


class NotThere(LookupError):  # noqa: N818  # it says what is the case, as KeyError does
    """There is no such subject for this caller."""

    def __init__(self) -> None:
        super().__init__("there is no such subject")


class Verb(StrEnum):
    """What a route does."""

    ANALYZE = "analyze"
    ANALYZE_SUBJECT = "analyze_subject"
    EMBED = "embed"
    READ_JOB = "read_job"
    DELETE_JOB = "delete_job"
    READ_STATUS = "read_status"
    READ_SCHEMA = "read_schema"
    DELETE_SUBJECT = "delete_subject"
    EXPORT_SUBJECT = "export_subject"
    READ_DISCLOSURES = "read_disclosures"
    SEARCH_AUDIT = "search_audit"
    CHANGE_CARE = "change_care"
    BREAK_GLASS = "break_glass"
    DEIDENTIFY = "deidentify"
    RESOLVE_CODE = "resolve_code"
    DELIVER = "deliver"


class Scope(StrEnum):
    """Of whom: oneself, those one cares for, those of one's tenant, or nobody in particular.

    ``brought``: data that the caller brings, as in every scope, and no subject at all.
    """

    BROUGHT = "brought"
    OWN = "own"
    CARE = "care"
    TENANT = "tenant"
    ANY = "any"


class Relation(StrEnum):
    """What stands between a caller and a subject, as kept by the tenant."""

    NONE = "none"
    CARE = "care"
    EMERGENCY = "emergency"


_EVERYBODY = dict.fromkeys(Role, Scope.ANY)
_OF_JOBS = {  # of whom a job may tell; the job is its owner's alone
    Role.PATIENT: Scope.OWN,
    Role.CLINICIAN: Scope.CARE,
    Role.SERVICE: Scope.TENANT,
}

POLICY: Mapping[Verb, Mapping[Role, Scope]] = {
    Verb.ANALYZE: {Role.PATIENT: Scope.OWN, Role.CLINICIAN: Scope.CARE, Role.SERVICE: Scope.TENANT},
    Verb.ANALYZE_SUBJECT: {Role.PATIENT: Scope.OWN},  # a token opens the data of its owner, nobody else's
    Verb.EMBED: {Role.CLINICIAN: Scope.CARE, Role.SERVICE: Scope.TENANT},
    Verb.READ_JOB: _OF_JOBS,
    Verb.DELETE_JOB: _OF_JOBS,
    Verb.READ_STATUS: _EVERYBODY,
    Verb.READ_SCHEMA: _EVERYBODY,
    Verb.DELETE_SUBJECT: {Role.PATIENT: Scope.OWN, Role.ADMIN: Scope.TENANT},
    Verb.EXPORT_SUBJECT: {Role.PATIENT: Scope.OWN, Role.CLINICIAN: Scope.CARE},
    Verb.READ_DISCLOSURES: {Role.PATIENT: Scope.OWN, Role.ADMIN: Scope.TENANT},
    Verb.SEARCH_AUDIT: {Role.ADMIN: Scope.TENANT},
    Verb.CHANGE_CARE: {Role.ADMIN: Scope.TENANT},
    Verb.BREAK_GLASS: {Role.CLINICIAN: Scope.TENANT},
    Verb.DEIDENTIFY: {
        Role.CLINICIAN: Scope.CARE,
        Role.RESEARCHER: Scope.BROUGHT,  # who names a subject and gets its code would know whose it is
        Role.SERVICE: Scope.TENANT,
    },
    Verb.RESOLVE_CODE: {Role.ADMIN: Scope.TENANT},
    Verb.DELIVER: {Role.CLINICIAN: Scope.CARE, Role.SERVICE: Scope.TENANT},  # into a clinical record
}

CONFIRMED = frozenset(  # destructive, of admins, or in an emergency: only while the sign-in still holds
    {
        Verb.DELETE_SUBJECT,
        Verb.EXPORT_SUBJECT,
        Verb.READ_DISCLOSURES,
        Verb.SEARCH_AUDIT,
        Verb.CHANGE_CARE,
        Verb.BREAK_GLASS,
        Verb.RESOLVE_CODE,
    }
)

_OF_A_SUBJECT = {
    Verb.ANALYZE_SUBJECT,
    Verb.DELETE_SUBJECT,
    Verb.EXPORT_SUBJECT,
    Verb.READ_DISCLOSURES,
    Verb.CHANGE_CARE,
    Verb.BREAK_GLASS,
    Verb.RESOLVE_CODE,
}
_NOT_FOR_EMERGENCIES = {Verb.DEIDENTIFY, Verb.DELIVER}  # they open what is needed to treat


@dataclass(frozen=True)
class Decision:
    """Whether, and why, for the audit trail alone; ``hidden``: answer as if nothing were there."""

    allowed: bool
    reason: str
    hidden: bool = False
    emergency: bool = False


def scopes(caller: Caller, verb: Verb) -> frozenset[Scope]:
    """Return the scopes in which ``caller`` may do ``verb``; empty if not at all."""
    rule = POLICY[verb]
    return frozenset(rule[role] for role in caller.roles if role in rule)


def decide(caller: Caller, verb: Verb, subject: str = "", relation: Relation = Relation.NONE) -> Decision:
    """Decide about ``subject`` of the caller's tenant; without one, about data that the caller brings."""
    may = scopes(caller, verb)
    if not may:
        return Decision(allowed=False, reason="no_role")
    if not caller.tenant and may != {Scope.ANY}:
        return Decision(allowed=False, reason="no_tenant")
    if not subject and verb in _OF_A_SUBJECT:
        return Decision(allowed=False, reason="no_subject", hidden=True)
    if not subject or may & {Scope.ANY, Scope.TENANT} or (Scope.OWN in may and subject == caller.subject):
        return Decision(allowed=True, reason="ok")
    if relation is Relation.EMERGENCY and verb in _NOT_FOR_EMERGENCIES:
        relation = Relation.NONE
    return _by_relation(may, relation)


def may_begin(caller: Caller, verb: Verb) -> Decision:
    """Decide whether ``caller`` has ``verb`` at all, before it is known whose data it is about."""
    known = caller.subject or "-"  # any will do: an answer that depends on the subject comes later
    decision = decide(caller, verb, known if verb in _OF_A_SUBJECT else "")
    return Decision(allowed=True, reason="ok") if decision.hidden else decision


def _by_relation(may: frozenset[Scope], relation: Relation) -> Decision:
    if Scope.CARE not in may:
        return Decision(allowed=False, reason="not_own", hidden=True)
    if relation is Relation.NONE:
        return Decision(allowed=False, reason="no_relation", hidden=True)
    emergency = relation is Relation.EMERGENCY
    return Decision(allowed=True, reason="emergency" if emergency else "ok", emergency=emergency)
