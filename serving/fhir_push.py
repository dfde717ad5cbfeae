"""Hands transaction Bundles to a FHIR server, each once in effect: what the server has is not sent again.

A transaction is not idempotent, and after a lost answer nobody here knows whether it was committed. So the
server is asked before every send for the business identifier of the Bundle's DiagnosticReport, and if it has
that it has the Bundle. One window is left: a server that commits after it was asked has the Bundle twice,
with the same identifiers. A Bundle whose end is unknown is therefore left alone for a while before the next
try (``Unavailable.unknown``).

Of what the server says only the status and the codes of its OperationOutcome are kept.

Errors:

    Unavailable               the server cannot take a Bundle now; later it may
    Refused                   it will not take this Bundle, however often it is sent
    BreakerOpen               it failed a moment ago and is not asked now
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx

from serving import outbound
from serving.breaker import Breaker
from serving.outbound import Answer, AnswerUnusable
from serving.smart import BackendAccess, NoToken
from serving.spans import station, traceparent

__all__ = ["Delivered", "FhirServer", "Refused", "Unavailable", "recognised_by"]

_FHIR_JSON = "application/fhir+json"
_MOST_BYTES = 16_000_000  # of an answer: some servers repeat every resource
_LATER = frozenset(  # what may be another time; the server's 5xx are as well
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.CONFLICT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
_MOST_CODES = 5
_ISSUE_CODES = frozenset(  # of R4's value set issue-type; nothing else that a server says is repeated
    {"invalid", "structure", "required", "value", "invariant", "security", "login", "unknown", "expired"}
    | {"forbidden", "suppressed", "processing", "not-supported", "duplicate", "multiple-matches"}
    | {"not-found", "deleted", "too-long", "code-invalid", "extension", "too-costly", "business-rule"}
    | {"conflict", "transient", "lock-error", "no-store", "exception", "timeout", "incomplete", "throttled"}
    | {"informational"}
)


Known = tuple[str, str, str]  # type, system and value
Leaving = Callable[[], Awaitable[None]]


class Unavailable(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """The server cannot take a Bundle now; ``unknown``: it may have taken this one."""

    def __init__(
        self, reason: str, status: int = 0, wait_seconds: float = 0, *, unknown: bool = False
    ) -> None:
        super().__init__(f"the FHIR server cannot take results now ({reason})")
        self.reason, self.status, self.wait_seconds, self.unknown = reason, status, wait_seconds, unknown


class Refused(RuntimeError):  # noqa: N818  # same
    """The server will not take this Bundle; ``codes`` are those of its OperationOutcome."""

    def __init__(self, reason: str, status: int, codes: tuple[str, ...] = ()) -> None:
        super().__init__(f"the FHIR server refused a Bundle ({reason}, status {status})")
        self.reason, self.status, self.codes = reason, status, codes


@dataclass(frozen=True)
class Delivered:
    """The server has the Bundle; ``sent``: by this call, not an earlier one."""

    sent: bool


def recognised_by(bundle: Mapping[str, Any]) -> Known:
    """Return type, system and value of the identifier by which a server recognises the Bundle.

    Raises ValueError if no resource has one.
    """
    found = list(_identified(bundle))
    for kind, system, value in found:
        if kind == "DiagnosticReport":
            return kind, system, value
    if not found:
        raise ValueError("expected a resource with an identifier in the Bundle, found none")
    return found[0]


def _identified(bundle: Mapping[str, Any]) -> Iterator[Known]:
    for entry in bundle["entry"]:
        resource = entry["resource"]
        for identifier in resource.get("identifier", ()) if resource["resourceType"] != "Bundle" else ():
            if identifier.get("system") and identifier.get("value"):
                yield resource["resourceType"], identifier["system"], identifier["value"]


class FhirServer:
    """One server at ``base``. For one event loop and one Bundle at a time; ``seconds`` bounds each."""

    def __init__(
        self,
        base: str,
        client: httpx.AsyncClient,
        access: BackendAccess | None = None,
        *,
        seconds: float = 30,
    ) -> None:
        self._base, self._client, self._access = base.rstrip("/"), client, access
        self.seconds, self.breaker = seconds, Breaker(failures=3, seconds=30, name="fhir")

    @station("pat.deliver")
    async def deliver(self, bundle: bytes, leaving: Leaving | None = None) -> Delivered:
        """Return when the server has ``bundle``; ``leaving`` is awaited before it is sent.

        Raises Unavailable, Refused, BreakerOpen, and what ``leaving`` raises.
        """
        document = json.loads(bundle)
        known, entries = recognised_by(document), len(document["entry"])

        async def work() -> Delivered | Exception:
            try:
                return await self._delivered(bundle, known, entries, leaving)
            except Unavailable:
                raise
            except Exception as error:  # a refusal, or a fault of ours: neither is a failure of the server
                return error

        with self.breaker.call():
            made = await work()
        if isinstance(made, Exception):
            raise made
        return made

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _delivered(
        self, bundle: bytes, known: Known, entries: int, leaving: Leaving | None
    ) -> Delivered:
        until = asyncio.get_running_loop().time() + self.seconds
        if await self._has(until, known):
            return Delivered(sent=False)
        if leaving is not None:
            await leaving()
        headers = {"Content-Type": _FHIR_JSON, "Prefer": "return=minimal"}
        _check_taken(await self._asked(until, "POST", self._base, content=bundle, headers=headers), entries)
        return Delivered(sent=True)

    async def _has(self, until: float, known: Known) -> bool:
        """Say whether the server knows the identifier; one that finds others did not understand."""
        kind, system, value = known
        query = {"identifier": f"{_escaped(system)}|{_escaped(value)}", "_elements": "identifier"}
        answer = await self._asked(until, "GET", f"{self._base}/{kind}", params=query)
        _check(answer, "search")
        if answer.document.get("type") != "searchset":
            raise Unavailable("unexpected_answer", answer.status)
        found = _matches(answer.document)
        if found and not any((system, value) in identifiers for identifiers in found):
            raise Unavailable("search_not_understood", answer.status)
        return bool(found)

    async def _asked(self, until: float, method: str, url: str, **options: Any) -> Answer:
        """Ask with a token, where the server wants one; with another if it no longer takes that."""
        answer = await self._authorised(until, method, url, **options)
        if answer.status == HTTPStatus.UNAUTHORIZED and self._access is not None:
            self._access.forget()
            answer = await self._authorised(until, method, url, **options)
        return answer

    async def _authorised(self, until: float, method: str, url: str, **options: Any) -> Answer:
        headers = {"Accept": _FHIR_JSON, **options.pop("headers", {}), **traceparent()}
        if self._access is not None:
            headers["Authorization"] = f"Bearer {await self._token(until, self._access)}"
        return await self._call(until, method, url, headers=headers, **options)

    async def _token(self, until: float, access: BackendAccess) -> str:
        async def ask(method: str, url: str, **options: Any) -> Answer:
            try:
                return await self._call(until, method, url, **options)
            except Unavailable as error:  # whatever became of it, no Bundle was sent
                raise Unavailable(f"token_{error.reason}", error.status) from error

        try:
            return await access.token(ask)
        except NoToken as error:
            raise Unavailable(error.reason, error.status) from error

    async def _call(self, until: float, method: str, url: str, **options: Any) -> Answer:
        """Ask once, until the deadline; what happens to a POST after it left is unknown."""
        sends = method == "POST"
        try:
            async with asyncio.timeout_at(until):
                return await outbound.ask(
                    self._client, self._client.build_request(method, url, **options), _MOST_BYTES
                )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            reason = "certificate" if outbound.is_certificate_fault(error) else "unreachable"
            raise Unavailable(reason) from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise Unavailable("timeout", unknown=sends) from error
        except httpx.HTTPError as error:
            raise Unavailable("broken_off", unknown=sends) from error
        except AnswerUnusable as error:
            raise Unavailable("unexpected_answer", unknown=sends) from error


def _escaped(text: str) -> str:
    r"""Return ``text`` as a part of a search token, in which ``\``, ``,``, ``|`` and ``$`` are escaped."""
    for character in "\\,|$":
        text = text.replace(character, f"\\{character}")
    return text


def _matches(searchset: Mapping[str, Any]) -> list[set[tuple[str, str]]]:
    """Return the identifiers of each resource that a search found."""
    try:
        found = [entry["resource"] for entry in searchset.get("entry", ())]
        return [
            {(one["system"], one["value"]) for one in resource.get("identifier", ()) if len(one) > 1}
            for resource in found
            if resource["resourceType"] != "OperationOutcome"
        ]
    except (TypeError, KeyError, AttributeError):
        raise Unavailable("unexpected_answer") from None


def _check(answer: Answer, asked: str) -> None:
    """Return if the server did what was ``asked``; raises Unavailable or Refused."""
    status = answer.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    if status in _LATER:
        raise Unavailable("busy", status, answer.retry_after_seconds)
    if status == HTTPStatus.UNAUTHORIZED:
        raise Unavailable("unauthorized", status)
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Refused(f"{asked}_refused", status, _codes(answer.document))
    reason = "redirected" if status < HTTPStatus.BAD_REQUEST else "server_error"
    unknown = asked == "send" and reason == "server_error"
    raise Unavailable(reason, status, answer.retry_after_seconds, unknown=unknown)


def _check_taken(answer: Answer, entries: int) -> None:
    """Return if the whole transaction was taken; raises Unavailable or Refused."""
    _check(answer, "send")
    said = answer.document
    if said.get("resourceType") != "Bundle" or said.get("type") != "transaction-response":
        raise Unavailable("unexpected_answer", answer.status, unknown=True)
    statuses = [_status(entry) for entry in said.get("entry", ())]
    if len(statuses) != entries or not all(status.startswith("2") for status in statuses):
        raise Refused("taken_in_part", answer.status)


def _status(entry: Any) -> str:
    response = entry.get("response") if isinstance(entry, dict) else None
    return str(response.get("status")) if isinstance(response, dict) else ""


def _codes(outcome: Mapping[str, Any]) -> tuple[str, ...]:
    issues = outcome.get("issue")
    listed = issues if isinstance(issues, list) else []
    said = [issue.get("code") for issue in listed if isinstance(issue, dict)]
    known = (code for code in said if isinstance(code, str) and code in _ISSUE_CODES)
    return tuple(dict.fromkeys(known))[:_MOST_CODES]
