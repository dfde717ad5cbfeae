"""Every row of the token table, with real keys; certificates that go stale, turn to garbage and change."""

import asyncio
import base64
import dataclasses
import json
import time

import httpx
import jwt
import pytest

from serving.auth import BearerIdentity, Caller, IdentityUnavailable, Role, Rules, Unauthenticated
from serving.breaker import Breaker
from serving.firebase_tokens import Certificates, EmulatorTokens, FirebaseTokens
from tests.serving.signed import PROJECT, certificate, certificate_endpoint, claims, key, token

pytestmark = pytest.mark.security
NOW = int(time.time())
FIREBASE_AUDIENCE = (
    "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit"
)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def endpoint():
    with certificate_endpoint() as server:
        yield server


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def certificates(endpoint, clock):
    with httpx.Client(timeout=2) as client:
        yield Certificates(client, endpoint.url, clock=clock, breaker=Breaker(1, 10, clock))


@pytest.fixture
def identity(certificates):
    return people(certificates, Rules(believed_seconds=0))


def people(certificates, rules):
    return BearerIdentity([FirebaseTokens(PROJECT, certificates, rules)], rules)


async def who(identity, text, scheme="Bearer"):
    return await identity.identify(f"{scheme} {text}")


async def refused(identity, text):
    with pytest.raises(Unauthenticated) as error:
        await who(identity, text)
    assert "Firebase ID token" in str(error.value)
    return error.value.reason


def unsigned(**changes):
    return jwt.encode(claims(**changes), None, algorithm="none", headers={"kid": "kid1"}) + "A"


def emulated(**changes):
    """As the emulator writes it: nothing after the last dot."""
    return jwt.encode(claims(**changes), None, algorithm="none")


def by_secret(kid="kid1"):
    """HS256 with the public certificate as the secret, the oldest trick."""
    parts = [{"alg": "HS256", "typ": "JWT", "kid": kid}, claims()]
    head = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts
    )
    import hashlib
    import hmac

    mac = hmac.new(certificate("kid1").encode(), head.encode(), hashlib.sha256).digest()
    return f"{head}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def tampered():
    head, _, signature = token().split(".")
    forged = base64.urlsafe_b64encode(json.dumps(claims(roles=["admin"])).encode()).rstrip(b"=").decode()
    return f"{head}.{forged}.{signature}"


def with_payload(payload):
    body = base64.urlsafe_b64encode(payload).rstrip(b"=").decode()
    return f"{token().split('.')[0]}.{body}.AAAA"


def nested():
    return with_payload(b"[" * 5_000)


def other_algorithm(name):
    return jwt.encode(claims(), key("kid1"), algorithm=name, headers={"kid": "kid1"})


async def test_a_good_token_says_who_asks(identity):
    caller = await who(identity, token(sid="patient-7", roles=["clinician", "researcher"]))
    assert caller == Caller(
        uid="user-1",
        tenant="clinic",
        roles=frozenset({Role.CLINICIAN, Role.RESEARCHER}),
        subject="patient-7",
        auth_time=caller.auth_time,
        token=caller.token,
        issued_at=caller.auth_time,
    )
    assert len(caller.token) == 16


async def test_a_caller_without_claims_has_no_role_no_tenant_and_no_subject(identity):
    caller = await who(identity, token(roles=None, tenant=None))
    assert (caller.roles, caller.tenant, caller.subject) == (frozenset(), "", "")


REFUSED = {
    "unsigned": unsigned,
    "signed with another key": lambda: token(signed_by="other"),
    "HS256 with the certificate": by_secret,
    "claims exchanged": tampered,
    "expired": lambda: token(exp=NOW - 3600, iat=NOW - 7200),
    "issued in the future": lambda: token(iat=int(time.time()) + 300),
    "issued half a minute ahead": lambda: token(iat=int(time.time()) + 30),
    "without time of issue": lambda: token(iat=None),
    "with an end in text": lambda: token(exp=str(NOW + 3600)),
    "of another project": lambda: token(aud="other"),
    "of another issuer": lambda: token(iss="https://securetoken.google.com/other"),
    "of an issuer who is not Google": lambda: token(iss=f"https://evil.example/{PROJECT}"),
    "without audience": lambda: token(aud=None),
    "without expiry": lambda: token(exp=None),
    "without subject": lambda: token(sub=None),
    "with an empty subject": lambda: token(sub=""),
    "with a number as subject": lambda: token(sub=7),
    "with a long subject": lambda: token(sub="x" * 129),
    "without key id": lambda: token(kid=None),
    "with an unknown key id": lambda: token("kid9"),
    "RS384 with the right key": lambda: other_algorithm("RS384"),
    "PS256 with the right key": lambda: other_algorithm("PS256"),
    "a custom token": lambda: token(aud=FIREBASE_AUDIENCE),
    "a session cookie": lambda: token(iss=f"https://session.firebase.google.com/{PROJECT}"),
    "with a number of 5,000 digits": lambda: with_payload(b'{"exp":' + b"9" * 5_000 + b"}"),
    "a list": lambda: with_payload(b"[]"),
    "deeply nested": nested,
    "no JSON": lambda: "AAAA.BBBB.CCCC",
}


