"""The outbox: results for the FHIR server, on disk until it has them or it is known that it never will.

An entry is a Bundle and a ticket. The Bundle is the subject's: sealed under the subject's key, found, deleted
and shredded with the subject, written once and never again. The ticket says who asked, how often it was tried
and when next; it holds no health value. A ticket is written before its Bundle and removed after it, so that a
crash leaves at most a ticket without a Bundle, of which nobody was told.

A try is written down before it is made (``claimed``): whoever dies in the midst of one leaves an entry that
rests for a while, in which the server ends what it began.

Times are times of day. Where the clock was set back, an entry from what is now the future is given times of
now when it is next looked at: it is due, or where a try may be under way rests for two minutes.

Errors:

    NotTaken                  a result is not taken for delivery: there is no server, or the caller may not
    OutboxFull                too many entries wait already
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from serving.keys import Unreadable
from serving.retention import DEAD_LETTER_DAYS, DELIVERED_HOURS
from serving.routes import new_id
from serving.store import Subject, Vault

__all__ = ["BUNDLES", "MOST_WAITING", "NotTaken", "Outbox", "OutboxFull", "Parcel", "State", "Ticket"]

BUNDLES = "outbox"  # what is kept of a subject
MOST_WAITING = 10_000  # two gigabytes of weeks
_STATE, _FAILING = "outbox-state", "failing"
_WRITING_SECONDS = 600.0  # after which a ticket without a Bundle is one that a crash left
_FIRST_SECONDS, _LONGEST_SECONDS = 5.0, 900.0  # between tries
_GIVE_UP_SECONDS = 7 * 86_400.0
_FARTHEST_SECONDS = 7_200.0  # that a try is ahead: an hour that a server asks for, and half as much jitter
_DIFFERENCE_SECONDS = 60.0  # by which an entry may be of the future: clocks differ
_SET_BACK_SECONDS = 120.0  # that an entry of the future rests once it was tried: longer than a try takes
_JITTER = secrets.SystemRandom()
_NOT_TAKEN = {
    "no_fhir_server": "this service delivers nowhere; leave deliver out, or have PAT_FHIR_SERVER_URL set",
    "forbidden": "your role does not include having results delivered; leave deliver out",
}
log = logging.getLogger("pat.outbox")


class NotTaken(ValueError):  # noqa: N818  # it says what is the case, as KeyError does
    """A result is not taken for delivery; ``code`` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(_NOT_TAKEN[code])
        self.code = code


class OutboxFull(RuntimeError):  # noqa: N818  # same
    """Too many results wait for the FHIR server."""

    def __init__(self) -> None:
        super().__init__("too many results wait for the FHIR server; try again once it takes them")


