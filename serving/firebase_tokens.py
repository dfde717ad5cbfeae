"""ID tokens of one Firebase project, verified for real by firebase-admin, and what it does not check."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from serving.auth import (
    Caller,
    IdentityUnavailable,
    Role,
    Rules,
    Unauthenticated,
    Verified,
    claimed_name,
    claimed_roles,
)
from serving.breaker import Breaker
from serving.signing_keys import SigningKeys

__all__ = ["GOOGLE", "ISSUER", "Certificates", "EmulatorTokens", "FirebaseTokens", "firebase_app"]

GOOGLE = "https://www.googleapis.com/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com"
ISSUER = "https://securetoken.google.com/"
_HTTP_SECONDS = 2


@dataclass(frozen=True)
class _Body:
    """What google-auth reads of an answer."""

    status: int
    data: bytes


class Certificates(SigningKeys[str]):
    """The certificates that ID tokens are signed with, given out as google-auth's transport does."""

    def __init__(
        self,
        client: httpx.Client,
        url: str = GOOGLE,
        *,
        breaker: Breaker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(client, url, _certificates, breaker=breaker, clock=clock)

    def __call__(self, *_: object, **__: object) -> _Body:
        """Answer google-auth, whatever address it asks; 503 when there is nothing to verify with."""
        found = self.current()
        return _Body(200, found.body) if found.keys else _Body(503, b"")


def _certificates(body: bytes) -> Mapping[str, str]:
    """Return certificates by name; ValueError unless ``body`` is that."""
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415  # only where tokens are verified

    found = json.loads(body)
    if not isinstance(found, dict) or not found:
        raise ValueError("expected certificates by name")
    for text in found.values():
        load_pem_x509_certificate(str(text).encode())
    return found


class FirebaseTokens:
    """Verifies the signature by Google's certificates, then who signed in, when and how.

    ``allowed`` are the roles that a claim may give; a token that gives another is refused.
    """

    signed = True

    def __init__(
        self,
        project: str,
        certificates: Certificates,
        rules: Rules | None = None,
        allowed: frozenset[Role] = frozenset(Role),
    ) -> None:
        self.issuer = ISSUER + project
        self._certificates, self._rules, self._allowed = certificates, rules or Rules(), allowed
        self._verifier = _verifier(project)

    @property
    def degraded(self) -> bool:
        """Whether tokens are verified with certificates past their max-age."""
        return self._certificates.stale

    def verify(self, token: str, digest: str) -> Verified:
        """Return who ``token`` speaks for; raises Unauthenticated or IdentityUnavailable."""
        claims = self._claims(token)
        return Verified(self._caller(claims, digest), claims["exp"])

    def _claims(self, token: str) -> Mapping[str, Any]:
        from firebase_admin.auth import CertificateFetchError, ExpiredIdTokenError  # noqa: PLC0415  # 0.4 s

        _refuse_emulation()
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

    def _caller(self, claims: Mapping[str, Any], digest: str) -> Caller:
        """Check what firebase-admin does not; raises Unauthenticated."""
        signed_in, now = claims.get("auth_time"), time.time()
        if type(signed_in) is not int or signed_in > now + self._rules.skew_seconds:
            raise Unauthenticated("auth_time")
        if now - signed_in > self._rules.signed_in_seconds:
            raise Unauthenticated("signed_in_too_long_ago")
        provider = claims.get("firebase")
        if not isinstance(provider, dict) or provider.get("sign_in_provider") in (None, "anonymous"):
            raise Unauthenticated("anonymous")
        return Caller(
            uid=claims["uid"],
            tenant=claimed_name(claims.get("tenant", ""), "tenant"),
            roles=claimed_roles(claims.get("roles", []), self._allowed),
            subject=claimed_name(claims.get("sid", ""), "sid"),
            auth_time=signed_in,
            token=digest,
            issued_at=int(claims["iat"]),
        )


class EmulatorTokens(FirebaseTokens):
    """Those of the Firebase emulator, which nobody signs: for the test profile alone, and told in the log."""

    signed = False

    def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            claims: Mapping[str, Any] = self._verifier.verify(
                token, self._certificates, self._rules.skew_seconds
            )
        except Exception as error:  # as for tokens that are signed
            raise Unauthenticated("invalid") from error
        return claims


def _refuse_emulation() -> None:
    """Firebase-admin reads the emulator's variable at every call, and then believes whatever it is given."""
    from firebase_admin import _auth_utils  # noqa: PLC0415  # 0.4 s, and only where tokens are verified

    if _auth_utils.is_emulated():
        raise Unauthenticated("emulator")


def _verifier(project: str) -> Any:
    """Return firebase-admin's verifier of ID tokens, a private part of the pinned version."""
    from firebase_admin import auth  # noqa: PLC0415  # 0.4 s, and only where tokens are verified

    return auth._get_client(firebase_app(project))._token_verifier.id_token_verifier


def firebase_app(project: str, credential: Any = None) -> Any:
    """Return a handle of its own on ``project``; without a credential it can verify, and nothing else."""
    import firebase_admin  # noqa: PLC0415  # 0.4 s, and only where tokens are verified
    from firebase_admin import credentials  # noqa: PLC0415  # same
    from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415  # same

    class NoCredential(credentials.Base):  # type: ignore[misc]  # not typed
        """Verifying needs none, but firebase-admin asks for one."""

        def get_credential(self) -> AnonymousCredentials:
            return AnonymousCredentials()  # type: ignore[no-untyped-call]  # not typed

    options = {"projectId": project, "httpTimeout": _HTTP_SECONDS}
    return firebase_admin.initialize_app(credential or NoCredential(), options, f"pat-{time.monotonic_ns()}")


def _key_id(token: str) -> str:
    from google.auth import jwt  # noqa: PLC0415  # only where tokens are verified

    return str(jwt.decode_header(token).get("kid", ""))  # type: ignore[no-untyped-call]  # not typed
