"""Tables as recorders' own programs export them: their code pages, separators, date orders and clocks.

Shared by the readers of vendor formats; none of it belongs to one vendor.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from datetime import date, timedelta
from enum import StrEnum
from itertools import pairwise

from preprocessing.readers.assemble import MAX_EPOCHS, too_many_epochs
from preprocessing.recording import RecordingError, Refusal

__all__ = [
    "DateOrder",
    "cells_of",
    "date_order_of",
    "head_text",
    "labels_of",
    "named_columns",
    "presses_of",
    "vendor_text",
]

_DAY = timedelta(days=1)
_DATE = re.compile(r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})", re.ASCII)
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?(?: ?([AP])M)?", re.ASCII | re.IGNORECASE)
_LINE = re.compile(r"[^\n]+")
_LONGEST_CELL = 64


class DateOrder(StrEnum):
    """Which part of a date such as 04/07/2015 comes first."""

    YEAR_FIRST = "year, month, day"
    DAY_FIRST = "day, month, year"
    MONTH_FIRST = "month, day, year"


_PLACES = {  # where year, month and day stand in a match of _DATE
    DateOrder.YEAR_FIRST: (1, 3, 4),
    DateOrder.DAY_FIRST: (4, 3, 1),
    DateOrder.MONTH_FIRST: (4, 1, 3),
}


def head_text(head: str | bytes) -> str:
    """First bytes of a file as text in which a format's own words can be looked for."""
    text = head if isinstance(head, str) else head.decode("utf-8", errors="replace")
    return text.removeprefix("\ufeff")


def vendor_text(data: bytes) -> str:
    """Decode UTF-8, or else any 8-bit code page well enough for ASCII; ``unparsable`` for a binary file."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if "\0" in text:
        raise RecordingError(
            Refusal.UNPARSABLE, "expected a text file in UTF-8 or an 8-bit code page; export it as such"
        )
    return text


def cells_of(line: str, separator: str) -> tuple[str, ...]:
    """Cells of one header line, without quotes and surrounding spaces, and without empty ones at its end."""
    cells = [cell.strip().strip('"').strip() for cell in line.split(separator)]
    while cells and not cells[-1]:
        cells.pop()
    return tuple(cells)


def named_columns(
    body: str, separator: str, names: Sequence[str], wanted: Collection[str]
) -> dict[str, list[str]]:
    """Columns of ``body`` called as in ``wanted``, stripped; blank lines and an empty last cell drop out.

    Raises RecordingError ``unparsable`` for broken quoting, ``invalid_field`` for a row of another width or
    with an overlong cell, ``no_samples`` for an empty body, ``too_many_epochs`` beyond the limit.
    """
    places = [(place, name) for place, name in enumerate(names) if name in wanted]
    columns: dict[str, list[str]] = {name: [] for _, name in places}
    count = 0
    for row in _rows(body, separator):
        count += 1
        if count > MAX_EPOCHS:
            raise too_many_epochs()
        _check_width(row, len(names), count)
        for place, name in places:
            columns[name].append(row[place].strip())
    if not count:
        raise RecordingError(Refusal.NO_SAMPLES, "expected epochs after the header, found none; export again")
    return columns


def _rows(body: str, separator: str) -> Iterator[list[str]]:
    """Rows that are not blank, one at a time, so that memory holds only what is wanted of them."""
    lines = (line[0] for line in _LINE.finditer(body))
    try:
        yield from filter(None, csv.reader(lines, delimiter=separator, strict=True))
    except csv.Error:
        raise RecordingError(
            Refusal.UNPARSABLE, "expected a table after the header; check the quoting, or export again"
        ) from None


def _check_width(row: Sequence[str], width: int, number: int) -> None:
    fits = len(row) == width or (len(row) == width + 1 and not row[-1].strip())
    if not fits or max(map(len, row)) > _LONGEST_CELL:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected {width} short columns in every row of the table; export again",
            where=f"row {number}",
        )


def date_order_of(dates: Sequence[str], where: str) -> DateOrder:
    """Tell the order of ``dates`` (in file order) by what they can be, and by running on day after day.

    Dates with points are day first and those that begin with four digits year first. Raises RecordingError
    ``invalid_field`` where neither the dates nor their course can tell day from month.
    """
    distinct = list(dict.fromkeys(dates))
    matches = [_DATE.fullmatch(text) for text in distinct]
    if any(match is None for match in matches):
        raise _no_dates(where)
    if all(match is not None and len(match[1]) == 4 for match in matches):
        return DateOrder.YEAR_FIRST
    if all(match is not None and match[2] == "." for match in matches):
        return DateOrder.DAY_FIRST
    courses = {order: _days(distinct, order) for order in (DateOrder.DAY_FIRST, DateOrder.MONTH_FIRST)}
    possible = {order: days for order, days in courses.items() if days is not None}
    if _differ(possible):
        possible = {order: days for order, days in possible.items() if len(days) > 1 and _runs_on(days)}
    if not possible:
        raise _no_dates(where)
    return next(iter(possible))


def _differ(courses: dict[DateOrder, list[date]]) -> bool:
    return len({tuple(days) for days in courses.values()}) > 1


def _days(texts: Sequence[str], order: DateOrder) -> list[date] | None:
    try:
        return [date.fromisoformat(_iso_date(text, order) or "") for text in texts]
    except ValueError:
        return None


def _runs_on(days: list[date]) -> bool:
    return all(after - before == _DAY for before, after in pairwise(days))


def _no_dates(where: str) -> RecordingError:
    return RecordingError(
        Refusal.INVALID_FIELD,
        "expected dates that say which is the day and which the month, by a day above 12 or by two days that "
        "follow each other; export more than one day, or dates with the year first",
        where=where,
    )


def labels_of(dates: Sequence[str], times: Sequence[str], order: DateOrder) -> list[str]:
    """ISO 8601 labels (n,) of a date and a time column; RecordingError ``invalid_field`` naming the row."""
    days = {text: _iso_date(text, order) for text in set(dates)}
    clock = {text: _iso_time(text) for text in set(times)}
    labels = [(days[day], clock[time]) for day, time in zip(dates, times, strict=True)]
    wrong = next((row for row, (day, time) in enumerate(labels, 1) if day is None or time is None), None)
    if wrong is not None:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected a date ({order}) and a time such as 21:05:00 in every row; correct those that are not",
            where=f"row {wrong}",
        )
    return [f"{day}T{time}" for day, time in labels]


def _iso_date(text: str, order: DateOrder) -> str | None:
    match = _DATE.fullmatch(text)
    year, month, day = ("", "", "") if match is None else (match[place] for place in _PLACES[order])
    if len(year) != 4 or len(month) > 2 or len(day) > 2:
        return None
    return f"{year}-{month:0>2}-{day:0>2}"


def _iso_time(text: str) -> str | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    hour = int(match[1])
    if match[4] is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match[4] in "Pp" else 0)
    return f"{hour:02d}:{match[2]}:{match[3] or '00'}"


def presses_of(cells: Sequence[str], unknown: frozenset[str], where: str) -> int:
    """Rows whose event cell is 1; RecordingError ``invalid_field`` for others than 0, 1 and ``unknown``."""
    if not set(cells) <= {"0", "1", *unknown}:
        raise RecordingError(Refusal.INVALID_FIELD, "expected event marks of 0 or 1", where=where)
    return cells.count("1")
