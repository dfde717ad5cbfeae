"""Whose a cached value is, and the keys that its name and its content are under.

A subject's keys come from the key that the vault has of the subject, so that they are gone with it; those of
a caller, for what is brought without naming anybody, from a secret of the service. Keys are held in memory
for ``KEY_SECONDS``, which is how long another process may still read what was deleted here.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from serving.keys import derived
from serving.store import StoreUnavailable, Subject

__all__ = ["KEY_SECONDS", "CacheKeys", "Keyring", "Owner", "SubjectKeys"]

KEY_SECONDS = 30.0
_PURPOSE = "cache"
_MOST = 4_096  # owners whose keys are held at a time


@dataclass(frozen=True)
class Owner:
    """Whose a value is: of a ``subject`` (a pseudonym), or of the ``caller`` who brought it."""

    tenant: str = ""
    subject: str = ""
    caller: str = ""

    @property
    def name(self) -> str:
        """What it is bound to."""
        return self.subject or f"caller {self.caller}"


@dataclass(frozen=True, repr=False)
class CacheKeys:
    """The keys of one owner; ``tag`` begins the names of all that is the owner's."""

    tag: str
    names: bytes
    values: bytes

    @classmethod
    def of(cls, secret: bytes) -> CacheKeys:
        """Derive them."""
        names = derived(secret, "cache names")
        return cls(_hmac(names, b"tag")[:32], names, derived(secret, "cache values"))

    def name(self, kind: str, digest: bytes) -> str:
        """Return the name of a value; without the key nobody can tell what it is of."""
        return f"{self.tag}:{_hmac(self.names, kind.encode() + b'|' + digest)}"


class SubjectKeys(Protocol):
    """Where keys of subjects come from: the vault."""

    def derived(self, at: Subject, purpose: str) -> bytes:
        """Return a key of the subject's for ``purpose``; raises StoreUnavailable or Unreadable."""
        ...

    def has_key(self, at: Subject) -> bool:
        """Say whether the subject has a key; raises StoreUnavailable."""
        ...


class Keyring:
    """The keys of those who asked lately; ``vault`` is set once there is one."""

    def __init__(self, secret: bytes, clock: Callable[[], float] = time.monotonic) -> None:
        self._secret, self._clock = secret, clock
        self._held: OrderedDict[Owner, tuple[float, CacheKeys]] = OrderedDict()
        self._forgotten = 0
        self._lock = threading.Lock()
        self.vault: SubjectKeys | None = None

    async def keys(self, owner: Owner) -> CacheKeys:
        """Return the keys of ``owner``; raises StoreUnavailable or Unreadable."""
        with self._lock:
            until, keys = self._held.get(owner, (0.0, None))
            forgotten = self._forgotten
        if keys is not None and until > self._clock():
            return keys
        until = self._clock() + KEY_SECONDS
        keys = await asyncio.to_thread(self._of_subject, owner) if owner.subject else self._of_caller(owner)
        with self._lock:
            if self._forgotten == forgotten:  # else it may be of a key that was shredded meanwhile
                self._held[owner] = (until, keys)
                self._held.move_to_end(owner)
                while len(self._held) > _MOST:
                    self._held.popitem(last=False)
        return keys

    def _of_caller(self, owner: Owner) -> CacheKeys:
        whose = json.dumps([owner.tenant, owner.caller]).encode()
        return CacheKeys.of(hmac.new(self._secret, whose, hashlib.sha256).digest())

    def _of_subject(self, owner: Owner) -> CacheKeys:
        if self.vault is None:
            raise StoreUnavailable("the durable store does not answer yet")
        return CacheKeys.of(self.vault.derived(Subject(owner.tenant, owner.subject), _PURPOSE))

    def known(self, at: Subject) -> CacheKeys | None:
        """Return the keys of a subject that has a key; raises as ``keys`` does."""
        if self.vault is None or not self.vault.has_key(at):
            return None
        return self._of_subject(Owner(at.tenant, at.pseudonym))

    def forget(self, at: Subject) -> None:
        """Let go of the keys of a subject, whose key is no more."""
        with self._lock:
            self._forgotten += 1
            self._held.pop(Owner(at.tenant, at.pseudonym), None)


def _hmac(key: bytes, what: bytes) -> str:
    return hmac.new(key, what, hashlib.sha256).hexdigest()
