"""A token endpoint as SMART Backend Services has it: takes signed assertions alone, each of them once."""

from __future__ import annotations

import secrets
import time
from typing import Any
from urllib.parse import parse_qs

import jwt

from tests.doubles.http_server import Double, as_json

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class AuthorizationServer(Double):
    """Gives tokens to ``client_id``, whose public key is registered as ``key_id`` with one algorithm."""

    def __init__(self, client_id: str, key_id: str, public_key: Any, algorithm: str, **more: Any) -> None:
        super().__init__(**more)
        self.client_id, self.key_id, self.public_key, self.algorithm = (
            client_id,
            key_id,
            public_key,
            algorithm,
        )
        self.life, self.seen, self.refusals, self.asked = 300, set[str](), list[str](), 0
        self.tokens: dict[str, float] = {}  # until when each is good
        self.scopes: list[str] = []
        self.configuration: dict[str, Any] | None = {"token_endpoint": self.url}
        self.override: tuple[int, dict[str, str], bytes] | None = None

    @property
    def url(self) -> str:
        return f"{self.origin}/token"

    def takes(self, authorization: str | None) -> bool:
        """Whether a resource server that trusts this one lets the caller in."""
        return self.tokens.get((authorization or "").removeprefix("Bearer "), 0) > time.monotonic()

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if path.endswith("/.well-known/smart-configuration"):
            return as_json(404, {}) if self.configuration is None else as_json(200, self.configuration)
        self.asked += 1
        if self.override is not None:
            return self.override
        try:
            self._check(
                {name: values[0] for name, values in parse_qs(body.decode(), strict_parsing=True).items()}
            )
        except (AssertionError, jwt.InvalidTokenError) as error:
            self.refusals.append(type(error).__name__)
            return as_json(401, {"error": "invalid_client", "error_description": "secret-of-the-server"})
        token = secrets.token_hex(16)
        self.tokens[token] = time.monotonic() + self.life
        return as_json(200, {"access_token": token, "token_type": "bearer", "expires_in": self.life})

    def _check(self, form: dict[str, str]) -> None:
        assert (form["grant_type"], form["client_assertion_type"]) == ("client_credentials", ASSERTION)
        header = jwt.get_unverified_header(form["client_assertion"])
        assert (header["kid"], header["alg"], header["typ"]) == (self.key_id, self.algorithm, "JWT")
        claims = jwt.decode(
            form["client_assertion"],
            self.public_key,
            algorithms=[self.algorithm],
            audience=self.url,
            issuer=self.client_id,
            options={"require": ["iss", "sub", "aud", "exp", "jti"]},
        )
        assert claims["sub"] == self.client_id
        assert claims["exp"] - time.time() <= 300
        assert claims["jti"] not in self.seen
        self.seen.add(claims["jti"])
        self.scopes.append(form["scope"])
