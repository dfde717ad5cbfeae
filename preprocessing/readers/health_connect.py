"""Health Connect: the step records of Android's health store, as apps write them in JSON.

Names, device types and recording methods are those of Android's ``StepsRecord``, ``Metadata`` and ``Device``:

    [{startTime, endTime, startZoneOffset, endZoneOffset, count, metadata: {id, device, recordingMethod}}]
    {"records": [...]}
        what react-native-health-connect reads (zone offsets as {id, totalSeconds}, the device as an object or
        by its type alone) and capacitor-health-connect (``type``, zone offsets as text)
    {"provider": "health_connect", "data": {"records": [{id, type, startDate, endDate, zoneOffset, ...}]}}
        what the Open Wearables SDK sends

A record that names no type has the fields of a steps record and of one of wheelchair pushes alike: the hint
``unit`` says that it counts steps. Each record carries the UTC offset that the person saw, or none: the zone
is then the hint, or else the one offset of all records.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from preprocessing.calendar import Instants, wall_clock
from preprocessing.merging import Events, Source
from preprocessing.readers.events import recording_of_events, zone_of_events
from preprocessing.readers.hints import Format, Hints
from preprocessing.readers.json_samples import (
    Gathered,
    Sample,
    Step,
    description_of_steps,
    events_of,
    kind_of,
    samples_of,
)
from preprocessing.readers.stamps import SECOND, datetime_of
from preprocessing.recording import Recording, RecordingError, Refusal
from preprocessing.units import Unit

__all__ = ["FORMAT", "looks_like", "read"]

FORMAT = Format.HEALTH_CONNECT

_STEPS = frozenset({"Steps", "StepsRecord"})
_TYPES = ("recordType", "type")
_MANUAL_ENTRY = 3  # Metadata.RECORDING_METHOD_MANUAL_ENTRY
_DEVICES = {1: Source.WATCH, 2: Source.PHONE, 6: Source.WATCH}  # Device: watch, phone, fitness band
_UNKNOWN_DEVICE = 0
_ZONE_OFFSET = re.compile(
    r"([+-])(\d\d):([0-5]\d)(?::([0-5]\d))?", re.ASCII
)  # as java.time.ZoneOffset writes it
_LARGEST_OFFSET = 18 * 3600  # seconds; java.time.ZoneOffset

_SDK_PROVIDERS = frozenset({"health_connect", "google"})
_SDK_STEPS = "STEP_COUNT"
_SDK_DEVICES = {"watch": Source.WATCH, "fitness_band": Source.WATCH, "phone": Source.PHONE}


def looks_like(document: Any) -> bool:
    """Whether ``document`` holds records of Health Connect in one of the three forms."""
    if isinstance(document, list):
        return bool(document) and _is_record(document[0])
    if not isinstance(document, dict):
        return False
    records = document.get("records")
    return _is_sdk(document) or (isinstance(records, list) and bool(records) and _is_record(records[0]))


def _is_record(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    timed = isinstance(value.get("startTime", value.get("time")), str)
    return timed and ("metadata" in value or "count" in value)


def _is_sdk(document: dict[str, Any]) -> bool:
    data = document.get("data")
    named = isinstance(provider := document.get("provider"), str) and provider in _SDK_PROVIDERS
    return named and isinstance(data, dict) and isinstance(data.get("records"), list)


def read(document: Any, hints: Hints) -> Recording:
    """Read the step records of one document; RecordingError says what is missing or wrong."""
    gathered = _gathered(document, hints)
    events, _ = events_of(gathered)
    zone, offsets = _clock(gathered.steps, events, hints)
    return recording_of_events(
        replace(events, offset=offsets), description_of_steps(FORMAT, zone, hints), hints
    )


def _gathered(document: Any, hints: Hints) -> Gathered:
    if isinstance(document, dict) and _is_sdk(document):
        return _each(samples_of(document["data"], "records", "data."), _is_sdk_steps, _sdk_step)
    owner = {"records": document} if isinstance(document, list) else document
    if not isinstance(owner, dict) or not isinstance(owner.get("records"), list):
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected a list of records, or an object with records", where="records"
        )
    untold = sum(_is_untold(record) for record in samples_of(owner, "records"))
    if untold and hints.unit is not Unit.STEPS:
        raise RecordingError(
            Refusal.UNKNOWN_UNIT,
            f"expected records that name their type, found {untold} that may count steps or wheelchair "
            "pushes; give the hint unit=steps if they are steps",
            where="unit",
        )
    return _each(samples_of(owner, "records"), _is_steps, _step)


def _each(
    records: Iterator[Sample],
    is_steps: Callable[[Sample], bool],
    step_of: Callable[[Sample], Step | None],
) -> Gathered:
    gathered = Gathered()
    for record in records:
        if not is_steps(record):
            gathered.other += 1
        elif (step := step_of(record)) is None:
            gathered.naive += 1
        else:
            gathered.steps.append(step)
    return gathered


def _type_of(record: Sample) -> Any:
    return next((record.fields[name] for name in _TYPES if record.fields.get(name) is not None), None)


def _is_untold(record: Sample) -> bool:
    return _type_of(record) is None and "count" in record.fields


def _is_steps(record: Sample) -> bool:
    kind = _type_of(record)
    return _is_untold(record) or (isinstance(kind, str) and kind in _STEPS)


def _step(record: Sample) -> Step | None:
    """One record of steps, None where its times carry no UTC offset."""
    span = record.span("startTime", "endTime")
    metadata = record.part("metadata")
    source = Source.MANUAL if metadata.whole("recordingMethod") == _MANUAL_ENTRY else _device(metadata)
    offset = _zone_offset(record, "startZoneOffset")
    seen = _zone_offset(record, "endZoneOffset") if offset is None else offset
    value, identifier = record.amount("count"), metadata.text("id") or None
    return None if span is None else Step(record.place, span, value, source, identifier, seen)


def _device(metadata: Sample) -> Source:
    """What recorded: by the type of the device, else by its model."""
    if not isinstance(metadata.fields.get("device"), dict):
        return _DEVICES.get(metadata.whole("device") or _UNKNOWN_DEVICE, Source.OTHER)
    device = metadata.part("device")
    kind = device.whole("type") or _UNKNOWN_DEVICE
    if kind == _UNKNOWN_DEVICE:
        return kind_of(device.text("model"), device.text("manufacturer"))
    return _DEVICES.get(kind, Source.OTHER)


def _zone_offset(record: Sample, name: str) -> int | None:
    """Seconds east of UTC, None if the record does not know; a text, or an object with either spelling."""
    value = record.fields.get(name)
    if value is None:
        return None
    parts = value if isinstance(value, dict) else {"id": value}
    found = {_READ_OFFSET[key](parts[key]) for key in _READ_OFFSET if key in parts}
    offset = found.pop() if len(found) == 1 else None
    if offset is None or abs(offset) > _LARGEST_OFFSET:
        raise record.wrong(name, "one UTC offset such as +01:00")
    return offset


def _seconds_of(text: Any) -> int | None:
    match = _ZONE_OFFSET.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return 0 if text == "Z" else None
    seconds = (int(match[2]) * 60 + int(match[3])) * 60 + int(match[4] or 0)
    return -seconds if match[1] == "-" else seconds


_READ_OFFSET: dict[str, Callable[[Any], int | None]] = {
    "id": _seconds_of,
    "totalSeconds": lambda value: value if type(value) is int else None,
}


def _is_sdk_steps(record: Sample) -> bool:
    return record.fields.get("type") == _SDK_STEPS


def _sdk_step(record: Sample) -> Step | None:
    span, maker = record.span("startDate", "endDate"), record.part("source")
    if record.text("unit") not in (None, "count"):
        raise RecordingError(
            Refusal.UNKNOWN_UNIT,
            f"expected the unit count in {record.place}; send counts",
            where=record.place,
        )
    kind, by_hand = maker.text("deviceType"), maker.text("recordingMethod") == "manual"
    model = (maker.text("deviceModel"), maker.text("deviceName"), maker.text("deviceManufacturer"))
    device = kind_of(*model) if kind in (None, "unknown") else _SDK_DEVICES.get(kind or "", Source.OTHER)
    source = Source.MANUAL if by_hand else device
    value, identifier = record.amount("value"), record.text("id") or None
    seen = _zone_offset(record, "zoneOffset")
    return None if span is None else Step(record.place, span, value, source, identifier, seen)


def _clock(steps: Sequence[Step], events: Events, hints: Hints) -> tuple[str, Instants | None]:
    """The zone, and the UTC offsets (n,) in seconds that the person saw, if any record knows one."""
    known = np.array([step.clock is not None for step in steps], dtype=np.bool_)
    seen = np.array([step.clock or 0 for step in steps], dtype=np.int64)
    zone = zone_of_events(None, seen if known.all() else None, hints)
    if not known.any():
        return zone, None
    seconds = events.start // SECOND
    at_home = wall_clock(datetime_of(0, "UTC"), zone, seconds).astype(np.int64) - seconds
    return zone, np.where(known, seen, at_home)
