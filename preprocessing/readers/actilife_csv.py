"""ActiLife CSV: the epoch table that ActiGraph's ActiLife exports, ten header lines and then one epoch a row.

The header states the model, the date format, the filter, the serial number, the start and the epoch; a row of
column names, and the columns Date and Time, are options of the export. The vertical axis ``Axis1`` is read;
without names it is the first of one to three columns. The zone is not stated: the device has one clock, which
does not follow clock changes, and a zone hint says where it hung at the start.

Written from public examples of the header, so a recording carries ``unverified_format``. Raw exports share
the header but state an epoch of zero; they are refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from preprocessing.readers.actigraph import family_of, unit_of_counts
from preprocessing.readers.assemble import Description, Series, recording_of, serial_of
from preprocessing.readers.columns import columns_of, names_of, numbers_of, text_of
from preprocessing.readers.hints import Hints, settle, settle_device
from preprocessing.readers.stamps import in_file_order, parse, start_of
from preprocessing.readers.timeline import Samples, regular
from preprocessing.recording import Flag, FloatArray, Recording, RecordingError, Refusal
from preprocessing.units import WearSite

__all__ = ["FORMAT", "looks_like", "read"]

FORMAT = "actilife-csv"

_HEADER_LINES = 10
_LONGEST_LINE = 400
_TITLE = re.compile(r"-{4,} ?Data (?:Table )?File Created By ActiGraph\b", re.IGNORECASE | re.ASCII)
_MODEL = re.compile(r"Created By ActiGraph (\S{1,32}) ", re.IGNORECASE)
_DATE_FORMAT = re.compile(r"date format ([dMy]{1,4})[-/. ]+([dMy]{1,4})[-/. ]+([dMy]{1,4})(?![dMy])")
_FILTER = re.compile(r"Filter (\S{1,32}(?: (?!-)\S{1,32}){0,3})", re.IGNORECASE)
_DATE = re.compile(r"(\d{1,4})[-/.](\d{1,2})[-/.](\d{1,4})", re.ASCII)
_TIME = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})", re.ASCII)
_AXIS, _DAY, _CLOCK = "axis1", "date", "time"
_MOST_UNNAMED = 3
_YEAR_DIGITS = 4
_MONTHS = 12


@dataclass(frozen=True)
class _Header:
    """What the ten lines state; ``start`` as ISO 8601, ``order`` such as ``Mdy`` or None."""

    model: str
    counts_filter: str | None
    serial: str | None
    start: str
    epoch_seconds: int
    order: str | None


def looks_like(head: str | bytes) -> bool:
    """Whether the first line says that ActiGraph's software created the file."""
    text = head.decode("utf-8-sig", errors="replace") if isinstance(head, bytes) else head
    return _TITLE.match(text.lstrip("\ufeff")) is not None


def read(data: bytes, hints: Hints) -> Recording:
    """Read one ActiLife CSV; RecordingError says what is missing or wrong."""
    parts = text_of(data).split("\n", _HEADER_LINES)
    header = _header(parts)
    columns = _columns(parts[_HEADER_LINES], hints.max_epochs)
    family = family_of(header.model)
    description = Description(
        zone=hints.zone,
        epoch_seconds=settle("epoch_seconds", header.epoch_seconds, hints.epoch_seconds) or 0,
        unit=unit_of_counts(family, header.counts_filter, hints),
        device=settle_device(family, hints),
        wear_site=hints.wear_site or WearSite.UNKNOWN,
        source_format=FORMAT,
        serial=header.serial,
        flags=frozenset({Flag.UNVERIFIED_FORMAT}),
    )
    return recording_of(description, _series(columns, header, hints))


def _header(parts: list[str]) -> _Header:
    """Read the ten lines; RecordingError names the one that is missing."""
    lines = [line.strip().rstrip(",").strip() for line in parts[:_HEADER_LINES]]
    if len(parts) <= _HEADER_LINES or not looks_like(lines[0]) or max(map(len, lines)) > _LONGEST_LINE:
        raise RecordingError(
            Refusal.UNPARSABLE, "expected an ActiLife CSV with ten header lines and rows", where="header"
        )
    title = lines[0]
    model, stated = _MODEL.search(title), _DATE_FORMAT.search(title)
    counts_filter = _FILTER.search(title)
    order = "".join(part[0] for part in stated.groups()) if stated else None
    if order is not None and sorted(order) != ["M", "d", "y"]:
        raise _no_date("line 1")
    day = _day(_entry(lines, "Start Date"), order, "Start Date")
    return _Header(
        model=model[1] if model else "",
        counts_filter=counts_filter[1] if counts_filter else None,
        serial=serial_of(_entry(lines, "Serial Number:")),
        start=f"{day}T{_clock(_entry(lines, 'Start Time'))}",
        epoch_seconds=_epoch_seconds(_entry(lines, "Epoch Period (hh:mm:ss)")),
        order=order,
    )


