"""Timestamps as files write them, and the instants at which a clock in a zone showed them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from preprocessing.calendar import Instants, locate, wall_clock, zone_of
from preprocessing.readers.cells import Column, Letters, column, tables
from preprocessing.recording import EARLIEST_YEAR, LATEST_YEAR, RecordingError, Refusal

__all__ = ["SECOND", "Stamps", "datetime_of", "in_file_order", "instants", "parse", "start_of"]

SECOND = 1_000_000  # microseconds
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_YEARS = 45  # any export of a wearable; the clock changes of centuries are not looked for
_SHORTEST, _LONGEST = len("2024-01-01T00:00"), len("2024-01-01T00:00:00.000000000+00:00:00")
_BODY, _MINUTE, _DATE = len("2024-01-01T00:00:00"), len("2024-01-01T00:00"), len("2024-01-01")
_LOWEST, _HIGHEST = np.frombuffer(b"0000-00-009999-99-99", dtype=np.uint8).reshape(2, _DATE)
_ZERO = np.uint8(ord("0"))
_CLOCK = np.frombuffer(b"29:59:59", dtype=np.uint8)[:, None] - _ZERO  # (8, 1), largest digit at each place
_TAIL = re.compile(r"(?:\.(\d{1,6})\d{0,3})?(Z|([+-])(\d{2}):(\d{2})(?::(\d{2}))?)?", re.ASCII)


@dataclass(frozen=True, eq=False)
class Stamps:
    """Date-times as written: ``local`` (n,) and, if given, UTC ``offset`` (n,), int64 microseconds."""

    local: Instants
    offset: Instants | None
    where: str


def parse(texts: Sequence[str], where: str) -> Stamps:
    """Read ISO 8601 date-times (``T`` or a space between), all with a UTC offset or all without.

    Raises RecordingError ``invalid_field`` for anything else, ``naive_timestamp`` for a mixture,
    ``too_many_epochs`` for a span beyond any recording.
    """
    written = list(_tables(column(texts), where))
    local: Instants = np.concatenate([_seconds(table, where) for table in written])
    local *= SECOND
    if np.ptp(local) > _LONGEST_YEARS * 366 * 86_400 * SECOND:
        raise RecordingError(
            Refusal.TOO_MANY_EPOCHS,
            f"expected times within {_LONGEST_YEARS} years, found a longer span; send a shorter one",
            where=where,
        )
    tails = [_tails(table, where) for table in written]
    without = sum(naive for _, _, naive in tails)
    if without not in (0, len(texts)):
        raise RecordingError(
            Refusal.NAIVE_TIMESTAMP,
            f"expected all timestamps with a UTC offset or none, found {without} of {len(texts)} without",
            where=where,
        )
    local += np.concatenate([fraction for fraction, _, _ in tails])
    return Stamps(local, None if without else np.concatenate([offset for _, offset, _ in tails]), where)


def _tables(cells: Column, where: str) -> Iterator[Letters]:
    """The date-times as tables (at least 20, k) of letters, with ``:00`` where they have no seconds."""
    lengths = cells.lengths
    if (lengths < _SHORTEST).any() or (lengths > _LONGEST).any():
        raise _no_timestamps(where)
    for table in tables(cells, _LONGEST):
        padding = np.zeros((len("+00:00:00"), table.shape[1]), np.uint8)
        wide = np.concatenate([table, padding]) if len(table) <= _BODY else table
        short = wide[_MINUTE] != ord(":")
        if short.any():
            full = np.insert(wide, _MINUTE, np.frombuffer(b":00", np.uint8)[:, None], axis=0)
            wide = np.where(short, full, np.concatenate([wide, padding[: len(":00")]]))
        yield wide


def _seconds(table: Letters, where: str) -> Instants:
    """Seconds since 1970 (k,) of date-times that begin as ``2024-03-31T01:59:00``."""
    days, copies = _runs_of(table[:_DATE])
    digits = table[_DATE + 1 : _BODY] - _ZERO  # (8, k), where a letter before 0 becomes a large number
    hour, minute, second = (digits[at] * np.uint8(10) + digits[at + 1] for at in (0, 3, 6))
    fits = (digits <= _CLOCK).all() and (digits[[2, 5]] == _CLOCK[2]).all() and hour.max() < 24
    parted = (table[_DATE] == ord("T")) | (table[_DATE] == ord(" "))
    if not fits or not parted.all():
        raise _no_timestamps(where)
    clock: Instants = (hour * np.int64(60) + minute) * 60 + second
    return clock + np.repeat(_days(days, where) * 86_400, copies)


def _days(texts: npt.NDArray[np.bytes_], where: str) -> Instants:
    """Days since 1970 (d,) of dates written as ``2024-03-31``."""
    letters = texts.view(np.uint8).reshape(-1, _DATE)
    try:
        shaped = bool(((letters >= _LOWEST) & (letters <= _HIGHEST)).all())
        days = texts.astype(f"U{_DATE}").astype("datetime64[D]") if shaped else None
    except ValueError:
        days = None
    years = None if days is None else days.astype("datetime64[Y]").astype(np.int64) + 1970
    if days is None or years is None or years.min() < EARLIEST_YEAR or years.max() > LATEST_YEAR:
        raise _no_timestamps(where)
    return days.astype(np.int64)


def _tails(table: Letters, where: str) -> tuple[Instants, Instants, int]:
    """Microseconds of the fraction (k,), of the UTC offset (k,), 0 without, and how many are without."""
    texts, copies = _runs_of(table[_BODY:])
    known = {text: _tail(text.decode("latin-1"), where) for text in set(texts.tolist())}
    found = [known[text] for text in texts.tolist()]
    fraction = np.array([fraction for fraction, _ in found], np.int64)
    offset = np.array([offset or 0 for _, offset in found], np.int64)
    naive = np.array([offset is None for _, offset in found])
    return np.repeat(fraction, copies), np.repeat(offset, copies), int(copies[naive].sum())


def _runs_of(table: Letters) -> tuple[npt.NDArray[np.bytes_], npt.NDArray[np.int64]]:
    """Columns of ``table`` (width, k) as texts, equal neighbours once, and how often each comes in a row."""
    changes = (table[:, 1:] != table[:, :-1]).any(axis=0)
    first = np.flatnonzero(np.insert(changes, 0, True))
    texts = np.ascontiguousarray(table[:, first].T).view(f"S{len(table)}").ravel()
    return texts, np.diff(first, append=table.shape[1])


def _tail(text: str, where: str) -> tuple[int, int | None]:
    """Fraction of a second and UTC offset, if there is one, in microseconds."""
    match = _TAIL.fullmatch(text)
    if match is None:
        raise _no_timestamps(where)
    fraction = int((match[1] or "").ljust(6, "0"))
    if not match[2]:
        return fraction, None
    hours, minutes, seconds = (int(part or 0) for part in match.group(4, 5, 6))
    offset = (hours * 60 + minutes) * 60 + seconds
    return fraction, (-offset if match[3] == "-" else offset) * SECOND


def _no_timestamps(where: str) -> RecordingError:
    return RecordingError(
        Refusal.INVALID_FIELD,
        f"expected times such as 2024-03-31T01:59:00+01:00, years {EARLIEST_YEAR} to {LATEST_YEAR}; "
        "correct those that are not",
        where=where,
    )


def start_of(text: str, zone: str | None) -> datetime:
    """Read the start of a recording: aware in ``zone``, naive without; fractions of a second are dropped."""
    return datetime_of(instants(parse([text], "start"), zone)[0], zone)


def datetime_of(micros: int | np.int64, zone: str | None) -> datetime:
    """Moment of ``micros`` since 1970, to the second: aware in ``zone``, naive without."""
    moment = _UNIX + timedelta(seconds=int(micros) // SECOND)
    return moment.replace(tzinfo=None) if zone is None else moment.astimezone(zone_of(zone))


def instants(stamps: Stamps, zone: str | None) -> Instants:
    """Microseconds since 1970 (n,): of UTC with a ``zone``, of the label on a wall clock.

    Raises RecordingError ``invalid_field`` for a label that the zone never shows or an offset that it has
    not, ``naive_timestamp`` for a label without offset in an hour that the clock change repeats.
    """
    if zone is None or stamps.offset is not None:
        return _with_offsets(stamps, zone)
    utc, second_pass = _located(stamps, zone)
    if second_pass.any():
        raise RecordingError(
            Refusal.NAIVE_TIMESTAMP,
            f"expected unique local times, found {np.count_nonzero(second_pass)} in an hour that the clock "
            "change repeats; write UTC offsets, or give a fixed offset such as +01:00 as the zone",
            where=stamps.where,
        )
    return utc


def in_file_order(stamps: Stamps, zone: str | None) -> Instants:
    """``instants`` of a file in order: a label's second occurrence in a repeated hour is its second pass."""
    if zone is None or stamps.offset is not None:
        return _with_offsets(stamps, zone)
    utc, second_pass = _located(stamps, zone)
    doubtful = np.flatnonzero(second_pass)
    order = doubtful[np.argsort(stamps.local[doubtful], kind="stable")]
    labels = stamps.local[order]
    occurrence = np.arange(order.size) - np.searchsorted(labels, labels)
    again = order[occurrence > 0]
    utc[again] += second_pass[again]
    return utc


def _with_offsets(stamps: Stamps, zone: str | None) -> Instants:
    if zone is None:
        if stamps.offset is None:
            return stamps.local
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected timestamps without UTC offset on a wall clock; name the zone, or drop the offsets",
            where=stamps.where,
        )
    offset = 0 if stamps.offset is None else stamps.offset
    utc = stamps.local - offset
    seconds = utc // SECOND
    if ((wall_clock(_UNIX, zone, seconds).astype(np.int64) - seconds) * SECOND != offset).any():
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected UTC offsets that the zone has at these times, found others; correct one of the two",
            where=stamps.where,
        )
    return utc


def _located(stamps: Stamps, zone: str) -> tuple[Instants, Instants]:
    """UTC microseconds (n,) of each label's first pass, and the microseconds to its second pass."""
    found = locate(stamps.local.astype("datetime64[us]").astype("datetime64[s]"), zone)
    if found.skipped.any():
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected local times of the zone, found {np.count_nonzero(found.skipped)} in an hour that its "
            "clock change skips; correct the zone, or declare a wall clock without zone",
            where=stamps.where,
        )
    return found.utc * SECOND + stamps.local % SECOND, found.second_pass * SECOND
