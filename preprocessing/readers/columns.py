"""Columns of a comma-separated file, as text and as numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np

from preprocessing.readers.assemble import MAX_EPOCHS, too_many_epochs
from preprocessing.recording import FloatArray, RecordingError, Refusal

__all__ = ["columns_of", "first_row", "names_of", "numbers_of", "text_of"]

_NUMERIC = frozenset("0123456789.eE+-")
_MOST_NAMES = 64


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


def columns_of(body: str, width: int) -> list[Sequence[str]]:
    """Split ``body`` (rows without their header) into ``width`` columns of text; blank lines are skipped.

    Raises RecordingError ``unparsable`` for broken quoting, ``invalid_field`` for a row of another width,
    ``no_samples`` for an empty body.
    """
    if body.count("\n") > 2 * MAX_EPOCHS:
        raise too_many_epochs()
    if body.count(",") > (width - 1) * (body.count("\n") + 1):  # no row may cost more memory than its cells
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected {width} columns in every row, found rows with more",
            where="rows",
        )
    try:
        rows = [row for row in csv.reader(io.StringIO(body), strict=True) if row]
    except csv.Error:
        raise RecordingError(Refusal.UNPARSABLE, "expected comma-separated rows; check the quoting") from None
    if not rows:
        raise RecordingError(Refusal.NO_SAMPLES, "expected rows after the header, found none; send data")
    if len(rows) > MAX_EPOCHS:
        raise too_many_epochs()
    wrong = sum(len(row) != width for row in rows)
    if wrong:
        raise RecordingError(
            Refusal.INVALID_FIELD, f"expected {width} columns in every row, found {wrong} rows with others"
        )
    return list(zip(*rows, strict=True))


def numbers_of(cells: Sequence[str], where: str) -> FloatArray:
    """Numbers (n,) float64 of ``cells``, empty = NaN; RecordingError ``invalid_field`` for anything else."""
    if set().union(*cells) <= _NUMERIC:
        try:
            return np.array([float(cell) if cell else np.nan for cell in cells], dtype=np.float64)
        except ValueError:
            pass
    raise RecordingError(
        Refusal.INVALID_FIELD,
        f"expected numbers with a decimal point, or nothing where not recorded, in column {where}",
        where=where,
    )
