"""Jobs: work that a caller leaves and comes back for. Holds bytes and state; how, says serving/job_shelf.py.

Errors:

    NoJob                     there is no such job for this caller
    TooManyJobs               the caller has as many unfinished jobs as one may have
    JobsFull                  all jobs together keep as much as they may
    StillReceiving            the job of this Idempotency-Key is still on its way in
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from serving.job_shelf import (
    KEYS,
    OWNERS,
    RECORDS,
    REFUSED,
    STATES,
    SUBJECTS,
    JobShelf,
    Owner,
    Record,
    items_of,
    results_of,
)
from serving.job_state import JobStopped, Progress, State
from serving.routes import new_id
from serving.store import Subject

__all__ = ["Intake", "Item", "Jobs", "JobsFull", "NoJob", "Reception", "StillReceiving", "TooManyJobs"]

_DONE, _ASIDE = b"+", b"-"  # before a result


class NoJob(LookupError):  # noqa: N818  # it says what is the case, as KeyError does
    """There is no such job for this caller."""

    def __init__(self) -> None:
        super().__init__("there is no such job; one that has ended is forgotten in time")


class TooManyJobs(RuntimeError):  # noqa: N818  # same
    """One caller's unfinished jobs are bounded."""

    def __init__(self, most: int) -> None:
        super().__init__(f"expected at most {most} unfinished jobs of one caller; wait for one, or cancel it")


class JobsFull(RuntimeError):  # noqa: N818  # same
    """What jobs keep is bounded."""

    def __init__(self) -> None:
        super().__init__("the service keeps as much for jobs as it may; try again later, or delete results")


class StillReceiving(RuntimeError):  # noqa: N818  # same
    """The first request with a key has not ended."""

    def __init__(self) -> None:
        super().__init__("a request with this Idempotency-Key is being received; ask again in a while")


@dataclass(frozen=True)
class Item:
    """One item that came in, of ``subject`` or of nobody; ``refusal`` is its result if it is set aside."""

    content: bytes
    subject: str = ""
    refusal: bytes = b""


@dataclass
class Intake:
    """A job while it comes in."""

    id: str
    owner: Owner
    output: str
    key: str
    created: float
    state: bytes = b""
    whose: list[str] = field(default_factory=list)
    refused: int = 0
    size: int = 0
    subjects: dict[str, str] = field(default_factory=dict)  # ids by pseudonym


