"""The profile ``actigraphy-series/1``: a series packed into ``raw_data`` of a health data service's metric.

Accepted are the packed series alone, one metric, an upload (``metrics``) and a list answer (``data``) in its
three shapes. A metric without a packed series counts where its ``metadata`` says when its steps were taken.
``created_at`` is when a record was made, never when something was measured. Notes are never read.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from preprocessing.merging import Source
from preprocessing.readers.amounts import Amount, recording_of_amounts
from preprocessing.readers.aware_times import is_naive, moments
from preprocessing.readers.canonical import values_of
from preprocessing.readers.device_models import family_in
from preprocessing.readers.events import kind_of_source
from preprocessing.readers.hints import Format, Hints
from preprocessing.readers.json_document import Fields, is_list_of
from preprocessing.readers.pieces import (
    COUNT_UNITS,
    Piece,
    Reading,
    Scale,
    check_number,
    check_person,
    recording_of_pieces,
)
from preprocessing.readers.stamps import SECOND
from preprocessing.recording import BoolArray, Recording, RecordingError, Refusal
from preprocessing.units import Unit

__all__ = ["FORMAT", "PROFILE", "looks_like", "read"]

T = TypeVar("T")
FORMAT = Format.ACTIGRAPHY_SERIES
PROFILE = "actigraphy-series/1"

_METRIC = ("metric_id", "metric_type", "raw_data")
_QUANTITIES = {
    "counts": Unit.COUNTS,
    "mims": Unit.MIMS,
    "enmo": Unit.ENMO_MG,
    "steps": Unit.STEPS,
}
_WORDS = {  # what a unit may be called; per minute ends in /min
    Unit.COUNTS: ("count", "counts", "{count}", "{counts}"),
    Unit.MIMS: ("mims", "{mims}"),
    Unit.ENMO_MG: ("mg", "m[g]"),
    Unit.STEPS: ("count", "counts", "step", "steps", "{step}", "{steps}"),
}
_PER_MINUTE = "/min"
_PER_EPOCH = "/epoch"
_LONGEST_SECONDS = 10**9  # whatever is longer is no length of a measurement


@dataclass(frozen=True)
class _Metric:
    """A metric, and what the item or upload around it says of it."""

    fields: Fields
    user: str | None
    upload_source: str | None


def looks_like(document: Any) -> bool:
    """Whether ``document`` is a packed series, a metric, an upload of metrics, or a list of them."""
    if not isinstance(document, dict):
        return False
    data = document.get("data")
    listed = isinstance(data, list) and ("pagination" in document or any(map(_is_item, data)))
    upload = isinstance(document.get("metrics"), list)
    return document.get("profile") == PROFILE or _is_item(document) or upload or listed


def _is_item(item: Any) -> bool:
    return isinstance(item, dict) and any(name in item for name in (*_METRIC, "metric_data", "metrics"))


def read(document: Any, hints: Hints) -> Recording:
    """Read the series or the steps of a document; RecordingError says what is missing, wrong or mixed."""
    if not isinstance(document, dict):
        raise RecordingError(Refusal.UNPARSABLE, "expected a JSON object with metrics or a packed series")
    metrics = list(_metrics(Fields(document)))
    check_number(sum(map(_is_packed, metrics)))
    found = [_piece(metric, hints) if _is_packed(metric) else _amount(metric) for metric in metrics]
    series = [piece for piece in found if isinstance(piece, Piece)]
    steps = [amount for amount in found if isinstance(amount, Amount)]
    if series and steps:
        raise RecordingError(
            Refusal.MIXED_QUANTITIES,
            "expected metrics of one kind, found series and single amounts; send them one by one",
        )
    check_person((metric.user for metric in metrics), "user_id")
    _check_zones({piece.zone for piece in series} | {amount.clock for amount in steps}, hints)
    if series:
        return recording_of_pieces(series, len(found) - len(series), Reading(FORMAT, hints))
    named = {str(amount.clock) for amount in steps if amount.clock}
    amounts = [one for one in found if not isinstance(one, Piece)]
    return recording_of_amounts(amounts, Reading(FORMAT, hints), named.pop() if len(named) == 1 else None)


def _metrics(document: Fields) -> Iterable[_Metric]:
    """The metrics of an upload, of the items of a list, or of the document itself."""
    if document.get("profile") == PROFILE:
        yield _Metric(Fields({"raw_data": document.held}), None, None)
        return
    listed = document.items("data") if isinstance(document.get("data"), list) else [document]
    for item in listed:
        user, source = item.text("user_id"), item.text("upload_source")
        yield from (_Metric(fields, user, source) for fields in _held(item))


def _held(item: Fields) -> Iterable[Fields]:
    """The metrics of an item, which may be one itself."""
    metrics = item.get("metrics")
    if "metric_data" in item:
        return [item.part("metric_data")]
    if isinstance(metrics, dict):  # by type, as the service's own store keeps an upload
        return Fields(
            {"metrics": [{} if held is None else held for held in metrics.values()]}, item.place
        ).items("metrics")
    return item.items("metrics") if "metrics" in item else [item]


def _is_packed(metric: _Metric) -> bool:
    return bool(metric.fields.part("raw_data").get("profile") == PROFILE)


def _check_zones(zones: Set[str | int | None], hints: Hints) -> None:
    """A start with an offset does not say where the clock hung for the rest of the year."""
    if zones and hints.zone is None and not any(zones):
        raise RecordingError(
            Refusal.NO_TIME_ZONE,
            "expected time_zone (an IANA name such as America/Denver), found none; state it, or give the "
            "zone as a hint",
            where="time_zone",
        )


def _piece(metric: _Metric, hints: Hints) -> Piece | Refusal:
    """The packed series of a metric, or what sets it aside."""
    raw, metadata = metric.fields.part("raw_data"), metric.fields.part("metadata")
    quantity = raw.text("quantity")
    if quantity not in _QUANTITIES:
        return Refusal.NO_SAMPLES
    scale = _scale(quantity, _agreed("unit", raw.text("unit"), metadata.text("unit")), hints)
    start = _start(raw.text("start"), metadata.text("start"))
    epoch_seconds = _agreed("epoch_seconds", _seconds(raw), _seconds(metadata)) or hints.epoch_seconds
    values = raw.numbers("values")
    if scale is None:
        return Refusal.UNKNOWN_UNIT
    if start is None or not epoch_seconds or values is None:
        return Refusal.NO_EPOCH_INFORMATION
    if is_naive(start):
        return Refusal.NAIVE_TIMESTAMP
    return Piece(
        start=start,
        end=metadata.text("end"),
        epoch_seconds=epoch_seconds,
        unit=scale.unit,
        values=scale.per_epoch(values_of(values), epoch_seconds),
        zone=_agreed("time_zone", raw.text("time_zone"), metadata.text("time_zone")),
        wear=_wear(raw, len(values)),
        device=family_in(raw.text("device_model") or ""),
        owner=metric.fields.text("device_id"),
        key=metric.fields.text("metric_id"),
    )


def _scale(quantity: str, unit: str | None, hints: Hints) -> Scale | None:
    """What the values are, None if their unit is not known; without one the hint has to say it."""
    base = _QUANTITIES[quantity]
    if unit is None:
        return None if hints.unit is None else Scale(base)
    word = unit.strip().lower()
    if word in tuple(Unit):
        named = Unit(word)
        return Scale(named) if named is base or (base is Unit.COUNTS and named in COUNT_UNITS) else None
    per_minute = word.endswith(_PER_MINUTE)
    known = word.removesuffix(_PER_MINUTE).removesuffix(_PER_EPOCH) in _WORDS[base]
    return Scale(base, per_minute) if known and not (per_minute and base.is_rate) else None


def _agreed(name: str, stated: T | None, fallback: T | None) -> T | None:
    """What ``raw_data`` states, else ``metadata``; RecordingError ``invalid_field`` where they differ."""
    if stated is None or fallback is None or stated == fallback:
        return fallback if stated is None else stated
    raise RecordingError(
        Refusal.INVALID_FIELD,
        f"expected {name} in raw_data and metadata to agree, found a conflict; correct one of the two",
        where=name,
    )


def _start(stated: str | None, fallback: str | None) -> str | None:
    if stated is not None and fallback is not None and stated != fallback:
        both = moments([stated, fallback], "start").utc.tolist()
        _agreed("start", both[0], both[1])
    return fallback if stated is None else stated


def _seconds(fields: Fields) -> int | None:
    """The epoch, None if not stated; RecordingError ``invalid_field`` for no whole number of seconds."""
    seconds = fields.whole("epoch_seconds")
    if seconds is None or 0 < seconds <= _LONGEST_SECONDS:
        return seconds
    raise fields.wrong("epoch_seconds", "a whole number of seconds")


def _wear(raw: Fields, count: int) -> BoolArray | None:
    flags = raw.typed(
        "wear",
        f"a list of 0 and 1, as many as values ({count})",
        lambda value: is_list_of(int)(value) and set(value) <= {0, 1} and len(value) == count,
    )
    return None if flags is None else np.array(flags, dtype=np.bool_)


def _amount(metric: _Metric) -> Amount | Refusal:
    """The steps of a metric whose metadata says when they were taken, or what sets it aside."""
    metadata = metric.fields.part("metadata")
    activity = metric.fields.part("activity_data")
    if activity.get("steps") is None:
        return Refusal.NO_SAMPLES
    if (metadata.text("unit") or "steps").strip().lower() not in (*_WORDS[Unit.STEPS], Unit.STEPS):
        return Refusal.UNKNOWN_UNIT
    start, end, seconds = metadata.text("start"), metadata.text("end"), _seconds(metadata)
    if [start, end, seconds].count(None) > 1:
        return Refusal.NO_EPOCH_INFORMATION
    return Amount(
        metric.fields.place,
        activity.amount("steps"),
        start,
        end,
        source=_source(metric, metadata),
        length=None if seconds is None else seconds * SECOND,
        key=metric.fields.text("metric_id"),
        clock=metadata.text("time_zone") or None,
    )


def _source(metric: _Metric, metadata: Fields) -> Source:
    """The kind that ``source_priority`` names, else what device and upload say; names are not kept."""
    stated = metadata.get("source_priority")
    if stated is not None:
        if isinstance(stated, str) and stated in tuple(Source):
            return Source(stated)
        raise metadata.wrong("source_priority", f"one of {', '.join(Source)}")
    if metric.upload_source == Source.MANUAL:
        return Source.MANUAL
    return kind_of_source(metric.fields.text("device_id") or "")
