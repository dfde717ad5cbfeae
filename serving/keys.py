"""Keys: one per subject, wrapped by a master key that can be exchanged; without them what is kept is noise.

A value is sealed with AES-256-GCM under its subject's key, bound to the place it was made for: moved to
another tenant, subject, purpose or name it does not open. Deleting the wrapped key (crypto-shredding) makes
every copy of every value unreadable, unless the wrapped key was copied along, as it is into a backup of the
whole store. Exchanging the master key rewraps subject keys and touches no value.

Errors:

    KeysUnusable              the file of master keys must not be used as it is; the message says what to do
    Unreadable                a key or a value does not open: damaged, moved, or sealed with another key
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

__all__ = [
    "KEY_BYTES",
    "KeysUnusable",
    "MasterKeys",
    "Place",
    "Unreadable",
    "Wrapped",
    "Wrapper",
    "derived",
    "new_line",
    "pseudonym",
    "seal",
    "unseal",
]

KEY_BYTES = 32
_VERSION = b"\x01"
_NONCE_BYTES = 12
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_FEWEST_BYTES = 16  # different ones in a key: 32 random bytes have as few once in 10^12 keys


class KeysUnusable(ValueError):  # noqa: N818  # it says what is the case, as KeyError does
    """The master keys must not be used as they are."""


class Unreadable(ValueError):  # noqa: N818  # same
    """A key or a value cannot be opened."""


@dataclass(frozen=True, repr=False)
class Wrapped:
    """A key under a master key, and the name of that one."""

    by: str
    data: bytes

    def text(self) -> bytes:
        """Return it as a store keeps it."""
        return f"{self.by}:{base64.b64encode(self.data).decode()}".encode()

    @classmethod
    def of(cls, text: bytes) -> Wrapped:
        """Read what ``text`` wrote; raises Unreadable."""
        name, _, data = text.partition(b":")
        try:
            return cls(name.decode("ascii"), base64.b64decode(data, validate=True))
        except (UnicodeDecodeError, binascii.Error) as error:
            raise Unreadable("a wrapped key is damaged") from error


class Wrapper(Protocol):
    """Who wraps keys: a file of master keys, or a key management service."""

    @property
    def current(self) -> str:
        """Name of the master key that wraps from now on."""
        ...

    def wrap(self, key: bytes) -> Wrapped:
        """Wrap ``key`` under the current master key."""
        ...

    def unwrap(self, wrapped: Wrapped) -> bytes:
        """Return the key; raises Unreadable."""
        ...


@dataclass(frozen=True, repr=False)
class MasterKeys:
    """Master keys by name, the current one first; held in memory, never written."""

    secrets: Mapping[str, bytes]

    @classmethod
    def read(cls, path: Path) -> MasterKeys:
        """Read lines ``name base64``, the current key first; raises KeysUnusable."""
        try:
            mode, lines = path.stat().st_mode, path.read_text("ascii").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise KeysUnusable(
                "the file of master keys cannot be read; it holds lines of name and key"
            ) from error
        if mode & 0o077:
            raise KeysUnusable("the file of master keys is open to others than its owner; chmod 400 it")
        found: dict[str, bytes] = {}
        for number, line in enumerate(lines, start=1):
            if line.strip() and not line.startswith("#"):
                name, key = _key(line, number)
                if name in found or key in found.values():
                    raise KeysUnusable(f"line {number} of the master keys repeats a name or a key")
                found[name] = key
        if not found:
            raise KeysUnusable("the file of master keys holds none; make one with: pat keys new")
        return cls(found)

    @property
    def current(self) -> str:
        """Name of the key that wraps from now on."""
        return next(iter(self.secrets))

    def wrap(self, key: bytes) -> Wrapped:
        """Wrap ``key`` (RFC 3394) under the current master key."""
        return Wrapped(self.current, aes_key_wrap(self.secrets[self.current], key))

    def unwrap(self, wrapped: Wrapped) -> bytes:
        """Return the key; raises Unreadable."""
        if wrapped.by not in self.secrets:
            raise Unreadable("a key was wrapped by a master key that is not in the file")
        try:
            return aes_key_unwrap(self.secrets[wrapped.by], wrapped.data)
        except (InvalidUnwrap, ValueError) as error:
            raise Unreadable("a wrapped key is damaged, or was wrapped by another master key") from error

    def derived(self, purpose: str) -> dict[str, bytes]:
        """Return keys for ``purpose`` (HKDF-SHA256), one from each master key, by name, the current first."""
        return {name: derived(secret, purpose) for name, secret in self.secrets.items()}


def derived(secret: bytes, purpose: str) -> bytes:
    """Return the key for ``purpose`` that comes from ``secret`` (HKDF-SHA256)."""
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=f"pat-service {purpose}".encode()).derive(secret)


def _key(line: str, number: int) -> tuple[str, bytes]:
    name, _, text = line.strip().partition(" ")
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if not _NAME.fullmatch(name) or len(key) != KEY_BYTES:
        expected = "expected a name (a-z, 0-9, -) and 32 bytes in base64"
        raise KeysUnusable(f"line {number} of the master keys: {expected}; make one with: pat keys new")
    if len(set(key)) < _FEWEST_BYTES:
        raise KeysUnusable(f"line {number} of the master keys is not random; make one with: pat keys new")
    return name, key


def new_line(name: str) -> str:
    """Return a line with a new random key for the file of master keys."""
    return f"{name} {base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


@dataclass(frozen=True)
class Place:
    """What a value is bound to; ``subject`` is a pseudonym, ``name`` says which value (of which model)."""

    tenant: str
    subject: str
    purpose: str
    name: str

    def bound(self) -> bytes:
        """Return the additional data of the cipher; no two places have the same."""
        return json.dumps(["v1", self.tenant, self.subject, self.purpose, self.name]).encode()


def seal(key: bytes, value: bytes, place: Place) -> bytes:
    """Encrypt ``value``: version, random nonce, ciphertext, tag; at most 2^32 values a key (SP 800-38D)."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return _VERSION + nonce + AESGCM(key).encrypt(nonce, value, place.bound())


def unseal(key: bytes, sealed: bytes, place: Place) -> bytes:
    """Decrypt what ``seal`` made for ``place``; raises Unreadable."""
    nonce, data = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    if sealed[:1] != _VERSION:
        raise Unreadable("a sealed value is of an unknown version")
    try:
        return AESGCM(key).decrypt(nonce, data, place.bound())
    except (InvalidTag, ValueError) as error:
        raise Unreadable("a sealed value is damaged, moved, or sealed with another key") from error


def pseudonym(pepper: bytes, tenant: str, subject: str) -> str:
    """Return the name by which a subject is known where its own must not stand (HMAC-SHA256, 128 bits)."""
    return hmac.new(pepper, json.dumps([tenant, subject]).encode(), hashlib.sha256).hexdigest()[:32]
