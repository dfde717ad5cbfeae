"""Before every route: who asks, whether they may, and a record on disk before anything is disclosed.

A route that is not in the table does not exist, whoever asks. The record is written when the answer begins,
with how it ended; if it cannot be written the answer is 503 and nothing of the real one leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from ipaddress import ip_address

from opentelemetry.trace import get_current_span
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import Access, acting, action_of, actor_of, with_access
from api.doors import PAGES
from api.problems import problem, problem_of
from api.protection import Safeguards
from api.routes import PUBLIC, ROUTES
from serving.audit import AuditEvent, AuditUnavailable, Outcome
from serving.auth import Caller, IdentityUnavailable, Unauthenticated
from serving.policy import CONFIRMED, may_begin
from serving.rates import CountUnavailable, TooOften, Verdict
from serving.routes import Paths

__all__ = ["Guard"]

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


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
        return self.app if many is None else _too_many(safeguards, many)


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
            await _too_many(self._safeguards, many)(self._scope, receive, send)  # records would fill the disk
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
        with acting(self._access):
            await self._recorded(self._app, receive, send, "")

    async def _unidentified(self, error: Unauthenticated) -> tuple[JSONResponse, str]:
        """Count the failure for the address; return how it is answered, and why."""
        try:
            many = await self._safeguards.rates.refusal("failure", self._address)
        except CountUnavailable as uncounted:
            return problem_of(uncounted), error.reason
        if many is not None:
            return _too_many(self._safeguards, many), "rate_limited"
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
        return None if self._asked.allowed else _too_many(self._safeguards, self._asked)

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
            action=action_of(self._verb),
            verb=self._verb.value if self._verb else "",
            outcome=_outcome(status),
            reason=reason or f"http_{status}",
            actor=actor_of(self._caller, self._address),
            trace=f"{get_current_span().get_span_context().trace_id:032x}",
        )
        await self._safeguards.trail.record(
            with_access(event, self._access, disclosed=status < HTTPStatus.BAD_REQUEST)
        )


def _too_many(safeguards: Safeguards, verdict: Verdict) -> JSONResponse:
    safeguards.admission.refused("quota")
    return problem_of(TooOften(verdict))


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
