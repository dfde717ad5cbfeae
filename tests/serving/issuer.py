"""An issuer of systems' tokens: real RS384 and ES384 keys, their key set, tokens signed with any key."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ISSUER = "https://issuer.example/realm"
AUDIENCE = "https://pat.example"
SHARED = bytes(range(48))  # what both sides would have to know
KIDS = {"RS384": "rs", "ES384": "es"}


@functools.cache
def rsa_key(name: str = "rs", bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@functools.cache
def ec_key(name: str = "es", curve: type[ec.EllipticCurve] = ec.SECP384R1) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve())


def private(algorithm: str) -> Any:
    return ec_key() if algorithm.startswith("ES") else rsa_key()


def public_pem(key: Any) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


def jwk(key: Any, kid: str | None, **changes: object) -> dict[str, object]:
    """The public part of ``key`` as a member of a key set; a change to None leaves it out."""
    kind = ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else RSAAlgorithm
    member = {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig", **changes}
    return {name: value for name, value in member.items() if value is not None}


def oct_key(kid: str, **changes: object) -> dict[str, object]:
    """A secret, which has no place in a published key set."""
    return {"kty": "oct", "kid": kid, "k": base64.urlsafe_b64encode(SHARED).decode(), **changes}


def jwks(*members: object) -> bytes:
    """A key set; without ``members`` that of the issuer."""
    return json.dumps({"keys": members or (jwk(rsa_key(), "rs"), jwk(ec_key(), "es"))}).encode()


def access_claims(**changes: object) -> dict[str, object]:
    """What the issuer puts into a token; a change to None leaves the claim out."""
    now = int(time.time())
    made: dict[str, object] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "gateway-1",
        "jti": "0f1e2d3c",
        "iat": now - 10,
        "exp": now + 290,
        "scope": "system/Observation.rs",
        "tenant": "clinic",
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


def access_token(
    algorithm: str = "RS384",
    *,
    key: Any = None,
    header: Mapping[str, object] | None = None,
    **changes: object,
) -> str:
    """A token of the issuer, or one that says so."""
    head = {"kid": KIDS.get(algorithm, "rs"), **(header or {})}
    head = {name: value for name, value in head.items() if value is not None}
    return jwt.encode(access_claims(**changes), key or private(algorithm), algorithm, headers=head)


def joined(header: object, payload: bytes | None = None, signature: bytes = b"signature") -> str:
    """A token as nobody's library would make it, of a header and a payload, which is JSON or bytes."""
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    parts = (head, json.dumps(access_claims()).encode() if payload is None else payload, signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def by_secret(secret: bytes, algorithm: str = "HS384") -> str:
    """HMAC with what everybody may read as the secret, the oldest trick."""
    header, payload = {"alg": algorithm, "kid": "rs", "typ": "JWT"}, json.dumps(access_claims()).encode()
    signed = joined(header, payload).rpartition(".")[0]
    return joined(header, payload, hmac.new(secret, signed.encode(), hashlib.sha384).digest())


def tampered() -> str:
    head, _, signature = access_token().split(".")
    body = json.dumps(access_claims(tenant="other")).encode()
    return f"{head}.{base64.urlsafe_b64encode(body).rstrip(b'=').decode()}.{signature}"
