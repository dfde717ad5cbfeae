"""Open mHealth and IEEE 1752.1: steps over time intervals, with or without the header of a data point.

Schemas omh:step-count (1 to 3) and ieee:physical-activity with base_movement_quantity in steps, by their
public definitions (openmhealth.org, IEEE 1752.1); and the lists of physical activities that the AI-READI
project publishes as one data point. Averages and maxima are no amounts and are set aside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from preprocessing.merging import Source
from preprocessing.readers.amounts import Amount, Aside, recording_of_amounts
from preprocessing.readers.events import kind_of_source
from preprocessing.readers.hints import Format, Hints
from preprocessing.readers.json_fields import Fields, items, number, part, text
from preprocessing.readers.pieces import Reading
from preprocessing.recording import Flag, Recording, RecordingError, Refusal

__all__ = ["FORMAT", "looks_like", "read"]

FORMAT = Format.OPEN_MHEALTH

_STEP_COUNT, _ACTIVITY = "step-count", "physical-activity"
_NAMESPACES = ("omh", "ieee")
_STEP_VERSIONS = ("1", "2", "3")
_TIME_FRAME = "effective_time_frame"
_UNITS = {  # microseconds
    "us": 1,
    "ms": 1_000,
    "sec": 1_000_000,
    "min": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "wk": 604_800_000_000,
}
_FINER = {"ps": 1e-6, "ns": 1e-3}
_NO_FIXED_LENGTH = ("Mo", "yr")
_LONGEST = 1e16  # microseconds; three hundred years
_SELF_REPORTED = "self-reported"


@dataclass(frozen=True)
class _Measure:
    """One body, and what the header around it says."""

    body: Fields
    header: Fields
    alone: bool  # the header is of this body only


def looks_like(document: Any) -> bool:
    """Whether ``document`` is a data point, a list of data points, or a measure with its time frame."""
    points = document if isinstance(document, list) else [document]
    return any(isinstance(point, dict) and _is_point(point) for point in points)


def _is_point(point: Fields) -> bool:
    enveloped = isinstance(point.get("header"), dict) and isinstance(point.get("body"), dict)
    return enveloped or isinstance(point.get(_TIME_FRAME), dict) or "step_count" in point


def read(document: Any, hints: Hints) -> Recording:
    """Read data points; RecordingError says what is missing or wrong."""
    points = document if isinstance(document, list) else [document]
    if not all(isinstance(point, dict) for point in points):
        raise RecordingError(Refusal.UNPARSABLE, "expected data points, each a JSON object")
    measures = [measure for point in points for measure in _measures(point)]
    aside = Aside()
    found = [(measure, _amount(measure)) for measure in measures]
    aside.update(reason for _, reason in found if isinstance(reason, Refusal))
    used = [measure for measure, amount in found if isinstance(amount, Amount)]
    _check_user(used)
    amounts = [amount for _, amount in found if isinstance(amount, Amount)]
    verified = all("step_count" in measure.body for measure in used)
    flags = frozenset[Flag]() if verified else frozenset({Flag.UNVERIFIED_FORMAT})
    return recording_of_amounts(amounts, aside, Reading(FORMAT, hints, flags))


def _measures(point: Fields) -> Iterable[_Measure]:
    if "body" not in point:
        return [_Measure(point, {}, True)]
    body, header = part(point, "body"), part(point, "header")
    if isinstance(body.get("activity"), list):
        return [_Measure(item, header, False) for item in items(body, "activity")]
    return [_Measure(body, header, True)]


def _check_user(measures: list[_Measure]) -> None:
    users = {text(measure.header, "user_id") for measure in measures} - {None}
    if len(users) > 1:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected data points of one user, found {len(users)}; send those of one person",
            where="header.user_id",
        )


def _amount(measure: _Measure) -> Amount | Refusal:
    """The steps of a measure, or what sets it aside."""
    value = _steps(measure)
    if isinstance(value, Refusal):
        return value
    if measure.body.get("descriptive_statistic") is not None:
        return Refusal.RESOLUTION_TOO_COARSE
    interval = part(part(measure.body, _TIME_FRAME), "time_interval")
    span = _span(interval)
    if isinstance(span, Refusal):
        return span
    start, end, length = span
    key = text(measure.header, "id") or text(measure.header, "uuid")
    return Amount(start, end, value, _source(measure.header), length, key if measure.alone else None)


def _steps(measure: _Measure) -> float | Refusal:
    """Number of steps; ``no_samples`` for another schema, nothing recorded, or another quantity."""
    body, schema = measure.body, part(measure.header, "schema_id")
    name, namespace = text(schema, "name"), text(schema, "namespace")
    if namespace not in (None, *_NAMESPACES):
        return Refusal.NO_SAMPLES
    if name in (None, _STEP_COUNT) and "step_count" in body:
        major = _major(schema)
        return Refusal.NO_SAMPLES if major not in (None, *_STEP_VERSIONS) else _value(body, "step_count")
    if "base_movement_quantity" in body and (name in (None, _ACTIVITY) or not measure.alone):
        return _value(body, "base_movement_quantity")
    return Refusal.NO_SAMPLES


def _major(schema: Fields) -> str | None:
    version = schema.get("version")
    return None if version is None else str(version)[:40].partition(".")[0]


def _value(body: Fields, name: str) -> float | Refusal:
    """A plain number (steps), or a value with the unit steps."""
    if type(body[name]) in (int, float):
        found = number(body, name)
    else:
        quantity = part(body, name)
        if quantity.get("value") == "":  # how AI-READI writes that nothing was recorded
            return Refusal.NO_SAMPLES
        if text(quantity, "unit") not in ("steps", "step"):
            return Refusal.UNKNOWN_UNIT
        found = number(quantity, "value")
    return Refusal.NO_SAMPLES if found is None else found


def _span(interval: Fields) -> tuple[str | None, str | None, int | None] | Refusal:
    """Start, end, length (microseconds) of a time interval, two of them stated."""
    start, end = text(interval, "start_date_time"), text(interval, "end_date_time")
    if start is not None and end is not None:
        return start, end, None
    duration = part(interval, "duration")
    if not duration or (start is None and end is None):
        return Refusal.NO_EPOCH_INFORMATION  # a moment, or a part of a day
    if text(duration, "unit") in _NO_FIXED_LENGTH:
        return Refusal.RESOLUTION_TOO_COARSE
    return start, end, _length(duration)


def _length(duration: Fields) -> int:
    units: Mapping[str, float] = _UNITS | _FINER
    unit, value = text(duration, "unit") or "", number(duration, "value")
    length = (value if value is not None else -1.0) * units.get(unit, -1.0)
    if unit not in units or not 0 <= length <= _LONGEST:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected a duration of at least 0 in {', '.join((*_FINER, *_UNITS))}",
            where="time_interval.duration",
        )
    return round(length)


def _source(header: Fields) -> Source:
    provenance = part(header, "acquisition_provenance")
    if _SELF_REPORTED in (text(provenance, "modality"), text(header, "modality")):
        return Source.MANUAL
    return kind_of_source(text(provenance, "source_name") or "")
