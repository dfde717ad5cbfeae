"""Problem bodies (RFC 9457): the one table from error to status, and what rewrites foreign errors.

A body says what was expected, what was found and what to do. It never repeats input and never holds a value.
Under ``/fhir`` it leaves as OperationOutcome.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.fhir_negotiation import NotNegotiable
from api.keeping import NoStore
from api.outcomes import as_outcome, under_fhir
from pat_runner.pipeline import RunnerUnavailable
from postprocessing.fhir import BundleOptionsError, BundleTooLargeError
from preprocessing.recording import RecordingError, Refusal
from serving import under_way
from serving.admission import Overloaded, TooLate
from serving.health_errors import (
    HealthDataError,
    NothingUsable,
    TokenRefused,
    UpstreamUnavailable,
    UserUnmapped,
)
from serving.jobs import JobsFull, NoJob, StillReceiving, TooManyJobs
from serving.keys import Unreadable
from serving.outbox import NotTaken, OutboxFull
from serving.policy import NotThere
from serving.rates import CountUnavailable, TooOften
from serving.repeats import KeyReused
from serving.store import StoreUnavailable

__all__ = ["MEDIA_TYPE", "ForeignErrors", "answer", "invalid", "problem", "problem_of"]

MEDIA_TYPE = "application/problem+json"
_RETRY = {"Retry-After": "5"}
_HEADERS = {429: _RETRY, 503: _RETRY, 408: {"Connection": "close"}}
_PROBES = frozenset({"/livez", "/readyz", "/healthz"})  # plain text, as BentoML writes them
_PROBE_SECONDS = 5
_MOST_ERRORS = 10
_OUTCOMES = (b"application/fhir+json",)  # what passes under /fhir
_OURS = (MEDIA_TYPE.encode(), *_OUTCOMES)  # and elsewhere
_KEPT = frozenset({b"x-bentoml-request-id", b"allow"})
_REQUEST_FIELDS = frozenset(  # what a refusal may name; any other name is the sender's own
    {"start", "timestamps", "zone", "clock", "epoch_seconds", "unit", "device", "wear_site", "values", "wear"}
    | {"ends", "sources", "ids", "sampling", "travel", "from"}
    | {"options", "clinical", "profile", "scorer", "stride_days", "subject", "return", "weeks"}
    | {"standardized", "tokens", "uid", "reason", "minutes", "since", "until", "limit", "verb", "outcome"}
    | {"project", "code", "age", "sex"}
    | {"hook", "hookInstance", "context", "prefetch", "patientId", "userId", "encounterId", "fhirServer"}
    | {"quantity", "write_back"}
    | {"threshold", "rescoring", "rest", "sleep_log", "in_bed", "out_of_bed", "intervals", "series"}
)
_TABLE = (
    *(RecordingError, BundleOptionsError, BundleTooLargeError, RunnerUnavailable),
    *(Overloaded, TooLate),
    *(NoJob, TooManyJobs, JobsFull, StillReceiving),
    *(NotThere, StoreUnavailable, Unreadable, TooOften, CountUnavailable, KeyReused, NotNegotiable),
    *(NoStore, NotTaken, OutboxFull, HealthDataError),
)
T = TypeVar("T")
log = logging.getLogger("pat.api")


def problem(
    status: int, code: str, detail: str, *, where: str | None = None, extra: Mapping[str, Any] | None = None
) -> JSONResponse:
    """Build a problem answer; 429 and 503 carry Retry-After, 408 ends the connection.

    The code is noted for the metrics of the request that is being answered.
    """
    if (request := under_way.current()) is not None:
        request.refusal = code
    body: dict[str, Any] = {
        "type": f"urn:pat-service:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        **({"where": where} if where else {}),
        **(extra or {}),
    }
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=_HEADERS.get(status))


def problem_of(error: Exception) -> JSONResponse:  # noqa: PLR0911, PLR0912  # one line per row of the table
    """Turn one of the errors in the table into its answer."""
    match error:
        case RecordingError(code=Refusal.UNPARSABLE):
            return problem(400, error.code, str(error), where=error.where)
        case RecordingError(code=Refusal.TOO_MANY_EPOCHS):
            return problem(413, error.code, str(error), where=error.where)
        case RecordingError():
            return problem(422, error.code, str(error), where=error.where)
        case BundleOptionsError():
            return problem(422, Refusal.INVALID_FIELD, str(error), where=error.where)
        case BundleTooLargeError():
            return problem(422, "bundle_too_large", str(error))
        case KeyReused():
            return problem(422, "idempotency_key_reused", str(error))
        case NotNegotiable():
            return problem(error.status, error.code, str(error))
        case NotTaken():
            return problem(403 if error.code == "forbidden" else 422, error.code, str(error))
        case OutboxFull():
            return problem(503, "outbox_full", str(error))
        case Overloaded():
            return _later("overloaded", error)
        case TooLate():
            return _later("deadline", error)
        case NotThere():
            return problem(404, "not_found", str(error))
        case StoreUnavailable() | Unreadable():
            return problem(503, "store_unavailable", "what this needs cannot be read now; try again later")
        case NoStore():
            return problem(503, "no_store", str(error))
        case NoJob():
            return problem(404, "not_found", str(error))
        case TooManyJobs():
            return problem(429, "too_many_jobs", str(error))
        case JobsFull():
            return problem(503, "jobs_full", str(error))
        case StillReceiving():
            return problem(409, "still_receiving", str(error))
        case TooOften():
            many = problem(429, "too_many_requests", str(error))
            many.headers.update(error.verdict.headers())
            return many
        case CountUnavailable():
            return problem(503, "count_unavailable", str(error))
        case RunnerUnavailable():
            return problem(503, "model_unavailable", str(error))
        case HealthDataError():
            return _of_health_data(error)
    raise error


def _later(code: str, error: Overloaded | TooLate) -> JSONResponse:
    made = problem(503, code, str(error))
    made.headers["Retry-After"] = str(error.seconds)
    return made


def _of_health_data(error: HealthDataError) -> JSONResponse:
    match error:
        case TokenRefused():
            refused = problem(401, error.code, str(error))
            refused.headers["WWW-Authenticate"] = "Bearer"
            return refused
        case UpstreamUnavailable():
            later = problem(503, error.code, str(error))
            later.headers["Retry-After"] = str(error.seconds)
            return later
        case NothingUsable():
            return problem(422, error.code, str(error), extra={"source": error.source})
        case UserUnmapped():
            return problem(422, error.code, str(error), where="subject")
    return problem(502, error.code, str(error))


async def answer(work: Awaitable[T]) -> T | JSONResponse:
    """Await ``work``; an error of the table becomes its problem answer, any other goes on (500, opaque)."""
    try:
        return await work
    except _TABLE as error:
        return problem_of(error)


@dataclass(frozen=True)
class ForeignErrors:
    """Rewrites every error answer that is not ours (BentoML's, FastAPI's), and all under /fhir.

    What fails without an answer, or does not begin one within ``seconds``, is answered here as well: BentoML
    lets the caller wait for its own timeout, and then answers as no other door does.
    """

    app: ASGIApp
    seconds: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold back error answers of foreign make until their body is known."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"] in _PROBES:
            await self._probed(scope, receive, send)
            return
        fhir = under_fhir(scope["path"])
        held = _HeldAnswer(send, _OUTCOMES if fhir else _OURS)
        await self._asked(scope, receive, held)
        if held.start is not None:
            made = held.rewritten()
            await (as_outcome(made) if fhir else made)(scope, receive, send)

    async def _probed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a probe pass; one that asks a runner that stands still ends all the same."""
        began = False

        async def sent(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                await self.app(scope, receive, sent)
        except Exception:
            if began:
                raise
            await PlainTextResponse("not ready", HTTPStatus.SERVICE_UNAVAILABLE)(scope, receive, send)

    async def _asked(self, scope: Scope, receive: Receive, held: _HeldAnswer) -> None:
        """Let the application answer; hold the answer to what it failed at."""
        try:
            async with asyncio.timeout(self.seconds) as held.limit:
                await self.app(scope, receive, held.send)
        except Exception:
            if held.began:
                raise
            if late := held.limit.expired():
                log.warning("a request was not answered in time")
            else:
                log.exception("a request failed")
            status = HTTPStatus.GATEWAY_TIMEOUT if late else HTTPStatus.INTERNAL_SERVER_ERROR
            held.start = {"status": status.value, "headers": []}


class _HeldAnswer:
    def __init__(self, send: Send, ours: tuple[bytes, ...]) -> None:
        self._send, self._ours = send, ours
        self.start: Message | None = None
        self.began = False
        self.limit: asyncio.Timeout = asyncio.timeout(None)  # until an answer begins
        self.body = bytearray()

    async def send(self, message: Message) -> None:
        if not self.limit.expired():
            self.limit.reschedule(None)
        if message["type"] == "http.response.start" and self._is_foreign(message):
            self.start = message
        elif self.start is not None and message["type"] == "http.response.body":
            self.body += message.get("body", b"")
        else:
            self.began = True
            await self._send(message)

    def rewritten(self) -> Response:
        assert self.start is not None  # noqa: S101  # the caller looked
        if _kind(self.start).startswith(MEDIA_TYPE.encode()):  # ours, to become an OperationOutcome
            return _again(self.start, bytes(self.body))
        made = _rewritten(self.start["status"], bytes(self.body))
        made.headers.update({k.decode(): v.decode() for k, v in self.start["headers"] if k.lower() in _KEPT})
        return made

    def _is_foreign(self, start: Message) -> bool:
        return start["status"] >= 400 and not _kind(start).startswith(self._ours)


def _kind(start: Message) -> bytes:
    return next((v for k, v in start["headers"] if k.lower() == b"content-type"), b"")


def _again(start: Message, body: bytes) -> Response:
    """Return the answer that was held, as it was."""
    made = Response(body, start["status"])
    made.raw_headers[:] = start["headers"]
    return made


def _rewritten(status: int, body: bytes) -> Response:
    if status in (400, 422) and (errors := _validation_errors(body)):  # of BentoML, of FastAPI
        return invalid(errors)
    code, detail = _FOREIGN.get(status, ("internal", "the request failed; the server's log says where"))
    return problem(status, code, detail)


_FOREIGN: dict[int, tuple[str, str]] = {
    400: ("unparsable", "expected a well-formed request"),
    404: ("not_found", "nothing is here; docs/api.md lists the doors"),
    405: ("method_not_allowed", "this door takes another method; docs/api.md lists them"),
    415: ("content_type", "this door takes another media type; docs/api.md lists them"),
    429: ("too_many_requests", "too many requests at a time; try again later"),
    503: ("overloaded", "the service cannot answer now; try again later"),
    504: ("timeout", "the answer took longer than the service waits; send less at a time"),
}


def _validation_errors(body: bytes) -> list[dict[str, Any]]:
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        return []
    return detail if isinstance(detail, list) else []


def invalid(errors: Sequence[Mapping[str, Any]]) -> Response:
    """Build the answer to a body that pydantic refused with ``errors``: places and kinds, no input."""
    kinds = {str(error.get("type")) for error in errors}
    if kinds & {"json_invalid", "finite_number", "string_unicode"}:
        return problem(
            400, Refusal.UNPARSABLE, "expected complete JSON without NaN or Infinity; null means missing"
        )
    listed = [{"where": _where(e.get("loc", ())), "code": str(e.get("type"))} for e in errors[:_MOST_ERRORS]]
    detail = f"expected the fields and types of docs/api.md, found {len(errors)} that differ"
    return problem(422, Refusal.INVALID_FIELD, detail, extra={"errors": listed})


def _where(location: Iterable[str | int]) -> str:
    steps = [step for step in location if step != "body"]  # where FastAPI's begin
    known = (isinstance(step, int) or step in _REQUEST_FIELDS for step in steps)
    parts = [str(step) if ours else "(unknown field)" for step, ours in zip(steps, known, strict=True)]
    return ".".join(parts[:3]) or "body"
