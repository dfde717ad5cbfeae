"""Whether a sign-in still holds: refused when it does not, unavailable when nobody knows, asked seldom."""

import json
import time

import pytest
from cryptography.hazmat.primitives import serialization

from serving import revocation
from serving.auth import BearerIdentity, Caller, IdentityUnavailable, Role, Unauthenticated
from serving.breaker import Breaker
from serving.revocation import Account, CredentialsUnusable, Revocation, firebase_accounts
from tests.serving.signed import key

pytestmark = pytest.mark.security
CALLER = Caller("user-1", "clinic", frozenset({Role.ADMIN}), "", 100, "t" * 16, issued_at=100)


class Accounts:
    """What Firebase would say, counted."""

    def __init__(self, account):
        self.account, self.asked = account, []

    def __call__(self, uid):
        self.asked.append(uid)
        if isinstance(self.account, Exception):
            raise self.account
        return self.account


async def reason(standing, caller=CALLER):
    with pytest.raises(Unauthenticated) as error:
        await standing.confirm(caller)
    return error.value.reason


async def test_an_account_that_holds_is_asked_about_once_in_a_while():
    accounts = Accounts(Account(disabled=False, valid_after=100))
    standing = Revocation(accounts)
    for _ in range(5):
        await standing.confirm(CALLER)
    assert accounts.asked == ["user-1"]


async def test_what_was_said_is_believed_for_its_time_and_not_prolonged_by_asking(monkeypatch):
    monkeypatch.setattr(revocation, "BELIEVED_SECONDS", 0.3)
    accounts = Accounts(Account(disabled=False, valid_after=0))
    standing = Revocation(accounts)
    await standing.confirm(CALLER)
    accounts.account = Account(disabled=True, valid_after=0)
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            await standing.confirm(CALLER)
        except Unauthenticated:
            break
    assert accounts.asked == ["user-1"] * 2


@pytest.mark.parametrize(
    ("account", "why"),
    [
        (None, "no_account"),
        (Account(disabled=True, valid_after=0), "disabled"),
        (Account(disabled=False, valid_after=101), "revoked"),
    ],
)
async def test_a_sign_in_that_no_longer_holds_is_refused_again_and_again(account, why):
    standing = Revocation(Accounts(account))
    assert [await reason(standing) for _ in range(3)] == [why] * 3


async def test_a_caller_without_a_time_of_issue_is_older_than_any_revocation():
    old = Caller("user-1", "clinic", frozenset(), "", 100, "t" * 16)
    assert await reason(Revocation(Accounts(Account(disabled=False, valid_after=1))), old) == "revoked"


@pytest.mark.parametrize("error", [OSError(), ValueError(), RuntimeError(), KeyError()])
async def test_when_nobody_can_be_asked_it_is_unavailable_and_after_three_times_nobody_is_asked(error):
    accounts = Accounts(error)
    standing = Revocation(accounts)
    for _ in range(6):
        with pytest.raises(IdentityUnavailable) as raised:
            await standing.confirm(CALLER)
        assert raised.value.reason == "revocation"
    assert len(accounts.asked) == 3


async def test_an_answer_that_does_not_come_is_not_waited_for():
    standing = Revocation(lambda uid: time.sleep(1), seconds=0.1)
    begun = time.monotonic()
    with pytest.raises(IdentityUnavailable):
        await standing.confirm(CALLER)
    assert time.monotonic() - begun < 0.9


async def test_where_nobody_can_be_asked_by_design_a_sign_in_holds_until_its_token_ends():
    await BearerIdentity([]).confirm(CALLER)


async def test_firebase_itself_out_of_reach_is_unavailable(tmp_path):
    account = firebase_accounts("demo-pat", str(service_account(tmp_path)))
    with pytest.raises(IdentityUnavailable):
        await Revocation(account, breaker=Breaker(), seconds=10).confirm(CALLER)


def service_account(folder, mode=0o400, **changes):
    """A service account's key whose token endpoint is nobody's."""
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = key("account").private_bytes(encoding, form, serialization.NoEncryption()).decode()
    said = {
        "type": "service_account",
        "project_id": "demo-pat",
        "private_key_id": "1",
        "private_key": secret,
        "client_email": "pat@demo-pat.iam.gserviceaccount.com",
        "token_uri": "http://127.0.0.1:1/token",
        **changes,
    }
    path = folder / "account.json"
    path.write_text(json.dumps({name: value for name, value in said.items() if value is not None}))
    path.chmod(mode)
    return path


def test_credentials_that_others_can_read_are_refused(tmp_path):
    with pytest.raises(CredentialsUnusable, match="chmod 400"):
        firebase_accounts("demo-pat", str(service_account(tmp_path, 0o444)))


@pytest.mark.parametrize(
    "changes", [{"private_key": repr(None)}, {"private_key": None}, {"client_email": None}, {"type": "user"}]
)
def test_credentials_that_are_none_are_refused(tmp_path, changes):
    with pytest.raises(CredentialsUnusable, match="not a readable service account"):
        firebase_accounts("demo-pat", str(service_account(tmp_path, **changes)))


def test_credentials_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(CredentialsUnusable, match="not a readable service account"):
        firebase_accounts("demo-pat", str(tmp_path / "missing.json"))
