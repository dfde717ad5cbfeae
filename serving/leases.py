"""A lease: of all processes that share a store, one does a piece of work at a time.

Who holds it says so again before it ends; whoever cannot has lost it, and must not go on, for another may
have begun. Ends are times of day, which the clocks of all machines should agree about to a second. Where a
clock was set back, who waits sees whether a lease is renewed: one that is not ends after its time, whatever
end it names.

Errors:

    LeaseLost                 the lease ended, or another has it: stop, and leave the work to whoever has it
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from serving.store import Store

__all__ = ["Lease", "LeaseLost", "Leases"]

_ROOM = "leases"
_NOBODY = b"{}"
LEASE_SECONDS = 30.0
_MARGIN_SECONDS = 2.0  # by which clocks may differ
_MOST_SEEN = 10_000  # leases of others that are watched


class LeaseLost(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """The lease is another's, or nobody's."""

    def __init__(self) -> None:
        super().__init__("the lease is no longer held; another process may do the work")


@dataclass(frozen=True)
class Leases:
    """Leases in ``store`` for ``seconds`` at a time, by the time of day that ``clock`` tells.

    ``steady`` is a clock that is never set.
    """

    store: Store
    seconds: float = LEASE_SECONDS
    clock: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic
    _seen: dict[str, tuple[bytes, float]] = field(
        default_factory=dict, repr=False, compare=False
    )  # since when, by the steady clock

    def take(self, name: str) -> Lease | None:
        """Take the lease ``name`` if nobody has it; raises StoreUnavailable."""
        lease = Lease(self, name)
        found = self.store.get(_ROOM, name)
        if found is None:
            return lease if self.store.add(_ROOM, name, lease.renewed()) else None
        if _end(found) > self.clock() and not self._is_left(name, found):
            return None
        self._seen.pop(name, None)
        return lease if self.store.swap(_ROOM, name, found, lease.renewed()) else None

    def _is_left(self, name: str, found: bytes) -> bool:
        """Whether nobody renewed it while we looked on for its whole time, whatever end it names."""
        text, since = self._seen.get(name, (b"", 0.0))
        if text == found:
            return self.steady() - since > self.seconds + _MARGIN_SECONDS
        self._seen.pop(name, None)
        self._seen[name] = (found, self.steady())
        while len(self._seen) > _MOST_SEEN:
            del self._seen[next(iter(self._seen))]
        return False

    def forget(self, name: str) -> None:
        """Remove every trace of a lease whose work will never be done again."""
        self.store.delete(_ROOM, name)


class Lease:
    """One lease while it is held; used by one thread at a time."""

    def __init__(self, leases: Leases, name: str) -> None:
        self._leases, self.name = leases, name
        self._holder = secrets.token_hex(8)
        self._text, self._until, self._lasts = _NOBODY, 0.0, 0.0  # until when, by each clock

    def renewed(self) -> bytes:
        """Return what says that it is held from now on for the whole time."""
        self._until = self._leases.clock() + self._leases.seconds
        self._lasts = self._leases.steady() + self._leases.seconds
        self._text = json.dumps({"holder": self._holder, "until": self._until}).encode()
        return self._text

    @property
    def held(self) -> bool:
        """Whether nobody else can have it yet, by either clock."""
        left = min(self._until - self._leases.clock(), self._lasts - self._leases.steady())
        return left > _MARGIN_SECONDS

    def renew(self) -> None:
        """Hold it for the whole time again; raises LeaseLost, or StoreUnavailable."""
        before = self._text
        if not self._leases.store.swap(_ROOM, self.name, before, self.renewed()):
            self._text, self._until = _NOBODY, 0.0
            raise LeaseLost

    def release(self) -> None:
        """Let another have it now; nothing happens if it is lost already."""
        self._leases.store.swap(_ROOM, self.name, self._text, _NOBODY)
        self._text, self._until = _NOBODY, 0.0


def _end(text: bytes) -> float:
    """Return until when a lease is held; one that is damaged is nobody's, and its holder cannot renew it."""
    try:
        return float(json.loads(text).get("until", 0.0))
    except (ValueError, TypeError, AttributeError):
        return 0.0
