"""Tokens for the FHIR server: a signed assertion each, verified by a real endpoint, renewed in time."""

import time

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from serving import outbound, smart
from serving.smart import SCOPES, BackendAccess, ClientKey, KeyUnusable, NoToken
from tests.doubles.authorization_server import AuthorizationServer
from tests.doubles.http_server import as_json

pytestmark = [pytest.mark.fhir, pytest.mark.security]
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P384 = ec.generate_private_key(ec.SECP384R1())


def written(folder, key, encryption=None, mode=0o400):
    path = folder / "client.key"
    path.unlink(missing_ok=True)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()))
    path.chmod(mode)
    return path


def client_key(folder, key=P384, name="pat-service"):
    return ClientKey.read(written(folder, key), name, "key-1")


@pytest.fixture
def server():
    made = AuthorizationServer("pat-service", "key-1", P384.public_key(), "ES384")
    with made.running():
        yield made


@pytest.fixture
async def ask():
    async with httpx.AsyncClient() as client:

        async def asked(method, url, **options):
            return await outbound.ask(client, client.build_request(method, url, **options), 100_000)

        yield asked


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS384"), (P384, "ES384")])
async def test_a_token_is_given_for_an_assertion_and_used_until_shortly_before_it_expires(
    tmp_path, ask, key, algorithm
):
    with (server := AuthorizationServer("pat-service", "key-1", key.public_key(), algorithm)).running():
        access = BackendAccess(client_key(tmp_path, key), f"{server.origin}/fhir")
        first = await access.token(ask)
        assert server.takes(f"Bearer {first}")
        assert await access.token(ask) == first
        server.life = 31  # a second longer than a token must be good for
        access.forget()
        second = await access.token(ask)
        assert second != first
        access._until -= 1.5
        assert await access.token(ask) not in (first, second)
        assert (server.asked, server.refusals, set(server.scopes)) == (3, [], {SCOPES})
        assert len(server.seen) == 3  # each assertion was another


async def test_where_tokens_are_given_is_discovered_or_told(tmp_path, ask, server):
    told = BackendAccess(client_key(tmp_path), "http://127.0.0.1:1/fhir", token_url=server.url)
    assert server.takes(f"Bearer {await told.token(ask)}")
    for found in (
        {},
        {"token_endpoint": 7},
        {"token_endpoint": "http://token.example/x"},
        {"token_endpoint": ""},
    ):
        server.configuration = found
        with pytest.raises(NoToken) as refused:
            await BackendAccess(client_key(tmp_path), f"{server.origin}/fhir").token(ask)
        assert refused.value.reason == "no_token_endpoint"
    assert server.asked == 1


async def test_a_server_reached_over_https_is_not_sent_an_assertion_in_the_clear(tmp_path, server):
    async def ask(method, url, **options):
        assert method == "GET"  # no assertion leaves
        return outbound.Answer(200, httpx.Headers(), b'{"token_endpoint": "%s"}' % server.url.encode())

    with pytest.raises(NoToken):
        await BackendAccess(client_key(tmp_path), "https://fhir.example/r4").token(ask)


@pytest.mark.parametrize(
    "access",
    [
        lambda folder: client_key(folder, ec.generate_private_key(ec.SECP384R1())),  # not the registered one
        lambda folder: client_key(folder, RSA),  # another algorithm
        lambda folder: client_key(folder, name="somebody"),
    ],
)
async def test_a_wrong_key_or_client_gets_no_token_and_no_text_of_the_server_is_passed_on(
    tmp_path, ask, server, access
):
    with pytest.raises(NoToken) as refused:
        await BackendAccess(access(tmp_path), f"{server.origin}/fhir").token(ask)
    assert (refused.value.reason, refused.value.status) == ("token_refused", 401)
    assert "secret-of-the-server" not in str(refused.value)
    assert server.tokens == {}


async def test_an_assertion_is_taken_once_and_for_its_audience_alone(tmp_path, ask, server):
    made = client_key(tmp_path)
    claims = jwt.decode(made.assertion(server.url), options={"verify_signature": False})
    assert claims["aud"] == server.url
    assert 0 < claims["exp"] - time.time() <= 300
    assert (claims["iat"] < time.time(), claims["exp"] - claims["iat"] <= 300) == (True, True)

    def form(assertion):
        return {
            "grant_type": "client_credentials",
            "scope": SCOPES,
            "client_assertion_type": smart._ASSERTION,
            "client_assertion": assertion,
        }

    once = made.assertion(server.url)
    answers = [
        await ask("POST", server.url, data=form(text))
        for text in (once, once, made.assertion("https://elsewhere.example/token"))
    ]
    assert [answer.status for answer in answers] == [200, 401, 401]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (as_json(200, {"access_token": "x"}), "token_unusable"),
        (as_json(200, {"access_token": 7, "token_type": "bearer"}), "token_unusable"),
        (as_json(200, {"access_token": "a b", "token_type": "bearer"}), "token_unusable"),
        (as_json(200, {"access_token": "x", "token_type": "mac"}), "token_unusable"),
        (as_json(200, [1]), "token_unusable"),
        ((200, {}, b"[" * 50_000), "token_unusable"),
        (as_json(500, {}), "token_error"),
        (as_json(302, {}), "token_error"),
    ],
)
async def test_an_answer_that_holds_no_token_is_none(tmp_path, ask, server, said, reason):
    server.override = said
    with pytest.raises(NoToken) as refused:
        await BackendAccess(client_key(tmp_path), f"{server.origin}/fhir").token(ask)
    assert refused.value.reason == reason


def test_a_key_that_must_not_be_used_is_refused_without_showing_it(tmp_path):
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    for path in (
        written(tmp_path, RSA, mode=0o440),
        tmp_path / "missing",
    ):
        with pytest.raises(KeyUnusable):
            ClientKey.read(path, "pat-service", "key-1")
    for key, encryption in (
        (weak, None),
        (ec.generate_private_key(ec.SECP256R1()), None),
        (RSA, BestAvailableEncryption(b"password")),
    ):
        with pytest.raises(KeyUnusable, match="PAT_FHIR_KEY_FILE"):
            ClientKey.read(written(tmp_path, key, encryption), "pat-service", "key-1")
    no_pem = tmp_path / "no.pem"
    no_pem.write_text("nothing")
    no_pem.chmod(0o400)
    with pytest.raises(KeyUnusable):
        ClientKey.read(no_pem, "pat-service", "key-1")
    assert "PRIVATE" not in repr(ClientKey.read(written(tmp_path, RSA), "pat-service", "key-1"))
