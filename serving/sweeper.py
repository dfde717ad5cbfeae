"""The sweeper: removes what has been kept for its time (serving/retention.py).

Every store that keeps anything for a time is one of its chores.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from serving.audit import Action, AuditEvent, AuditTrail, AuditUnavailable, Outcome, Purpose
from serving.audit_file import CLOSED, Checkpoint, last_record, sync_folder
from serving.lifecycle import Trail
from serving.retention import AUDIT_DAYS
from serving.store import Store, StoreUnavailable

__all__ = ["AuditFiles", "Chore", "Expired", "Sweeper"]

SWEEP_SECONDS = 3_600
log = logging.getLogger("pat.retention")


class Chore(Protocol):
    """One thing that is kept for a time."""

    @property
    def name(self) -> str:
        """What it is called in the trail."""
        ...

    def sweep(self) -> int:
        """Remove what is older; say how much that was."""
        ...


@dataclass(frozen=True)
class AuditFiles:
    """Files of the trail in ``folder`` all of whose records are older than ``days``."""

    trail: AuditTrail
    folder: Path
    days: int = AUDIT_DAYS
    name: str = "audit"

    def sweep(self) -> int:
        """Say in the trail that a file goes, then remove it; raises AuditUnavailable."""
        before = (datetime.now(UTC) - timedelta(days=self.days)).isoformat(timespec="milliseconds")
        removed = [
            path for path in sorted(self.folder.glob(f"audit-*{CLOSED}")) if self._removed(path, before)
        ]
        if removed:
            sync_folder(self.folder)
        return len(removed)

    def _removed(self, path: Path, before: str) -> bool:
        last, _ = last_record(path)
        if not last or last["at"] >= before:
            return False
        self.trail.purged(Checkpoint(path.stem, last["seq"], last["mac"]))
        path.unlink(missing_ok=True)  # another process may have been faster
        return True


@dataclass(frozen=True)
class Expired:
    """What the durable store keeps beyond its end."""

    store: Store
    name: str = "store"

    def sweep(self) -> int:
        """Remove it; raises StoreUnavailable."""
        return self.store.sweep()


class Sweeper:
    """Does all chores, now and every hour; what was removed is recorded."""

    def __init__(self, trail: Trail, chores: Sequence[Chore], seconds: float = SWEEP_SECONDS) -> None:
        self._trail, self._chores, self._seconds = trail, tuple(chores), seconds
        self.waiting = 0  # chores that could not be done the last time
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="sweeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End; a chore that has begun is done."""
        self._ended.set()
        self._thread.join()

    def sweep(self) -> None:
        """Do every chore once; one that cannot be done waits for the next time."""
        waiting = 0
        for chore in self._chores:
            try:
                if removed := chore.sweep():
                    self._trail.record_now(_removal(chore.name, removed))
            except (AuditUnavailable, StoreUnavailable, OSError) as error:
                waiting += 1
                log.warning("retention of %s: %s", chore.name, type(error).__name__)
        self.waiting = waiting

    def _work(self) -> None:
        self.sweep()
        while not self._ended.wait(self._seconds):
            self.sweep()


def _removal(name: str, items: int) -> AuditEvent:
    return AuditEvent(
        Action.DELETE,
        "retention",
        Outcome.DONE,
        "expired",
        purpose=Purpose.SYSTEM,
        records=items,
        detail=name,
    )