def _entry(lines: list[str], name: str) -> str:
    found = [line.removeprefix(name).strip() for line in lines if line.startswith(name)]
    if len(found) != 1:
        raise RecordingError(
            Refusal.INVALID_FIELD, f"expected one header line {name}, found {len(found)}", where=name
        )
    return found[0]


def _epoch_seconds(text: str) -> int:
    match = _TIME.fullmatch(text)
    seconds = int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3]) if match else 0
    if seconds < 1:
        raise RecordingError(
            Refusal.NO_EPOCH_INFORMATION,
            "expected Epoch Period as hh:mm:ss above zero; a raw export has none: export epochs instead",
            where="Epoch Period",
        )
    return seconds


def _clock(text: str, where: str = "Start Time") -> str:
    match = _TIME.fullmatch(text)
    if match is None:
        raise RecordingError(Refusal.INVALID_FIELD, "expected a time as 13:58:00, 24 hours", where=where)
    return f"{int(match[1]):02d}:{match[2]}:{match[3]}"


def _day(text: str, order: str | None, where: str) -> str:
    """A date as ISO 8601; its ``order`` is the stated one, or the only one possible."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise _no_date(where)
    known = order or _only_order(match)
    if known is None:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected a stated date format, because day and month could be either way round; export again "
            "with ISO dates",
            where=where,
        )
    part = dict(zip(known, match.groups(), strict=True))
    if len(part["y"]) != _YEAR_DIGITS or max(len(part["M"]), len(part["d"])) > 2:
        raise _no_date(where)
    return f"{part['y']}-{int(part['M']):02d}-{int(part['d']):02d}"


def _only_order(match: re.Match[str]) -> str | None:
    """The one order in which a date without stated format can be read, None if there are two."""
    if len(match[1]) == _YEAR_DIGITS:
        return "yMd"
    first, second = int(match[1]), int(match[2])
    if first > _MONTHS or first == second:
        return "dMy"
    return "Mdy" if second > _MONTHS else None


def _no_date(where: str) -> RecordingError:
    return RecordingError(
        Refusal.INVALID_FIELD,
        "expected dates with a year of four digits, in the date format that line 1 states",
        where=where,
    )


def _columns(body: str, limit: int) -> dict[str, Sequence[str]]:
    """The columns by name; without a row of names the first of one to three is the vertical axis."""
    first, _, rest = body.partition("\n")
    if any(letter.isalpha() for letter in first[:_LONGEST_LINE]):
        names = names_of(first.rstrip())
        if _AXIS in names and (_DAY in names) == (_CLOCK in names):
            return dict(zip(names, columns_of(rest, len(names), limit), strict=True))
    else:
        width = first.count(",") + 1
        if width <= _MOST_UNNAMED:
            return {_AXIS: columns_of(body, width, limit)[0]}
    raise RecordingError(
        Refusal.INVALID_FIELD,
        "expected a row of column names with Axis1, and Date and Time both or neither, or up to three axes "
        "without names; export again with column names",
        where="line 11",
    )


def _series(columns: dict[str, Sequence[str]], header: _Header, hints: Hints) -> Series:
    """Regular epochs of the device's own clock, by the times of the rows where there are any."""
    values = numbers_of([cell.strip() for cell in columns[_AXIS]], _AXIS)
    start = start_of(header.start, hints.zone)
    if _DAY not in columns:
        return Series(start, values)
    series = _timed(columns, header, values, hints.max_epochs)
    if series.start != start_of(header.start, None):
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected the first row at Start Date and Start Time, found another time; export again",
            where="Date",
        )
    return series if hints.zone is None else replace(series, start=start, flags=frozenset())


def _timed(columns: dict[str, Sequence[str]], header: _Header, values: FloatArray, limit: int) -> Series:
    days = {cell: _day(cell.strip(), header.order, "Date") for cell in set(columns[_DAY])}
    clocks = {cell: _clock(cell.strip(), "Time") for cell in set(columns[_CLOCK])}
    labels = [
        f"{days[day]}T{clocks[clock]}" for day, clock in zip(columns[_DAY], columns[_CLOCK], strict=True)
    ]
    micros = in_file_order(parse(labels, "Date"), None)
    return regular(Samples(micros, values), header.epoch_seconds, None, limit)
