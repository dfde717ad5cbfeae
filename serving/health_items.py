"""What the health data service lists, in its three shapes, sorted into what can be analysed and what cannot.

    S1  a metric                      S2  an upload whose ``metrics`` are a map by type
    S3  a metric inside ``metric_data``

A metric counts if it says itself when something was measured: a packed series, an envelope of HealthKit
samples, or steps whose metadata holds times. ``created_at`` is when a record was made, and is never taken for
a time of measurement. Each other metric is set aside with its reason. Free text is dropped unread.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from serving.health_errors import NothingUsable

__all__ = ["ANALYSIS_PROFILE", "Aside", "Sorted", "Wanted"]

Json = dict[str, Any]
ANALYSIS_PROFILE = "pat-analysis/1"  # of what is written back
_SERIES_PROFILE = "actigraphy-series/1"
_ENVELOPE_MARKS = frozenset({"deviceTimeZone", "uploadId", "sdkVersion"})
_ACTIVITY = "activity_level"
_STEPS = "steps"
_TYPES = frozenset(
    {_ACTIVITY, "heart_rate", "heart_rate_variability", "blood_pressure", "blood_oxygen", "respiratory_rate"}
    | {"sleep_analysis", "stress_indicators", "mood_assessment", "cognitive_metrics", "environmental"}
    | {"body_temperature", "blood_glucose"}
)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d(:\d\d)?)?", re.ASCII)


class Aside(StrEnum):
    """Why a metric is not analysed."""

    NAIVE_TIMESTAMP = "naive_timestamp"  # a time without UTC offset
    NO_TIME_ZONE = "no_time_zone"  # neither the metric nor the request says it
    NO_EPOCH_INFORMATION = "no_epoch_information"  # nothing says when, or for how long, it was measured
    OUT_OF_PERIOD = "out_of_period"
    OTHER_QUANTITY = "other_quantity"  # a heart rate, a mood, or not the quantity that was asked for
    UNKNOWN_TYPE = "unknown_type"  # a metric_type that the contract does not have
    UNREADABLE = "unreadable"  # not a metric, or one with a field of another type
    DUPLICATE = "duplicate"  # listed before, word for word
    ANOTHER_PERSON = "another_person"  # not of the user whom the settings name
    OWN_ANALYSIS = "own_analysis"  # written back by this service


_NOTHING_LEFT = {  # in the order in which an uploader can mend them
    Aside.NAIVE_TIMESTAMP: "expected metrics whose times have a UTC offset, found none; upload with offsets",
    Aside.NO_TIME_ZONE: "expected a time zone in the metrics or in the request, found neither; state zone",
    Aside.NO_EPOCH_INFORMATION: "expected metrics that say when and how long they were measured, found none; "
    "upload the profile actigraphy-series/1 (docs/health-data-service.md)",
}
_NO_DATA = "the health data service returned no activity of this period that can be analysed; see source"


@dataclass(frozen=True)
class Wanted:
    """Local days, both included; the zone where metrics state none; one quantity, or any; the user's id."""

    since: date
    until: date
    zone: str | None = None
    quantity: str | None = None
    user: str | None = None


class _SetAside(Exception):  # noqa: N818  # it is no error: a metric is counted and left
    def __init__(self, why: Aside) -> None:
        super().__init__(why)
        self.why = why


