"""Every row of the token table for systems, with real RS384 and ES384 keys served by a local key set."""

import contextlib
import json
import time

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.auth import BearerIdentity, Caller, IdentityUnavailable, Role, Rules, Unauthenticated
from serving.breaker import Breaker
from serving.firebase_tokens import Certificates, FirebaseTokens
from serving.signing_keys import Published, SigningKeys
from serving.system_tokens import Issuer, SystemTokens, granted, read_jwks
from tests.serving.issuer import (
    AUDIENCE,
    ISSUER,
    SHARED,
    access_claims,
    access_token,
    by_secret,
    ec_key,
    joined,
    jwk,
    jwks,
    oct_key,
    public_pem,
    rsa_key,
    tampered,
)
from tests.serving.signed import PROJECT, certificate_endpoint, token

pytestmark = pytest.mark.security
NOW = int(time.time())
HEADER = {"alg": "RS384", "kid": "rs", "typ": "JWT"}


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def endpoint():
    with certificate_endpoint() as server:
        server.body = jwks()
        yield server


@pytest.fixture
def keys(endpoint, clock):
    with httpx.Client(timeout=2) as client:
        yield SigningKeys(client, endpoint.url, read_jwks, clock=clock, breaker=Breaker(1, 10, clock))


@pytest.fixture
def identity(keys):
    rules = Rules(believed_seconds=0)
    return BearerIdentity([SystemTokens(Issuer(ISSUER, AUDIENCE), keys, rules)], rules)


async def who(identity, text):
    return await identity.identify(f"Bearer {text}")


async def refused(identity, text):
    with pytest.raises(Unauthenticated) as error:
        await who(identity, text)
    assert str(error.value) == str(Unauthenticated("another"))
    return error.value.reason


@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
async def test_a_system_is_a_caller_of_its_tenant_with_the_role_service(identity, algorithm):
    caller = await who(identity, access_token(algorithm))
    assert caller == Caller(
        uid="gateway-1",
        tenant="clinic",
        roles=frozenset({Role.SERVICE}),
        subject="",
        auth_time=caller.issued_at,
        token=caller.token,
        issued_at=caller.issued_at,
    )
    assert caller.issued_at == pytest.approx(time.time(), abs=60)
    assert len(caller.token) == 16


class Offline:
    """The issuer's keys at hand."""

    stale = False

    def current(self):
        return Published(b"", read_jwks(jwks()))

    def expect(self, name):
        pass


OFFLINE = SystemTokens(Issuer(ISSUER, AUDIENCE), Offline())


def soon(seconds):
    return int(time.time()) + seconds