class State(StrEnum):
    """How far an entry is; also what its tickets are kept under."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"

    @property
    def room(self) -> str:
        """The purpose under which the vault has tickets of this state."""
        return f"outbox-{self.value}"


def _new_name() -> str:
    """Return a random id that no command line takes for an option."""
    while (name := new_id()).startswith("-"):
        pass
    return name


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Parcel:
    """What is to be delivered, who asked for it, and of whom it is."""

    bundle: bytes
    subject: Subject
    uid: str
    records: int  # resources in the Bundle
    trace: str = ""


@dataclass(frozen=True)
class Ticket:
    """What is known of one entry; times are in seconds since 1970."""

    name: str
    tenant: str
    subject: str  # the pseudonym
    uid: str
    records: int
    trace: str
    accepted: float
    since: float  # from when on tries are counted and given up
    due: float
    attempts: int = 0
    state: State = State.WAITING
    ended: float = 0
    reason: str = ""  # why it is not delivered, in one of our own words
    status: int = 0  # of the server's last answer
    codes: tuple[str, ...] = ()  # of its OperationOutcome

    @property
    def at(self) -> Subject:
        """Whose Bundle it is."""
        return Subject(self.tenant, self.subject)

    def told(self) -> dict[str, Any]:
        """Return what who asked, and who runs the service, may know: nothing of anybody's health."""
        waits = self.state is State.WAITING
        return {
            "delivery": self.name,
            "state": self.state.value,
            "accepted": _instant(self.accepted),
            "attempts": self.attempts,
            "next_attempt": _instant(self.due) if waits else None,
            "ended": None if waits else _instant(self.ended),
            "reason": self.reason or None,
            "status": self.status or None,
            "codes": list(self.codes),
        }

    def text(self) -> bytes:
        """Return it as it is kept."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def of(cls, text: bytes) -> Ticket:
        """Read what ``text`` wrote."""
        said = json.loads(text)
        return cls(**{**said, "state": State(said["state"]), "codes": tuple(said["codes"])})


class Outbox:
    """Entries in the vault; one process at a time delivers them, any may ask. A Holder and a Chore."""

    name = BUNDLES

    def __init__(self, vault: Vault, clock: Callable[[], float] = time.time) -> None:
        self._vault, self._clock = vault, clock
        self._own = vault.tenant("")  # no caller is of the tenant without a name

    def accept(self, parcel: Parcel) -> str:
        """Keep ``parcel``, durable when it returns; return the name of the delivery.

        Raises OutboxFull, StoreUnavailable or Unreadable.
        """
        if len(self._vault.names(self._own, State.WAITING.room)) >= MOST_WAITING:
            raise OutboxFull
        now, at = self._clock(), parcel.subject
        ticket = Ticket(
            name=_new_name(),
            tenant=at.tenant,
            subject=at.pseudonym,
            uid=parcel.uid,
            records=parcel.records,
            trace=parcel.trace,
            accepted=now,
            since=now,
            due=now,
        )
        self._write(ticket)
        self._vault.put(at, BUNDLES, ticket.name, parcel.bundle)
        return ticket.name

    def ticket(self, name: str) -> Ticket | None:
        """Return the ticket of a delivery."""
        found = (self._read(state, name) for state in State)
        return next((ticket for ticket in found if ticket is not None), None)

    def tickets(self, state: State) -> Iterator[Ticket]:
        """Yield the tickets of a state."""
        for name in self._vault.names(self._own, state.room):
            if (ticket := self._read(state, name)) is not None:
                yield ticket

    def dead_letters(self, names: Collection[str] = ()) -> list[str]:
        """Return the names of the dead letters, or which of ``names`` are of one."""
        known = self._vault.names(self._own, State.DEAD.room)
        return [name for name in known if not names or name in names]

    def counts(self) -> dict[str, int]:
        """Return how many entries wait, and how many are dead letters."""
        return {
            state.value: len(self._vault.names(self._own, state.room))
            for state in (State.WAITING, State.DEAD)
        }

    def due(self) -> list[Ticket]:
        """Return what is to be tried now, what waits longest first; for who has the lease of the outbox."""
        now = self._clock()
        waiting = [self._of_now(ticket, now) for ticket in self.tickets(State.WAITING)]
        return sorted((ticket for ticket in waiting if ticket.due <= now), key=lambda ticket: ticket.due)

    def _of_now(self, ticket: Ticket, now: float) -> Ticket:
        """Return ``ticket``, with other times where the clock was set back since it was written."""
        ahead = max(ticket.accepted, ticket.since) - now > _DIFFERENCE_SECONDS
        if not ahead and ticket.due - now <= _FARTHEST_SECONDS:
            return ticket
        rests = _SET_BACK_SECONDS if ticket.attempts else 0.0
        since, due = min(ticket.since, now), min(ticket.due, now + rests)
        timed = replace(ticket, accepted=min(ticket.accepted, now), since=since, due=due)
        self._write(timed)
        return timed

    def bundle(self, ticket: Ticket) -> bytes | None:
        """Return what is to be delivered; None if its subject is deleted. Raises Unreadable."""
        return self._vault.get(ticket.at, BUNDLES, ticket.name)

    def lost(self, ticket: Ticket) -> None:
        """Remove a ticket without a Bundle, unless that is being written now."""
        ended = self._read(State.DELIVERED, ticket.name) is not None
        if ended or self._clock() - ticket.accepted > _WRITING_SECONDS:
            self._vault.delete(self._own, State.WAITING.room, ticket.name)

    def claimed(self, ticket: Ticket, seconds: float) -> Ticket:
        """Write down that a try begins, and that the entry rests for ``seconds`` if it is never ended."""
        trying = replace(ticket, attempts=ticket.attempts + 1, due=self._clock() + seconds)
        self._write(trying)
        return trying

    def unclaimed(self, ticket: Ticket) -> None:
        """Write down that the try was not made after all."""
        self._write(ticket)

    def is_overdue(self, ticket: Ticket) -> bool:
        """Say whether it was tried for long enough."""
        return self._clock() - ticket.since > _GIVE_UP_SECONDS

    def postponed(self, ticket: Ticket, reason: str, status: int = 0, least_seconds: float = 0) -> Ticket:
        """Write down why a try failed, and when the next is."""
        wait = min(_FIRST_SECONDS * 2 ** min(ticket.attempts - 1, 10), _LONGEST_SECONDS)
        wait = max(least_seconds, wait) * _JITTER.uniform(1, 1.5)  # so that not all come at once
        later = replace(ticket, due=self._clock() + wait, reason=reason, status=status, codes=())
        self._write(later)
        return later

    def delivered(self, ticket: Ticket) -> Ticket:
        """Write down that the server has the Bundle, and keep it no longer."""
        now = self._clock()
        done = replace(ticket, state=State.DELIVERED, ended=now, reason="", status=0, codes=())
        self._write(done, now + DELIVERED_HOURS * 3600)
        self._vault.delete(ticket.at, BUNDLES, ticket.name)
        for state in (State.WAITING, State.DEAD):
            self._vault.delete(self._own, state.room, ticket.name)
        return done

    def dead(self, ticket: Ticket, reason: str, status: int = 0, codes: tuple[str, ...] = ()) -> Ticket:
        """Write down that the server will not take the Bundle; it is kept for who looks into it."""
        letter = replace(
            ticket, state=State.DEAD, ended=self._clock(), reason=reason, status=status, codes=codes
        )
        self._write(letter)
        self._vault.delete(self._own, State.WAITING.room, ticket.name)
        return letter

    def replayed(self, name: str) -> bool:
        """Let a dead letter wait again, as if it were new; say whether there is one of that name."""
        if (letter := self._read(State.DEAD, name)) is None:
            return False
        now = self._clock()
        self._write(replace(letter, state=State.WAITING, since=now, due=now, attempts=0, ended=0))
        self._vault.delete(self._own, State.DEAD.room, name)
        return True

    def fails(self, seconds: float) -> None:
        """Say to all processes that the server does not take results now; true for ``seconds``."""
        self._vault.put(self._own, _STATE, _FAILING, b"1", self._clock() + seconds)

    def works(self) -> None:
        """Say that it does again."""
        self._vault.delete(self._own, _STATE, _FAILING)

    @property
    def failing(self) -> bool:
        """Whether some process said so a while ago."""
        return self._vault.get(self._own, _STATE, _FAILING) is not None

    def find(self, at: Subject) -> Mapping[str, bytes]:
        """Return the Bundles of a subject that wait or are dead letters."""
        found = {name: self._vault.get(at, BUNDLES, name) for name in self._vault.names(at, BUNDLES)}
        return {name: value for name, value in found.items() if value is not None}

    def delete(self, at: Subject) -> int:
        """Remove all that is to be delivered of a subject, and that anything was; say how many there were."""
        tickets = [ticket.name for state in State for ticket in self.tickets(state) if ticket.at == at]
        return sum(self._forget(at, name) for name in {*tickets, *self._vault.names(at, BUNDLES)})

    def sweep(self) -> int:
        """Remove dead letters that were kept for their time; say how many."""
        before = self._clock() - DEAD_LETTER_DAYS * 86_400
        old = [ticket for ticket in self.tickets(State.DEAD) if ticket.ended < before]
        return sum(self._forget(ticket.at, ticket.name) for ticket in old)

    def _forget(self, at: Subject, name: str) -> bool:
        removed = self._vault.delete(at, BUNDLES, name)
        return sum(self._vault.delete(self._own, state.room, name) for state in State) > 0 or removed

    def _write(self, ticket: Ticket, expires: float | None = None) -> None:
        self._vault.put(self._own, ticket.state.room, ticket.name, ticket.text(), expires)

    def _read(self, state: State, name: str) -> Ticket | None:
        """Return a ticket; one that does not open is left for a person to look at."""
        try:
            text = self._vault.get(self._own, state.room, name)
        except Unreadable:
            log.error("a ticket of the outbox does not open")  # noqa: TRY400  # a trace adds nothing
            return None
        return None if text is None else Ticket.of(text)
