"""What Prometheus is told of requests: how many, by which door, how they ended, how long they took.

A route is a template of ours, never a path that was sent; a method one of HTTP's; a reason one of our codes.
"""

from __future__ import annotations

from functools import cache

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

__all__ = ["RequestTelemetry", "of_process"]

_SECONDS = (0.003, 0.01, 0.03, 0.1, 0.2, 0.5, 1.0, 3.0, 10.0, 30.0, 60.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REJECTED = frozenset({400, 413, 415, 422})  # statuses that say: not this input


class RequestTelemetry:
    """Requests of one entry process."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._requests = Counter(
            "pat_http_requests", "Requests by door", ["route", "method", "status"], registry=registry
        )
        self._seconds = Histogram(
            "pat_http_request_seconds",
            "Time from the head of a request to the end of its answer",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._rejected = Counter(
            "pat_rejected_inputs", "Inputs that were refused, by our own codes", ["reason"], registry=registry
        )

    def ended(self, route: str, method: str, status: int, seconds: float) -> None:
        """Say that a request of ``route`` ended; status 499: its sender left before it was answered."""
        known = method if method in _METHODS else "other"
        self._requests.labels(route, known, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def refused(self, status: int, code: str) -> None:
        """Say that an input was refused with ``code``, if ``status`` is one that refuses an input."""
        if code and status in _REJECTED:
            self._rejected.labels(code).inc()


@cache
def of_process() -> RequestTelemetry:
    """Return the one of this process."""
    return RequestTelemetry()
