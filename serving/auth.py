"""Who asks: Firebase ID tokens, verified for real, become a Caller.

firebase-admin checks signature, audience, issuer, times and subject. Around it: what it must never see, what
it does not check, and certificates that outlive an outage. A caller learns only that the token is not
accepted; what was wrong with it goes to the audit trail as a word.

Errors:

    Unauthenticated           401: no token, or one that is not accepted; ``reason`` is for the audit trail
    IdentityUnavailable       503: whether the token is good cannot be told now
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx

from serving.breaker import Breaker

__all__ = [
    "Caller",
    "Certificates",
    "FirebaseIdentity",
    "IdentityUnavailable",
    "Role",
    "Rules",
    "Unauthenticated",
]

GOOGLE = "https://www.googleapis.com/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com"
_HEADER_BYTES = 8_192
_BEARER = re.compile(r"Bearer ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
log = logging.getLogger("pat.auth")


class Unauthenticated(ValueError):  # noqa: N818  # it says what is the case, as KeyError does
    """There is no token that is accepted."""

    def __init__(self, reason: str) -> None:
        super().__init__("expected a valid Firebase ID token as Authorization: Bearer; sign in again")
        self.reason = reason


class IdentityUnavailable(RuntimeError):  # noqa: N818  # same
    """The certificates that tokens are verified with are not at hand."""

    def __init__(self) -> None:
        super().__init__("tokens cannot be verified now; try again later")


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


@dataclass(frozen=True)
class Rules:
    """What a token must satisfy beyond its signature, and how long its verification is believed."""

    signed_in_seconds: int = 12 * 3600
    skew_seconds: int = 10
    believed_seconds: float = 60
    believed_tokens: int = 10_000


@dataclass(frozen=True)
class _Body:
    """What google-auth reads of an answer."""

    status: int
    data: bytes


class Certificates:
    """Fetches the certificates that tokens are signed with, as google-auth's transport does.

    What was last good is used until its max-age, and for ``stale_seconds`` while nothing newer is at hand; an
    answer that holds no certificates is none. A key that is not among them is looked for once in
    ``refetch_seconds`` at most.
    """

    stale_seconds = 24 * 3600
    refetch_seconds = 60

    def __init__(
        self,
        client: httpx.Client,
        url: str = GOOGLE,
        *,
        breaker: Breaker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._url, self._clock = client, url, clock
        self._breaker = breaker or Breaker(failures=1, seconds=10, clock=clock)
        self._lock = threading.Lock()
        self._body, self._keys = b"", frozenset[str]()
        self._fetched = self._fresh_until = float("-inf")

    def __call__(self, *_: object, **__: object) -> _Body:
        """Answer google-auth, whatever address it asks; 503 when there is nothing to verify with."""
        with self._lock:
            if self._clock() >= self._fresh_until:
                self._fetch()
            usable = self._keys and self._clock() < max(self._fresh_until, self._fetched + self.stale_seconds)
            return _Body(200, self._body) if usable else _Body(503, b"")

    @property
    def stale(self) -> bool:
        """Whether what is used is past its max-age."""
        return bool(self._keys) and self._clock() >= self._fresh_until

    def expect(self, key: str) -> None:
        """Look again for a key that is not known, but not for every forged token."""
        with self._lock:
            known = not self._keys or key in self._keys
            if not known and self._clock() - self._fetched >= self.refetch_seconds:
                self._fetch()

    def _fetch(self) -> None:
        try:
            with self._breaker.call():
                answer = self._client.get(self._url).raise_for_status()
                keys = _certificates(answer.content)
        except (httpx.HTTPError, ValueError, RuntimeError) as error:
            log.warning("certificates not fetched: %s", type(error).__name__)
            return
        self._body, self._keys, self._fetched = answer.content, keys, self._clock()
        self._fresh_until = self._fetched + _max_age(answer.headers.get("cache-control", ""))


def _certificates(body: bytes) -> frozenset[str]:
    """Return the names of the keys in ``body``; ValueError unless it is certificates by name."""
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415  # only where tokens are verified

    found = json.loads(body)
    if not isinstance(found, dict) or not found:
        raise ValueError("expected certificates by name")
    for text in found.values():
        load_pem_x509_certificate(str(text).encode())
    return frozenset(found)


def _max_age(cache_control: str) -> float:
    found = re.search(r"max-age=(\d{1,7})", cache_control)
    return float(found.group(1)) if found else 0.0


class FirebaseIdentity:
    """Verifies ID tokens of one Firebase project, in threads; verified ones are believed for a while."""

    def __init__(self, project: str, certificates: Certificates, rules: Rules | None = None) -> None:
        self._rules = rules or Rules()
        self._certificates = certificates
        self._verifier = _verifier(project)
        self._believed = _Believed(self._rules.believed_tokens)
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="verify")

    @property
    def degraded(self) -> bool:
        """Whether tokens are verified with certificates past their max-age."""
        return self._certificates.stale

    async def identify(self, authorization: str | None) -> Caller:
        """Return who sends ``authorization``; raises Unauthenticated or IdentityUnavailable."""
        token = _token(authorization)
        digest = hashlib.sha256(token.encode()).hexdigest()
        if caller := self._believed.get(digest):
            return caller
        claims = await asyncio.get_running_loop().run_in_executor(self._pool, self._verified, token)
        caller = self._caller(claims, digest[:16])
        self._believed.put(digest, caller, min(claims["exp"] - time.time(), self._rules.believed_seconds))
        return caller

    def _verified(self, token: str) -> Mapping[str, Any]:
        from firebase_admin.auth import CertificateFetchError, ExpiredIdTokenError  # noqa: PLC0415  # 0.4 s

        try:
            self._certificates.expect(_key_id(token))
            claims: Mapping[str, Any] = self._verifier.verify(
                token, self._certificates, self._rules.skew_seconds
            )
        except CertificateFetchError as error:
            raise IdentityUnavailable from error
        except ExpiredIdTokenError as error:
            raise Unauthenticated("expired") from error
        except Exception as error:  # whatever else a hostile token can bring about, RecursionError included
            raise Unauthenticated("invalid") from error
        return claims

    def _caller(self, claims: Mapping[str, Any], token: str) -> Caller:
        """Check what firebase-admin does not; raises Unauthenticated."""
        signed_in, now = claims.get("auth_time"), time.time()
        if not isinstance(signed_in, int) or signed_in > now + self._rules.skew_seconds:
            raise Unauthenticated("auth_time")
        if now - signed_in > self._rules.signed_in_seconds:
            raise Unauthenticated("signed_in_too_long_ago")
        provider = claims.get("firebase")
        if not isinstance(provider, dict) or provider.get("sign_in_provider") in (None, "anonymous"):
            raise Unauthenticated("anonymous")
        return Caller(
            uid=claims["uid"],
            tenant=_name(claims.get("tenant", ""), "tenant"),
            roles=_roles(claims.get("roles", [])),
            subject=_name(claims.get("sid", ""), "sid"),
            auth_time=signed_in,
            token=token,
        )


def _verifier(project: str) -> Any:
    """Return firebase-admin's verifier of ID tokens, a private part of the pinned version."""
    import firebase_admin  # noqa: PLC0415  # 0.4 s, and only where tokens are verified
    from firebase_admin import auth, credentials  # noqa: PLC0415
    from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415

    class NoCredential(credentials.Base):  # type: ignore[misc]  # not typed
        """Verifying needs none, but firebase-admin asks for one."""

        def get_credential(self) -> AnonymousCredentials:
            return AnonymousCredentials()  # type: ignore[no-untyped-call]  # not typed

    app = firebase_admin.initialize_app(
        NoCredential(), {"projectId": project}, name=f"pat-{time.monotonic_ns()}"
    )
    return auth._get_client(app)._token_verifier.id_token_verifier


