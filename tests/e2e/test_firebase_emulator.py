"""The served process and the real Firebase emulator: sign-up, claims, revocation, accounts that are gone.

The emulator signs nothing, so this shows flows and claims; signatures are for tests/serving/test_auth.
"""

import time
import uuid
from pathlib import Path

import numpy as np
import pytest

from serving.audit_check import events
from serving.keys import new_line
from serving.state import audit_folder
from tests.e2e.server import serve, stop
from tests.firebase_tools import PROJECT, firebase_emulator

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.security, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def emulator():
    with firebase_emulator() as running:
        yield running


@pytest.fixture(scope="module")
def settings(emulator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("emulated")
    keys = folder / "master.keys"
    keys.write_text(new_line("one"))
    keys.chmod(0o400)
    return {
        "FIREBASE_AUTH_EMULATOR_HOST": emulator.host,
        "PAT_FIREBASE_PROJECT": PROJECT,
        "PAT_MASTER_KEYS_FILE": str(keys),
        "PAT_STATE_FOLDER": str(folder / "state"),
        "PAT_RATE_ADDRESS": "100000",
    }


@pytest.fixture(scope="module")
def served(home, settings):
    with serve(home, settings) as running:
        yield running


@pytest.fixture
def email():
    return f"{uuid.uuid4().hex}@clinic.example"


@pytest.fixture
def recorded(settings):
    """The reason of the last record."""
    return lambda: list(events(audit_folder(Path(settings["PAT_STATE_FOLDER"])), {}))[-1]["event"]["reason"]


def embed(served, session):
    headers = {"Authorization": f"Bearer {session.token}", "X-PAT-Standardized": "true"}
    with served.client() as client:
        body = np.zeros(10_080, "<f4").tobytes()
        return client.post("/v1/embed", content=body, headers=headers).status_code


def delete(served, session, subject="p-1"):
    headers = {"Authorization": f"Bearer {session.token}"}
    with served.client() as client:
        return client.post("/v1/subjects:delete", json={"subject": subject}, headers=headers)


def signed_in(emulator, email, **claims):
    emulator.claim(emulator.sign_up(email), **claims)
    return emulator.sign_in(email)


def test_who_signed_up_has_no_role_until_one_is_given_and_the_token_is_new(served, emulator, email, recorded):
    session = emulator.sign_up(email)
    assert embed(served, session) == 403
    assert recorded() == "no_role"
    emulator.claim(session, roles=["clinician"], tenant="clinic")
    assert embed(served, session) == 403
    renewed = emulator.refresh(session)
    assert renewed.token != session.token
    assert embed(served, renewed) == 200


def test_an_anonymous_sign_in_is_refused(served, emulator, recorded):
    assert embed(served, emulator.anonymous()) == 401
    assert recorded() == "anonymous"


def test_a_role_that_there_is_not_is_refused(served, emulator, email, recorded):
    assert embed(served, signed_in(emulator, email, roles=["root"])) == 401
    assert recorded() == "roles"


def test_a_user_whose_sign_in_holds_deletes_what_is_their_own(served, emulator, email):
    session = signed_in(emulator, email, roles=["patient"], tenant="clinic", sid="p-1")
    assert delete(served, session).status_code == 200
    assert delete(served, session, "p-2").status_code == 404


def test_a_revoked_sign_in_deletes_nothing_and_a_new_one_does(served, emulator, email, recorded):
    session = signed_in(emulator, email, roles=["admin"], tenant="clinic")
    time.sleep(1.1)  # Firebase counts in seconds
    emulator.update(session, validSince=str(int(time.time())))
    answer = delete(served, session)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert recorded() == "revoked"
    assert delete(served, emulator.sign_in(email)).status_code == 200


def test_a_revoked_sign_in_does_the_rest_until_its_token_ends(served, emulator, email):
    session = signed_in(emulator, email, roles=["clinician"], tenant="clinic")
    time.sleep(1.1)
    emulator.update(session, validSince=str(int(time.time())))
    assert embed(served, session) == 200


def test_a_disabled_user_deletes_nothing(served, emulator, email, recorded):
    session = signed_in(emulator, email, roles=["admin"], tenant="clinic")
    emulator.update(session, disableUser=True)
    assert delete(served, session).status_code == 401
    assert recorded() == "disabled"


def test_a_user_who_was_wiped_deletes_nothing(served, emulator, email, recorded):
    session = signed_in(emulator, email, roles=["admin"], tenant="clinic")
    emulator.wipe()
    assert delete(served, session).status_code == 401
    assert recorded() == "no_account"


@pytest.mark.parametrize("profile", ["development", "production"])
def test_outside_the_test_profile_nothing_starts_with_the_emulator(home, settings, profile):
    with (
        pytest.raises(AssertionError, match="FIREBASE_AUTH_EMULATOR_HOST is set outside the test profile"),
        serve(home, {**settings, "PAT_PROFILE": profile}),
    ):
        pytest.fail("it started")


def test_without_the_variable_its_tokens_are_refused(home, settings, emulator, email, tmp_path):
    session = signed_in(emulator, email, roles=["admin"], tenant="clinic")
    without = {name: value for name, value in settings.items() if name.startswith("PAT_")}
    own = {"PAT_CERTIFICATES_URL": "http://127.0.0.1:1/", "PAT_STATE_FOLDER": str(tmp_path / "state")}
    with serve(home, {**without, **own}) as served:
        assert delete(served, session).status_code == 401


def test_when_firebase_is_gone_what_cannot_be_taken_back_waits_and_the_rest_goes_on(
    served, emulator, email, recorded
):  # the last, for it ends the emulator
    session = signed_in(emulator, email, roles=["clinician", "admin"], tenant="clinic")
    stop(emulator.process)
    answer = delete(served, session)
    assert (answer.status_code, answer.json()["code"]) == (503, "identity_unavailable")
    assert "retry-after" in answer.headers
    assert recorded() == "revocation"
    assert embed(served, session) == 200
