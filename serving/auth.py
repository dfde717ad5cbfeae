"""Who asks: a bearer token, verified by whoever is responsible for its issuer, becomes a Caller.

ID tokens of people are verified by firebase_tokens, access tokens of systems by system_tokens; neither sees
a header that is too long or has another form. A caller learns only that the token is not accepted; what was
wrong with it goes to the audit trail as a word.

Errors:

    Unauthenticated           401: no token, or one that is not accepted; ``reason`` is for the audit trail
    IdentityUnavailable       503: whether the token is good cannot be told now; ``reason`` as well
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import time
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

__all__ = [
    "BearerIdentity",
    "Believed",
    "Caller",
    "IdentityUnavailable",
    "Role",
    "Rules",
    "Standing",
    "Unauthenticated",
    "Verified",
    "Verifier",
    "claimed_name",
    "claimed_roles",
    "signed_token",
]

V = TypeVar("V")
_HEADER_BYTES = 8_192
_SIGNED = re.compile(r"Bearer ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)", re.IGNORECASE)
_UNSIGNED = re.compile(r"Bearer ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*)", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9._:@-]{1,128}")


class Unauthenticated(ValueError):  # noqa: N818  # it says what is the case, as KeyError does
    """There is no token that is accepted."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "expected a valid Firebase ID token, or access token of a system, as Authorization: Bearer; "
            "sign in again"
        )
        self.reason = reason


class IdentityUnavailable(RuntimeError):  # noqa: N818  # same
    """What tokens are verified with, or who knows whether they still hold, is not at hand."""

    def __init__(self, reason: str = "certificates") -> None:
        super().__init__("tokens cannot be verified now; try again later")
        self.reason = reason


class Role(StrEnum):
    """What a caller is, by the claim ``roles``."""

    PATIENT = "patient"
    CLINICIAN = "clinician"
    RESEARCHER = "researcher"
    SERVICE = "service"
    ADMIN = "admin"


@dataclass(frozen=True)
class Caller:
    """Who asks; ``subject`` is the caller's own, if any; ``token`` is only the head of its hash."""

    uid: str
    tenant: str
    roles: frozenset[Role]
    subject: str
    auth_time: int  # seconds since 1970
    token: str
    issued_at: int = 0  # the token; one that does not say is older than any revocation


@dataclass(frozen=True)
class Rules:
    """What a token must satisfy beyond its signature, and how long its verification is believed."""

    signed_in_seconds: int = 12 * 3600
    skew_seconds: int = 10
    believed_seconds: float = 60
    believed_tokens: int = 10_000


@dataclass(frozen=True)
class Verified:
    """Who a token speaks for, and until when (seconds since 1970)."""

    caller: Caller
    ends: float


class Verifier(Protocol):
    """Verifies the tokens of one issuer; called in threads."""

    issuer: str
    signed: bool  # no for those of an emulator

    @property
    def degraded(self) -> bool:
        """Whether it works with keys past their max-age."""
        ...

    def verify(self, token: str, digest: str) -> Verified:
        """Return who ``token`` speaks for; raises Unauthenticated or IdentityUnavailable."""
        ...


class Standing(Protocol):
    """Knows whether a caller's sign-in still holds."""

    async def confirm(self, caller: Caller) -> None:
        """Return if it does; raises Unauthenticated or IdentityUnavailable."""
        ...


class BearerIdentity:
    """Has each token verified by the one who is responsible for its issuer, and believes it for a while."""

    def __init__(
        self, verifiers: Iterable[Verifier], rules: Rules | None = None, standing: Standing | None = None
    ) -> None:
        self._rules, self._standing = rules or Rules(), standing
        self._verifiers = {verifier.issuer: verifier for verifier in verifiers}
        self._form = _SIGNED if all(of.signed for of in self._verifiers.values()) else _UNSIGNED
        self._believed: Believed[Caller] = Believed(self._rules.believed_tokens)
        # each has threads of its own, so that none waits for the keys of another
        self._pools = {issuer: ThreadPoolExecutor(2, "verify") for issuer in self._verifiers}

    @property
    def degraded(self) -> bool:
        """Whether tokens are verified with keys past their max-age."""
        return any(verifier.degraded for verifier in self._verifiers.values())

    async def identify(self, authorization: str | None) -> Caller:
        """Return who sends ``authorization``; raises Unauthenticated or IdentityUnavailable."""
        token = _token(authorization, self._form)
        digest = hashlib.sha256(token.encode()).hexdigest()
        if caller := self._believed.get(digest):
            return caller
        verifier = self._responsible(token)
        pool = self._pools[verifier.issuer]
        verified = await asyncio.get_running_loop().run_in_executor(pool, verifier.verify, token, digest[:16])
        seconds = min(verified.ends - time.time(), self._rules.believed_seconds)
        self._believed.put(digest, verified.caller, seconds)
        return verified.caller

    async def confirm(self, caller: Caller) -> None:
        """Ask whether the sign-in still holds, where that can be asked; raises as ``identify`` does."""
        if self._standing is not None:
            await self._standing.confirm(caller)

    def _responsible(self, token: str) -> Verifier:
        """Return who verifies tokens of the issuer that ``token`` names."""
        verifier = self._verifiers.get(_issuer(token))
        if verifier is None:
            raise Unauthenticated("issuer")
        return verifier


def _token(authorization: str | None, form: re.Pattern[str]) -> str:
    if not authorization:
        raise Unauthenticated("no_token")
    if len(authorization) > _HEADER_BYTES:
        raise Unauthenticated("too_long")
    found = form.fullmatch(authorization)
    if not found:
        raise Unauthenticated("malformed")
    return found.group(1)


def signed_token(authorization: str | None) -> str:
    """Return the token of a header that has the form of a signed one, unverified; raises Unauthenticated."""
    return _token(authorization, _SIGNED)


def _issuer(token: str) -> str:
    """Return who is said to have issued ``token``: nothing but who shall verify it."""
    payload = token.split(".")[1]
    try:
        return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["iss"])
    except Exception as error:  # whatever a hostile payload can bring about, RecursionError included
        raise Unauthenticated("invalid") from error


def claimed_roles(claim: object, allowed: frozenset[Role]) -> frozenset[Role]:
    """Return the roles of a claim; Unauthenticated if it names any that it may not."""
    known = {role.value for role in allowed}
    if not isinstance(claim, list) or not all(isinstance(role, str) and role in known for role in claim):
        raise Unauthenticated("roles")
    return frozenset(map(Role, claim))


def claimed_name(claim: object, which: str) -> str:
    """Return a claim that is a name or empty; Unauthenticated with ``which`` unless it is."""
    if claim != "" and not (isinstance(claim, str) and _NAME.fullmatch(claim)):
        raise Unauthenticated(which)
    return str(claim)


class Believed(Generic[V]):
    """What was found out, by name, until it is time to ask again; the least used leave first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: OrderedDict[str, tuple[V, float]] = OrderedDict()

    def get(self, name: str) -> V | None:
        """Return what is still believed."""
        found = self._found.get(name)
        if found is None or time.monotonic() >= found[1]:
            self._found.pop(name, None)
            return None
        self._found.move_to_end(name)
        return found[0]

    def put(self, name: str, value: V, seconds: float) -> None:
        """Believe ``value`` for ``seconds``."""
        self._found[name] = (value, time.monotonic() + seconds)
        while len(self._found) > self._most:
            self._found.popitem(last=False)
