"""Fitbit steps: the account export's ``steps-*.json``, and the Web API's intraday series.

    [{"dateTime": "03/31/24 01:59:00", "value": "12"}, ...]
        one entry a minute. Other quantities of the export look the same (calories, distance), so the hint
        ``unit`` (or ``format``) says that these are steps. Years 69 to 99 are 1969 to 1999 (POSIX)
    {"activities-steps": [{"dateTime": "2024-03-31", ...}],
     "activities-steps-intraday": {"dataset": [{"time": "01:59:00", "value": 12}], "datasetInterval": 1, ...}}
        one document a day, or a list of them. The total of the day is not read

Neither form states its clock. The Web API answers on the clock of the user's profile, or in UTC on request;
of the export no vendor document says which of the two its times are. So the hint ``zone`` is needed: it is
the zone whose clock the times show. Labels of a repeated hour are taken in the order of the document.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from preprocessing.calendar import Instants
from preprocessing.merging import SOURCES, Events, Source
from preprocessing.readers.amounts import description_of_steps
from preprocessing.readers.events import recording_of_events
from preprocessing.readers.hints import Format, Hints
from preprocessing.readers.json_document import Fields
from preprocessing.readers.pieces import UNVERIFIED, Reading
from preprocessing.readers.stamps import SECOND, in_file_order, parse
from preprocessing.recording import LONGEST_DAYS, Recording, RecordingError, Refusal
from preprocessing.units import Unit

__all__ = ["FORMAT", "looks_like", "read"]

FORMAT = Format.FITBIT_STEPS

_MINUTE = 60 * SECOND
_ENTRIES, _DAYS = "entries", "days"
_LABEL = re.compile(r"(\d\d)/(\d\d)/(\d\d) (\d\d:\d\d:\d\d)", re.ASCII)
_FIRST_YEAR_OF_1900S = "69"
_STEPS = re.compile(r"\d{1,7}", re.ASCII)
_TOTALS, _INTRADAY, _SERIES = "activities-steps", "activities-steps-intraday", "-intraday"
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d\d:\d\d:\d\d", re.ASCII)
_INTERVALS = {("minute", 1): 60, ("minute", 5): 300, ("minute", 15): 900, ("second", 1): 1}  # seconds


def looks_like(document: Any) -> bool:
    """Whether ``document`` is an export of one quantity, or intraday documents of steps."""
    first = document[0] if isinstance(document, list) and document else document
    return isinstance(first, dict) and (_is_day(first) or (isinstance(document, list) and _is_entry(first)))


def _is_entry(value: dict[str, Any]) -> bool:
    label = value.get("dateTime")
    return (
        isinstance(label, str) and _LABEL.fullmatch(label) is not None and isinstance(value.get("value"), str)
    )


def _is_day(value: dict[str, Any]) -> bool:
    return not {_TOTALS, _INTRADAY}.isdisjoint(value)


def read(document: Any, hints: Hints) -> Recording:
    """Read one export, or documents of days; RecordingError says what is missing or wrong."""
    if hints.zone is None:
        raise RecordingError(
            Refusal.NO_TIME_ZONE,
            "expected the hint zone, because the file does not say whether its times are local or UTC; give "
            "the zone whose clock they show",
            where="zone",
        )
    listed = document if isinstance(document, list) else [document]
    are_days = bool(listed) and isinstance(listed[0], dict) and _is_day(listed[0])
    events = _days(listed, hints.zone) if are_days else _export(document, hints)
    about = description_of_steps(hints.zone, Reading(FORMAT, hints, UNVERIFIED))
    return recording_of_events(events, about, hints)


def _export(document: Any, hints: Hints) -> Events:
    if Unit.STEPS is not hints.unit and hints.format is not FORMAT:
        raise RecordingError(
            Refusal.UNKNOWN_UNIT,
            "expected the hint unit=steps, because calories and distance are exported in the same form",
            where="unit",
        )
    entries = list(Fields({_ENTRIES: document}).items(_ENTRIES))
    if not entries:
        raise RecordingError(Refusal.NO_SAMPLES, "expected entries of steps, found none; send data")
    labels, values = [_label(entry) for entry in entries], [_count(entry) for entry in entries]
    start = in_file_order(parse(labels, "dateTime"), hints.zone)
    _check_minutes(start, hints)
    return _events([start], [values], [60])


def _label(entry: Fields) -> str:
    match = _LABEL.fullmatch(entry.text("dateTime") or "")
    if match is None:
        raise entry.wrong("dateTime", "a time such as 03/31/24 01:59:00")
    century = "19" if match[3] >= _FIRST_YEAR_OF_1900S else "20"
    return f"{century}{match[3]}-{match[1]}-{match[2]}T{match[4]}"


def _count(entry: Fields) -> float:
    text = entry.text("value")
    if text is None or not _STEPS.fullmatch(text):
        raise entry.wrong("value", "a text with a whole number of steps")
    return float(text)


def _check_minutes(start: Instants, hints: Hints) -> None:
    """Refuse entries that are not minutes; a file too sparse to show it needs the hint ``epoch_seconds``."""
    steps, copies = np.unique(np.diff(np.unique(start)), return_counts=True)
    if steps.size and steps[0] < _MINUTE:
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected one entry a minute, found some closer together", where="dateTime"
        )
    if hints.epoch_seconds is None and not (steps.size and steps[np.argmax(copies)] == _MINUTE):
        raise RecordingError(
            Refusal.NO_EPOCH_INFORMATION,
            "expected entries a minute apart, found other steps only; give the hint epoch_seconds=60 if each "
            "of them counts one minute",
            where="epoch_seconds",
        )


def _days(listed: Sequence[Any], zone: str) -> Events:
    if len(listed) > LONGEST_DAYS:
        raise RecordingError(
            Refusal.TOO_MANY_EPOCHS,
            f"expected at most {LONGEST_DAYS} days, found more; send fewer",
            where=_DAYS,
        )
    days = list(Fields({_DAYS: listed}).items(_DAYS))
    timed = [day for day in days if _INTRADAY in day]
    if not timed:
        raise RecordingError(
            Refusal.RESOLUTION_TOO_COARSE,
            f"expected {_INTRADAY}, found totals of days only; request the detail level 1min",
            where=_INTRADAY,
        )
    read_days = [_day(day, zone) for day in timed]
    aside = len(days) - len(timed) + sum(_others(day) for day in days)
    filled = [parts for parts in read_days if parts[0].size]
    return _events(
        [part[0] for part in filled], [part[1] for part in filled], [part[2] for part in filled], aside
    )


def _day(day: Fields, zone: str) -> tuple[Instants, list[float], int]:
    """Instants and values (n,) of one day's series, and its interval in seconds."""
    series = day.part(_INTRADAY)
    interval = _INTERVALS.get((series.text("datasetType") or "", series.whole("datasetInterval") or 0))
    if interval is None:
        raise series.wrong("datasetInterval", "intervals of 1, 5 or 15 minutes or 1 second")
    date = _date(day)
    points = list(series.items("dataset"))
    labels = [f"{date}T{_time(point)}" for point in points]
    values = [point.amount("value") for point in points]
    if not labels:
        return np.empty(0, dtype=np.int64), [], interval
    return in_file_order(parse(labels, f"{series.at('dataset')}.time"), zone), values, interval