class Reception:
    """Takes jobs in."""

    def __init__(self, shelf: JobShelf) -> None:
        self.shelf = shelf

    def known(self, owner: Owner, key: str) -> Record | None:
        """Return the job that ``key`` stands for; raises StillReceiving."""
        text = self.shelf.store.get(KEYS, self.shelf.key_name(owner, key)) if key else None
        if text is None or (progress := self.shelf.progress(text.decode())) is None:
            return None
        if progress.state is State.RECEIVING:
            raise StillReceiving
        return self.shelf.record(text.decode())

    def begin(self, owner: Owner, output: str, key: str, expected: int) -> Intake:
        """Begin to take a job of ``expected`` bytes in; raises TooManyJobs, JobsFull or StillReceiving."""
        intake = Intake(new_id(), owner, output, key, self.shelf.clock())
        mine = f"{self.shelf.mark(owner)}/{intake.id}"
        intake.state = Progress(State.RECEIVING, intake.created, expected).text()
        self.shelf.store.put(STATES, intake.id, intake.state)
        self.shelf.store.put(OWNERS, mine, b"", self._until(intake))
        try:
            if key:
                self._claim(intake)
            self._check_room(owner)
        except (StillReceiving, TooManyJobs, JobsFull):
            self.abandon(intake)
            raise
        return intake

    def add(self, intake: Intake, items: Sequence[Item]) -> None:
        """Keep items, durable when it returns."""
        own, first, until = self.shelf.own(intake.id), len(intake.whose), self._until(intake)
        kept: list[tuple[Subject, str, bytes]] = []
        refused: list[tuple[Subject, str, bytes]] = []
        for index, item in enumerate(items, start=first):
            if item.refusal:
                refused.append((own, str(index), _ASIDE + item.refusal))
                intake.whose.append(REFUSED)
                continue
            at = self.shelf.vault.subject(intake.owner.tenant, item.subject) if item.subject else own
            kept.append((at, str(index), item.content))
            intake.whose.append(at.pseudonym if item.subject else "")
            if item.subject:
                intake.subjects[at.pseudonym] = item.subject
        self.shelf.vault.put_all(items_of(intake.id), kept, until)
        self.shelf.vault.put_all(results_of(intake.id), refused, until)
        intake.refused += len(refused)
        intake.size += sum(len(value) for _, _, value in (*kept, *refused))

    def finish(self, intake: Intake, digest: str) -> Record:
        """Let the job wait for its turn; raises NoJob if it was abandoned."""
        record = Record(
            *(intake.id, intake.owner, intake.output, intake.key, digest, tuple(intake.whose), intake.created)
        )
        until, tenant = self._until(intake), intake.owner.tenant
        for whose, indices in record.subjects().items():
            said = json.dumps({"subject": intake.subjects[whose], "items": indices}).encode()
            self.shelf.vault.put(Subject(tenant, whose), SUBJECTS, intake.id, said, until)
        self.shelf.vault.put(self.shelf.own(intake.id), RECORDS, intake.id, record.text())
        waiting = Progress(
            State.WAITING,
            intake.created,
            intake.size,
            items=len(record.items),
            done=intake.refused,
            set_aside=intake.refused,
            spool=intake.size,
        )
        if not self.shelf.store.swap(STATES, intake.id, intake.state, waiting.text()):
            raise NoJob  # given up meanwhile
        return record

    def abandon(self, intake: Intake) -> None:
        """Forget what came in of a job that did not come whole."""
        record = Record(intake.id, intake.owner, intake.output, intake.key, items=tuple(intake.whose))
        self.shelf.forget(intake.id, record)

    def _until(self, intake: Intake) -> float:
        return intake.created + self.shelf.limits.longest_seconds + 2 * self.shelf.limits.kept_seconds

    def _claim(self, intake: Intake) -> None:
        """Let its key stand for the job, unless it stands for one that is there; raises StillReceiving."""
        store, name, job = self.shelf.store, self.shelf.key_name(intake.owner, intake.key), intake.id.encode()
        if store.add(KEYS, name, job, self._until(intake)):
            return
        held = store.get(KEYS, name)
        if held is None or self.shelf.progress(held.decode()) or not store.swap(KEYS, name, held, job):
            raise StillReceiving

    def _check_room(self, owner: Owner) -> None:
        """Raise where the caller, or all together, have too much; the new job is counted."""
        prefix = f"{self.shelf.mark(owner)}/"
        mine = [name.removeprefix(prefix) for name in self.shelf.store.names(OWNERS, prefix)]
        held = [self.shelf.whole(job) for job in mine]
        unfinished = [one for one in held if one and (one.open or one.state is State.RECEIVING)]
        if len(unfinished) > self.shelf.limits.unfinished:
            raise TooManyJobs(self.shelf.limits.unfinished)
        if sum(one.size for _, one in self.shelf.all()) > self.shelf.limits.size:
            raise JobsFull


