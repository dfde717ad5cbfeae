"""What the entry looks at now and then for Prometheus: breakers, what is degraded, jobs, itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from api.keeping import Keeping
from api.status import DEPENDENCIES, degraded_of
from serving import otlp_telemetry
from serving.job_shelf import progress_in
from serving.job_state import State
from serving.settings import Settings
from serving.state_telemetry import (
    Looks,
    ProcessTelemetry,
    StateTelemetry,
    decrypt_of_process,
    forget_dead,
)

__all__ = ["looks_of"]

_SEEN = tuple(state.value for state in State if state is not State.RECEIVING)


def looks_of(service: Any, settings: Settings) -> Looks:
    """Return the looks of an entry process; ``service`` is a PatService, whole by and by."""
    told = StateTelemetry()
    decrypt_of_process()  # counts from zero
    otlp_telemetry.of_process()  # same

    def degraded() -> None:
        told.degraded(DEPENDENCIES, degraded_of(service, settings))

    return Looks(
        [
            ProcessTelemetry("entry").look,
            forget_dead,
            told.breakers,
            degraded,
            _jobs(lambda: service.keeping, told),
            lambda: told.deletions(_waiting(service)),
        ]
    )


def _jobs(keeping: Callable[[], Keeping | None], told: StateTelemetry) -> Callable[[], None]:
    def look() -> None:
        kept = keeping()
        known = {} if kept is None else progress_in(kept.store)  # of whichever instance
        found = Counter(held.state.value for held in known.values())
        told.jobs({state: found[state] for state in _SEEN})

    return look


def _waiting(service: Any) -> int:
    sweepers = [of.sweeper for of in (service.safeguards, service.keeping) if of is not None and of.sweeper]
    return sum(sweeper.waiting for sweeper in sweepers)
