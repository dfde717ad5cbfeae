"""Whether who signed in is still welcome: asked of Firebase before what cannot be taken back.

A token speaks for its user until its end, an hour at most, whatever happens to the account meanwhile. Before
deletions, exports, what admins do and emergencies, Firebase is asked whether the account is still there, not
disabled, and its tokens not revoked. What it says of an account is believed for ``BELIEVED_SECONDS``.

Errors:

    CredentialsUnusable       the file of Firebase credentials must not be used as it is
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.auth import Believed, Caller, IdentityUnavailable, Unauthenticated
from serving.breaker import Breaker
from serving.firebase_tokens import firebase_app

__all__ = ["Account", "CredentialsUnusable", "Revocation", "firebase_accounts"]

BELIEVED_SECONDS = 30
_ANSWER_SECONDS = 5
_MOST = 10_000
log = logging.getLogger("pat.auth")


class CredentialsUnusable(ValueError):  # noqa: N818  # it says what is the case, as KeyError does
    """Firebase cannot be asked with the credentials that are given."""


@dataclass(frozen=True)
class Account:
    """What Firebase says of a user; tokens issued before ``valid_after`` (seconds since 1970) are revoked."""

    disabled: bool
    valid_after: int


Accounts = Callable[[str], Account | None]  # by uid, None if there is none; blocks, and may raise anything


class Revocation:
    """Asks ``accounts`` in threads, in time or not at all."""

    def __init__(
        self, accounts: Accounts, *, breaker: Breaker | None = None, seconds: float = _ANSWER_SECONDS
    ) -> None:
        self._accounts, self._seconds = accounts, seconds
        self._breaker = breaker or Breaker(name="revocation")
        self._known: Believed[Account] = Believed(_MOST)
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="revocation")

    async def confirm(self, caller: Caller) -> None:
        """Return if the caller's account holds; raises Unauthenticated or IdentityUnavailable."""
        account = self._known.get(caller.uid) or await self._found(caller.uid)
        if account.disabled:
            raise Unauthenticated("disabled")
        if caller.issued_at < account.valid_after:
            raise Unauthenticated("revoked")

    async def _found(self, uid: str) -> Account:
        account = await self._asked(uid)
        if account is None:
            raise Unauthenticated("no_account")
        self._known.put(uid, account, BELIEVED_SECONDS)
        return account

    async def _asked(self, uid: str) -> Account | None:
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.get_running_loop().run_in_executor(self._pool, self._ask, uid)
        except Exception as error:  # of firebase-admin, google-auth, requests, or ours; all mean the same
            log.warning("accounts not asked: %s", type(error).__name__)
            raise IdentityUnavailable("revocation") from error

    def _ask(self, uid: str) -> Account | None:
        with self._breaker.call():
            return self._accounts(uid)


def firebase_accounts(project: str, credentials_file: str) -> Accounts:
    """Return who knows the users of ``project``; without a file the emulator alone. CredentialsUnusable."""
    from firebase_admin import auth  # noqa: PLC0415  # 0.4 s, and only where callers are identified

    app = firebase_app(project, _credential(Path(credentials_file)) if credentials_file else None)

    def account(uid: str) -> Account | None:
        try:
            user = auth.get_user(uid, app)
        except auth.UserNotFoundError:
            return None
        return Account(bool(user.disabled), user.tokens_valid_after_timestamp // 1000)

    return account


def _credential(path: Path) -> Any:
    from firebase_admin import credentials  # noqa: PLC0415  # same

    try:
        mode, credential = path.stat().st_mode, credentials.Certificate(str(path))
    except (OSError, ValueError) as error:
        raise CredentialsUnusable(
            "PAT_FIREBASE_CREDENTIALS_FILE is not a readable service account key in JSON"
        ) from error
    if mode & 0o077:
        raise CredentialsUnusable(
            "PAT_FIREBASE_CREDENTIALS_FILE is open to others than its owner; chmod 400 it"
        )
    return credential
