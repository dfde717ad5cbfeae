"""The profile ``actigraphy-series/1``: a series packed into ``raw_data`` of a health data service's metric.

Accepted are the packed series alone, one metric, an upload (``metrics``) and a list answer (``data``) in its
three shapes. A metric without a packed series counts where its ``metadata`` says when its steps were taken.
``created_at`` is when a record was made, never when something was measured. Notes are never read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from preprocessing.merging import Source
from preprocessing.readers.amounts import Amount, Aside, nothing_left, recording_of_amounts
from preprocessing.readers.aware_times import is_naive, moments
from preprocessing.readers.canonical import values_of
from preprocessing.readers.device_models import family_in
from preprocessing.readers.events import kind_of_source
from preprocessing.readers.hints import Format, Hints
from preprocessing.readers.json_document import is_list_of, numbers, typed
from preprocessing.readers.json_fields import Fields, items, number, part, text
from preprocessing.readers.pieces import COUNT_UNITS, Piece, Reading, Scale, check_number, recording_of_pieces
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
    metrics = list(_metrics(document))
    aside = Aside()
    packed = [metric for metric in metrics if _is_packed(metric)]
    check_number(len(packed))
    pieces = [_piece(metric, hints) for metric in packed]
    amounts = [_amount(metric) for metric in metrics if not _is_packed(metric)]
    aside.update(reason for reason in (*pieces, *amounts) if isinstance(reason, Refusal))
    series = [piece for piece in pieces if isinstance(piece, Piece)]
    steps = [amount for amount in amounts if isinstance(amount, Amount)]
    if series and steps:
        raise RecordingError(
            Refusal.MIXED_QUANTITIES,
            "expected metrics of one kind, found series and single amounts; send them one by one",
        )
    if not series and not steps:
        raise nothing_left(aside)
    _check_user(metrics)
    _check_zone({piece.zone for piece in series} | {amount.zone for amount in steps}, hints)
    if steps:
        return recording_of_amounts(steps, aside, Reading(FORMAT, hints))
    return recording_of_pieces(series, aside.total(), Reading(FORMAT, hints))


def _metrics(document: Fields) -> Iterable[_Metric]:
    """The metrics of an upload, of the items of a list, or of the document itself."""
    if document.get("profile") == PROFILE:
        yield _Metric({"raw_data": document}, None, None)
        return
    listed = items(document, "data") if isinstance(document.get("data"), list) else [document]
    for item in listed:
        user, source = text(item, "user_id"), text(item, "upload_source")
        if "metric_data" in item:
            held = [part(item, "metric_data")]
        elif isinstance(item.get("metrics"), dict):  # by type, as the service's own store keeps an upload
            held = [part(item["metrics"], kind) for kind in item["metrics"]]
        else:
            held = items(item, "metrics") if "metrics" in item else [item]
        yield from (_Metric(fields, user, source) for fields in held)


def _is_packed(metric: _Metric) -> bool:
    return part(metric.fields, "raw_data").get("profile") == PROFILE


def _check_user(metrics: list[_Metric]) -> None:
    users = {metric.user for metric in metrics} - {None}
    if len(users) > 1:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected metrics of one user, found {len(users)}; send those of one person",
            where="user_id",
        )


def _check_zone(zones: set[str | None], hints: Hints) -> None:
    """A start with an offset does not say where the clock hung for the rest of the year."""
    if hints.zone is None and not any(zones):
        raise RecordingError(
            Refusal.NO_TIME_ZONE,
            "expected time_zone (an IANA name such as America/Denver), found none; state it, or give the "
            "zone as a hint",
            where="time_zone",
        )


def _piece(metric: _Metric, hints: Hints) -> Piece | Refusal:
    """The packed series of a metric, or what sets it aside."""
    raw, metadata = part(metric.fields, "raw_data"), part(metric.fields, "metadata")
    quantity = text(raw, "quantity")
    if quantity not in _QUANTITIES:
        return Refusal.NO_SAMPLES
    scale = _scale(quantity, _agreed("unit", text(raw, "unit"), text(metadata, "unit")), hints)
    start = _start(text(raw, "start"), text(metadata, "start"))
    epoch_seconds = _agreed("epoch_seconds", _seconds(raw), _seconds(metadata)) or hints.epoch_seconds
    values = numbers(raw, "values")
    if scale is None:
        return Refusal.UNKNOWN_UNIT
    if start is None or not epoch_seconds or values is None:
        return Refusal.NO_EPOCH_INFORMATION
    if is_naive(start):
        return Refusal.NAIVE_TIMESTAMP
    return Piece(
        start=start,
        end=text(metadata, "end"),
        epoch_seconds=epoch_seconds,
        unit=scale.unit,
        values=scale.per_epoch(values_of(values), epoch_seconds),
        zone=_agreed("time_zone", text(raw, "time_zone"), text(metadata, "time_zone")),
        wear=_wear(raw, len(values)),
        device=family_in(text(raw, "device_model") or ""),
        owner=text(metric.fields, "device_id"),
        key=text(metric.fields, "metric_id"),
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
    seconds: int | None = typed(
        fields,
        "epoch_seconds",
        "a whole number of seconds",
        lambda value: type(value) is int and 0 < value <= _LONGEST_SECONDS,
    )
    return seconds


def _wear(raw: Fields, count: int) -> BoolArray | None:
    flags = typed(
        raw, "wear", "a list of 0 and 1", lambda value: is_list_of(int)(value) and set(value) <= {0, 1}
    )
    if flags is not None and len(flags) != count:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected as much wear as values ({count}), found {len(flags)}",
            where="wear",
        )
    return None if flags is None else np.array(flags, dtype=np.bool_)


def _amount(metric: _Metric) -> Amount | Refusal:
    """The steps of a metric whose metadata says when they were taken, or what sets it aside."""
    metadata = part(metric.fields, "metadata")
    steps = number(part(metric.fields, "activity_data"), "steps")
    if steps is None:
        return Refusal.NO_SAMPLES
    if (text(metadata, "unit") or "steps").strip().lower() not in (*_WORDS[Unit.STEPS], Unit.STEPS):
        return Refusal.UNKNOWN_UNIT
    start, end, seconds = text(metadata, "start"), text(metadata, "end"), _seconds(metadata)
    if [start, end, seconds].count(None) > 1:
        return Refusal.NO_EPOCH_INFORMATION
    return Amount(
        start,
        end,
        steps,
        source=_source(metric, metadata),
        length=None if seconds is None else seconds * SECOND,
        key=text(metric.fields, "metric_id"),
        zone=text(metadata, "time_zone"),
    )


def _source(metric: _Metric, metadata: Fields) -> Source:
    """The kind that ``source_priority`` names, else what device and upload say; names are not kept."""
    stated = metadata.get("source_priority")
    if stated is not None:
        if isinstance(stated, str) and stated in tuple(Source):
            return Source(stated)
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected source_priority to be one of {', '.join(Source)}",
            where="source_priority",
        )
    if metric.upload_source == Source.MANUAL:
        return Source.MANUAL
    return kind_of_source(text(metric.fields, "device_id") or "")
