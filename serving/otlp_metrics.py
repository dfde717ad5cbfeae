"""Metrics on their way to a collector: what all processes of an instance counted, told by one of them.

Processes write what they count to files of one folder, as for Prometheus; who holds the lock there adds them
up and reports, and when it ends another goes on with the same series. Only what the list here names leaves,
with the labels it names; what else there is stays, and the log says how many series did.
"""

from __future__ import annotations

import logging
import math
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.otlp import Collector, Sender
from serving.settings import Signal

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.metrics.v1 import metrics_pb2
    from prometheus_client import Metric

__all__ = ["ALLOWED", "Place", "Told", "begin", "encoded"]

log = logging.getLogger("pat.metrics")
_SERVICE = "PatService"  # as spans of the entry call it; what the runner counted is in it
_LOCK = "otlp.lock"
_ORIGIN = re.compile(r"[0-9a-f-]{36} \d{1,20}")
_VALUE = re.compile(r"[A-Za-z0-9_:./{}$()+-]{0,128}")  # codes, tags and templates of ours
_CUMULATIVE = 2  # of OTLP's AggregationTemporality
ALLOWED: Mapping[str, frozenset[str]] = {
    name: frozenset(labels.split())
    for name, labels in {
        "pat_abandoned_total": "",
        "pat_absences_total": "reason",
        "pat_admitted_requests": "",
        "pat_admitted_weeks": "",
        "pat_audit_write_failures_total": "",
        "pat_auth_failures_total": "reason",
        "pat_batch_seconds": "",
        "pat_batch_wait_seconds": "",
        "pat_batch_weeks": "",
        "pat_break_glass_total": "",
        "pat_breaker_open": "dependency",
        "pat_cache_bytes": "",
        "pat_cache_evictions_total": "",
        "pat_cache_joined_total": "kind",
        "pat_cache_requests_total": "kind outcome",
        "pat_certificates_stale": "",
        "pat_decrypt_failures_total": "store",
        "pat_degraded": "dependency",
        "pat_deletions_waiting": "",
        "pat_deliveries_total": "outcome",
        "pat_drift_weeks": "",
        "pat_http_request_seconds": "route",
        "pat_http_requests_total": "method route status",
        "pat_inferences_total": "status",
        "pat_input_drift": "statistic",
        "pat_input_valid_share": "",
        "pat_integrity_checks_total": "kind outcome",
        "pat_jobs": "state",
        "pat_model_info": "engine precision sha256 tag",
        "pat_model_load_seconds": "",
        "pat_model_loads_total": "outcome",
        "pat_outbox_entries": "state",
        "pat_output_drift": "statistic",
        "pat_process_cpu_seconds_total": "process",
        "pat_process_resident_bytes": "process",
        "pat_queue_weeks": "",
        "pat_refused_total": "reason",
        "pat_rejected_inputs_total": "reason",
        "pat_telemetry_dropped_total": "signal",
    }.items()
}


@dataclass(frozen=True)
class Told:
    """Of which instance a report is, and when its counts began and are told, in nanoseconds since 1970."""

    instance: str  # random, another for each start of the service
    since: int
    now: int


