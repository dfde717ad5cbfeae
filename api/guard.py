"""Before every route: who asks, whether they may, and a record on disk before anything is disclosed.

A route that is not in the table does not exist, whoever asks. The record is written when the answer begins,
with how it ended; if it cannot be written the answer is 503 and nothing of the real one leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cache
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol

from opentelemetry.trace import get_current_span
from prometheus_client import CollectorRegistry
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.doors import DEFINITIONS, PAGES
from api.keeping import Keeping
from api.problems import problem, problem_of
from serving import lifecycle
from serving.audit import Action, Actor, AuditEvent, AuditUnavailable, Outcome, Purpose
from serving.auth import Caller, IdentityUnavailable, Role, Unauthenticated
from serving.codes import Codes
from serving.deletion import Registry
from serving.policy import CONFIRMED, Decision, NotThere, Relation, Verb, decide, may_begin
from serving.rates import CountUnavailable, Rates, TooOften, Verdict
from serving.routes import Paths
from serving.store import Store, answers
from serving.sweeper import Sweeper
from serving.telemetry import SafeguardTelemetry

__all__ = [
    "CLOSED",
    "PUBLIC",
    "ROUTES",
    "Access",
    "Guard",
    "Safeguards",
    "acting",
    "current_access",
    "event_of",
]

ROUTES: Mapping[tuple[str, str], Verb] = {
    ("POST", "/analyze"): Verb.ANALYZE,
    ("POST", "/analyze_fhir"): Verb.ANALYZE,
    ("POST", "/explain"): Verb.ANALYZE,
    ("POST", "/embed"): Verb.EMBED,
    ("POST", "/v1/embed"): Verb.EMBED,
    ("POST", "/v1/recordings:analyze"): Verb.ANALYZE,
    ("POST", "/v1/recordings:report"): Verb.ANALYZE,
    ("POST", "/fhir/$analyze"): Verb.ANALYZE,
    ("POST", "/cds-services/pat-activity"): Verb.ANALYZE,
    ("POST", "/v1/subjects:analyze"): Verb.ANALYZE_SUBJECT,
    ("POST", "/v1/subjects:delete"): Verb.DELETE_SUBJECT,
    ("POST", "/v1/subjects:export"): Verb.EXPORT_SUBJECT,
    ("POST", "/v1/care:begin"): Verb.CHANGE_CARE,
    ("POST", "/v1/care:end"): Verb.CHANGE_CARE,
    ("POST", "/v1/emergencies"): Verb.BREAK_GLASS,
    ("GET", "/v1/emergencies"): Verb.SEARCH_AUDIT,
    ("POST", "/v1/audit:search"): Verb.SEARCH_AUDIT,
    ("POST", "/v1/subjects:disclosures"): Verb.READ_DISCLOSURES,
    ("GET", "/v1/status"): Verb.READ_STATUS,
    ("POST", "/v1/recordings:deidentify"): Verb.DEIDENTIFY,
    ("POST", "/v1/research-codes:resolve"): Verb.RESOLVE_CODE,
    ("GET", "/v1/deliveries/{id}"): Verb.DELIVER,
    ("POST", "/v1/jobs"): Verb.ANALYZE,
    ("GET", "/v1/jobs/{id}"): Verb.READ_JOB,
    ("GET", "/v1/jobs/{id}/result"): Verb.READ_JOB,
    ("DELETE", "/v1/jobs/{id}"): Verb.DELETE_JOB,
    ("GET", "/fhir/jobs/{id}"): Verb.READ_JOB,
    ("DELETE", "/fhir/jobs/{id}"): Verb.DELETE_JOB,
    ("GET", "/schema.json"): Verb.READ_SCHEMA,
    ("GET", "/openapi.json"): Verb.READ_SCHEMA,
}
PUBLIC = frozenset({"/livez", "/readyz", "/healthz"}) | DEFINITIONS | PAGES  # say nothing of anybody
CLOSED = frozenset({"/", "/metrics", "/docs.json"})  # what BentoML adds; nobody serves metrics then

RATES = {"address": 600, "caller": 120, "tenant": 1_200}  # requests per minute
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

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
        """What works, but not as it should; asks the stores, so not from an event loop."""
        found = {
            "certificates": self.identity.degraded,
            "rates": self.rates.alone,
            "store": not answers(*self.stores),
        }
        return [name for name, there in found.items() if there]

    def close(self) -> None:
        """End what runs beside the requests; the trail is the last, and says so."""
        if self.sweeper is not None:
            self.sweeper.close()
        with contextlib.suppress(AuditUnavailable):  # then the file that is left open says so
            lifecycle.stopped(self.trail)
        self.trail.close()


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


_current: ContextVar[Access | None] = ContextVar("access", default=None)


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
        action=_ACTIONS.get(access.verb, Action.EXECUTE),
        verb=access.verb.value,
        outcome=outcome,
        reason=reason,
        actor=_actor(access.caller, ""),
        trace=f"{get_current_span().get_span_context().trace_id:032x}",
    )
    return _with(event, access, disclosed=outcome is Outcome.DONE)


@dataclass
class Guard:
    """The middleware; ``safeguards`` are set when the service starts, and until then nothing is answered."""

    app: ASGIApp
    at: Mapping[str, Safeguards]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, guarded."""
        if scope["type"] != "http" or scope["path"] in PUBLIC:
            await (await self._open(scope))(scope, receive, send)
            return
        if (safeguards := self.at.get("safeguards")) is None:
            why = "who asks cannot be told now; the operator's log names the cause"
            await problem(503, "safeguards_unavailable", why)(scope, receive, send)
            return
        if not safeguards.able:  # nothing is done, least of all a deletion, that could not be recorded
            safeguards.telemetry.unrecorded()
            await _unrecorded()(scope, receive, send)
            return
        await _Answered(self.app, safeguards, scope).run(receive, send)

    async def _open(self, scope: Scope) -> ASGIApp:
        """Return what answers everybody; pages, which are large, are counted for the address that asks."""
        if scope.get("path") not in PAGES or (safeguards := self.at.get("safeguards")) is None:
            return self.app
        many = await safeguards.rates.refusal("address", _address(scope))
        return self.app if many is None else problem_of(TooOften(many))


