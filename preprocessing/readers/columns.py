"""Columns of a comma-separated file, as text and as numbers."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from preprocessing.readers.assemble import too_many_epochs
from preprocessing.readers.cells import Column, Letters, Places, column, columns_from, places_in, tables
from preprocessing.recording import FloatArray, RecordingError, Refusal

__all__ = ["columns_of", "first_row", "names_of", "numbers_of", "split", "text_of"]

_NUMERIC = frozenset("0123456789.eE+-")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_MOST_NAMES = 64
_STRETCH = 1 << 18  # bytes searched at a time
_LINE_END, _ZERO, _POINT = ord("\n"), np.uint8(ord("0")), ord(".")
_MOST_LETTERS = 15  # of a decimal whose digits and power of ten are exact in float64
_POWERS = 10.0 ** np.arange(_MOST_LETTERS + 1)


def text_of(data: bytes) -> str:
    """Decode a text file, UTF-8 with or without byte-order mark; RecordingError ``unparsable`` otherwise."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise RecordingError(
            Refusal.UNPARSABLE, "expected a text file in UTF-8, found other bytes; export it as UTF-8 text"
        )
    return text


def first_row(head: bytes) -> tuple[str, ...]:
    """Column names, in lower case, in the first row of ``head`` that is neither blank nor a comment."""
    lines = head.decode("utf-8-sig", errors="replace").splitlines()
    row = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    return tuple(name.strip().lower() for name in row.split(",", _MOST_NAMES))


def names_of(header: str) -> tuple[str, ...]:
    """Column names in lower case; RecordingError ``invalid_field`` for doubled or too many names."""
    names = tuple(name.strip().strip('"').lower() for name in header.split(",", _MOST_NAMES))
    if len(names) > _MOST_NAMES or len(set(names)) != len(names):
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected at most {_MOST_NAMES} columns, each named once; correct the header",
            where="header",
        )
    return names


def columns_of(body: str, width: int, limit: int) -> list[Sequence[str]]:
    """Split ``body`` (rows without their header) into ``width`` columns of text; blank lines are skipped.

    Raises RecordingError ``unparsable`` for broken quoting, ``invalid_field`` for a row of another width,
    ``no_samples`` for an empty body, ``too_many_epochs`` beyond ``limit`` rows.
    """
    columns = split(body, ",", width) or _quoted(body, width, limit)
    if len(columns[0]) > limit:
        raise too_many_epochs(limit)
    return list(columns)


def split(body: str, separator: str, width: int) -> list[Column]:
    """Columns of a body without quotes and blank lines, all rows ``width`` cells; none for any other body."""
    plain = body.replace("\r\n", "\n") if "\r" in body else body
    if not plain or '"' in plain or "\r" in plain:
        return []
    text = (plain if plain.endswith("\n") else plain + "\n").encode()
    ends = _ends(text, ord(separator), width)
    columns = [Column(text, *_range(ends, place)) for place in range(width) if ends.size]
    blank = width == 1 and ends.size and not columns[0].lengths.all()
    fits = all(int(cells.lengths.max()) <= csv.field_size_limit() for cells in columns)
    return columns if fits and not blank else []


def _ends(text: bytes, separator: int, width: int) -> Places:
    """Where the cells of each row end (n, width); (0, width) where not every row has as many."""
    found, kind, cells = bytearray(), places_in(text), 0
    for first in range(0, len(text), _STRETCH):
        letters = np.frombuffer(text[first : first + _STRETCH], np.uint8)
        places = np.flatnonzero((letters == separator) | (letters == _LINE_END))
        last = letters[places] == _LINE_END
        due = last[(width - 1 - cells) % width :: width]
        if not due.all() or np.count_nonzero(last) != due.size:
            return np.empty((0, width), kind)
        found += (places + first).astype(kind).tobytes()
        cells += places.size
    return np.frombuffer(found, kind).reshape(-1, width)


def _range(ends: Places, place: int) -> tuple[Places, Places]:
    """Begin and end (n,) of the cells at ``place`` of each row: behind the end before, up to their own."""
    begin = np.zeros_like(ends[:, place])
    np.add(ends[:, place - 1] if place else ends[:-1, -1], 1, out=begin[0 if place else 1 :])
    return begin, ends[:, place]


def _quoted(body: str, width: int, limit: int) -> list[Column]:
    """Columns of any body, or the refusal that fits it."""
    if body.count("\n") > 2 * limit:
        raise too_many_epochs(limit)
    if body.count(",") > (width - 1) * (body.count("\n") + 1):  # no row may cost more memory than its cells
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected {width} columns in every row, found rows with more",
            where="rows",
        )
    lines = (line[0] for line in _LINE.finditer(body))
    rows = filter(None, csv.reader(lines, strict=True))
    try:
        return columns_from(_fitting(rows, width, limit), width)
    except csv.Error:
        raise RecordingError(Refusal.UNPARSABLE, "expected comma-separated rows; check the quoting") from None


def _fitting(rows: Iterable[list[str]], width: int, limit: int) -> Iterator[list[str]]:
    """Pass rows of ``width`` on; the refusal of others comes last, when all rows could be parsed."""
    count = wrong = 0
    for row in rows:
        count += 1
        wrong += len(row) != width
        if not wrong and count <= limit:
            yield row
    if not count:
        raise RecordingError(Refusal.NO_SAMPLES, "expected rows after the header, found none; send data")
    if count > limit:
        raise too_many_epochs(limit)
    if wrong:
        raise RecordingError(
            Refusal.INVALID_FIELD, f"expected {width} columns in every row, found {wrong} rows with others"
        )


def numbers_of(cells: Sequence[str], where: str) -> FloatArray:
    """Numbers (n,) float64 of ``cells``, empty = NaN; RecordingError ``invalid_field`` for anything else."""
    texts = column(cells)
    numbers = np.empty(len(texts))
    done = 0
    try:
        for table, part in zip(tables(texts, _MOST_LETTERS), texts.parts(), strict=True):
            numbers[done : done + len(part)] = _decimals(table, part)
            done += len(part)
    except ValueError:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected numbers with a decimal point, or nothing where not recorded, in column {where}",
            where=where,
        ) from None
    return numbers


def _decimals(table: Letters, cells: Column) -> FloatArray:
    """Numbers (k,) of ``cells``, whose first letters are ``table``; ValueError for what is no number.

    A decimal of few digits is its digits over a power of ten, both exact in float64, so that their quotient
    is the nearest float64 (Clinger 1990, doi:10.1145/93542.93557); others go through ``float``.
    """
    digits, lengths = np.zeros(len(cells)), cells.lengths
    whole = lengths.astype(np.uint8)  # letters before the point
    seen, points = np.zeros((2, len(cells)), dtype=np.uint8)
    for place, letters in enumerate(table):
        value, point = letters - _ZERO, letters == _POINT
        digit = value <= 9
        more = digits * 10 + value * digit
        if point.any():
            more = np.where(point, digits, more)
            whole[point] = place
        digits = more
        seen += digit
        points += point
    plain = (seen + points == lengths) & (points <= 1) & (seen > 0)
    numbers = digits / _POWERS[np.where(plain, len(table) - whole - points, 0)]
    numbers[lengths == 0] = np.nan
    others = np.flatnonzero(~plain & (lengths > 0))
    numbers[others] = _floats([cells[place] for place in others.tolist()])
    return numbers


def _floats(texts: Sequence[str]) -> list[float]:
    if not set().union(*texts) <= _NUMERIC:
        raise ValueError
    return [float(text) for text in texts]