NONE = {"alg": "none", "kid": "rs", "typ": "JWT"}
ROWS = {
    "unsigned": (lambda: joined(NONE), "algorithm"),
    "RS256 with the right key": (lambda: access_token("RS256"), "algorithm"),
    "RS512 with the right key": (lambda: access_token("RS512"), "algorithm"),
    "PS384 with the right key": (lambda: access_token("PS384"), "algorithm"),
    "ES256": (lambda: access_token("ES256", key=ec_key("p256", ec.SECP256R1)), "algorithm"),
    "HS384 with the public key": (lambda: by_secret(public_pem(rsa_key())), "algorithm"),
    "HS384 with the key set": (lambda: by_secret(jwks()), "algorithm"),
    "HS384 said to be RS384": (lambda: by_secret(public_pem(rsa_key()), "RS384"), "invalid"),
    "an algorithm that is a list": (lambda: joined({"alg": ["RS384"], "kid": "rs"}), "algorithm"),
    "signed with another key": (lambda: access_token(key=rsa_key("other")), "invalid"),
    "claims exchanged": (tampered, "invalid"),
    "of the RSA key by an EC one": (lambda: access_token("ES384", header={"kid": "rs"}), "key"),
    "of the EC key by an RSA one": (lambda: access_token("RS384", header={"kid": "es"}), "key"),
    "without key id": (lambda: access_token(header={"kid": None}), "key"),
    "with an empty key id": (lambda: access_token(header={"kid": ""}), "key"),
    "with a number as key id": (lambda: joined({"alg": "RS384", "kid": 7}), "invalid"),
    "with an unknown key id": (lambda: access_token(header={"kid": "unknown"}), "key"),
    "with a critical extension": (lambda: access_token(header={"crit": ["exp"]}), "invalid"),
    "with an extension PyJWT knows": (lambda: joined({**HEADER, "b64": True, "crit": ["b64"]}), "extension"),
    "expired": (lambda: access_token(exp=soon(-60), iat=soon(-360)), "expired"),
    "issued in the future": (lambda: access_token(iat=soon(60)), "invalid"),
    "not valid yet": (lambda: access_token(nbf=soon(60)), "invalid"),
    "of a life beyond an hour": (lambda: access_token(exp=soon(3700), iat=soon(-10)), "life"),
    "that ends before it begins": (lambda: access_token(exp=soon(1), iat=soon(2)), "life"),
    "with an end in text": (lambda: access_token(exp=str(soon(290))), "life"),
    "with an end that is a fraction": (lambda: access_token(exp=soon(290) + 0.5), "life"),
    "with an end that is infinite": (lambda: access_token(exp=float("inf")), "invalid"),
    "with an end that is a truth": (lambda: access_token(exp=True), "expired"),
    "for somebody else": (lambda: access_token(aud="https://other.example"), "invalid"),
    "for a part of us": (lambda: access_token(aud=AUDIENCE[:-1]), "invalid"),
    "for a number": (lambda: access_token(aud=7), "invalid"),
    "of another issuer": (lambda: access_token(iss="https://evil.example"), "issuer"),
    "of an issuer below ours": (lambda: access_token(iss=f"{ISSUER}/"), "issuer"),
    "of a list of issuers": (
        lambda: joined(HEADER, json.dumps(access_claims(iss=[ISSUER])).encode()),
        "issuer",
    ),
    **{
        f"without {claim}": (lambda claim=claim: access_token(**{claim: None}), "invalid")
        for claim in ("iss", "aud", "exp", "iat", "sub", "jti")
    },
    "with an empty subject": (lambda: access_token(sub=""), "name"),
    "with a subject of two words": (lambda: access_token(sub="a b"), "name"),
    "with a long subject": (lambda: access_token(sub="x" * 129), "name"),
    "with a number as subject": (lambda: access_token(sub=7), "invalid"),
    "with an empty id": (lambda: access_token(jti=""), "name"),
    "with a number as id": (lambda: access_token(jti=7), "invalid"),
    "with a number as tenant": (lambda: access_token(tenant=7), "tenant"),
    "with a path as tenant": (lambda: access_token(tenant="../other"), "tenant"),
    "deeply nested": (lambda: joined(HEADER, b"[" * 5_000), "invalid"),
    "deeply nested in the header": (lambda: joined(b"[" * 5_000), "invalid"),
    "with a number of 5,000 digits": (lambda: joined(HEADER, b'{"exp":' + b"9" * 5_000 + b"}"), "invalid"),
    "a list": (lambda: joined(HEADER, b"[]"), "invalid"),
    "no JSON": (lambda: "AAAA.BBBB.CCCC", "invalid"),
}


@pytest.mark.parametrize("what", ROWS)
async def test_a_token_of_a_system_that_is_refused(identity, what):
    make, reason = ROWS[what]
    assert await refused(identity, make()) == reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
CLAIMS = ("iss", "aud", "exp", "iat", "nbf", "sub", "jti", "scope", "tenant")
HEADERS = ("alg", "kid", "typ", "crit", "b64", "jku", "jwk")


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(CLAIMS), value=JSON)
def test_whatever_a_claim_is_the_token_is_believed_or_refused(name, value):
    signed = jwt.PyJWS().encode(
        json.dumps({**access_claims(), name: value}).encode(), rsa_key(), "RS384", headers={"kid": "rs"}
    )
    believed_or_refused(signed)


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(HEADERS), value=JSON)
def test_whatever_a_header_is_the_token_is_refused(name, value):
    with pytest.raises(Unauthenticated):
        OFFLINE.verify(joined({**HEADER, name: value}), "digest")


