"""The audit trail: who did what to whose data, when, why and how it ended, on disk before any disclosure.

One record a line, canonical JSON, each with an HMAC over itself and over the HMAC of the record before: what
is edited, deleted, swapped or forged no longer fits (serving/audit_check.py says where). A file is written by
one process; its first record names the file before it and how that ended, so files hang together as records
do. Only the end of the newest file can be cut off unseen, which is what the checkpoints are for: the place
reached so far, handed every so often to where the trail's owner cannot write.

A record is durable when ``record`` returns: writes that arrive while the disk is busy share the next sync. A
trail that cannot write raises, and whoever wanted to disclose must not.

Errors:

    AuditUnavailable          the record is not on disk; refuse what it was about
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from enum import IntEnum, StrEnum
from pathlib import Path

from serving.audit_file import CLOSED, AuditFile, Checkpoint, Kind, MacKey, Record, left_behind

__all__ = [
    "Action",
    "Actor",
    "AuditEvent",
    "AuditTrail",
    "AuditUnavailable",
    "Outcome",
    "Purpose",
    "TrailOptions",
]

log = logging.getLogger("pat.audit")


class AuditUnavailable(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """The trail cannot be written now."""


class Action(StrEnum):
    """What was done, in the codes of FHIR's AuditEvent."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"


class Outcome(IntEnum):
    """How it ended, in the codes of FHIR's AuditEvent."""

    DONE = 0
    REFUSED = 4  # the caller may not, or asked wrongly
    FAILED = 8  # the service could not
    MAJOR = 12  # the service is no longer what it should be


class Purpose(StrEnum):
    """Why, in the codes of HL7's v3-ActReason."""

    TREATMENT = "TREAT"
    EMERGENCY = "ETREAT"
    RESEARCH = "HRESCH"
    PATIENT_REQUEST = "PATRQT"
    OPERATIONS = "HOPERAT"
    SYSTEM = "HSYSADMIN"


@dataclass(frozen=True)
class Actor:
    """Who: never the token, only the beginning of its SHA-256."""

    uid: str
    tenant: str = ""
    roles: tuple[str, ...] = ()
    address: str = ""
    auth_time: int | None = None  # seconds since 1970
    token: str = ""


@dataclass(frozen=True)
class AuditEvent:
    """One access, denial or change, or what the service did itself; never a health value.

    ``subject`` is a keyed pseudonym.
    """

    action: Action
    verb: str  # of the policy: analyze, embed, delete_subject ...
    outcome: Outcome
    reason: str  # machine-readable
    actor: Actor | None = None  # None: nobody was identified
    subject: str = ""
    purpose: Purpose = Purpose.TREATMENT
    trace: str = ""
    model: str = ""  # digest of the weights
    records: int = 0  # that were disclosed
    cache: str = ""  # what it was to the answer: hit, miss, bypass
    detail: str = ""  # of what the service itself does: names of settings, keys and stores


@dataclass(frozen=True)
class TrailOptions:
    """When files end, when checkpoints are due, how many records may wait for the disk."""

    file_bytes: int = 64_000_000
    file_seconds: float = 24 * 3600  # retention removes whole files
    checkpoint_records: int = 1_000
    checkpoint_seconds: float = 60
    waiting: int = 10_000
    together: int = 256
    retry_seconds: float = 1


Written = Future[None]
Waiting = tuple[Kind, Record, Written]


def _refuse(batch: Sequence[Waiting], why: str) -> None:
    for _, _, written in batch:
        written.set_exception(AuditUnavailable(why))


