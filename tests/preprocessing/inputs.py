"""Small inputs made on the spot, so that the tests of this room need no file from elsewhere."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import numpy as np

from preprocessing.calendar import zone_of
from preprocessing.recording import Recording
from preprocessing.units import Unit


def recording(
    start: str = "2024-01-01T00:00",
    zone: str | None = "Europe/Berlin",
    epochs: int = 10_080,
    epoch_seconds: int = 60,
    **more: object,
) -> Recording:
    """Values 0, 1, 2, ... from a local start; ``values`` in ``more`` replaces them."""
    moment = datetime.fromisoformat(start).replace(tzinfo=None if zone is None else zone_of(zone))
    values = np.asarray(more.pop("values", np.arange(epochs)), dtype=np.float64)
    unit = more.pop("unit", Unit.ACTIWATCH_COUNTS)
    return Recording(moment, zone, epoch_seconds, values, unit, **more)


def document(**changes: object) -> bytes:
    """A canonical JSON document of five minutes; a change to ``...`` removes the field."""
    fields = {
        "start": "2024-01-01T00:00:00+01:00",
        "zone": "Europe/Berlin",
        "epoch_seconds": 60,
        "unit": "actiwatch_counts",
        "device": "actiwatch",
        "wear_site": "wrist",
        "values": [0, 12, None, 3.5, 7],
    }
    return json.dumps({k: v for k, v in {**fields, **changes}.items() if v is not ...}).encode()


def stamped(minutes: list[int], values: list[float | None], **changes: object) -> bytes:
    """A canonical JSON document with a wall-clock timestamp per value, minutes after 2024-01-01 00:00."""
    first = datetime(2024, 1, 1)
    stamps = [(first + timedelta(minutes=minute)).isoformat() for minute in minutes]
    clock = {"zone": ..., "clock": "wall"}
    return document(**{"start": ..., "timestamps": stamps, "values": values, **clock, **changes})


def awd(values: str = "0\r\n12\r\n7 M\r\n", date: str = "23-Jan-2018", code: str = " 4 ") -> bytes:
    """An AWD file with the given value lines."""
    return f"J. Doe\r\n{date}\r\n13:58\r\n{code}\r\n41\r\nV123456\r\nF\r\n{values}".encode("latin-1")


def cohort(labels: list[str], activity: list[object] | None = None) -> bytes:
    """A cohort CSV with these labels; activity 0, 1, 2, ... unless given."""
    cells = range(len(labels)) if activity is None else activity
    rows = [f"{label},{label[:10]},{cell}" for label, cell in zip(labels, cells, strict=True)]
    return "\n".join(["timestamp,date,activity", *rows, ""]).encode()


def minute_labels(start: str, count: int) -> list[str]:
    """``count`` labels a minute apart, as public cohorts write them."""
    first = datetime.fromisoformat(start)
    return [str(first + timedelta(minutes=k)) for k in range(count)]


CANONICAL_CSV = b"""# zone: Europe/Berlin
# epoch_seconds: 60
# unit: actiwatch_counts
# device: actiwatch
# wear_site: wrist
timestamp,value,wear
2024-01-01T00:00:00+01:00,0,1
2024-01-01T00:01:00+01:00,12,1
2024-01-01T00:02:00+01:00,,0
2024-01-01T00:03:00+01:00,3.5,1
"""