def believed_or_refused(text):
    with contextlib.suppress(Unauthenticated):
        assert OFFLINE.verify(text, "digest").caller.roles <= {Role.SERVICE}


async def test_a_token_too_long_to_be_looked_at(identity, endpoint):
    assert await refused(identity, joined(HEADER, b"[" * 100_000)) == "too_long"
    assert endpoint.asked == 0


@pytest.mark.parametrize("pointer", ["jku", "x5u", "jwk", "x5c"])
async def test_a_key_that_the_token_brings_or_points_to_is_never_looked_at(identity, pointer):
    with certificate_endpoint() as evil:
        evil.body = jwks(jwk(rsa_key("evil"), "rs"))
        brought = {"jwk": jwk(rsa_key("evil"), "rs"), "x5c": ["MIIB"]}.get(pointer, evil.url)
        text = access_token(key=rsa_key("evil"), header={pointer: brought})
        assert await refused(identity, text) == "invalid"
        assert evil.asked == 0


async def test_clocks_may_differ_by_ten_seconds(identity):
    await who(identity, access_token(iat=int(time.time()) + 5))
    await who(identity, access_token(exp=int(time.time()) - 5, iat=int(time.time()) - 300))
    assert await refused(identity, access_token(exp=NOW - 12, iat=NOW - 300)) == "expired"


async def test_one_of_several_audiences_may_be_us(identity):
    assert (await who(identity, access_token(aud=["https://other.example", AUDIENCE]))).tenant == "clinic"


@pytest.mark.parametrize(
    ("scope", "enough"),
    [
        ("system/Observation.rs", True),
        ("system/*.rs", True),
        ("system/Observation.cruds", True),
        ("system/Observation.read", True),
        ("system/*.*", True),
        ("openid system/Patient.r system/Observation.read", True),
        ("system/Observation.r system/Observation.s", True),
        ("system/Observation.r system/*.s", True),
        ("", False),
        ("system/Observation.r", False),
        ("system/Observation.write", False),
        ("system/Observation.cud", False),
        ("system/Observation.", False),
        ("system/Observation.sr", False),
        ("system/Observation.rs?category=activity", False),
        ("system/Patient.read", False),
        ("patient/Observation.rs", False),
        ("user/Observation.rs", False),
        ("SYSTEM/Observation.rs", False),
        ("system/observation.rs", False),
        ("xsystem/Observation.rs", False),
        ("system/Observation.rs\n", False),
        (["system/Observation.rs"], False),
        (None, False),
        (7, False),
    ],
)
async def test_a_scope_gives_the_role_or_does_not(identity, scope, enough):
    assert granted(scope) == (frozenset({Role.SERVICE}) if enough else frozenset())
    assert (await who(identity, access_token(scope=scope))).roles == granted(scope)


async def test_roles_and_subject_in_the_token_of_a_system_mean_nothing(identity):
    caller = await who(identity, access_token(roles=["admin"], sid="p-1", uid="boss", auth_time=1))
    assert (caller.uid, caller.roles, caller.subject) == ("gateway-1", frozenset({Role.SERVICE}), "")


async def test_a_system_without_a_tenant_has_none(identity):
    assert (await who(identity, access_token(tenant=None))).tenant == ""


async def test_the_claim_of_the_tenant_is_the_operator_s_choice(keys):
    issuer = Issuer(ISSUER, AUDIENCE, tenant_claim="https://pat.example/tenant")
    identity = BearerIdentity([SystemTokens(issuer, keys)])
    caller = await who(identity, access_token(**{"https://pat.example/tenant": "ward-3"}))
    assert caller.tenant == "ward-3"


