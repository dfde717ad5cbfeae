"""Who is given a courier, and with what: the settings as they are, or no start."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from api import status
from api.delivery import courier, headers_of, parted, with_delivery
from api.keeping import opened
from api.problems import problem_of
from serving import smart
from serving.fhir_push import Unavailable
from serving.outbox import NotTaken, Outbox, OutboxFull
from serving.settings import Settings, SettingsError
from serving.smart import KeyUnusable
from serving.state import open_fhir_server
from serving.store import StoreUnavailable
from tests.certificates import Authority
from tests.doubles.authorization_server import AuthorizationServer
from tests.doubles.bundles import transaction
from tests.doubles.fhir_endpoint import FhirEndpoint
from tests.serving.test_outbox import opened as vault_in
from tests.serving.test_smart import RSA, written

pytestmark = pytest.mark.fhir
URL = "https://fhir.example/r4/"


def settings(tmp_path, **more):
    return Settings(
        fhir_server_url=URL,
        fhir_client_id="pat-service",
        fhir_key_id="key-1",
        fhir_key_file=str(written(tmp_path, RSA)),
        **more,
    )


def test_nobody_delivers_where_no_server_is_named(tmp_path):
    assert open_fhir_server(Settings()) is None
    vault_in(tmp_path)
    kept = opened(
        Settings(master_keys_file=str(tmp_path / "master.keys"), state_folder=str(tmp_path / "state"))
    )
    assert courier(kept, Settings()) is None
    kept.close()


async def test_the_server_is_asked_as_the_settings_say(tmp_path):
    authority = Authority(tmp_path, "authority")
    more = {"fhir_server_ca_file": str(authority.file), "fhir_server_seconds": 7}
    server = open_fhir_server(settings(tmp_path, **more))
    assert (server._base, server.seconds) == ("https://fhir.example/r4", 7)
    assert server._access._scopes == smart.SCOPES
    assert (server._access._base, server._access._plain) == ("https://fhir.example/r4", False)
    await server.close()
    told = open_fhir_server(settings(tmp_path, fhir_scopes="system/*.c", fhir_token_url="https://t.example"))
    assert (told._access._scopes, told._access._token_url) == ("system/*.c", "https://t.example")
    open_server = open_fhir_server(Settings(fhir_server_url="http://127.0.0.1:8099/fhir"))
    assert open_server._access is None


async def test_it_delivers_over_tls_with_a_token_and_not_with_another_key(tmp_path):
    authority = Authority(tmp_path, "authority")
    pair = authority.pair("server", "127.0.0.1")
    tokens = AuthorizationServer("pat-service", "key-1", RSA.public_key(), "RS384", pair=pair)
    with tokens.running(), (endpoint := FhirEndpoint(tokens, pair=pair)).running():
        more = {"fhir_server_ca_file": str(authority.file)}
        given = replace(settings(tmp_path, **more), fhir_server_url=endpoint.url)
        server = open_fhir_server(given)
        assert (await server.deliver(transaction())).sent
        await server.close()
        written(tmp_path, rsa.generate_private_key(public_exponent=65537, key_size=2048))
        wrong = open_fhir_server(given)
        with pytest.raises(Unavailable) as refused:
            await wrong.deliver(transaction("another"))
        await wrong.close()
    assert (refused.value.reason, len(endpoint.kept)) == ("token_refused", 1)


def test_a_key_or_certificates_that_cannot_be_used_are_a_reason_not_to_start(tmp_path):
    weak = written(tmp_path, rsa.generate_private_key(public_exponent=65537, key_size=1024))
    with pytest.raises(KeyUnusable):
        open_fhir_server(
            Settings(fhir_server_url=URL, fhir_client_id="a", fhir_key_id="b", fhir_key_file=str(weak))
        )
    (tmp_path / "no.pem").write_text("nothing")
    for file in ("no.pem", "missing.pem"):
        with pytest.raises(SettingsError, match="PAT_FHIR_SERVER_CA_FILE"):
            open_fhir_server(settings(tmp_path, fhir_server_ca_file=str(tmp_path / file)))


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (NotTaken("no_fhir_server"), "no_fhir_server", 422),
        (NotTaken("forbidden"), "forbidden", 403),
        (OutboxFull(), "outbox_full", 503),
    ],
)
def test_each_reason_not_to_take_a_result_has_its_answer(error, code, status):
    made = problem_of(error)
    assert (made.status_code, f'"{code}"'.encode() in made.body) == (status, True)
    assert ("retry-after" in made.headers) == (status == 503)


def test_an_answer_names_its_delivery_if_there_is_one():
    assert headers_of("") == {}
    assert headers_of("abc") == {"X-PAT-Delivery": "abc", "Location": "/v1/deliveries/abc"}


@pytest.mark.parametrize("delivery", ["", "kq2xH0cXQZyW0pV7mZr5Uw"])
def test_what_a_job_keeps_of_a_delivered_bundle_is_json_and_gives_back_the_bundle_byte_for_byte(delivery):
    bundle = b'{"resourceType":"Bundle", "entry": [{"x": "}\\", \\"bundle\\": "}]}'
    kept = with_delivery(bundle, delivery)
    assert json.loads(kept).get("delivery", "") == delivery
    assert parted(kept) == (bundle, delivery)


def test_the_status_counts_what_waits_and_says_when_the_server_fails(tmp_path, monkeypatch):
    vault = vault_in(tmp_path)
    at = Settings(fhir_server_url=URL)
    safeguards = SimpleNamespace(keeping=SimpleNamespace(vault=vault), degraded=["rates"])
    assert status._outbox(Settings(), safeguards) is None
    assert status._outbox(at, None) is None
    outbox = status._outbox(at, safeguards)
    assert status._deliveries(outbox) == {"waiting": 0, "dead": 0}
    assert status._degraded(safeguards, outbox) == ["rates"]
    Outbox(vault).fails(60)
    assert status._degraded(safeguards, outbox) == ["rates", "fhir_server"]
    assert status._degraded(safeguards, None) == ["rates"]

    def down(*_):
        raise StoreUnavailable("the durable store does not answer")

    monkeypatch.setattr(vault._store, "names", down)
    assert status._deliveries(outbox) is None
    safeguards.degraded = ["store"]
    monkeypatch.setattr(vault._store, "get", down)
    assert status._degraded(safeguards, outbox) == ["store"]
