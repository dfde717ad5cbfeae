"""Access tokens for a FHIR server, got as SMART Backend Services has it: by a signed assertion, no secret.

The assertion (``private_key_jwt``) is made anew for every token, lives four minutes, and names its key; a
token is used until shortly before it expires. Where tokens are given out is told by the server's own
``.well-known/smart-configuration``, unless a setting says so.

Errors:

    KeyUnusable               the key file must not be used as it is; the message says what to do
    NoToken                   no token was given; ``reason`` says why in one of our own words
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving import web_address
from serving.outbound import Answer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

__all__ = ["SCOPES", "Ask", "BackendAccess", "ClientKey", "KeyUnusable", "NoToken"]

SCOPES = (  # what a transaction of results creates, and the search by which it is recognised
    "system/Device.c system/DiagnosticReport.cs system/DocumentReference.c system/Observation.c "
    "system/Provenance.c system/RiskAssessment.c"
)
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS = 240  # SMART allows five minutes
_SKEW_SECONDS = 10
_EARLY_SECONDS = 30.0  # before a token expires it is no longer used
_LIFE_SECONDS = 300.0  # of a token that does not say
_LONGEST_SECONDS = 3_600.0
_OTHERS, _RSA_BITS = 0o077, 2048

Ask = Callable[..., Awaitable[Answer]]  # (method, url, **options of a request) -> answer


class KeyUnusable(ValueError):  # noqa: N818  # it says what is the case, as KeyError does
    """The private key must not be used as it is."""


class NoToken(RuntimeError):  # noqa: N818  # same
    """The authorisation server gave no token."""

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(f"no access token for the FHIR server ({reason})")
        self.reason, self.status = reason, status


@dataclass(frozen=True, repr=False)
class ClientKey:
    """Who the service is to the authorisation server: a registered id, and a key that is published."""

    client_id: str
    key_id: str
    key: RSAPrivateKey | EllipticCurvePrivateKey
    algorithm: str

    @classmethod
    def read(cls, path: Path, client_id: str, key_id: str) -> ClientKey:
        """Read an RSA key (RS384) or one on curve P-384 (ES384) from PEM; raises KeyUnusable."""
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415  # only where one is used
            load_pem_private_key,
        )

        try:
            mode, text = path.stat().st_mode, path.read_bytes()
        except OSError:
            raise KeyUnusable("PAT_FHIR_KEY_FILE: expected a readable PEM file") from None
        if mode & _OTHERS:
            raise KeyUnusable("PAT_FHIR_KEY_FILE: expected a key that its owner alone may read; chmod 400 it")
        try:
            key: Any = load_pem_private_key(text, password=None)
        except (ValueError, TypeError):
            raise KeyUnusable("PAT_FHIR_KEY_FILE: expected an unencrypted private key in PEM") from None
        return cls(client_id, key_id, key, _algorithm(key))

    def assertion(self, audience: str) -> str:
        """Return a new assertion for ``audience``."""
        import jwt  # noqa: PLC0415  # only where tokens are asked for

        now = int(time.time())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": audience,
            "iat": now - _SKEW_SECONDS,  # for a server whose clock is behind
            "exp": now + _ASSERTION_SECONDS,
            "jti": secrets.token_urlsafe(32),
        }
        return jwt.encode(claims, self.key, algorithm=self.algorithm, headers={"kid": self.key_id})


def _algorithm(key: object) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415  # as above

    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _RSA_BITS:
        return "RS384"
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP384R1):
        return "ES384"
    raise KeyUnusable("PAT_FHIR_KEY_FILE: expected an RSA key of 2048 bits or more, or one on curve P-384")


class BackendAccess:
    """Tokens for the FHIR server at ``base``, one at a time; ``plain`` allows http to this machine."""

    def __init__(self, key: ClientKey, base: str, scopes: str = SCOPES, *, token_url: str = "") -> None:
        self._key, self._base, self._scopes, self._token_url = key, base, scopes, token_url
        self._plain = base.startswith("http:")  # which the settings allow on loopback alone
        self._token, self._until = "", float("-inf")

    async def token(self, ask: Ask) -> str:
        """Return a token that is good for a while yet; raises NoToken and what ``ask`` raises."""
        if time.monotonic() >= self._until:
            await self._renew(ask)
        return self._token

    def forget(self) -> None:
        """Use the token no longer: the server refused it."""
        self._token, self._until = "", float("-inf")

    async def _renew(self, ask: Ask) -> None:
        self.forget()
        endpoint = self._token_url or await self._discovered(ask)
        form = {
            "grant_type": "client_credentials",
            "scope": self._scopes,
            "client_assertion_type": _ASSERTION,
            "client_assertion": self._key.assertion(endpoint),
        }
        answer = await ask("POST", endpoint, data=form, headers={"Accept": "application/json"})
        if answer.status != 200:
            raise NoToken(
                "token_refused" if answer.status in (400, 401, 403) else "token_error", answer.status
            )
        said = answer.document
        token, kind, life = said.get("access_token"), said.get("token_type"), said.get("expires_in")
        if not isinstance(token, str) or not _is_sendable(token) or str(kind).lower() != "bearer":
            raise NoToken("token_unusable", answer.status)
        seconds = float(life) if type(life) is int and life > 0 else _LIFE_SECONDS
        self._token = token
        self._until = time.monotonic() + min(seconds, _LONGEST_SECONDS) - _EARLY_SECONDS

    async def _discovered(self, ask: Ask) -> str:
        """Return where the server says that tokens are given out."""
        answer = await ask(
            "GET", f"{self._base}/.well-known/smart-configuration", headers={"Accept": "application/json"}
        )
        found = answer.document.get("token_endpoint") if answer.status == 200 else None
        if not isinstance(found, str) or web_address.fault(found, plain=self._plain):
            raise NoToken("no_token_endpoint", answer.status)
        return found


def _is_sendable(token: str) -> bool:
    return token.isascii() and token.isprintable() and " " not in token and 0 < len(token) <= 8_192