def _token(authorization: str | None) -> str:
    if not authorization:
        raise Unauthenticated("no_token")
    if len(authorization) > _HEADER_BYTES:
        raise Unauthenticated("too_long")
    found = _BEARER.fullmatch(authorization)
    if not found:
        raise Unauthenticated("malformed")
    return found.group(1)


def _key_id(token: str) -> str:
    from google.auth import jwt  # noqa: PLC0415  # only where tokens are verified

    return str(jwt.decode_header(token).get("kid", ""))  # type: ignore[no-untyped-call]  # not typed


def _roles(claim: object) -> frozenset[Role]:
    known = {role.value for role in Role}
    if not isinstance(claim, list) or not all(isinstance(role, str) and role in known for role in claim):
        raise Unauthenticated("roles")
    return frozenset(map(Role, claim))


def _name(claim: object, which: str) -> str:
    if claim != "" and not (isinstance(claim, str) and _NAME.fullmatch(claim)):
        raise Unauthenticated(which)
    return str(claim)


class _Believed:
    """Callers by the hash of their token, until it is time to verify again; the least used leave first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: OrderedDict[str, tuple[Caller, float]] = OrderedDict()

    def get(self, digest: str) -> Caller | None:
        caller, until = self._found.get(digest, (None, 0.0))
        if caller is None or time.monotonic() >= until:
            self._found.pop(digest, None)
            return None
        self._found.move_to_end(digest)
        return caller

    def put(self, digest: str, caller: Caller, seconds: float) -> None:
        self._found[digest] = (caller, time.monotonic() + seconds)
        while len(self._found) > self._most:
            self._found.popitem(last=False)
