"""What Prometheus is told of the weights, of what they computed, and of how far that is from their cohort.

Of weeks only counts, shares in steps of a twentieth, and means over many weeks are told.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Literal

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

__all__ = [
    "DriftTelemetry",
    "InferenceTelemetry",
    "ModelTelemetry",
    "inferences_of_process",
    "models_of_process",
]

_LOAD_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_SHARES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)
_STEP = 0.05  # of a share that is told


class ModelTelemetry:
    """Loading and proving of the weights in one process."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._loads = Counter("pat_model_loads", "Tries to load the weights", ["outcome"], registry=registry)
        self._seconds = Histogram(
            "pat_model_load_seconds",
            "Time from the store to proven weights",
            buckets=_LOAD_SECONDS,
            registry=registry,
        )
        self._checks = Counter(
            "pat_integrity_checks", "Checks of the weights", ["kind", "outcome"], registry=registry
        )
        self._info = Gauge(
            "pat_model_info",
            "The weights that answer",
            ["tag", "sha256", "engine", "precision"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        for outcome in ("passed", "failed"):
            for kind in ("digest", "golden"):
                self._checks.labels(kind, outcome)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Time a load; an exception is a failure."""
        for outcome in ("loaded", "failed"):
            self._loads.labels(outcome)
        began = time.monotonic()
        try:
            yield
        except BaseException:
            self._loads.labels("failed").inc()
            raise
        self._loads.labels("loaded").inc()
        self._seconds.observe(time.monotonic() - began)

    @contextmanager
    def checking(self, kind: str, failure: type[Exception]) -> Iterator[None]:
        """Count a check of ``kind`` (digest, golden); ``failure`` says that it failed, others say nothing."""
        try:
            yield
        except failure:
            self._checks.labels(kind, "failed").inc()
            raise
        self._checks.labels(kind, "passed").inc()

    def answers(self, tag: str, sha256: str, engine: str, precision: str) -> None:
        """Say which weights answer, on what."""
        self._info.labels(tag, sha256, engine, precision).set(1)


class InferenceTelemetry:
    """What became of weeks, and why numbers are absent."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._weeks = Counter("pat_inferences", "Weeks by what became of them", ["status"], registry=registry)
        self._absent = Counter(
            "pat_absences", "Why PAT or a metric is absent, by code", ["reason"], registry=registry
        )
        self._valid = Histogram(
            "pat_input_valid_share",
            "Share of a week's minutes that hold a value, in steps of 0.05",
            buckets=_SHARES,
            registry=registry,
        )
        for status in ("encoded", "cached", "rejected", "unavailable"):
            self._weeks.labels(status)

    def ended(self, status: str, weeks: int) -> None:
        """Say that so many weeks were encoded, or were before (cached), were rejected, or met no runner."""
        if weeks:
            self._weeks.labels(status).inc(weeks)

    def absent(self, reasons: Mapping[str, int]) -> None:
        """Say how often each reason was given."""
        for reason, times in reasons.items():
            self._absent.labels(reason).inc(times)

    def valid(self, share: float) -> None:
        """Say how much of a week was recorded and worn."""
        self._valid.observe(round(share / _STEP) * _STEP)


class DriftTelemetry:
    """How far the last weeks are from the checkpoint's reference, in SDs of it; absent without one."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        mode: Literal["livemostrecent"] = "livemostrecent"  # each worker has a window; the last tells
        self._gauges = {
            "input": Gauge(
                "pat_input_drift",
                "Mean of a statistic of the last weeks, from the reference, in its SDs",
                ["statistic"],
                multiprocess_mode=mode,
                registry=registry,
            ),
            "output": Gauge(
                "pat_output_drift",
                "The same of their embeddings",
                ["statistic"],
                multiprocess_mode=mode,
                registry=registry,
            ),
        }
        self._weeks = Gauge(
            "pat_drift_weeks", "Weeks in the windows of drift", multiprocess_mode="livesum", registry=registry
        )
        self._weeks.set(0)

    def drifted(self, side: str, statistics: Mapping[str, float]) -> None:
        """Say how far ``side`` (input, output) is from the reference, by statistic."""
        for name, drift in statistics.items():
            self._gauges[side].labels(name).set(drift)

    def holds(self, weeks: int) -> None:
        """Say how many weeks the window of this process holds."""
        self._weeks.set(weeks)


@cache
def models_of_process() -> ModelTelemetry:
    """Return the one of this process."""
    return ModelTelemetry()


@cache
def inferences_of_process() -> InferenceTelemetry:
    """Return the one of this process."""
    return InferenceTelemetry()
