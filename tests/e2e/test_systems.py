"""The served process with an issuer of systems' tokens, and Firebase asked whether a sign-in still holds."""

import contextlib

import httpx
import numpy as np
import pytest

from serving.audit_check import events
from serving.keys import new_line
from serving.state import audit_folder
from tests.e2e.fhir_inputs import series
from tests.e2e.server import serve
from tests.serving.issuer import AUDIENCE, ISSUER, access_token, by_secret, jwks, public_pem, rsa_key
from tests.serving.signed import PROJECT, certificate_endpoint, token
from tests.serving.test_revocation import service_account

pytestmark = [pytest.mark.e2e, pytest.mark.security, pytest.mark.slow]
TOKENS = "https://issuer.example/token"


def master_keys(folder):
    path = folder / "master.keys"
    path.write_text(new_line("one"))
    path.chmod(0o400)
    return path


@contextlib.contextmanager
def guarded(home, folder):
    with certificate_endpoint() as google, certificate_endpoint() as issuer:
        issuer.body = jwks()
        settings = {
            "PAT_FIREBASE_PROJECT": PROJECT,
            "PAT_CERTIFICATES_URL": google.url,
            "PAT_FIREBASE_CREDENTIALS_FILE": str(service_account(folder)),
            "PAT_OIDC_ISSUER": ISSUER,
            "PAT_OIDC_AUDIENCE": AUDIENCE,
            "PAT_OIDC_JWKS_URL": issuer.url,
            "PAT_OIDC_TOKEN_URL": TOKENS,
            "PAT_MASTER_KEYS_FILE": str(master_keys(folder)),
            "PAT_STATE_FOLDER": str(folder / "state"),
        }
        with serve(home, settings) as served:
            yield served


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("systems")


@pytest.fixture(scope="module")
def served(home, folder):
    with guarded(home, folder) as running:
        yield running


@pytest.fixture
def last(folder):
    return lambda: list(events(audit_folder(folder / "state"), {}))[-1]["event"]


def asked(served, path, bearer, **content):
    headers = {"Authorization": f"Bearer {bearer}", "X-PAT-Standardized": "true"}
    with served.client() as client:
        return client.post(path, headers=headers, **content)


def embed(served, bearer):
    return asked(served, "/v1/embed", bearer, content=np.zeros(10_080, "<f4").tobytes())


@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
def test_a_system_embeds_for_its_tenant_and_is_recorded(served, last, algorithm):
    assert embed(served, access_token(algorithm)).status_code == 200
    actor = last()["actor"]
    assert (actor["uid"], actor["tenant"], actor["roles"]) == ("gateway-1", "clinic", ["service"])


@pytest.mark.parametrize(
    ("make", "status", "reason"),
    [
        (lambda: access_token(scope="system/Patient.read"), 403, "no_role"),
        (lambda: access_token(tenant=None), 403, "no_tenant"),
        (lambda: access_token(key=rsa_key("other")), 401, "invalid"),
        (lambda: by_secret(public_pem(rsa_key())), 401, "algorithm"),
        (lambda: access_token(aud="https://other.example"), 401, "invalid"),
        (lambda: access_token(iss="https://other.example"), 401, "issuer"),
        (lambda: token(roles=["service"]), 401, "roles"),
    ],
)
def test_who_is_no_system_of_ours_gets_nothing(served, last, make, status, reason):
    answer = embed(served, make())
    assert (answer.status_code, last()["reason"]) == (status, reason)


def test_every_401_is_the_same(served):
    bad = (access_token(key=rsa_key("other")), access_token(iss="x"), token(signed_by="other"), "a.b.c")
    answers = [embed(served, text) for text in bad]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize("path", ["/v1/subjects:delete", "/v1/subjects:export", "/v1/audit:search"])
def test_a_system_deletes_exports_and_searches_nothing(served, path):
    assert asked(served, path, access_token(), json={"subject": "p-1"}).status_code == 403


def test_while_firebase_cannot_be_asked_nothing_is_deleted_and_the_rest_goes_on(served, last):
    answer = asked(served, "/v1/subjects:delete", token(roles=["admin"]), json={"subject": "p-1"})
    assert (answer.status_code, answer.json()["code"]) == (503, "identity_unavailable")
    assert (last()["reason"], last()["outcome"], last()["actor"]["uid"]) == ("revocation", 8, "user-1")
    assert embed(served, token()).status_code == 200


@pytest.mark.slow
def test_credentials_that_others_can_read_leave_the_service_unready(home, tmp_path):
    account = service_account(tmp_path, 0o444)
    settings = {
        "PAT_FIREBASE_PROJECT": PROJECT,
        "PAT_FIREBASE_CREDENTIALS_FILE": str(account),
        "PAT_MASTER_KEYS_FILE": str(master_keys(tmp_path)),
        "PAT_STATE_FOLDER": str(tmp_path / "state"),
    }
    with serve(home, settings, wait_ready=False) as served:
        answer = asked(served, "/v1/subjects:delete", token(roles=["admin"]), json={"subject": "p-1"})
        assert (answer.status_code, answer.json()["code"]) == (503, "safeguards_unavailable")
        assert httpx.get(f"{served.url}/readyz").status_code == 503
        assert "chmod 400" in served.log.read_text()


@pytest.mark.fhir
def test_a_system_learns_where_tokens_are_given_and_analyses_with_one(served, last):
    with served.client() as client:
        told = client.get("/fhir/.well-known/smart-configuration")
        [rest] = client.get("/fhir/metadata").json()["rest"]
    assert (told.status_code, told.headers["content-type"]) == (200, "application/json")
    assert (told.json()["token_endpoint"], told.json()["issuer"]) == (TOKENS, ISSUER)
    assert rest["security"]["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
    assert rest["security"]["extension"][0]["extension"] == [{"url": "token", "valueUri": TOKENS}]
    [scope] = told.json()["scopes_supported"]
    answer = asked(served, "/fhir/$analyze", access_token(scope=scope), json=series("Patient/of-the-tenant"))
    assert answer.status_code == 200
    assert last()["verb"] == "analyze"
    few = asked(served, "/fhir/$analyze", access_token(scope="system/Patient.rs"), json=series())
    assert few.status_code == 403
    assert few.json()["issue"][0]["code"] == "forbidden"