# the key set


@pytest.mark.parametrize(
    "member",
    [
        oct_key("x", alg="HS384"),
        oct_key("x", alg="RS384"),
        oct_key("x"),
        {"kty": "OKP", "crv": "Ed25519", "kid": "x", "x": "A" * 43},
        {"kty": "RSA", "kid": "x"},
        {"kty": "RSA", "kid": "x", "n": "!!", "e": "AQAB"},
        {"kty": ["RSA"], "kid": "x"},
        {"kid": "x"},
        jwk(rsa_key(), None),
        jwk(rsa_key(), 7),
        jwk(rsa_key(), "x", alg="RS256"),
        jwk(rsa_key(), "x", alg="HS384"),
        jwk(rsa_key(), "x", use="enc"),
        jwk(rsa_key(), "x", key_ops=["encrypt"]),
        jwk(rsa_key(), "x", key_ops=7),
        jwk(rsa_key("short", 1024), "x"),
        jwk(rsa_key(), "x", d="AQAB"),
        jwk(ec_key("p256", ec.SECP256R1), "x"),
        jwk(ec_key("p256", ec.SECP256R1), "x", alg="ES384"),
        jwk(ec_key("p256", ec.SECP256R1), "x", crv="P-384"),
        jwk(ec_key(), "x", x="AAAA"),
        "garbage",
        None,
        7,
        [],
    ],
)
def test_a_member_of_the_key_set_that_is_no_key_of_ours_leaves_the_others_as_they_are(member):
    assert set(read_jwks(jwks(member, jwk(ec_key(), "es")))) == {"ES384 es"}
    with pytest.raises(ValueError, match="expected a key set"):
        read_jwks(jwks(member))


def test_a_key_says_for_what_it_is_or_leaves_it_to_its_kind():
    said = jwk(rsa_key(), "a", alg="RS384", key_ops=["verify"])
    assert set(read_jwks(jwks(said, jwk(ec_key(), "b", use=None)))) == {"RS384 a", "ES384 b"}


async def test_of_two_keys_of_one_name_neither_is_believed(identity, endpoint):
    endpoint.body = jwks(jwk(rsa_key(), "rs"), jwk(rsa_key("other"), "rs"), jwk(ec_key(), "rs"))
    assert await refused(identity, access_token()) == "key"
    assert await refused(identity, access_token(key=rsa_key("other"))) == "key"
    assert (await who(identity, access_token("ES384", header={"kid": "rs"}))).uid == "gateway-1"


async def test_a_secret_among_the_public_keys_verifies_nothing(identity, endpoint):
    endpoint.body = jwks(oct_key("rs"), jwk(ec_key(), "es"))
    for algorithm in ("HS384", "RS384"):
        assert await refused(identity, by_secret(SHARED, algorithm)) in ("algorithm", "key")


GARBAGE = [
    b"<html>",
    b"{}",
    b"[]",
    b"null",
    b'{"keys": []}',
    b'{"keys": {}}',
    b'{"keys": [{}]}',
    b"[" * 9_999,
]


@pytest.mark.parametrize("body", GARBAGE)
async def test_of_garbage_the_last_good_keys_are_kept(identity, keys, endpoint, clock, body):
    await who(identity, access_token())
    endpoint.body = body
    clock.now += 3601
    assert (await who(identity, access_token())).uid == "gateway-1"
    assert keys.stale
    assert identity.degraded
    assert await refused(identity, access_token(key=rsa_key("other"))) == "invalid"


@pytest.mark.parametrize("body", GARBAGE)
async def test_garbage_at_the_start_is_503_and_never_401(identity, endpoint, body):
    endpoint.body = body
    with pytest.raises(IdentityUnavailable):
        await who(identity, access_token())


