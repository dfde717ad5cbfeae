"""What Prometheus is told of the runner's batches and of the safeguards: numbers, never whose.

Every process of a server writes to files of its own, which the entry's ``/metrics`` adds up; a queue is the
sum over the runners that live.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

__all__ = [
    "AdmissionTelemetry",
    "BatchTelemetry",
    "CacheTelemetry",
    "DeliveryTelemetry",
    "SafeguardTelemetry",
    "admission",
]

_WEEKS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class BatchTelemetry:
    """Batch size, waiting time and queue depth of one runner process; counted in weeks, not calls."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._batch = Histogram("pat_batch_weeks", "Weeks in a batch", buckets=_WEEKS, registry=registry)
        self._wait = Histogram(
            "pat_batch_wait_seconds", "Wait of a call before its batch", buckets=_SECONDS, registry=registry
        )
        self._seconds = Histogram(
            "pat_batch_seconds", "Time that a batch took", buckets=_SECONDS, registry=registry
        )
        self._queue = Gauge(
            "pat_queue_weeks",
            "Weeks that wait for a batch",
            multiprocess_mode="livesum",
            registry=registry,
        )

    def queued(self, weeks: int) -> None:
        """Say how many weeks wait."""
        self._queue.set(weeks)

    def started(self, weeks: int, waits_seconds: Sequence[float]) -> None:
        """Say that a batch begins, and how long each of its calls waited."""
        self._batch.observe(weeks)
        for wait in waits_seconds:
            self._wait.observe(wait)

    def ended(self, seconds: float) -> None:
        """Say how long a batch took."""
        self._seconds.observe(seconds)


class SafeguardTelemetry:
    """What an operator must hear of: each of these is worth an alert."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._unidentified = Counter(
            "pat_auth_failures", "Requests of callers who were not identified", ["reason"], registry=registry
        )
        self._emergencies = Counter("pat_break_glass", "Emergencies that were declared", registry=registry)
        self._unrecorded = Counter(
            "pat_audit_write_failures", "Answers withheld because they were not recorded", registry=registry
        )

    def unidentified(self, reason: str) -> None:
        """Say that a caller was not identified; ``reason`` is one of our own words."""
        self._unidentified.labels(reason).inc()

    def emergency(self) -> None:
        """Say that a glass was broken."""
        self._emergencies.inc()

    def unrecorded(self) -> None:
        """Say that an answer was withheld."""
        self._unrecorded.inc()


class DeliveryTelemetry:
    """Deliveries to the FHIR server, as the process that makes them sees them."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._tries = Counter("pat_deliveries", "Tries to deliver a result", ["outcome"], registry=registry)
        self._held = Gauge(
            "pat_outbox_entries",
            "Results in the outbox",
            ["state"],
            multiprocess_mode="livemostrecent",
            registry=registry,
        )
        for outcome in ("delivered", "postponed", "dead"):
            self._tries.labels(outcome)

    def ended(self, outcome: str) -> None:
        """Say how a try ended: delivered, postponed or dead."""
        self._tries.labels(outcome).inc()

    def has(self, waiting: int, dead: int) -> None:
        """Say how many results wait and how many are dead letters."""
        self._held.labels("waiting").set(waiting)
        self._held.labels("dead").set(dead)


class CacheTelemetry:
    """What the cache was to the values that were wanted of it, as each API worker sees it."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._requests = Counter(
            "pat_cache_requests", "Values wanted of the cache", ["kind", "outcome"], registry=registry
        )
        self._bytes = Gauge(
            "pat_cache_bytes", "Memory of the cache", multiprocess_mode="livesum", registry=registry
        )
        self._evictions = Counter(
            "pat_cache_evictions", "Values that went for want of room", registry=registry
        )
        self._joined = Counter(
            "pat_cache_joined", "Requests that waited for an equal one", ["kind"], registry=registry
        )
        for kind in ("analysis", "embedding"):
            self._joined.labels(kind)
            for outcome in ("hit", "miss", "bypass", "corrupt"):
                self._requests.labels(kind, outcome)

    def used(self, kind: str, outcome: str, values: int) -> None:
        """Say what the cache was to so many values: hit, miss, bypass or corrupt."""
        if values:
            self._requests.labels(kind, outcome).inc(values)

    def holds(self, size: int) -> None:
        """Say how many bytes this process holds."""
        self._bytes.set(size)

    def evicted(self) -> None:
        """Say that a value went for want of room."""
        self._evictions.inc()

    def joined(self, kind: str) -> None:
        """Say that a request waits for an equal one."""
        self._joined.labels(kind).inc()


class AdmissionTelemetry:
    """Who is let in, who is not and who left, as one API worker sees it."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._requests = _living("pat_admitted_requests", "Requests under way", registry)
        self._weeks = _living("pat_admitted_weeks", "Weeks admitted to the runner", registry)
        self._refused = Counter(
            "pat_refused", "Requests refused for want of room, time or quota", ["reason"], registry=registry
        )
        self._abandoned = Counter("pat_abandoned", "Requests whose callers left", registry=registry)
        for reason in ("overload", "deadline", "quota"):
            self._refused.labels(reason)

    def under_way(self, change: int) -> None:
        """Say that so many more requests are under way."""
        self._requests.inc(change)

    def weeks(self, admitted: int) -> None:
        """Say how many weeks are admitted and not answered."""
        self._weeks.set(admitted)

    def refused(self, reason: str) -> None:
        """Say that a request was refused: overload, deadline or quota."""
        self._refused.labels(reason).inc()

    def abandoned(self) -> None:
        """Say that a caller left before the answer."""
        self._abandoned.inc()


def _living(name: str, what: str, registry: CollectorRegistry) -> Gauge:
    return Gauge(name, what, multiprocess_mode="livesum", registry=registry)


@cache
def admission() -> AdmissionTelemetry:
    """Return what all of this process tell."""
    return AdmissionTelemetry()