class _Answered:
    """One request on its way."""

    def __init__(self, app: ASGIApp, safeguards: Safeguards, scope: Scope) -> None:
        self._app, self._safeguards, self._scope = app, safeguards, scope
        self._route = _paths().of(scope["path"])
        self._verb = ROUTES.get((scope["method"], self._route or ""))
        self._headers = {name.lower(): value for name, value in scope["headers"]}
        self._address = _address(scope)
        self._caller: Caller | None = None
        self._access: Access | None = None
        self._asked: Verdict | None = None

    async def run(self, receive: Receive, send: Send) -> None:
        """Refuse, or let the application answer; either way with a record."""
        if many := await self._safeguards.rates.refusal("address", self._address):
            await problem_of(TooOften(many))(self._scope, receive, send)  # records would fill the disk
            return
        try:
            refusal = await self._refusal()
        except Unauthenticated as error:
            self._safeguards.telemetry.unidentified(error.reason)
            refusal = await self._unidentified(error)
        except IdentityUnavailable as error:
            self._safeguards.telemetry.unidentified(error.reason)
            refusal = (problem(503, "identity_unavailable", str(error)), error.reason)
        if refusal is not None:
            await self._recorded(refusal[0], receive, send, refusal[1])
            return
        token = _current.set(self._access)
        try:
            await self._recorded(self._app, receive, send, "")
        finally:
            _current.reset(token)

    async def _unidentified(self, error: Unauthenticated) -> tuple[JSONResponse, str]:
        """Count the failure for the address; return how it is answered, and why."""
        try:
            many = await self._safeguards.rates.refusal("failure", self._address)
        except CountUnavailable as uncounted:
            return problem_of(uncounted), error.reason
        if many is not None:
            return problem_of(TooOften(many)), "rate_limited"
        refusal = problem(401, "unauthenticated", str(error))
        refusal.headers["WWW-Authenticate"] = "Bearer"
        return refusal, error.reason

    async def _refusal(self) -> tuple[ASGIApp, str] | None:
        """Identify the caller; return why they get no further, if so."""
        authorization = self._headers.get(b"authorization")
        caller = self._caller = await self._safeguards.identity.identify(
            None if authorization is None else authorization.decode("latin-1")
        )
        if (many := await self._too_often(caller)) is not None:
            return many, "rate_limited"
        if self._verb is None:
            return _no_route(self._route)
        self._access = Access(self._verb, caller, self._safeguards.subjects)
        decision = may_begin(caller, self._verb)
        if decision.allowed:
            if self._verb in CONFIRMED:
                await self._safeguards.identity.confirm(caller)
            return None
        self._access.decision = decision
        return problem(403, "forbidden", "your role does not include this"), decision.reason

    async def _too_often(self, caller: Caller) -> JSONResponse | None:
        """Count the request for the caller and the tenant; return the refusal if either asks too often."""
        rates = self._safeguards.rates
        self._asked = await rates.hit("caller", f"{caller.tenant}/{caller.uid}")
        if self._asked.allowed and caller.tenant:
            self._asked = await rates.refusal("tenant", caller.tenant) or self._asked
        return None if self._asked.allowed else problem_of(TooOften(self._asked))

    async def _recorded(self, app: ASGIApp, receive: Receive, send: Send, reason: str) -> None:
        held = _Held(self, send, reason)
        try:
            await app(self._scope, receive, held.send)
        except BaseException:
            if not held.began:
                await self.write(500, "aborted")
            raise
        if held.refused is not None:
            self._safeguards.telemetry.unrecorded()
            await held.refused(self._scope, receive, send)

    def with_headers(self, message: Message) -> Message:
        """Add to the start of an answer what every guarded one carries."""
        if message["type"] != "http.response.start":
            return message
        headers = MutableHeaders(raw=list(message["headers"]))
        for name, value in {**_HEADERS, **(self._asked.headers() if self._asked else {})}.items():
            headers.setdefault(name, value)
        return {**message, "headers": headers.raw}

    async def write(self, status: int, reason: str) -> None:
        """Write the record of an answer of ``status``; raises AuditUnavailable."""
        event = AuditEvent(
            action=_ACTIONS.get(self._verb, Action.EXECUTE) if self._verb else Action.EXECUTE,
            verb=self._verb.value if self._verb else "",
            outcome=_outcome(status),
            reason=reason or f"http_{status}",
            actor=_actor(self._caller, self._address),
            trace=f"{get_current_span().get_span_context().trace_id:032x}",
        )
        await self._safeguards.trail.record(
            _with(event, self._access, disclosed=status < HTTPStatus.BAD_REQUEST)
        )