class Jobs:
    """Jobs that came in: what becomes of them."""

    def __init__(self, shelf: JobShelf) -> None:
        self.shelf = shelf

    def of(self, owner: Owner, job: str) -> tuple[Record, Progress]:
        """Return a job of the caller's own; raises NoJob for any other, there or not."""
        progress = self.shelf.progress(job)
        if progress is None or progress.state is State.RECEIVING:
            raise NoJob
        record = self.shelf.record(job)
        if record is None or (record.owner.tenant, record.owner.uid) != (owner.tenant, owner.uid):
            raise NoJob
        return record, progress

    def delete(self, record: Record) -> State:
        """Cancel a job that has not ended, and remove all that is kept of one that has; say what it was."""
        try:
            was = self.shelf.change(
                record.id, lambda held: held.running().end(State.CANCELLED, self.shelf.clock())
            )
        except JobStopped:
            if (held := self.shelf.progress(record.id)) is None:
                raise NoJob from None
            self.shelf.forget(record.id, record)
            return held.state
        self.shelf.empty(record)
        return was.state

    def result(self, record: Record, index: int) -> tuple[bytes, bool] | None:
        """Return the result of an item, and whether it was set aside; None if it is gone."""
        kept = self.shelf.kept(record, index, results_of(record.id))
        return None if kept is None else (kept[1:], kept.startswith(_ASIDE))

    # What a worker does, under a lease on the job

    def open(self) -> list[str]:
        """Return the jobs with work to do, the oldest first."""
        found = [(held.created, job) for job, held in self.shelf.all() if held.open]
        return [job for _, job in sorted(found)]

    def resume(self, job: str) -> Record:
        """Return a job to be worked on; what was under way when a process died counts against its items.

        Raises JobStopped.
        """
        record = self.shelf.record(job)
        if record is None:
            raise JobStopped
        held = self.shelf.progress(job)
        for index in map(int, held.under_way if held else ()):  # done, but not counted
            if (kept := self.shelf.kept(record, index, results_of(job))) is not None:
                self._count(record, index, kept)
        self.shelf.change(job, lambda held: held.running().crashed())
        return record

    def take(self, record: Record, *, alone: bool) -> tuple[int, int] | None:
        """Take the next item; return it, and how often a process died on it.

        What a process died on comes first, and only to who has nothing else under way (``alone``).
        """
        taken: list[tuple[int, int]] = []

        def change(held: Progress) -> Progress:
            held, taken[:] = held.running(), []
            suspect = min((int(i) for i, crashes in held.again.items() if crashes), default=None)
            if suspect is not None and not alone:
                return held
            spared = min(map(int, held.again), default=self._next(record, held.next))
            index = spared if suspect is None else suspect
            if index is None:
                return replace(held, next=held.items)
            taken.append((index, held.again.get(str(index), 0)))
            return held.begun(index)

        self.shelf.change(record.id, change)
        return taken[0] if taken else None

    def content(self, record: Record, index: int) -> bytes | None:
        """Return what came in; None if its subject was deleted."""
        return self.shelf.kept(record, index, items_of(record.id))

    def put(self, record: Record, index: int, result: bytes, *, aside: bool) -> None:
        """Keep the result of an item, once, and count it; raises JobStopped."""
        kept = (_ASIDE if aside else _DONE) + result
        if self.shelf.keeps(record, index):
            until = record.created + self.shelf.limits.longest_seconds + 2 * self.shelf.limits.kept_seconds
            self.shelf.vault.add(
                self.shelf.place(record, index), results_of(record.id), str(index), kept, until
            )
        if not self.shelf.keeps(record, index):  # deleted meanwhile: what was written goes too
            self.shelf.vault.delete(self.shelf.place(record, index), results_of(record.id), str(index))
        try:
            self._count(record, index, kept)
        except JobStopped:
            held = self.shelf.whole(record.id)
            if held is None or held.state is not State.DONE:  # else another had it, and it is whole
                self.shelf.store.drop(results_of(record.id))
            raise

    def settle(self, record: Record) -> bool:
        """End a job whose items are all done; say whether it has ended. Raises JobStopped."""
        held = self.shelf.progress(record.id)
        if held is None or not held.open:
            raise JobStopped
        if not held.complete:
            return False
        self.shelf.change(record.id, lambda held: held.running().end(State.DONE, self.shelf.clock()))
        self.shelf.store.drop(items_of(record.id))
        return True

    def give_back(self, record: Record) -> None:
        """Let what is under way be done again by another, without counting it against anything."""
        with contextlib.suppress(JobStopped):
            self.shelf.change(record.id, lambda held: held.running().given_back())

    def fail(self, job: str, reason: str) -> None:
        """End a job that cannot be done."""
        with contextlib.suppress(JobStopped):
            self.shelf.change(job, lambda held: held.running().end(State.FAILED, self.shelf.clock(), reason))
        self.shelf.store.drop(items_of(job))
        self.shelf.store.drop(results_of(job))

    def sweep(self) -> int:
        """Remove what was kept for its time, and end what takes too long; say how many jobs that were."""
        now, limits, swept = self.shelf.clock(), self.shelf.limits, 0
        for job, held in self.shelf.all():
            if held.state is State.RECEIVING and now - held.created > limits.receiving_seconds:
                self.shelf.forget(job, self.shelf.readable(job))
            elif held.open and now - held.created > limits.longest_seconds:
                self.fail(job, "too_long")
            elif held.ended is not None and now - held.ended > 2 * limits.kept_seconds:
                self.shelf.forget(job, self.shelf.readable(job))
            elif held.state is State.DONE and now - (held.ended or now) > limits.kept_seconds:
                self._expire(job)
            else:
                continue
            swept += 1
        return swept

    def _count(self, record: Record, index: int, kept: bytes) -> None:
        aside = kept.startswith(_ASIDE)

        def change(held: Progress) -> Progress:
            held = held.running()
            return held.finished(index, aside=aside, size=len(kept)) if str(index) in held.under_way else held

        self.shelf.change(record.id, change)

    def _next(self, record: Record, first: int) -> int | None:
        return next((i for i in range(first, len(record.items)) if record.items[i] != REFUSED), None)

    def _expire(self, job: str) -> None:
        self.shelf.store.drop(results_of(job))
        with contextlib.suppress(JobStopped):
            self.shelf.change(job, _expired)


def _expired(held: Progress) -> Progress:
    if held.state is not State.DONE:
        raise JobStopped
    return held.end(State.EXPIRED, held.ended or 0.0)
