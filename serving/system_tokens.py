"""Access tokens of systems (SMART Backend Services, OpenID Connect): one issuer, and the keys it publishes.

The key is the one that is published under the token's ``kid`` for the token's algorithm, RS384 or ES384, and
never one that the token brings or points to (``jwk``, ``jku``, ``x5c``, ``x5u``). A key that is not for
signing, is short, secret or given twice is none. What a system may do follows from its scopes.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from serving.auth import Caller, IdentityUnavailable, Role, Rules, Unauthenticated, Verified, claimed_name
from serving.signing_keys import SigningKeys

if TYPE_CHECKING:
    from jwt import PyJWK

__all__ = ["NEEDED", "Issuer", "SystemTokens", "granted", "read_jwks"]

NEEDED: Mapping[Role, tuple[str, str]] = {  # the resource, and what must be allowed of it
    Role.SERVICE: ("Observation", "rs"),  # recordings are Observations, and so are the answers
}
_LIFE_SECONDS = 3600
_RSA_BITS = 2048
_ALGORITHMS = {"RSA": "RS384", "EC P-384": "ES384"}  # by the kind of key
_SCOPE = re.compile(r"system/(\*|[A-Z][A-Za-z]{0,63})\.(read|write|\*|c?r?u?d?s?)")
_FIRST_VERSION = {"read": "rs", "write": "cud", "*": "cruds"}  # of SMART's scopes, in letters of the second


@dataclass(frozen=True)
class Issuer:
    """Whose tokens are accepted, for whom they must be meant, and which claim names the tenant."""

    url: str
    audience: str
    tenant_claim: str = "tenant"


class SystemTokens:
    """Verifies access tokens of ``issuer``; a token without the scopes of a role speaks for nobody's role."""

    signed = True

    def __init__(self, issuer: Issuer, keys: SigningKeys[PyJWK], rules: Rules | None = None) -> None:
        self.issuer = issuer.url
        self._issuer, self._keys, self._rules = issuer, keys, rules or Rules()

    @property
    def degraded(self) -> bool:
        """Whether tokens are verified with keys past their max-age."""
        return self._keys.stale

    def verify(self, token: str, digest: str) -> Verified:
        """Return who ``token`` speaks for; raises Unauthenticated or IdentityUnavailable."""
        from jwt import ExpiredSignatureError  # noqa: PLC0415  # only where tokens are verified

        try:
            claims = self._claims(token)
        except (Unauthenticated, IdentityUnavailable):
            raise
        except ExpiredSignatureError as error:
            raise Unauthenticated("expired") from error
        except Exception as error:  # whatever else a hostile token can bring about
            raise Unauthenticated("invalid") from error
        return Verified(self._caller(claims, digest), claims["exp"])

    def _claims(self, token: str) -> Mapping[str, Any]:
        import jwt  # noqa: PLC0415  # only where tokens are verified

        header = jwt.get_unverified_header(token)
        if "crit" in header or "b64" in header:
            raise Unauthenticated("extension")
        key = self._key(header.get("alg"), header.get("kid"))
        return jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=self._issuer.audience,
            issuer=self._issuer.url,
            leeway=self._rules.skew_seconds,
            options={"require": ["iss", "aud", "exp", "iat", "sub", "jti"]},
        )

    def _key(self, algorithm: object, key_id: object) -> PyJWK:
        """Return the issuer's key of that name for that algorithm."""
        if algorithm not in _ALGORITHMS.values():
            raise Unauthenticated("algorithm")
        if not isinstance(key_id, str) or not key_id:
            raise Unauthenticated("key")
        name = f"{algorithm} {key_id}"
        self._keys.expect(name)
        if not (published := self._keys.current().keys):
            raise IdentityUnavailable("keys")
        if name not in published:
            raise Unauthenticated("key")
        return published[name]

    def _caller(self, claims: Mapping[str, Any], digest: str) -> Caller:
        """Check what PyJWT does not; raises Unauthenticated."""
        begins, ends, system = claims["iat"], claims["exp"], claims["sub"]
        if type(begins) is not int or type(ends) is not int or not 0 < ends - begins <= _LIFE_SECONDS:
            raise Unauthenticated("life")
        if not system or not claims["jti"]:
            raise Unauthenticated("name")
        return Caller(
            uid=claimed_name(system, "name"),
            tenant=claimed_name(claims.get(self._issuer.tenant_claim, ""), "tenant"),
            roles=granted(claims.get("scope")),
            subject="",
            auth_time=begins,
            token=digest,
            issued_at=begins,
        )


def granted(scope: object) -> frozenset[Role]:
    """Return the roles that a claim ``scope`` gives; a scope with a search restriction gives none."""
    held: defaultdict[str, set[str]] = defaultdict(set)
    for word in scope.split(" ") if isinstance(scope, str) else ():
        if found := _SCOPE.fullmatch(word):
            held[found[1]] |= set(_FIRST_VERSION.get(found[2], found[2]))
    return frozenset(
        role for role, (resource, letters) in NEEDED.items() if set(letters) <= held[resource] | held["*"]
    )


def read_jwks(body: bytes) -> Mapping[str, PyJWK]:
    """Return the keys of a JSON Web Key Set by algorithm and ``kid``; ValueError if none can be used."""
    document = json.loads(body)
    members = document.get("keys") if isinstance(document, dict) else None
    found = [key for member in members if (key := _usable(member))] if isinstance(members, list) else []
    names = [f"{key.algorithm_name} {key.key_id}" for key in found]
    times = Counter(names)
    keys = {name: key for name, key in zip(names, found, strict=True) if times[name] == 1}
    if not keys:
        raise ValueError("expected a key set with public keys for RS384 or ES384, each with a kid of its own")
    return keys


def _usable(member: object) -> PyJWK | None:
    """Return a member of a key set; None unless it is public, named, and for one of the algorithms."""
    from jwt import PyJWK  # noqa: PLC0415  # only where tokens are verified

    if not isinstance(member, dict) or "d" in member or not isinstance(member.get("kid"), str):
        return None
    algorithm = _ALGORITHMS.get(" ".join(str(member[of]) for of in ("kty", "crv") if of in member))
    meant = (member.get("alg", algorithm), member.get("use", "sig"))
    if algorithm is None or meant != (algorithm, "sig"):
        return None
    try:
        key = PyJWK(member, algorithm)
        fits = "verify" in member.get("key_ops", ["verify"]) and (
            algorithm != "RS384" or key.key.key_size >= _RSA_BITS
        )
    except Exception:  # a member that is garbage leaves the others as they are
        return None
    return key if fits else None
