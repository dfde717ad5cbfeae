"""Rows of a device's comma-separated export, guarded against files that only pretend to be one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from preprocessing.calendar import Instants
from preprocessing.readers.assemble import MAX_EPOCHS, too_many_epochs
from preprocessing.readers.columns import columns_of
from preprocessing.readers.hints import Hints, settle
from preprocessing.recording import RecordingError, Refusal

__all__ = ["epoch_seconds_of", "names_of", "rows_of"]

_SECOND = 1_000_000  # microseconds
_MOST_COLUMNS = 64


def names_of(header: str) -> tuple[str, ...]:
    """Column names in lower case; RecordingError ``invalid_field`` for doubled or too many names."""
    names = tuple(name.strip().strip('"').lower() for name in header.split(",", _MOST_COLUMNS))
    if len(names) > _MOST_COLUMNS or len(set(names)) != len(names):
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected at most {_MOST_COLUMNS} columns, each named once; correct the header",
            where="header",
        )
    return names


def rows_of(body: str, width: int) -> list[Sequence[str]]:
    """``columns_of`` for at most MAX_EPOCHS rows; no row may cost more memory than ``width`` cells."""
    lines = body.count("\n") + 1
    if body.count(",") > (width - 1) * lines:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected {width} columns in every row, found rows with more",
            where="rows",
        )
    columns = columns_of(body, width)
    if len(columns[0]) > MAX_EPOCHS:
        raise too_many_epochs()
    return columns


def epoch_seconds_of(micros: Instants, hints: Hints) -> int:
    """Commonest step (s) between neighbours in time, the shortest of equals; a hint must agree with it."""
    steps, copies = np.unique(np.diff(np.unique(micros)), return_counts=True)
    common = int(steps[np.argmax(copies)]) if steps.size else None
    if common is not None and common % _SECOND:
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected steps of whole seconds; resample before sending", where="time"
        )
    seconds = settle("epoch_seconds", None if common is None else common // _SECOND, hints.epoch_seconds)
    if seconds is None:
        raise RecordingError(
            Refusal.NO_EPOCH_INFORMATION,
            "expected at least two rows to tell the epoch from, found one time; give epoch_seconds as a hint",
            where="time",
        )
    return seconds
