"""Metrics and uploads as the health data service keeps them, made of the example week."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.shared import ROOT

Json = dict[str, Any]
ZONE = "Europe/Berlin"
WEEK = json.loads((ROOT / "examples" / "week.json").read_text())
VALUES: list[int | None] = WEEK["values"]
START = datetime.fromisoformat(WEEK["start"])
PERIOD = {"since": "2024-05-13", "until": "2024-05-21"}
EVERYBODY = "*"


def named(*parts: object) -> str:
    """An id that is the same in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "/".join(map(str, parts))))


def recording(values: Sequence[float | None] = VALUES, start: datetime = START, **changes: Any) -> Json:
    """The canonical recording that the metrics below stand for."""
    return {
        "start": start.isoformat(),
        "zone": ZONE,
        "epoch_seconds": 60,
        "unit": "actiwatch_counts",
        "values": list(values),
        **changes,
    }


def packed(values: Sequence[float | None] = VALUES, start: datetime = START, **changes: Any) -> Json:
    """A metric that holds a series; a change to ``...`` leaves the field out."""
    series = {
        "profile": "actigraphy-series/1",
        "start": start.isoformat(),
        "time_zone": ZONE,
        "epoch_seconds": 60,
        "quantity": "counts",
        "unit": "actiwatch_counts",
        "values": list(values),
        **changes,
    }
    return metric(
        named("series", series["start"], len(values)),
        start + timedelta(minutes=len(values)),
        raw_data={name: value for name, value in series.items() if value is not ...},
    )


def later(start: datetime, minutes: int) -> datetime:
    """So many minutes later, on the clock that hangs there then."""
    return (start.astimezone(UTC) + timedelta(minutes=minutes)).astimezone(ZoneInfo(ZONE))


def metric(name: str, made: datetime, **changes: Any) -> Json:
    """An activity metric."""
    return {
        "metric_id": name,
        "metric_type": "activity_level",
        "biometric_data": None,
        "activity_data": {},
        "device_id": "watch-01",
        "raw_data": None,
        "metadata": None,
        "created_at": made.isoformat(),
        **changes,
    }


def steps(minute: int, amount: Any, day: datetime = START, **metadata: Any) -> Json:
    """Steps of one minute whose metadata says when they were taken."""
    begin, end = (day + timedelta(minutes=minute + more) for more in (0, 1))
    said = {"start": begin.isoformat(), "end": end.isoformat(), "time_zone": ZONE, **metadata}
    return metric(
        named("steps", minute, day),
        end,
        activity_data={"steps": amount},
        metadata={name: value for name, value in said.items() if value is not ...},
    )


def plain(minute: int, amount: int) -> Json:
    """Steps as the service's own model knows them: nothing says what time they are of."""
    return metric(named("plain", minute), START + timedelta(minutes=minute), activity_data={"steps": amount})


def upload(*metrics: Any, arrived: datetime | None = None, user: str = EVERYBODY) -> Json:
    """An upload that arrived a while after what it holds, unless it says when."""
    at = arrived or START + timedelta(minutes=len(VALUES) + 5)
    return {
        "user": user,
        "processing_id": named("upload", at, user, json.dumps(metrics)),
        "metrics": list(metrics),
        "client_timestamp": at.isoformat(),
        "arrived": at.isoformat(),
    }


def days(values: Sequence[float | None] = VALUES, start: datetime = START) -> list[Json]:
    """One upload a day, each of one packed series."""
    return [
        upload(packed(values[at : at + 1440], later(start, at)), arrived=later(start, at + 1445))
        for at in range(0, len(values), 1440)
    ]


def envelope(samples: Sequence[tuple[int, int]], zone: str | None = ZONE) -> Json:
    """A metric that holds HealthKit samples: minute and steps."""
    listed = [
        {
            "uuid": named("sample", minute),
            "type": "HKQuantityTypeIdentifierStepCount",
            "startDate": (START + timedelta(minutes=minute)).isoformat(),
            "endDate": (START + timedelta(minutes=minute + 1)).isoformat(),
            "value": amount,
            "unit": "count",
            "source": {"bundleId": "com.example.watch", "name": "Example Watch"},
        }
        for minute, amount in samples
    ]
    raw = {"deviceTimeZone": zone, "uploadId": "u-1", "sdkVersion": "1.0.0", "samples": listed}
    return metric(named("envelope", len(samples), samples[0]), START, raw_data=raw)
