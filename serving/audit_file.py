"""One file of the audit trail: records chained by HMAC, one a line, held by the process that writes them.

A file's name ends in ``.open`` while it is written and in ``.jsonl`` for good. A writer that dies leaves its
file open and unlocked; whoever opens a file of their own next accounts for it.

No event of a file is older than its name or younger than its last change, by which a search leaves files out:
where the clock was set back, the next event belongs into another file.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

__all__ = [
    "CLOSED",
    "NOTHING_BEFORE",
    "OPEN",
    "AuditFile",
    "Checkpoint",
    "Kind",
    "Left",
    "MacKey",
    "Record",
    "canonical",
    "last_record",
    "left_behind",
    "mac_of",
    "sync_folder",
]

OPEN, CLOSED = ".open", ".jsonl"  # how the name of a file ends while it is written, and for good
NOTHING_BEFORE = "0" * 64
_BEGAN = "%Y%m%dT%H%M%S%f"

Record = dict[str, Any]


class Kind(StrEnum):
    """What a record is about: an event, or the trail itself."""

    OPENED = "opened"
    EVENT = "event"
    RECOVERED = "recovered"
    PURGED = "purged"
    CLOSED = "closed"


@dataclass(frozen=True, repr=False)
class MacKey:
    """A key of the chain and the name that records carry of it."""

    name: str
    secret: bytes


@dataclass(frozen=True)
class Checkpoint:
    """How far a file had come."""

    file: str
    seq: int
    mac: str


def canonical(record: Mapping[str, Any]) -> bytes:
    """Return the one way to write ``record``: sorted keys, no spaces, ASCII."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def mac_of(record: Mapping[str, Any], secret: bytes) -> str:
    """Return the HMAC-SHA256 of ``record`` without its own ``mac``."""
    signed = {name: value for name, value in record.items() if name != "mac"}
    return hmac.new(secret, canonical(signed), hashlib.sha256).hexdigest()


class AuditFile:
    """One file of the trail, held by a lock for as long as its writer lives."""

    def __init__(self, folder: Path, key: MacKey) -> None:
        self._latest = time.time()  # of its records, by the time of day
        began = datetime.fromtimestamp(self._latest, UTC).strftime(_BEGAN)
        self.name = f"audit-{began}-{os.getpid()}-{secrets.token_hex(4)}"
        self.began = time.monotonic()
        self.path = folder / f"{self.name}{OPEN}"
        self._key = key
        made = folder / f"{self.name}.new"  # nobody looks for it before it is locked
        self._fd = os.open(made, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(made, self.path)
        sync_folder(folder)
        self.bytes, self.seq, self.mac = 0, -1, NOTHING_BEFORE
        self._durable = (0, -1, NOTHING_BEFORE)

    def write(self, kind: Kind, content: Record) -> None:
        """Append one record; it is durable after ``sync``."""
        now = time.time()
        self._latest = max(self._latest, now)
        record: Record = {
            "at": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds"),
            "file": self.name,
            "key": self._key.name,
            "kind": kind.value,
            "prev": self.mac,
            "seq": self.seq + 1,
            kind.value: content,
        }
        record["mac"] = mac_of(record, self._key.secret)
        line = canonical(record) + b"\n"
        if os.write(self._fd, line) != len(line):
            raise OSError(errno.ENOSPC, "the disk took part of a record")
        self.bytes, self.seq, self.mac = self.bytes + len(line), self.seq + 1, record["mac"]

    def sync(self) -> None:
        """Wait for the disk."""
        os.fdatasync(self._fd)
        self._durable = (self.bytes, self.seq, self.mac)

    def reached(self) -> Checkpoint:
        """Say how far it has come."""
        return Checkpoint(self.name, self.seq, self.mac)

    @property
    def is_of_the_future(self) -> bool:
        """Whether the clock was set back since the last record."""
        return time.time() < self._latest

    def end(self) -> None:
        """Give the file its name for good."""
        if self.is_of_the_future:
            os.utime(self._fd, (self._latest, self._latest))
        os.rename(self.path, self.path.with_suffix(CLOSED))
        sync_folder(self.path.parent)
        os.close(self._fd)

    def give_up(self) -> Checkpoint | None:
        """Take back what was not acknowledged, if the disk lets us; say how far the file is good.

        None where nothing was acknowledged, and nothing is left.
        """
        good, seq, mac = self._durable
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, good)
            os.fdatasync(self._fd)
        with contextlib.suppress(OSError):
            if not good:
                self.path.unlink()
        with contextlib.suppress(OSError):
            os.close(self._fd)
        return Checkpoint(self.name, seq, mac) if good else None


def sync_folder(folder: Path) -> None:
    """Wait until the names in ``folder`` are on the disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@dataclass(frozen=True)
class Left:
    """A file that its writer did not close, and that no living process holds."""

    path: Path

    def content(self) -> Record:
        """Say how far the file is whole, and what was torn off after that."""
        last, torn = last_record(self.path)
        return {
            "file": self.path.stem,
            "seq": last.get("seq", -1),
            "mac": last.get("mac", NOTHING_BEFORE),
            "torn_bytes": len(torn),
            "torn_sha256": hashlib.sha256(torn).hexdigest(),
        }


def last_record(path: Path) -> tuple[Record, bytes]:
    """Return the last whole record of a file, empty if none can be read, and the bytes that follow it."""
    whole, _, torn = path.read_bytes().rpartition(b"\n")
    try:
        found = json.loads(whole.rpartition(b"\n")[2])
    except ValueError:
        found = {}
    return (found if isinstance(found, dict) else {}), torn


def left_behind(folder: Path) -> Iterator[Left]:
    """Yield the files that no living process holds, each held while it is looked at."""
    for path in sorted(folder.glob(f"audit-*{OPEN}")):
        with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists():  # no other process was faster
                yield Left(path)
