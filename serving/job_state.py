"""How far a job is: a value, and what each step makes of it. Holds counts and times, nothing of anybody.

An item is begun, then done; what was begun when a process died is tried once more, alone, and set aside if
the process dies again.

Errors:

    JobStopped                the job is no longer to be worked on: cancelled, ended or gone
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum

from serving.keys import Unreadable

__all__ = ["MOST_CRASHES", "JobStopped", "Progress", "State"]

MOST_CRASHES = 2  # of the process, while an item was under way; then the item is set aside


class JobStopped(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """Nothing more is to be done for the job."""


class State(StrEnum):
    """What a job is."""

    RECEIVING = "receiving"  # its body is on the way; nobody is told of it yet
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


_OPEN = (State.WAITING, State.RUNNING)


@dataclass(frozen=True)
class Progress:
    """Where a job stands; ``under_way`` and ``again``: how often a process died on an item, by index."""

    state: State
    created: float
    size: int  # bytes that are kept of it
    items: int = 0
    done: int = 0
    set_aside: int = 0
    next: int = 0
    ended: float | None = None
    reason: str = ""  # why it failed
    spool: int = 0  # of ``size``, what goes when the job has ended
    under_way: Mapping[str, int] = field(default_factory=dict)
    again: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, text: bytes) -> Progress:
        """Read what ``text`` wrote; raises Unreadable where it is damaged."""
        try:
            said = json.loads(text)
            return cls(**{**said, "state": State(said["state"])})
        except (ValueError, KeyError, TypeError):
            raise Unreadable("the state of a job is damaged") from None

    def text(self) -> bytes:
        """Return it as the store keeps it."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @property
    def open(self) -> bool:
        """Whether there is work to do."""
        return self.state in _OPEN

    @property
    def complete(self) -> bool:
        """Whether every item is done."""
        return self.next >= self.items and not self.under_way and not self.again

    def running(self) -> Progress:
        """Return it with work that may be done; raises JobStopped."""
        if not self.open:
            raise JobStopped
        return replace(self, state=State.RUNNING)

    def begun(self, index: int) -> Progress:
        """Return it with the item under way."""
        crashes = self.again.get(str(index), 0)
        return replace(
            self,
            next=max(self.next, index + 1),
            under_way={**self.under_way, str(index): crashes},
            again=_without(self.again, index),
        )

    def finished(self, index: int, *, aside: bool, size: int) -> Progress:
        """Return it with the item done, and ``size`` bytes more kept."""
        return replace(
            self,
            done=self.done + 1,
            set_aside=self.set_aside + aside,
            size=self.size + size,
            under_way=_without(self.under_way, index),
        )

    def given_back(self) -> Progress:
        """Return it with what is under way to be done again, as if it had never begun."""
        return replace(self, under_way={}, again={**self.again, **self.under_way})

    def crashed(self) -> Progress:
        """Return it with what was under way counted against its items, for the process died."""
        counted = {index: crashes + 1 for index, crashes in self.under_way.items()}
        return replace(self, under_way={}, again={**self.again, **counted})

    def end(self, state: State, now: float, reason: str = "") -> Progress:
        """Return it ended; results are kept of one that is done."""
        size = self.size - self.spool if state is State.DONE else 0
        return replace(
            self, state=state, ended=now, reason=reason, size=size, spool=0, under_way={}, again={}
        )


def _without(items: Mapping[str, int], index: int) -> dict[str, int]:
    return {name: crashes for name, crashes in items.items() if name != str(index)}
