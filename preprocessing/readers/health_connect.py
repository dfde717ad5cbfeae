"""Health Connect: the step records of Android's health store, as apps write them in JSON.

Names, device types and recording methods are those of Android's ``StepsRecord``, ``Metadata`` and ``Device``:

    [{startTime, endTime, startZoneOffset, endZoneOffset, count, metadata: {id, device, recordingMethod}}]
    {"records": [...]}
        what react-native-health-connect reads (zone offsets as {id, totalSeconds}, the device as an object or
        by its type alone) and capacitor-health-connect (``type``, zone offsets as text)
    {"provider": "health_connect", "data": {"records": [{id, type, startDate, endDate, zoneOffset, ...}]}}
        what the Open Wearables SDK sends

A record that names no type has the fields of a steps record and of one of wheelchair pushes alike: the hint
``unit`` says that it counts steps. Each record carries the UTC offset that the person saw, which may be zero,
or none: the zone is then the hint, or else the one offset of all records.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from preprocessing.merging import Source
from preprocessing.readers.amounts import Amount, recording_of_amounts
from preprocessing.readers.aware_times import time_in
from preprocessing.readers.events import kind_of_source
from preprocessing.readers.hints import Format, Hints
from preprocessing.readers.json_document import Fields
from preprocessing.readers.pieces import UNVERIFIED, Reading
from preprocessing.recording import Recording, RecordingError, Refusal
from preprocessing.units import Unit

__all__ = ["FORMAT", "looks_like", "read"]

FORMAT = Format.HEALTH_CONNECT

_STEPS = frozenset({"Steps", "StepsRecord"})
_MANUAL_ENTRY = 3  # Metadata.RECORDING_METHOD_MANUAL_ENTRY
_DEVICES = {1: Source.WATCH, 2: Source.PHONE, 6: Source.WATCH}  # Device: watch, phone, fitness band
_UNKNOWN_DEVICE = 0
_ZONE_OFFSET = re.compile(
    r"([+-])(\d\d):([0-5]\d)(?::([0-5]\d))?", re.ASCII
)  # as java.time.ZoneOffset writes
_LARGEST_OFFSET = 18 * 3600  # seconds; java.time.ZoneOffset

_SDK_PROVIDERS = frozenset({"health_connect", "google"})
_SDK_STEPS = "STEP_COUNT"
_SDK_MODEL = ("deviceModel", "deviceName", "deviceManufacturer")
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
    is_sdk = isinstance(document, dict) and _is_sdk(document)
    found = _of_sdk(Fields(document["data"], "data")) if is_sdk else _of_records(document, hints)
    return recording_of_amounts(found, Reading(FORMAT, hints, UNVERIFIED))


def _of_records(document: Any, hints: Hints) -> Iterator[Amount | Refusal]:
    owner = Fields({"records": document} if isinstance(document, list) else document)
    if not isinstance(owner.held, dict) or not isinstance(owner.get("records"), list):
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected a list of records, or an object with records", where="records"
        )
    untold = sum(map(_is_untold, owner.items("records")))
    if untold and hints.unit is not Unit.STEPS:
        raise RecordingError(
            Refusal.UNKNOWN_UNIT,
            f"expected records that name their type, found {untold} that may count steps or wheelchair "
            "pushes; give the hint unit=steps if they are steps",
            where="unit",
        )
    return (_amount(one) if _is_steps(one) else Refusal.NO_SAMPLES for one in owner.items("records"))


def _type_of(record: Fields) -> Any:
    kind = record.get("recordType")
    return record.get("type") if kind is None else kind


def _is_untold(record: Fields) -> bool:
    return _type_of(record) is None and "count" in record


def _is_steps(record: Fields) -> bool:
    kind = _type_of(record)
    return kind in _STEPS if isinstance(kind, str) else _is_untold(record)


def _amount(record: Fields) -> Amount:
    """One record of steps."""
    metadata = record.part("metadata")
    by_hand = metadata.whole("recordingMethod") == _MANUAL_ENTRY
    offset = _zone_offset(record, "startZoneOffset")
    return Amount(
        record.place,
        record.amount("count"),
        time_in(record, "startTime"),
        time_in(record, "endTime"),
        source=Source.MANUAL if by_hand else _device(metadata),
        key=metadata.text("id"),
        clock=_zone_offset(record, "endZoneOffset") if offset is None else offset,
    )


def _device(metadata: Fields) -> Source:
    """What recorded: by the type of the device, else by its model."""
    if not isinstance(metadata.get("device"), dict):
        return _DEVICES.get(metadata.whole("device") or _UNKNOWN_DEVICE, Source.OTHER)
    device = metadata.part("device")
    kind = device.whole("type") or _UNKNOWN_DEVICE
    if kind == _UNKNOWN_DEVICE:
        return kind_of_source(device.text("model"), device.text("manufacturer"))
    return _DEVICES.get(kind, Source.OTHER)


def _zone_offset(record: Fields, name: str) -> int | None:
    """Seconds east of UTC, None if the record does not know; a text, or an object with either spelling."""
    value = record.get(name)
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


def _of_sdk(data: Fields) -> Iterator[Amount | Refusal]:
    records = data.items("records")
    return (_sdk_amount(one) if one.get("type") == _SDK_STEPS else Refusal.NO_SAMPLES for one in records)


def _sdk_amount(record: Fields) -> Amount | Refusal:
    if record.text("unit") not in (None, "count"):
        return Refusal.UNKNOWN_UNIT
    maker = record.part("source")
    by_hand = maker.text("recordingMethod") == "manual"
    return Amount(
        record.place,
        record.amount("value"),
        time_in(record, "startDate"),
        time_in(record, "endDate"),
        source=Source.MANUAL if by_hand else _sdk_device(maker),
        key=record.text("id"),
        clock=_zone_offset(record, "zoneOffset"),
    )


def _sdk_device(maker: Fields) -> Source:
    kind = maker.text("deviceType")
    if kind in (None, "unknown"):
        return kind_of_source(*(maker.text(name) for name in _SDK_MODEL))
    return _SDK_DEVICES.get(kind or "", Source.OTHER)