@cache
def _paths() -> Paths:
    return Paths({path for _, path in ROUTES})


def _no_route(route: str | None) -> tuple[JSONResponse, str]:
    """Return how a request is refused that asks for nothing, or by a method that ``route`` does not take."""
    if route is None:
        return problem(404, "not_found", "nothing is here; docs/api.md lists the doors"), "no_route"
    refusal = problem(405, "method_not_allowed", "this door takes another method; docs/api.md lists them")
    refusal.headers["Allow"] = ", ".join(sorted(method for method, path in ROUTES if path == route))
    return refusal, "no_method"


def _address(scope: Scope) -> str:
    """Return where the client is; nothing of a text that a proxy let pass and that is no address."""
    host = str(scope["client"][0]) if scope.get("client") else ""
    try:
        return str(ip_address(host)).partition("%")[0]
    except ValueError:
        return ""


def _unrecorded() -> JSONResponse:
    return problem(503, "audit_unavailable", "nothing is done or disclosed unrecorded; try again later")


def _outcome(status: int) -> Outcome:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Outcome.FAILED
    return Outcome.REFUSED if status >= HTTPStatus.BAD_REQUEST else Outcome.DONE


def _actor(caller: Caller | None, address: str) -> Actor:
    if caller is None:
        return Actor(uid="", address=address)
    roles = tuple(sorted(role.value for role in caller.roles))
    return Actor(caller.uid, caller.tenant, roles, address, caller.auth_time, caller.token)


def _with(event: AuditEvent, access: Access | None, *, disclosed: bool) -> AuditEvent:
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
    )


def _purpose(access: Access) -> Purpose:
    of_role = _OF_ROLES.get(access.caller.roles, Purpose.TREATMENT)
    return _PURPOSES.get(access.verb, of_role)


class _Held:
    """Holds an answer back until its record is on disk; swallows it if that cannot be."""

    def __init__(self, answered: _Answered, send: Send, reason: str) -> None:
        self._answered, self._send, self._reason = answered, send, reason
        self.began = False
        self.refused: ASGIApp | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.began = True
            try:
                await self._answered.write(message["status"], self._reason)
            except AuditUnavailable:
                self.refused = _unrecorded()
        if self.refused is None:
            await self._send(self._answered.with_headers(message))