@dataclass
class Sorted:
    """What was listed so far, without copies."""

    wanted: Wanted
    metrics: list[Json] = field(default_factory=list)
    envelopes: list[Json] = field(default_factory=list)
    set_aside: Counter[Aside] = field(default_factory=Counter)
    analyses: set[str] = field(default_factory=set)  # metric_ids of what was written back before
    by_type: bool = False  # uploads keep one metric of each type, so others may be lost
    oldest: datetime | None = None  # when the first of those uploads came
    listed: int = 0
    _records: set[tuple[str | None, bytes]] = field(default_factory=set)  # upload and metric
    _metrics: set[bytes] = field(default_factory=set)
    _processing: dict[str, None] = field(default_factory=dict)

    def take(self, items: Iterable[Any]) -> bool:
        """Sort one page; whether it held anything that was not listed before."""
        known = len(self._records)
        for item in items:
            for metric, around in self._held(item):
                self._sort(metric, around)
        return len(self._records) > known

    def _held(self, item: Any) -> Iterable[tuple[Any, Json]]:
        """The metrics of an item, each with what the item says of it."""
        if not isinstance(item, dict):
            return [(item, {})]
        if "metric_data" in item:
            return [(item["metric_data"], item)]
        if isinstance(held := item.get("metrics"), dict):
            self.by_type = True
            self.oldest = _earlier(self.oldest, item.get("timestamp"))
            return [(metric, item) for metric in held.values()]
        return [(metric, item) for metric in held] if isinstance(held, list) else [(item, item)]

    def _sort(self, metric: Any, around: Json) -> None:
        kept = _kept(metric, around)
        name = _digest(metric if kept is None else kept)
        record = (_text(around.get("processing_id")), name)
        if record in self._records:  # pages shift while uploads arrive, and ranges overlap
            return
        self._records.add(record)
        self.listed += 1
        if name in self._metrics:
            self.set_aside[Aside.DUPLICATE] += 1
            return
        self._metrics.add(name)
        try:
            self._use(kept, around)
        except _SetAside as found:
            self.set_aside[found.why] += 1

    def _use(self, metric: Json | None, around: Json) -> None:
        if metric is None:
            raise _SetAside(Aside.UNREADABLE)
        if self.wanted.user and _is_another(around.get("user_id"), self.wanted.user):
            raise _SetAside(Aside.ANOTHER_PERSON)
        raw = metric["raw_data"]
        if raw.get("profile") == ANALYSIS_PROFILE:
            self.analyses.add(metric["metric_id"] or "")
            raise _SetAside(Aside.OWN_ANALYSIS)
        if isinstance(raw.get("samples"), list) and not _ENVELOPE_MARKS.isdisjoint(raw):
            self.envelopes.append(_envelope(raw, self.wanted))
        else:
            (_series if raw.get("profile") == _SERIES_PROFILE else _amount)(metric, self.wanted)
            self.metrics.append(metric)
        if isinstance(made := around.get("processing_id"), str):
            self._processing[made[:64]] = None

    def source(self, pages: int, *, truncated: bool) -> Json:
        """Say what the answer rests on; the ids are of the uploads that were used."""
        return {
            "pages": pages,
            "listed": self.listed,
            "used": len(self.metrics) + len(self.envelopes),
            "set_aside": {why.value: self.set_aside[why] for why in Aside if self.set_aside[why]},
            "truncated": truncated,
            "loss_possible": self.by_type,
            "processing_ids": list(self._processing),
        }

    def document(self, source: Mapping[str, Any]) -> bytes:
        """Return one document of all that can be analysed; raises NothingUsable."""
        if self.metrics and self.envelopes:
            raise NothingUsable(
                "mixed_quantities",
                "expected metrics of one kind, found series or steps beside HealthKit samples; ask for one "
                "quantity or another period",
                source,
            )
        if self.envelopes:
            return json.dumps(_joined(self.envelopes, source)).encode()
        if not self.metrics:
            why = next((why for why in _NOTHING_LEFT if self.set_aside[why]), None)
            raise NothingUsable(why or "no_data", _NOTHING_LEFT[why] if why else _NO_DATA, source)
        return json.dumps({"data": self.metrics, "pagination": {}}).encode()


def _kept(metric: Any, around: Json) -> Json | None:
    """The parts of a metric that may be read, None if it is none."""
    if not isinstance(metric, dict):
        return None
    raw, metadata, activity = (metric.get(name) or {} for name in ("raw_data", "metadata", "activity_data"))
    if not all(isinstance(part, dict) for part in (raw, metadata, activity)):
        return None
    return {
        **{name: _text(metric.get(name)) for name in ("metric_id", "metric_type", "device_id")},
        "raw_data": raw,
        "metadata": metadata,
        "activity_data": {_STEPS: activity.get(_STEPS)},
        "user_id": _text(around.get("user_id")),
        "upload_source": _text(around.get("upload_source")),
    }


def _earlier(known: datetime | None, text: Any) -> datetime | None:
    """The earlier of two times of arrival; the store writes its own without offset, in UTC."""
    if not isinstance(text, str) or not (found := _TIME.fullmatch(text)):
        return known
    try:
        came = datetime.fromisoformat(text if found[3] else f"{text}+00:00").astimezone(UTC)
    except (ValueError, OverflowError):
        return known
    return came if known is None else min(known, came)


def _is_another(listed: Any, user: str) -> bool:
    """Whether an item is of another UUID than the user's; ids of other kinds cannot be compared."""
    return isinstance(listed, str) and bool(_UUID.fullmatch(listed)) and listed.lower() != user.lower()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _digest(metric: Any) -> bytes:
    return hashlib.sha256(json.dumps(metric, sort_keys=True).encode()).digest()


def _envelope(raw: Json, wanted: Wanted) -> Json:
    """The envelope with its zone; its samples are judged by the reader, one by one."""
    _check_quantity(_STEPS, wanted)
    zone = raw.get("deviceTimeZone") or wanted.zone
    if zone is None:
        raise _SetAside(Aside.NO_TIME_ZONE)
    if _zone(zone) is None or not all(isinstance(sample, dict) for sample in raw["samples"]):
        raise _SetAside(Aside.UNREADABLE)
    return {"deviceTimeZone": zone, "samples": raw["samples"]}