async def test_keys_outlive_an_outage_by_a_day_and_no_longer(identity, endpoint, clock):
    await who(identity, access_token())
    endpoint.status = 503
    clock.now += 24 * 3600 - 60
    assert (await who(identity, access_token())).uid == "gateway-1"
    clock.now += 61
    with pytest.raises(IdentityUnavailable):
        await who(identity, access_token())


async def test_a_flood_of_unknown_keys_is_one_question_a_minute(identity, endpoint, clock):
    await who(identity, access_token())
    for minute in range(3):
        for number in range(20):
            assert await refused(identity, access_token(header={"kid": f"unknown-{number}"})) == "key"
        assert endpoint.asked == 1 + minute
        clock.now += 61


async def test_a_flood_of_unknown_keys_is_one_question_a_minute_in_an_outage_too(identity, endpoint, clock):
    await who(identity, access_token())
    endpoint.status = 503
    for _ in range(6):
        clock.now += 20
        await refused(identity, access_token(header={"kid": "unknown"}))
    assert endpoint.asked == 3


async def test_a_new_key_is_found_and_one_that_was_withdrawn_is_no_longer_believed(identity, endpoint, clock):
    await who(identity, access_token())
    endpoint.body = jwks(jwk(rsa_key("new"), "new"))
    clock.now += 61
    assert (await who(identity, access_token(key=rsa_key("new"), header={"kid": "new"}))).uid == "gateway-1"
    assert await refused(identity, access_token()) == "key"


async def test_keys_without_an_age_are_kept_for_a_minute(identity, endpoint, clock):
    endpoint.max_age = 0
    for _ in range(10):
        await who(identity, access_token())
    assert endpoint.asked == 1
    clock.now += 61
    await who(identity, access_token())
    assert endpoint.asked == 2


async def test_keys_with_an_age_of_months_are_fetched_again_after_a_day(identity, endpoint, clock):
    endpoint.max_age = 9_999_999
    await who(identity, access_token())
    endpoint.body = jwks(jwk(ec_key(), "es"))
    clock.now += 24 * 3600 + 1
    assert await refused(identity, access_token()) == "key"


async def test_a_redirect_is_not_followed(identity, endpoint):
    endpoint.status = 302
    with pytest.raises(IdentityUnavailable):
        await who(identity, access_token())
    assert endpoint.asked == 1


# people and systems side by side


@pytest.fixture
def both(keys):
    with certificate_endpoint() as google, httpx.Client(timeout=2) as client:
        people = frozenset(Role) - {Role.SERVICE}
        firebase = FirebaseTokens(PROJECT, Certificates(client, google.url), allowed=people)
        yield BearerIdentity([firebase, SystemTokens(Issuer(ISSUER, AUDIENCE), keys)])


async def test_each_token_goes_to_who_is_responsible_for_its_issuer(both):
    assert (await who(both, token())).roles == {Role.CLINICIAN}
    assert (await who(both, access_token())).roles == {Role.SERVICE}
    assert await refused(both, token(iss=ISSUER, kid="rs")) == "algorithm"
    assert await refused(both, access_token(iss=f"https://securetoken.google.com/{PROJECT}")) == "invalid"
    assert await refused(both, token(iss="https://securetoken.google.com/other")) == "issuer"
    assert await refused(both, token(iss="https://session.firebase.google.com/demo-pat")) == "issuer"


async def test_where_systems_have_an_issuer_no_person_has_the_role_service(both):
    assert await refused(both, token(roles=["service"])) == "roles"
    assert await refused(both, token(roles=["clinician", "service"])) == "roles"


async def test_a_token_of_a_system_is_believed_for_a_while(both, monkeypatch):
    text = access_token()
    first = await who(both, text)
    monkeypatch.setattr(both, "_responsible", None)
    assert await who(both, text) is first


def test_what_the_tests_forge_is_forged_well():
    """The key set's own library accepts the good token, so that refusals are not for a typing mistake."""
    good = jwt.decode(access_token(), public_pem(rsa_key()), algorithms=["RS384"], audience=AUDIENCE)
    assert good["iss"] == ISSUER
