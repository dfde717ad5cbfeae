"""How jobs are kept: whose key what is sealed under, and how all of it goes. Serves serving/jobs.py.

What is of a subject, an item and its result, is sealed under that subject's key and goes with it; the rest
under a key of the job's own. Rooms of the store:

    job-states               how far each job is (serving/job_state.py); nothing of anybody, so not sealed
    job-records              who asked for what, and under whose key each item is
    job-owners, job-keys     which jobs a caller has; which job an Idempotency-Key stands for
    job-subjects             which items of a job are a subject's
    job-items-ID             what came in, until the job has ended
    job-results-ID           what came out, until it expires
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from serving.job_state import JobStopped, Progress
from serving.keys import Unreadable
from serving.leases import Leases
from serving.store import Store, Subject, Vault

__all__ = [
    "KEYS",
    "OWNERS",
    "RECORDS",
    "REFUSED",
    "STATES",
    "SUBJECTS",
    "JobHolder",
    "JobLimits",
    "JobShelf",
    "Owner",
    "Record",
    "items_of",
    "progress_in",
    "results_of",
]

STATES, RECORDS, OWNERS, KEYS, SUBJECTS = (
    *("job-states", "job-records", "job-owners", "job-keys", "job-subjects"),
)
REFUSED = "-"  # in the place of whose key: the item was set aside when it came, its result says why
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class JobLimits:
    """How much and how long. A job that is not done in ``longest_seconds`` has failed."""

    items: int = 1_000
    unfinished: int = 4  # jobs of one caller
    size: int = 1_000_000_000  # bytes of all jobs together
    kept_seconds: float = DAY_SECONDS  # a result, after the job ended; the job itself twice as long
    longest_seconds: float = 3 * DAY_SECONDS
    receiving_seconds: float = 600


@dataclass(frozen=True)
class Owner:
    """Whose job it is, as far as what is done later must know of the caller."""

    tenant: str = ""
    uid: str = ""
    roles: tuple[str, ...] = ()
    subject: str = ""
    auth_time: int = 0
    token: str = ""


@dataclass(frozen=True)
class Record:
    """Who asked for what; ``items`` says under whose key each is: a pseudonym, nothing, or REFUSED."""

    id: str
    owner: Owner
    output: str
    key: str = ""
    digest: str = ""
    items: Sequence[str] = ()
    created: float = 0.0

    @classmethod
    def of(cls, text: bytes) -> Record:
        """Read what ``text`` wrote."""
        said = json.loads(text)
        owner = Owner(**{**said["owner"], "roles": tuple(said["owner"]["roles"])})
        return cls(**{**said, "owner": owner, "items": tuple(said["items"])})

    def text(self) -> bytes:
        """Return it as it is sealed."""
        return json.dumps(asdict(self)).encode()

    def subjects(self) -> dict[str, list[int]]:
        """Return the items of each subject, by pseudonym."""
        found: dict[str, list[int]] = {}
        for index, whose in enumerate(self.items):
            if whose not in ("", REFUSED):
                found.setdefault(whose, []).append(index)
        return found


class JobShelf:
    """Jobs in one store; used from threads, for every call may wait for a disk."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        limits: JobLimits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store, self.vault, self.clock = store, vault, clock
        self.limits = limits or JobLimits()

    def all(self) -> list[tuple[str, Progress]]:
        """Return every job and how far it is; not those whose state is damaged, which hold up no other."""
        return list(progress_in(self.store).items())

    def whole(self, job: str) -> Progress | None:
        """Return how far a job is; None if there is none, or its state is damaged."""
        return _whole(self.store.get(STATES, job))

    def progress(self, job: str) -> Progress | None:
        """Return how far a job is; None if there is none. Raises Unreadable."""
        text = self.store.get(STATES, job)
        return None if text is None else Progress.of(text)

    def change(self, job: str, change: Callable[[Progress], Progress]) -> Progress:
        """Replace the state by what ``change`` makes of it, whoever else does so; return what it was."""
        while (text := self.store.get(STATES, job)) is not None:
            held = Progress.of(text)
            new = change(held).text()
            if new == text or self.store.swap(STATES, job, text, new):
                return held
        raise JobStopped

    def own(self, job: str) -> Subject:
        """Return what a job's own key is of; no subject's id has a space."""
        return self.vault.subject("", f"job {job}")

    def place(self, record: Record, index: int) -> Subject:
        """Return under whose key an item is."""
        whose = record.items[index]
        return self.own(record.id) if whose in ("", REFUSED) else Subject(record.owner.tenant, whose)

    def record(self, job: str) -> Record | None:
        """Return who asked for what; None if it is gone. Raises Unreadable."""
        text = self.vault.get(self.own(job), RECORDS, job)
        return None if text is None else Record.of(text)

    def readable(self, job: str) -> Record | None:
        """Return who asked for what, as far as it can be read."""
        try:
            return self.record(job)
        except Unreadable:
            return None

    def kept(self, record: Record, index: int, room: str) -> bytes | None:
        """Return what is kept of an item; None if it is gone, or its subject's key was exchanged since."""
        try:
            return self.vault.get(self.place(record, index), room, str(index))
        except Unreadable:
            return None

    def subject(self, record: Record, whose: str) -> str | None:
        """Return the id of the subject with that pseudonym; None if it was deleted."""
        said = self.vault.get(Subject(record.owner.tenant, whose), SUBJECTS, record.id)
        return None if said is None else str(json.loads(said)["subject"])

    def keeps(self, record: Record, index: int) -> bool:
        """Whether anything may be kept of an item: not of a subject that was deleted."""
        whose = record.items[index]
        return whose in ("", REFUSED) or self.subject(record, whose) is not None

    def mark(self, owner: Owner) -> str:
        """Return the name under which a caller's jobs are listed."""
        return self.vault.subject(owner.tenant, f"uid {owner.uid}").pseudonym

    def key_name(self, owner: Owner, key: str) -> str:
        """Return the name under which a caller's Idempotency-Key is kept."""
        return self.vault.subject(owner.tenant, f"job key {json.dumps([owner.uid, key])}").pseudonym

    def empty(self, record: Record) -> None:
        """Remove what came in and what came out; that there was a job stays for a while."""
        self.store.drop(items_of(record.id))
        self.store.drop(results_of(record.id))
        for whose in record.subjects():
            self.vault.delete(Subject(record.owner.tenant, whose), SUBJECTS, record.id)

    def forget(self, job: str, record: Record | None) -> None:
        """Remove every trace, the state last, so that what is left of an attempt is found again."""
        if record is not None:
            self.empty(record)
            self.store.delete(OWNERS, f"{self.mark(record.owner)}/{job}")
        self.store.drop(items_of(job))
        self.store.drop(results_of(job))
        self.vault.delete(self.own(job), RECORDS, job)
        self.vault.shred(self.own(job))
        Leases(self.store).forget(job)
        self.store.delete(STATES, job)


