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

import numpy as np

from preprocessing.readers.assemble import too_many_epochs
from preprocessing.readers.cells import Column, columns_from, distinct
from preprocessing.readers.columns import split
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
_WHITE = np.isin(np.arange(256), np.frombuffer(b" \t\n\v\f\r\x1c\x1d\x1e\x1f", np.uint8))


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
    body: str, separator: str, names: Sequence[str], wanted: Collection[str], limit: int
) -> dict[str, Sequence[str]]:
    """Columns of ``body`` called as in ``wanted``, stripped; blank lines and an empty last cell drop out.

    Raises RecordingError ``unparsable`` for broken quoting, ``invalid_field`` for a row of another width or
    with an overlong cell, ``no_samples`` for an empty body, ``too_many_epochs`` beyond ``limit`` rows.
    """
    places = {name: place for place, name in enumerate(names) if name in wanted}
    plain = _plain(body, separator, len(names), limit)
    if plain:
        return {name: _stripped(plain[place]) for name, place in places.items()}
    rows = _rows(body, separator, len(names), limit)
    chosen = ([row[place].strip() for place in places.values()] for row in rows)
    return dict(zip(places, columns_from(chosen, len(places)), strict=True))


def _plain(body: str, separator: str, width: int, limit: int) -> list[Column]:
    """Columns of a table without quotes, blank lines and anything to refuse; none for any other table."""
    body = body.removeprefix("\n")  # the rest of the line of the header
    cells = body.partition("\n")[0].count(separator) + 1
    columns = split(body, separator, cells) if body.isascii() and cells in (width, width + 1) else []
    short = columns and len(columns[0]) <= limit and all((c.lengths <= _LONGEST_CELL).all() for c in columns)
    spare = columns[width:] if short else []
    return columns if short and not any(_stripped(cells).lengths.any() for cells in spare) else []


def _stripped(cells: Column) -> Column:
    """Cells of ASCII letters without the white space around them, as ``str.strip`` does."""
    letters = np.frombuffer(cells.text, np.uint8)
    begin, end = cells.begin.copy(), cells.end.copy()
    while (blank := _WHITE[letters[begin]] & (begin < end)).any():
        begin += blank
    while (blank := _WHITE[letters[end - 1]] & (begin < end)).any():
        end -= blank
    return Column(cells.text, begin, end)


def _rows(body: str, separator: str, width: int, limit: int) -> Iterator[list[str]]:
    """Rows that are not blank, one at a time, so that memory holds only what is wanted of them."""
    lines = (line[0] for line in _LINE.finditer(body))
    number = 0
    try:
        for row in filter(None, csv.reader(lines, delimiter=separator, strict=True)):
            number += 1
            if number > limit:
                raise too_many_epochs(limit)
            _check_width(row, width, number)
            yield row
    except csv.Error:
        raise RecordingError(
            Refusal.UNPARSABLE, "expected a table after the header; check the quoting, or export again"
        ) from None
    if not number:
        raise RecordingError(Refusal.NO_SAMPLES, "expected epochs after the header, found none; export again")


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


def labels_of(dates: Sequence[str], times: Sequence[str], order: DateOrder) -> Sequence[str]:
    """ISO 8601 labels (n,) of a date and a time column; RecordingError ``invalid_field`` naming the row."""
    texts, day_of = distinct(dates)
    clocks, clock_of = distinct(times)
    days = [_iso_date(text, order) for text in texts]
    hours = [_iso_time(text) for text in clocks]
    wrong = np.array([day is None for day in days])[day_of] | np.array([h is None for h in hours])[clock_of]
    if wrong.any():
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected a date ({order}) and a time such as 21:05:00 in every row; correct those that are not",
            where=f"row {int(wrong.argmax()) + 1}",
        )
    label = np.char.add(
        np.array(days, "S10")[day_of], np.array([f"T{hour}" for hour in hours], "S9")[clock_of]
    )
    end = np.arange(1, len(dates) + 1) * label.itemsize
    return Column(label.tobytes(), end - label.itemsize, end)


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