REASONS = {
    "expired": "expired",
    "of another issuer": "issuer",
    "of an issuer who is not Google": "issuer",
    "a session cookie": "issuer",
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_token_that_is_refused(identity, what):
    assert await refused(identity, REFUSED[what]()) == REASONS.get(what, "invalid")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"auth_time": NOW + 3600}, "auth_time"),
        ({"auth_time": None}, "auth_time"),
        ({"auth_time": "now"}, "auth_time"),
        ({"auth_time": True}, "auth_time"),
        ({"auth_time": NOW - 13 * 3600}, "signed_in_too_long_ago"),
        ({"firebase": {"sign_in_provider": "anonymous"}}, "anonymous"),
        ({"firebase": {}}, "anonymous"),
        ({"firebase": None}, "anonymous"),
        ({"roles": "admin"}, "roles"),
        ({"roles": ["root"]}, "roles"),
        ({"roles": [["admin"]]}, "roles"),
        ({"roles": {"admin": True}}, "roles"),
        ({"tenant": 7}, "tenant"),
        ({"tenant": "a b"}, "tenant"),
        ({"tenant": "x" * 129}, "tenant"),
        ({"sid": ["p1"]}, "sid"),
    ],
)
async def test_what_firebase_admin_does_not_check(identity, changes, reason):
    assert await refused(identity, token(**changes)) == reason


async def test_a_header_that_points_to_a_key_is_never_followed(identity):
    with certificate_endpoint() as evil:
        evil.body = json.dumps({"kid1": certificate("other")}).encode()
        pointers = {"jku": evil.url, "x5u": evil.url, "kid": "kid1"}
        forged = jwt.encode(claims(), key("other"), algorithm="RS256", headers=pointers)
        assert await refused(identity, forged) == "invalid"
        assert evil.asked == 0


async def test_tokens_for_the_emulator_are_refused_even_if_its_variable_appears(identity, monkeypatch):
    monkeypatch.setenv("FIREBASE_AUTH_EMULATOR_HOST", "127.0.0.1:9099")
    for text in (token(), token(signed_by="other"), unsigned(), token(exp=NOW - 3600, iat=NOW - 7200)):
        assert await refused(identity, text) == "emulator"
    with pytest.raises(Unauthenticated) as error:
        await identity.identify(f"Bearer {emulated()}")
    assert error.value.reason == "malformed"


async def test_where_the_emulator_is_named_its_unsigned_tokens_say_who_asks(certificates, monkeypatch):
    monkeypatch.setenv("FIREBASE_AUTH_EMULATOR_HOST", "127.0.0.1:9099")
    identity = BearerIdentity([EmulatorTokens(PROJECT, certificates)])
    assert (await who(identity, emulated())).uid == "user-1"
    assert await refused(identity, emulated(aud="other")) == "invalid"
    assert await refused(identity, emulated(roles=["root"])) == "roles"


async def test_without_the_emulator_s_variable_its_tokens_are_refused_by_firebase_admin(certificates):
    identity = BearerIdentity([EmulatorTokens(PROJECT, certificates)])
    assert await refused(identity, emulated()) == "invalid"