def progress_in(store: Store) -> dict[str, Progress]:
    """Return how far each job in ``store`` is, read at once; not those whose state is damaged."""
    found = {job: _whole(text) for job, text in store.all(STATES).items()}
    return {job: held for job, held in found.items() if held is not None}


def _whole(text: bytes | None) -> Progress | None:
    try:
        return None if text is None else Progress.of(text)
    except Unreadable:
        return None


def items_of(job: str) -> str:
    """Return the room of what came in."""
    return f"job-items-{job}"


def results_of(job: str) -> str:
    """Return the room of what came out."""
    return f"job-results-{job}"


class JobHolder:
    """What jobs keep of a subject, for its export and its deletion."""

    name = "jobs"

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def find(self, at: Subject) -> Mapping[str, bytes]:
        """Return items and results by job, index and which it is; raises Unreadable."""
        found: dict[str, bytes] = {}
        for job, index in self._held(at):
            if (item := self._vault.get(at, items_of(job), str(index))) is not None:
                found[f"{job}/{index}/item"] = item
            if (result := self._vault.get(at, results_of(job), str(index))) is not None:
                found[f"{job}/{index}/result"] = result[1:]
        return found

    def delete(self, at: Subject) -> int:
        """Remove them; then what lets a worker keep more, and once again what one kept meanwhile."""
        held = list(self._held(at))
        rooms = [(room(job), str(index)) for job, index in held for room in (items_of, results_of)]
        gone = sum(self._vault.delete(at, room, name) for room, name in rooms)
        for job in {job for job, _ in held}:
            self._vault.delete(at, SUBJECTS, job)
        return gone + sum(self._vault.delete(at, room, name) for room, name in rooms)

    def _held(self, at: Subject) -> list[tuple[str, int]]:
        found = []
        for job in self._vault.names(at, SUBJECTS):
            if (said := self._vault.get(at, SUBJECTS, job)) is not None:
                found += [(job, int(index)) for index in json.loads(said)["items"]]
        return found