def _joined(envelopes: list[Json], source: Mapping[str, Any]) -> Json:
    """One envelope of all; raises NothingUsable for several zones."""
    zones = {envelope["deviceTimeZone"] for envelope in envelopes}
    if len(zones) > 1:
        raise NothingUsable(
            "invalid_field",
            f"expected HealthKit samples of one time zone, found {len(zones)}; ask for a period in one",
            source,
        )
    samples = [sample for envelope in envelopes for sample in envelope["samples"]]
    return {"deviceTimeZone": zones.pop(), "uploadId": "joined", "samples": samples}


def _series(metric: Json, wanted: Wanted) -> None:
    """Set aside a packed series that does not say when it was measured, or was not in the period."""
    raw, metadata = metric["raw_data"], metric["metadata"]
    quantity, values = raw.get("quantity"), raw.get("values")
    _check_quantity(quantity, wanted)
    start, seconds = (_stated(name, raw, metadata) for name in ("start", "epoch_seconds"))
    if start is None or seconds is None or values is None:
        raise _SetAside(Aside.NO_EPOCH_INFORMATION)
    if not isinstance(values, list) or not values or not _is_length(seconds):
        raise _SetAside(Aside.UNREADABLE)
    zone = _known_zone(_stated("time_zone", raw, metadata), wanted)
    _check_period(_instant(start), _shifted(start, seconds * len(values)), wanted, zone)


def _amount(metric: Json, wanted: Wanted) -> None:
    """Set aside what holds no steps, or steps that do not say when they were taken."""
    metadata, steps = metric["metadata"], metric["activity_data"][_STEPS]
    if metric["metric_type"] not in _TYPES:
        raise _SetAside(Aside.UNKNOWN_TYPE)
    if steps is None:
        raise _SetAside(Aside.OTHER_QUANTITY)
    _check_quantity(_STEPS, wanted)
    if type(steps) not in (int, float) or steps < 0:
        raise _SetAside(Aside.UNREADABLE)
    start, end, seconds = (metadata.get(name) for name in ("start", "end", "epoch_seconds"))
    if [start, end, seconds].count(None) > 1:
        raise _SetAside(Aside.NO_EPOCH_INFORMATION)
    if seconds is not None and not _is_length(seconds):
        raise _SetAside(Aside.UNREADABLE)
    begin = _shifted(end, -(seconds or 0)) if start is None else _instant(start)
    stop = _shifted(start, seconds or 0) if end is None else _instant(end)
    _check_period(begin, stop, wanted, _known_zone(metadata.get("time_zone"), wanted))


def _stated(name: str, raw: Json, metadata: Json) -> Any:
    return metadata.get(name) if raw.get(name) is None else raw[name]


def _check_quantity(quantity: Any, wanted: Wanted) -> None:
    if wanted.quantity is not None and quantity != wanted.quantity:
        raise _SetAside(Aside.OTHER_QUANTITY)


def _is_length(seconds: Any) -> bool:
    return type(seconds) is int and seconds > 0


def _instant(text: Any) -> datetime:
    """The instant of a time with UTC offset; sets aside one without."""
    if not isinstance(text, str) or not (found := _TIME.fullmatch(text)):
        raise _SetAside(Aside.UNREADABLE)
    if found[3] is None:
        raise _SetAside(Aside.NAIVE_TIMESTAMP)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _SetAside(Aside.UNREADABLE) from None


def _shifted(text: Any, seconds: int) -> datetime:
    try:
        return _instant(text) + timedelta(seconds=seconds)
    except OverflowError:
        raise _SetAside(Aside.UNREADABLE) from None


def _known_zone(stated: Any, wanted: Wanted) -> tzinfo:
    zone = stated or wanted.zone
    if zone is None:
        raise _SetAside(Aside.NO_TIME_ZONE)
    if (known := _zone(zone)) is None:
        raise _SetAside(Aside.UNREADABLE)
    return known


def _zone(name: Any) -> tzinfo | None:
    """The zone of an IANA name or a fixed offset, None if it is neither."""
    if not isinstance(name, str):
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        pass
    try:
        return datetime.fromisoformat(f"2000-01-01T00:00:00{name}").tzinfo
    except ValueError:
        return None


def _check_period(begin: datetime, stop: datetime, wanted: Wanted, zone: tzinfo) -> None:
    """Set aside what lies outside the local days that are wanted."""
    first = datetime.combine(wanted.since, time(), zone)
    last = datetime.combine(wanted.until + timedelta(days=1), time(), zone)
    before = stop < first if stop == begin else stop <= first
    if before or begin >= last:
        raise _SetAside(Aside.OUT_OF_PERIOD)
