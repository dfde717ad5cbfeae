"""What makes the answer to a repeated request the same: the first issue of a result, the answer to a key.

R4 wants to know when a result was made available. A result that is computed again from the same input, with
the same options and weights, is the same version of it, so it keeps its first time. A caller who sends an
Idempotency-Key has the whole answer kept. Both are kept for ``KEPT_SECONDS`` for that caller alone.

Errors:

    KeyReused                 422: the key was sent with another request before
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["ANSWERS", "KEPT_SECONDS", "Kept", "KeyReused", "Keyed", "MemoryShelf", "Repeats", "Shelf"]

ANSWERS = "answers"  # purpose, in the vault
KEPT_SECONDS = 24 * 3600
_MOST, _MOST_BYTES = 4_096, 64_000_000  # in memory


class KeyReused(ValueError):  # noqa: N818  # it says what is the case, as KeyError does
    """A key stands for one request."""

    def __init__(self) -> None:
        super().__init__("expected an Idempotency-Key of this request, found one of another; send a new key")


class Shelf(Protocol):
    """Where bytes are kept for a while; those of a ``subject`` go when the subject's do."""

    def get(self, subject: str, name: str) -> bytes | None:
        """Return what is kept."""
        ...

    def add(self, subject: str, name: str, value: bytes) -> bytes:
        """Keep ``value`` for KEPT_SECONDS unless something is there, and return what is."""
        ...


@dataclass
class MemoryShelf:
    """A shelf in this process's memory, bounded; the oldest goes first."""

    held: OrderedDict[tuple[str, str], tuple[float, bytes]] = field(default_factory=OrderedDict)
    size: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def itself(self) -> MemoryShelf:
        """Return this shelf, where one is asked for."""
        return self

    def get(self, subject: str, name: str) -> bytes | None:
        """Return what is kept and has not expired."""
        until, value = self.held.get((subject, name), (0.0, b""))
        return value if until > time.monotonic() else None

    def add(self, subject: str, name: str, value: bytes) -> bytes:
        """Keep ``value`` unless something is there, and let go of what is too much; return what is there."""
        with self.lock:
            if (found := self.get(subject, name)) is not None:
                return found
            self._remove((subject, name))
            self.held[subject, name] = (time.monotonic() + KEPT_SECONDS, value)
            self.size += len(value)
            while len(self.held) > _MOST or self.size > _MOST_BYTES:
                self._remove(next(iter(self.held)))
        return value

    def _remove(self, at: tuple[str, str]) -> None:
        if (found := self.held.pop(at, None)) is not None:
            self.size -= len(found[1])


@dataclass(frozen=True)
class Keyed:
    """A request with its key, of a caller; ``said`` is everything that decides its answer."""

    whose: str
    key: str
    said: bytes


@dataclass(frozen=True)
class Kept:
    """An answer: its bytes, the subject they are about, if one was named, and which model made them."""

    body: bytes
    subject: str = ""
    model: str = ""
    delivery: str = ""  # to the FHIR server, if that was asked for


Work = Callable[[], Awaitable[Kept]]
Check = Callable[[Kept], Awaitable[None]]


@dataclass(frozen=True)
class Repeats:
    """Remembers what callers were answered; in this process's memory, unless told where."""

    shelf: Callable[[], Shelf] = field(default_factory=lambda: MemoryShelf().itself)

    async def first_issued(self, whose: str, subject: str, result: str) -> datetime:
        """Return when the result of that digest was first issued for a caller: now, if it never was."""
        shelf, name = self.shelf(), _name("issued", whose, result)
        if (kept := await asyncio.to_thread(shelf.get, subject, name)) is None:
            now = json.dumps(datetime.now(UTC).isoformat()).encode()
            kept = await asyncio.to_thread(shelf.add, subject, name, now)
        return datetime.fromisoformat(json.loads(kept))

    async def once(self, request: Keyed, work: Work, check: Check) -> Kept:
        """Return what ``request`` was answered when it came first, if ``check`` lets it; raises KeyReused."""
        shelf = self.shelf()
        if (kept := await asyncio.to_thread(_found, shelf, request)) is not None:
            await check(kept)
            return kept
        made = await work()
        return replace(made, body=await asyncio.to_thread(_kept, shelf, request, made))


def _found(shelf: Shelf, request: Keyed) -> Kept | None:
    if (known := shelf.get("", _name("key", request.whose, request.key))) is None:
        return None
    noted = _of_this(request, known)
    body = shelf.get(noted["subject"], _name("answer", request.whose, request.key))
    return None if body is None else Kept(body, noted["subject"], noted["model"], noted["delivery"])


def _kept(shelf: Shelf, request: Keyed, made: Kept) -> bytes:
    """Keep the answer with what is the subject's, what leads to it with what is nobody's; the first stays."""
    fingerprint = hashlib.sha256(request.said).hexdigest()
    noted = {"fingerprint": fingerprint, "subject": made.subject, "model": made.model}
    noted["delivery"] = made.delivery
    _of_this(request, shelf.add("", _name("key", request.whose, request.key), json.dumps(noted).encode()))
    return shelf.add(made.subject, _name("answer", request.whose, request.key), made.body)


def _of_this(request: Keyed, known: bytes) -> dict[str, str]:
    """Return what is noted of a key; raises KeyReused unless it was of this request."""
    noted: dict[str, str] = json.loads(known)
    if noted["fingerprint"] != hashlib.sha256(request.said).hexdigest():
        raise KeyReused
    return noted


def _name(kind: str, whose: str, text: str) -> str:
    """Return a name that tells nothing and is of one caller."""
    return f"{kind}-{hashlib.sha256(json.dumps([whose, text]).encode()).hexdigest()}"
