"""What Prometheus is told of the state of things: looked at now and then, in a thread, not when asked.

In several processes there is no collector that asks at the scrape; a look writes to the file of its process.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge

from serving import breaker

__all__ = [
    "DecryptTelemetry",
    "Looks",
    "ProcessTelemetry",
    "StateTelemetry",
    "counted_in",
    "decrypt_of_process",
    "forget_dead",
]

log = logging.getLogger("pat.telemetry")
_MEMORY = Path("/proc/self/statm")  # where there is one
_Mode = Literal["livemax", "livemostrecent"]
_BREAKERS = ("health_data", "fhir", "store", "rates", "cache", "revocation")


class StateTelemetry:
    """Breakers, what is degraded, jobs, and deletions that wait."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        def gauge(name: str, text: str, labels: Sequence[str] = (), mode: _Mode = "livemax") -> Gauge:
            return Gauge(name, text, labels, multiprocess_mode=mode, registry=registry)

        self._open = gauge("pat_breaker_open", "1 while a dependency is left alone", ["dependency"])
        self._degraded = gauge("pat_degraded", "1 for what /v1/status calls degraded", ["dependency"])
        self._stale = gauge("pat_certificates_stale", "1 while tokens are verified by stale certificates")
        self._jobs = gauge("pat_jobs", "Jobs by state", ["state"], "livemostrecent")
        self._waiting = gauge("pat_deletions_waiting", "Kinds of retention whose last sweep failed")

    def breakers(self) -> None:
        """Look at every named breaker of this process; one that is not there is not open."""
        found = breaker.states()
        for name in {*_BREAKERS, *found}:
            self._open.labels(name).set(found.get(name, False))

    def degraded(self, known: Collection[str], found: Collection[str]) -> None:
        """Say which of the ``known`` dependencies are degraded."""
        for name in known:
            self._degraded.labels(name).set(name in found)
        self._stale.set("certificates" in found)

    def jobs(self, states: Mapping[str, int]) -> None:
        """Say how many jobs there are in each state."""
        for state, many in states.items():
            self._jobs.labels(state).set(many)

    def deletions(self, waiting: int) -> None:
        """Say of how many kinds of things the old ones could not be removed."""
        self._waiting.set(waiting)


class ProcessTelemetry:
    """Memory and processor time of this process, which is an ``entry`` or a ``runner``."""

    def __init__(self, process: str, registry: CollectorRegistry = REGISTRY) -> None:
        self._memory = Gauge(
            "pat_process_resident_bytes",
            "Memory of the processes of a kind that live",
            ["process"],
            multiprocess_mode="livesum",
            registry=registry,
        ).labels(process)
        self._processor = Counter(
            "pat_process_cpu_seconds",
            "Processor time of all processes of a kind",
            ["process"],
            registry=registry,
        ).labels(process)
        self._told = 0.0

    def look(self) -> None:
        """Tell both; memory only where the system says it in ``/proc``."""
        spent = time.process_time()
        self._processor.inc(spent - self._told)
        self._told = spent
        if _MEMORY.exists():
            self._memory.set(int(_MEMORY.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))


class DecryptTelemetry:
    """What does not open though it is there: damaged, moved, or sealed with another key."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._failures = Counter(
            "pat_decrypt_failures", "Values or keys that do not open", ["store"], registry=registry
        )
        for store in ("values", "keys"):
            self._failures.labels(store)

    def failed(self, store: str) -> None:
        """Say that something in ``store`` (values or keys) does not open."""
        self._failures.labels(store).inc()


@cache
def decrypt_of_process() -> DecryptTelemetry:
    """Return the one of this process."""
    return DecryptTelemetry()


class Looks:
    """Looks at things every so many seconds, in a thread that keeps nobody from stopping."""

    def __init__(self, looks: Sequence[Callable[[], None]], seconds: float = 10) -> None:
        self._looks, self._seconds = tuple(looks), seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="looks", daemon=True)

    def start(self) -> None:
        """Begin, with a first look."""
        self._thread.start()

    def close(self) -> None:
        """End; a look that hangs is left alone."""
        self._ended.set()
        self._thread.join(timeout=1)

    def look(self) -> None:
        """Look once at everything; what cannot be seen now is seen later."""
        for one in self._looks:
            try:
                one()
            except Exception as error:  # of a store, of a disk: nobody's request waits for this
                log.warning("not looked at: %s", type(error).__name__)

    def _work(self) -> None:
        self.look()
        while not self._ended.wait(self._seconds):
            self.look()


def forget_dead(folder: str | None = None) -> None:
    """Remove the gauges of processes that were killed: a sum over the living must not count them."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415  # asks where metrics go

    if (where := counted_in(folder)) is None:
        return
    for file in where.glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdecimal() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            mark_process_dead(int(pid), str(where))  # type: ignore[no-untyped-call]  # not annotated


def counted_in(folder: str | None = None) -> Path | None:
    """Return where all processes write what they count; None for one process, which keeps it."""
    from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415  # same

    try:
        return Path(vars(MultiProcessCollector(None, folder))["_path"])  # type: ignore[no-untyped-call]  # same
    except ValueError:
        return None