def _date(day: Fields) -> str:
    totals = list(day.items(_TOTALS))
    text = totals[0].text("dateTime") if len(totals) == 1 else None
    if text is None or not _DAY.fullmatch(text):
        raise day.wrong(_TOTALS, "the date of the one day that the series belongs to")
    return text


def _time(point: Fields) -> str:
    text = point.text("time")
    if text is None or not _TIME.fullmatch(text):
        raise point.wrong("time", "a time of day such as 01:59:00")
    return text


def _others(day: Fields) -> int:
    """Number of points of other series in the same document."""
    series = [value for name, value in day.held.items() if name.endswith(_SERIES) and name != _INTRADAY]
    datasets = [value.get("dataset") for value in series if isinstance(value, dict)]
    return sum(len(dataset) for dataset in datasets if isinstance(dataset, list))


def _events(
    starts: Sequence[Instants], values: Sequence[Sequence[float]], seconds: Sequence[int], aside: int = 0
) -> Events:
    """Events of one watch from parts, each of which has its own interval."""
    start = np.concatenate([*starts, np.empty(0, dtype=np.int64)])
    length = np.repeat(np.array(seconds, dtype=np.int64), [part.size for part in starts]) * SECOND
    return Events(
        start=start,
        end=start + length,
        values=np.array([value for part in values for value in part], dtype=np.float64),
        source=np.full(start.size, SOURCES.index(Source.WATCH), dtype=np.int8),
        set_aside=aside,
    )