class AuditTrail:
    """One process's part of the trail in ``folder``. Records come from any thread or event loop."""

    def __init__(
        self,
        folder: Path,
        key: MacKey,
        tell: Callable[[Checkpoint], None],
        options: TrailOptions | None = None,
    ) -> None:
        self._folder, self._key, self._tell = folder, key, tell
        self._options = options or TrailOptions()
        self._queue: queue.Queue[Waiting | None] = queue.Queue(self._options.waiting)
        self._file: AuditFile | None = None
        self._before: Record = {}  # how the file before ended
        self._told: tuple[float, int] = (time.monotonic(), 0)
        self._failed_at: float | None = None
        self._thread = threading.Thread(target=self._work, name="audit", daemon=True)

    def start(self) -> None:
        """Open the trail and account for files whose writers died.

        Where it cannot be opened the trail is not healthy, refuses every record, and goes on trying.
        """
        try:
            self._append([])
        except OSError:
            self._give_up(self._file)
        self._thread.start()

    @property
    def healthy(self) -> bool:
        """Whether the last record reached the disk; false until a later one does."""
        return self._failed_at is None and self._thread.is_alive()

    async def record(self, event: AuditEvent) -> None:
        """Return when ``event`` is on disk; raises AuditUnavailable."""
        await asyncio.shield(asyncio.wrap_future(self._put(Kind.EVENT, asdict(event))))

    def record_now(self, event: AuditEvent) -> None:
        """Do as ``record`` does, outside an event loop."""
        self._put(Kind.EVENT, asdict(event)).result()

    def purged(self, reached: Checkpoint) -> None:
        """Say that retention has removed a file."""
        self._put(Kind.PURGED, asdict(reached)).result()

    def close(self) -> None:
        """Write what waits and end the file."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _put(self, kind: Kind, content: Record) -> Written:
        written: Written = Future()
        if not self._thread.is_alive():
            raise AuditUnavailable("the audit trail is closed")
        try:
            self._queue.put_nowait((kind, content, written))
        except queue.Full:
            raise AuditUnavailable("too many audit records wait for the disk") from None
        return written

    def _work(self) -> None:
        closing = False
        while not closing:
            batch, closing = self._next()
            try:
                self._append([(kind, content) for kind, content, _ in batch])
            except Exception as error:  # whatever it is, nobody may wait for ever, nor be let through
                self._give_up(self._file)
                why = error.strerror if isinstance(error, OSError) else type(error).__name__
                _refuse(batch, f"the audit trail cannot be written ({why})")
            else:
                for _, _, written in batch:
                    written.set_result(None)
        self._end_file()
        with contextlib.suppress(queue.Empty):  # who came too late
            while late := self._queue.get_nowait():
                _refuse([late], "the audit trail is closed")

    def _next(self) -> tuple[list[Waiting], bool]:
        """Take all records that wait, or none after a while; and say whether the trail closes."""
        batch: list[Waiting] = []
        options = self._options
        with contextlib.suppress(queue.Empty):
            found = self._queue.get(
                timeout=options.checkpoint_seconds if self.healthy else options.retry_seconds
            )
            while found is not None and len(batch) < options.together:
                batch.append(found)
                if len(batch) < options.together:
                    found = self._queue.get_nowait()
            return batch, found is None
        return batch, False

    def _append(self, batch: Sequence[tuple[Kind, Record]]) -> None:
        if self._failed_at is not None and time.monotonic() - self._failed_at < self._options.retry_seconds:
            raise OSError(errno.EAGAIN, "it failed a moment ago")
        if self._file is not None and self._is_due(self._file):
            self._end_file()
        file = self._file = self._file or self._opened()
        for kind, content in batch:
            file.write(kind, content)
        file.sync()
        self._failed_at = None
        self._checkpoint(len(batch))

    def _is_due(self, file: AuditFile) -> bool:
        """Whether ``file`` has grown, or aged, enough to be ended, or the clock was set back."""
        aged = time.monotonic() - file.began >= self._options.file_seconds
        return aged or file.is_of_the_future or file.bytes >= self._options.file_bytes

    def _opened(self) -> AuditFile:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._file = AuditFile(self._folder, self._key)
        file.write(Kind.OPENED, {"before": self._before})
        for left in left_behind(self._folder):
            file.write(Kind.RECOVERED, left.content())
            file.sync()
            os.rename(left.path, left.path.with_suffix(CLOSED))
        file.sync()
        return file

    def _end_file(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            file.write(Kind.CLOSED, {})
            file.sync()
            file.end()
        except OSError:
            self._give_up(file)
        else:
            self._before = {"closed": asdict(file.reached())}
            self._deliver(file.reached())

    def _give_up(self, file: AuditFile | None) -> None:
        self._file, self._failed_at = None, time.monotonic()
        if file is not None and (reached := file.give_up()):
            self._before = {"failed": asdict(reached)}

    def _deliver(self, reached: Checkpoint) -> None:
        try:
            self._tell(reached)
        except OSError as error:
            log.error("checkpoint not delivered: %s", error.strerror)  # noqa: TRY400  # the trail stands

    def _checkpoint(self, more: int) -> None:
        since, records = self._told
        records += more
        due = records >= self._options.checkpoint_records
        due |= records > 0 and time.monotonic() - since >= self._options.checkpoint_seconds
        if due and self._file is not None:
            self._deliver(self._file.reached())
            since, records = time.monotonic(), 0
        self._told = (since, records)
