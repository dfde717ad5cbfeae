"""HealthKit JSON: step samples of an iPhone or Apple Watch as an app sends them to a health data service.

Two bodies (the service's documents and its upload model):

    {"deviceTimeZone": ..., "samples": [{uuid, type, startDate, endDate, value, unit, source, ...}]}
        the "HealthKit Upload v1" envelope; the only one with a time zone and an id to tell copies by
    {"quantity_samples": [{identifier, type, value, unit, start_date, end_date, source_name, ...}], ...}
        no time zone: all samples or the hint say it, or one UTC offset that all times are written with;
        an offset of zero is how programs write instants, and says nothing about where the person lived

Samples of other quantities are set aside and counted. A sample of steps without a unit is a count, because
HealthKit has no other unit for steps; one in another unit is set aside. ``HKTimeZone`` (Apple's metadata key
for the user's zone when a sample was made) tells travel, ``HKWasUserEntered`` what was typed in by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from preprocessing.calendar import zone_of
from preprocessing.merging import Source
from preprocessing.readers.amounts import Amount, recording_of_amounts
from preprocessing.readers.aware_times import time_in
from preprocessing.readers.events import kind_of_source
from preprocessing.readers.hints import Format, Hints
from preprocessing.readers.json_document import Fields
from preprocessing.readers.pieces import UNVERIFIED, Reading
from preprocessing.recording import Recording, RecordingError, Refusal

__all__ = ["FORMAT", "looks_like", "read"]

FORMAT = Format.HEALTHKIT_JSON

_STEPS = "HKQuantityTypeIdentifierStepCount"
_COUNT = "count"
_ENVELOPE, _UPLOAD = "samples", "quantity_samples"
_ENVELOPE_MARKS = frozenset({"deviceTimeZone", "uploadId", "sdkVersion"})
_OTHER_LISTS = ("category_samples", "workouts", "correlation_samples")
_ZONE, _BY_HAND = "HKTimeZone", "HKWasUserEntered"


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
    body = Fields(document)
    found = _envelope(body) if _ENVELOPE in body else _upload(body)
    return recording_of_amounts(found, Reading(FORMAT, hints, UNVERIFIED), body.text("deviceTimeZone"))


def _envelope(body: Fields) -> Iterator[Amount | Refusal]:
    for sample in body.items(_ENVELOPE):
        if sample.get("type") != _STEPS:
            yield Refusal.NO_SAMPLES
            continue
        identifier = sample.text("uuid")
        if not identifier:
            raise sample.wrong("uuid", "an identifier")
        maker, device = sample.part("source"), sample.part("device")
        texts = (device.text("model"), device.text("name"), maker.text("name"), maker.text("bundleId"))
        yield _amount(sample, ("startDate", "endDate"), kind_of_source(*texts), identifier)


def _upload(body: Fields) -> Iterator[Amount | Refusal]:
    for name in _OTHER_LISTS:
        yield from (Refusal.NO_SAMPLES for _ in body.items(name))
    for sample in body.items(_UPLOAD):
        if _STEPS not in (sample.get("identifier"), sample.get("type")):
            yield Refusal.NO_SAMPLES
            continue
        device = sample.part("device")
        kind = kind_of_source(device.text("model"), device.text("name"), sample.text("source_name"))
        yield _amount(sample, ("start_date", "end_date"), kind, None)


def _amount(sample: Fields, names: tuple[str, str], kind: Source, key: str | None) -> Amount | Refusal:
    start, end = (time_in(sample, name) for name in names)
    if sample.text("unit") not in (None, _COUNT):
        return Refusal.UNKNOWN_UNIT
    metadata = sample.part("metadata")
    return Amount(
        sample.place,
        sample.amount("value"),
        start,
        end,
        source=Source.MANUAL if _by_hand(metadata) else kind,
        key=key,
        clock=_zone(metadata),
    )


def _by_hand(metadata: Fields) -> bool:
    value = metadata.get(_BY_HAND)
    if value in (None, 0, 1) and not isinstance(value, float):  # Apple's number that holds true or false
        return bool(value)
    raise metadata.wrong(_BY_HAND, "true or false")


def _zone(metadata: Fields) -> str | None:
    """Where the sample was made, if it says so."""
    name = metadata.text(_ZONE)
    try:
        return name if name is None or zone_of(name) else None
    except RecordingError:
        raise metadata.wrong(_ZONE, "an IANA time zone such as Europe/Oslo") from None
