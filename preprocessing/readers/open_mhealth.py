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
from preprocessing.readers.amounts import Amount, recording_of_amounts
from preprocessing.readers.events import kind_of_source
from preprocessing.readers.hints import Format, Hints
from preprocessing.readers.json_document import Fields
from preprocessing.readers.pieces import UNVERIFIED, Reading, check_person
from preprocessing.recording import Recording, RecordingError, Refusal

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


def _is_point(point: dict[str, Any]) -> bool:
    enveloped = isinstance(point.get("header"), dict) and isinstance(point.get("body"), dict)
    return enveloped or isinstance(point.get(_TIME_FRAME), dict) or "step_count" in point


def read(document: Any, hints: Hints) -> Recording:
    """Read data points; RecordingError says what is missing or wrong."""
    points = document if isinstance(document, list) else [document]
    if not all(isinstance(point, dict) for point in points):
        raise RecordingError(Refusal.UNPARSABLE, "expected data points, each a JSON object")
    measures = [
        measure for point in Fields({"points": points}).items("points") for measure in _measures(point)
    ]
    found = [_amount(measure) for measure in measures]
    used = [measure for measure, one in zip(measures, found, strict=True) if not isinstance(one, Refusal)]
    check_person((measure.header.text("user_id") for measure in used), "header.user_id")
    verified = all("step_count" in measure.body for measure in used)
    return recording_of_amounts(found, Reading(FORMAT, hints, frozenset() if verified else UNVERIFIED))


def _measures(point: Fields) -> Iterable[_Measure]:
    if "body" not in point:
        return [_Measure(point, Fields({}), True)]
    body, header = point.part("body"), point.part("header")
    if isinstance(body.get("activity"), list):
        return [_Measure(item, header, False) for item in body.items("activity")]
    return [_Measure(body, header, True)]


def _amount(measure: _Measure) -> Amount | Refusal:
    """The steps of a measure, or what sets it aside."""
    value = _steps(measure)
    if isinstance(value, Refusal):
        return value
    if measure.body.get("descriptive_statistic") is not None:
        return Refusal.RESOLUTION_TOO_COARSE
    interval = measure.body.part(_TIME_FRAME).part("time_interval")
    span = _span(interval)
    if isinstance(span, Refusal):
        return span
    start, end, length = span
    key = measure.header.text("id") or measure.header.text("uuid")
    source = _source(measure.header)
    return Amount(measure.body.place, value, start, end, length, source, key if measure.alone else None)


def _steps(measure: _Measure) -> float | Refusal:
    """Number of steps; ``no_samples`` for another schema, nothing recorded, or another quantity."""
    body, schema = measure.body, measure.header.part("schema_id")
    name, namespace = schema.text("name"), schema.text("namespace")
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
    if type(body.get(name)) in (int, float):
        return body.amount(name)
    quantity = body.part(name)
    if quantity.get("value") in (None, ""):  # AI-READI writes "" where nothing was recorded
        return Refusal.NO_SAMPLES
    if quantity.text("unit") not in ("steps", "step"):
        return Refusal.UNKNOWN_UNIT
    return quantity.amount("value")


def _span(interval: Fields) -> tuple[str | None, str | None, int | None] | Refusal:
    """Start, end, length (microseconds) of a time interval, two of them stated."""
    start, end = interval.text("start_date_time"), interval.text("end_date_time")
    if start is not None and end is not None:
        return start, end, None
    duration = interval.part("duration")
    if not duration.held or (start is None and end is None):
        return Refusal.NO_EPOCH_INFORMATION  # a moment, or a part of a day
    if duration.text("unit") in _NO_FIXED_LENGTH:
        return Refusal.RESOLUTION_TOO_COARSE
    return start, end, _length(duration)


def _length(duration: Fields) -> int:
    units: Mapping[str, float] = _UNITS | _FINER
    unit, value = duration.text("unit") or "", duration.number("value")
    length = (value if value is not None else -1.0) * units.get(unit, -1.0)
    if unit not in units or not 0 <= length <= _LONGEST:
        raise duration.wrong("value", f"a length of at least 0 in {', '.join((*_FINER, *_UNITS))}")
    return round(length)


def _source(header: Fields) -> Source:
    provenance = header.part("acquisition_provenance")
    if _SELF_REPORTED in (provenance.text("modality"), header.text("modality")):
        return Source.MANUAL
    return kind_of_source(provenance.text("source_name") or "")