class Place:
    """A lock in the folder of the metrics that one process of an instance holds, until it ends."""

    def __init__(self, folder: Path) -> None:
        self._path, self._file = folder / _LOCK, -1
        self.instance, self.since = "", 0

    def held(self) -> bool:
        """Take the place if nobody has it; say whether it is this process's."""
        import fcntl  # noqa: PLC0415  # not on every platform

        if self._file >= 0:
            return True
        file = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._file = file
        self._begin()
        return True

    def give_back(self) -> None:
        """Let another process have it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _begin(self) -> None:
        """Go on with the series of who was here before, or begin them."""
        text = os.pread(self._file, 64, 0).decode("ascii", "replace")
        if not _ORIGIN.fullmatch(text):
            text = f"{uuid.uuid4()} {time.time_ns()}"
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, text.encode(), 0)
        self.instance, since = text.split()
        self.since = int(since)


class _Reports:
    """Reports of one process, which sends them while it holds the place."""

    def __init__(self, at: Collector, folder: Path, dropped: Callable[[int], None]) -> None:
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415  # asks where metrics go

        self._files = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]  # not annotated
        self._sender, self._place, self._dropped = Sender(at, Signal.METRICS), Place(folder), dropped
        self._one_at_a_time, self._refused = threading.Lock(), 0

    def report(self) -> None:
        """Tell the collector all counts, if it is this process that does."""
        with self._one_at_a_time:
            if not self._place.held():
                return
            told = Told(self._place.instance, self._place.since, time.time_ns())
            body, refused = encoded(self._files.collect(), told)  # type: ignore[no-untyped-call]  # same
            if refused != self._refused:
                log.warning("%d series are on no list of what may leave, and stay", refused)
            self._refused = refused
            if not self._sender.sent(body):
                self._dropped(1)

    def hurry(self) -> None:
        """Let what is told from now on be told in time or not at all."""
        self._sender.hurry()

    def end(self) -> None:
        """Report for the last time, and leave the place."""
        self.report()
        self._place.give_back()
        self._sender.close()


def begin(at: Collector, folder: Path, seconds: float, dropped: Callable[[int], None]) -> Callable[[], None]:
    """Report what is counted in ``folder`` now and then; return what does so once more and ends that."""
    from serving.state_telemetry import Looks  # noqa: PLC0415  # asks at import where metrics go

    reports = _Reports(at, folder, dropped)
    looks = Looks([reports.report], seconds)
    looks.start()

    def end() -> None:
        reports.hurry()
        looks.close()
        reports.end()

    return end


def encoded(families: Iterable[Metric], told: Told) -> tuple[bytes, int]:
    """Return the families of ours as a request of OTLP, and how many of their series are on no list."""
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: PLC0415  # only where metrics leave
        ExportMetricsServiceRequest,
    )

    request = ExportMetricsServiceRequest()
    of_service = request.resource_metrics.add()
    named = {"service.name": _SERVICE, "service.instance.id": told.instance}
    of_service.resource.attributes.extend(_attributes(named))
    scope = of_service.scope_metrics.add()
    scope.scope.name = "pat"
    refused = 0
    for family in families:
        if family.name.startswith("pat_"):
            series = list(_series(family))
            allowed = [one for one in series if _may_leave(_name(family), one.labels)]
            refused += len(series) - len(allowed)
            if allowed:
                _write(scope.metrics.add(), family, allowed, told)
    return request.SerializeToString(), refused


@dataclass(frozen=True)
class _Series:
    """The samples of one set of labels; those of a histogram by their upper bound."""

    labels: Mapping[str, str]
    values: Mapping[str, float]  # by the end of the sample's name
    buckets: Mapping[float, float]


def _series(family: Metric) -> Iterator[_Series]:
    found: dict[frozenset[tuple[str, str]], _Series] = {}
    for sample in family.samples:
        labels = dict(sample.labels)
        bound = labels.pop("le", None) if family.type == "histogram" else None
        one = found.setdefault(frozenset(labels.items()), _Series(labels, {}, {}))
        where: Any = one.values if bound is None else one.buckets
        where[sample.name.removeprefix(family.name) if bound is None else float(bound)] = sample.value
    yield from found.values()


def _name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _may_leave(name: str, labels: Mapping[str, str]) -> bool:
    known = name in ALLOWED and ALLOWED[name] == labels.keys()
    return known and all(map(_VALUE.fullmatch, labels.values()))


def _write(metric: metrics_pb2.Metric, family: Metric, series: Sequence[_Series], told: Told) -> None:
    metric.name, metric.description = _name(family), family.documentation
    if family.type == "histogram":
        metric.histogram.aggregation_temporality = _CUMULATIVE  # type: ignore[assignment]  # the stubs want the enum's own
        for one in series:
            _write_histogram(metric.histogram.data_points.add(), one, told)
        return
    if family.type == "counter":
        metric.sum.is_monotonic = True
        metric.sum.aggregation_temporality = _CUMULATIVE  # type: ignore[assignment]  # same
    points = metric.sum.data_points if family.type == "counter" else metric.gauge.data_points
    for one in series:
        point = points.add(time_unix_nano=told.now, attributes=_attributes(one.labels))
        if family.type == "counter":
            point.start_time_unix_nano = told.since
        (point.as_double,) = one.values.values()


def _write_histogram(point: metrics_pb2.HistogramDataPoint, one: _Series, told: Told) -> None:
    """Write counts by bucket: Prometheus counts into a bucket all that is in the ones below as well."""
    bounds = sorted(one.buckets)
    upto = [round(one.buckets[bound]) for bound in bounds]
    point.start_time_unix_nano, point.time_unix_nano = told.since, told.now
    point.attributes.extend(_attributes(one.labels))
    point.explicit_bounds.extend(bound for bound in bounds if not math.isinf(bound))
    point.bucket_counts.extend(more - less for more, less in zip(upto, [0, *upto], strict=False))
    point.count, point.sum = upto[-1], one.values["_sum"]


def _attributes(named: Mapping[str, str]) -> Iterator[KeyValue]:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue  # noqa: PLC0415  # same

    for name, value in sorted(named.items()):
        yield KeyValue(key=name, value=AnyValue(string_value=value))
