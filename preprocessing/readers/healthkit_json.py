"""HealthKit JSON: step samples of an iPhone or Apple Watch as an app sends them to a health data service.

Two bodies (the service's documents and its upload model):

    {"deviceTimeZone": ..., "samples": [{uuid, type, startDate, endDate, value, unit, source, ...}]}
        the "HealthKit Upload v1" envelope; the only one with a time zone and an id to tell copies by
    {"quantity_samples": [{identifier, type, value, unit, start_date, end_date, source_name, ...}], ...}
        no time zone: the hint says it, or one UTC offset other than zero that all times are written with;
        an offset of zero is how programs write instants, and says nothing about where the person lived

Samples of other quantities are set aside and counted. A sample of steps without a unit is a count, because
HealthKit has no other unit for steps; one in another unit is set aside. ``HKTimeZone`` (Apple's metadata key
for the user's zone when a sample was made) tells travel, ``HKWasUserEntered`` what was typed in by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import numpy as np

from preprocessing.calendar import Instants, zone_of
from preprocessing.merging import Events, Source
from preprocessing.readers.events import recording_of_events, zone_of_events
from preprocessing.readers.hints import Format, Hints
from preprocessing.readers.json_document import typed
from preprocessing.readers.json_samples import (
    Gathered,
    Sample,
    Step,
    description_of_steps,
    events_of,
    kind_of,
    samples_of,
)
from preprocessing.readers.stamps import SECOND
from preprocessing.recording import Recording, RecordingError, Refusal

__all__ = ["FORMAT", "looks_like", "read"]

FORMAT = Format.HEALTHKIT_JSON

_STEPS = "HKQuantityTypeIdentifierStepCount"
_COUNT = "count"
_ENVELOPE, _UPLOAD = "samples", "quantity_samples"
_ENVELOPE_MARKS = frozenset({"deviceTimeZone", "uploadId", "sdkVersion"})
_OTHER_LISTS = ("category_samples", "workouts", "correlation_samples")
_ZONE, _BY_HAND = "HKTimeZone", "HKWasUserEntered"
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)


def looks_like(document: Any) -> bool:
    """Whether ``document`` is one of the two bodies."""
    if not isinstance(document, dict):
        return False
    is_envelope = isinstance(document.get(_ENVELOPE), list) and not _ENVELOPE_MARKS.isdisjoint(document)
    return is_envelope or isinstance(document.get(_UPLOAD), list)


def read(document: Any, hints: Hints) -> Recording:
    """Read the steps of one body; RecordingError says what is missing or wrong."""
    if not isinstance(document, dict) or not {_ENVELOPE, _UPLOAD} & document.keys():
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected an object with the list {_ENVELOPE} or {_UPLOAD}",
            where="document",
        )
    gathered = _envelope(document) if _ENVELOPE in document else _upload(document)
    events, written = events_of(gathered)
    stated = typed(document, "deviceTimeZone", "an IANA time zone", lambda value: isinstance(value, str))
    zone = zone_of_events(stated, written if written.all() else None, hints)
    travelled = replace(events, offset=_offsets(gathered.steps, events, zone))
    return recording_of_events(travelled, description_of_steps(FORMAT, zone, hints), hints)


def _envelope(document: dict[str, Any]) -> Gathered:
    gathered = Gathered()
    for sample in samples_of(document, _ENVELOPE):
        if sample.fields.get("type") != _STEPS:
            gathered.other += 1
            continue
        identifier = sample.text("uuid")
        if not identifier:
            raise sample.wrong("uuid", "an identifier")
        maker, device = sample.part("source"), sample.part("device")
        texts = (device.text("model"), device.text("name"), maker.text("name"), maker.text("bundleId"))
        _add(gathered, sample, ("startDate", "endDate"), kind_of(*texts), identifier)
    return gathered


def _upload(document: dict[str, Any]) -> Gathered:
    gathered = Gathered(other=sum(1 for name in _OTHER_LISTS for _ in samples_of(document, name)))
    for sample in samples_of(document, _UPLOAD):
        if _STEPS not in (sample.fields.get("identifier"), sample.fields.get("type")):
            gathered.other += 1
            continue
        device = sample.part("device")
        kind = kind_of(device.text("model"), device.text("name"), sample.text("source_name"))
        _add(gathered, sample, ("start_date", "end_date"), kind, None)
    return gathered


def _add(
    gathered: Gathered, sample: Sample, names: tuple[str, str], kind: Source, identifier: str | None
) -> None:
    span = sample.span(*names)
    if sample.text("unit") not in (None, _COUNT):
        gathered.other_unit += 1
    elif span is None:
        gathered.naive += 1
    else:
        metadata = sample.part("metadata")
        source = Source.MANUAL if _by_hand(metadata) else kind
        step = Step(sample.place, span, sample.amount("value"), source, identifier, metadata.text(_ZONE))
        gathered.steps.append(step)


def _by_hand(metadata: Sample) -> bool:
    value = metadata.fields.get(_BY_HAND)
    if value in (None, 0, 1) and not isinstance(value, float):  # Apple's number that holds true or false
        return bool(value)
    raise metadata.wrong(_BY_HAND, "true or false")


def _offsets(steps: Sequence[Step], events: Events, zone: str) -> Instants | None:
    """UTC offset (n,) in seconds where each sample was made, that of ``zone`` unless it says another."""
    named = {step.clock: step.place for step in reversed(steps) if step.clock is not None}
    if not named:
        return None
    zones = {name: _zone_of(str(name), place) for name, place in named.items()} | {None: zone_of(zone)}
    seconds = (events.start // SECOND).tolist()
    offsets = [_offset(zones[step.clock], at) for step, at in zip(steps, seconds, strict=True)]
    return np.array(offsets, dtype=np.int64)


def _zone_of(name: str, place: str) -> tzinfo:
    try:
        return zone_of(name)
    except RecordingError:
        raise Sample({}, f"{place}.metadata").wrong(_ZONE, "an IANA time zone such as Europe/Oslo") from None


def _offset(zone: tzinfo, second: int) -> int:
    offset = (_UNIX + timedelta(seconds=second)).astimezone(zone).utcoffset() or timedelta()
    return offset // timedelta(seconds=1)