async def test_clocks_may_differ_by_seconds(identity):
    await who(identity, token(iat=int(time.time()) + 5, auth_time=int(time.time()) + 5))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "no_token"),
        ("", "no_token"),
        ("Bearer", "malformed"),
        ("Bearer ", "malformed"),
        ("Basic dXNlcjpwYXNz", "malformed"),
        ("Bearer a.b", "malformed"),
        ("Bearer a.b.c.d", "malformed"),
        ("Bearer a.b.", "malformed"),
        ("Bearer a.b.c, Bearer a.b.c", "malformed"),
        ("Bearer a.b.c d", "malformed"),
        ("Bearer a.b.c\n", "malformed"),
        (f"Bearer a.b.{'c' * 9_000}", "too_long"),
        (f"Bearer a.{'W1tb' * 33_000}.c", "too_long"),
        ("token a.b.c", "malformed"),
    ],
)
async def test_a_header_that_firebase_admin_never_sees(identity, endpoint, header, reason):
    with pytest.raises(Unauthenticated) as error:
        await identity.identify(header)
    assert error.value.reason == reason
    assert endpoint.asked == 0


async def test_the_scheme_is_read_in_any_case(identity):
    assert (await who(identity, token(), scheme="bearer")).uid == "user-1"


async def test_certificates_are_fetched_once_within_their_age(identity, endpoint):
    await asyncio.gather(*(who(identity, token()) for _ in range(20)))
    assert endpoint.asked == 1


async def test_certificates_outlive_an_outage_by_a_day_and_forged_tokens_stay_refused(
    identity, endpoint, clock
):
    await who(identity, token())
    endpoint.status, endpoint.body = 503, b""
    clock.now += 3601
    assert (await who(identity, token())).uid == "user-1"
    assert await refused(identity, token(signed_by="other")) == "invalid"
    clock.now += 24 * 3600
    with pytest.raises(IdentityUnavailable):
        await who(identity, token())
    endpoint.status, endpoint.body = 200, json.dumps({"kid1": certificate("kid1")}).encode()
    clock.now += 11
    assert (await who(identity, token())).uid == "user-1"


async def test_an_outage_is_asked_about_once_in_a_while_not_at_every_request(identity, endpoint, clock):
    await who(identity, token())
    endpoint.status = 503
    clock.now += 3601
    for _ in range(10):
        await who(identity, token())
    assert endpoint.asked == 2
    clock.now += 11
    await who(identity, token())
    assert endpoint.asked == 3


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]", b'{"kid1": "garbage"}', b'{"kid1": 7}', b"null"])
async def test_garbage_is_no_certificates(certificates, identity, endpoint, clock, body):
    good, endpoint.body = endpoint.body, body
    with pytest.raises(IdentityUnavailable):
        await who(identity, token())
    endpoint.body = good
    clock.now += 11
    await who(identity, token())
    endpoint.body = body
    clock.now += 3601
    await who(identity, token())
    assert certificates.stale


async def test_nobody_there_is_503_and_never_401(clock):
    with httpx.Client(timeout=0.2) as client:
        identity = people(Certificates(client, "http://127.0.0.1:1/", clock=clock), Rules())
        with pytest.raises(IdentityUnavailable):
            await who(identity, token())


async def test_a_new_key_is_found_within_the_age_of_the_old_ones_but_not_for_every_forged_token(
    identity, endpoint, clock
):
    await who(identity, token())
    endpoint.body = json.dumps({"kid1": certificate("kid1"), "kid2": certificate("kid2")}).encode()
    assert await refused(identity, token("kid2")) == "invalid"  # too soon
    clock.now += 61
    assert (await who(identity, token("kid2"))).uid == "user-1"
    for _ in range(5):
        await refused(identity, token("kid9"))
    assert endpoint.asked == 2
    clock.now += 61
    for _ in range(5):
        await refused(identity, token("kid9"))
    assert endpoint.asked == 3


async def test_a_verified_token_is_believed_for_a_while_and_never_beyond_its_end(certificates, monkeypatch):
    identity = people(certificates, Rules(skew_seconds=0))
    text = token(exp=int(time.time()) + 2)
    first = await who(identity, text)
    monkeypatch.setattr(identity, "_responsible", None)
    assert await who(identity, text) is first
    monkeypatch.undo()
    await asyncio.sleep(3.1)
    assert await refused(identity, text) == "expired"


async def test_believed_tokens_are_bounded(certificates):
    identity = people(certificates, Rules(believed_tokens=3))
    for n in range(5):
        await who(identity, token(sub=f"user-{n}"))
    assert len(identity._believed._found) == 3


async def test_a_caller_holds_no_token(identity):
    text = token()
    caller = await who(identity, text)
    assert not any(part in repr(dataclasses.asdict(caller)) for part in text.split("."))


def test_the_key_of_the_tests_is_a_real_one():
    assert key("kid1").key_size == 2048
