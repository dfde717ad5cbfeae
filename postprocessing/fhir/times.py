"""Times as FHIR writes them: with offset and zone where the zone is known, as plain dates where it is not.

A FHIR dateTime with a time of day must carry an offset, so a wall clock without zone gives dates only; its
times of day travel as valueTime.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["TZ_CODE", "clock_time", "date_time", "period"]

TZ_CODE = "http://hl7.org/fhir/StructureDefinition/tz-code"
_LARGEST_OFFSET = timedelta(
    hours=14
)  # of a FHIR dateTime; and offsets have no seconds, as early local mean time has
_FIXED_OFFSET = re.compile(r"[+-]\d\d:\d\d")


def date_time(moment: datetime) -> str:
    """Return an aware ``moment`` as dateTime (or instant), trimmed to milliseconds."""
    if moment.tzinfo is None:
        raise ValueError("expected an aware time, found a wall clock without zone")
    offset = moment.utcoffset() or timedelta()
    if offset % timedelta(minutes=1) or abs(offset) > _LARGEST_OFFSET:  # as FHIR cannot write it
        moment = moment.astimezone(UTC)
    digits = "milliseconds" if moment.microsecond >= 1000 else "seconds"
    return moment.isoformat(timespec=digits).replace("+00:00", "Z")


def clock_time(moment: datetime) -> str:
    """Return the time of day as FHIR time."""
    return moment.strftime("%H:%M:%S")


def period(start: datetime, end: datetime, zone: str | None) -> dict[str, Any]:
    """Return [start, end) as Period; dates only on a wall clock, the last one being the last day touched."""
    if start.tzinfo is None:
        last = max(start, end - timedelta(microseconds=1))
        return {"start": start.date().isoformat(), "end": last.date().isoformat()}
    bounds = {"start": date_time(start), "end": date_time(end)}
    return bounds | ({"_start": _zone(zone)} if zone and not _FIXED_OFFSET.fullmatch(zone) else {})


def _zone(zone: str) -> dict[str, Any]:
    return {"extension": [{"url": TZ_CODE, "valueCode": zone}]}
