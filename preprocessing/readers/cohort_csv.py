"""Cohort CSV: one person's file of a public cohort, rows ``timestamp,date,activity`` of local clock times.

The file says neither unit nor zone nor epoch: the unit must come as a hint, the epoch is the commonest step,
and without a zone hint its times are wall clock. With one, a skipped hour of that zone closes exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

from preprocessing.readers.assemble import Description, recording_of
from preprocessing.readers.columns import columns_of, first_row, numbers_of, text_of
from preprocessing.readers.hints import Format, Hints
from preprocessing.readers.stamps import in_file_order, parse
from preprocessing.readers.timeline import Samples, epoch_seconds_of, regular
from preprocessing.recording import Recording, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite

__all__ = ["HEADER", "looks_like", "read"]

HEADER = ("timestamp", "date", "activity")
_SECOND = 1_000_000  # microseconds
_DATE_LENGTH = len("2003-05-07")


def looks_like(head: bytes) -> bool:
    """Whether the first row of ``head`` names the three columns."""
    return first_row(head) == HEADER


def read(data: bytes, hints: Hints) -> Recording:
    """Read one cohort CSV; RecordingError ``unknown_unit`` without a unit hint."""
    unit = _unit(hints)
    header, _, body = text_of(data).partition("\n")
    if tuple(name.strip().lower() for name in header.split(",", 3)) != HEADER:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected the columns {','.join(HEADER)}; correct the header",
            where="header",
        )
    timestamps, dates, activity = columns_of(body, len(HEADER), hints.max_epochs)
    _check_dates(timestamps, dates)
    micros = in_file_order(parse(timestamps, "timestamp"), hints.zone)
    description = Description(
        zone=hints.zone,
        epoch_seconds=epoch_seconds_of(micros, None, hints),
        unit=unit,
        device=hints.device or Device.UNKNOWN,
        wear_site=hints.wear_site or WearSite.UNKNOWN,
        source_format=Format.COHORT_CSV,
    )
    samples = Samples(micros, numbers_of(activity, "activity"))
    return recording_of(
        description, regular(samples, description.epoch_seconds, hints.zone, hints.max_epochs)
    )


def _unit(hints: Hints) -> Unit:
    if hints.unit is None:
        raise RecordingError(
            Refusal.UNKNOWN_UNIT,
            "expected a hint for the unit, because timestamp,date,activity files do not state it; "
            f"pass one of {', '.join(Unit)}",
            where="unit",
        )
    return hints.unit


def _check_dates(timestamps: Sequence[str], dates: Sequence[str]) -> None:
    wrong = sum(stamp[:_DATE_LENGTH] != date for stamp, date in zip(timestamps, dates, strict=True))
    if wrong:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected date to be the day of timestamp, found {wrong} rows where it is not",
            where="date",
        )
