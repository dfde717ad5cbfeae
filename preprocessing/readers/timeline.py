"""Timestamps as files write them, and the regular epochs that they stand for.

Samples are put in order, doubled ones merged and gaps opened as not recorded; each is counted. The result
depends on the set of samples only, never on their order:

- a sample belongs to the epoch nearest to it, counted from the earliest; further off than a tenth of an epoch
  is refused, because moving it would be resampling;
- of several samples in one epoch the largest value is kept (a smaller copy is a partial sum), and the epoch
  was worn if any of them says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from preprocessing.calendar import Instants, locate, wall_clock, zone_of
from preprocessing.readers.assemble import MAX_EPOCHS, Series, too_many_epochs
from preprocessing.readers.hints import Hints, settle
from preprocessing.recording import (
    EARLIEST_YEAR,
    LATEST_YEAR,
    LONGEST_EPOCH_SECONDS,
    BoolArray,
    Flag,
    FloatArray,
    RecordingError,
    Refusal,
    Tidying,
)
from preprocessing.runs import runs

__all__ = [
    "Samples",
    "Stamps",
    "epoch_seconds_of",
    "in_file_order",
    "instants",
    "parse",
    "regular",
    "start_of",
]

_SECOND = 1_000_000  # microseconds
_TOLERANCE = 10  # a sample may stand a tenth of an epoch off the grid
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_SHORTEST, _LONGEST = len("2024-01-01T00:00"), len("2024-01-01T00:00:00.000000000+00:00:00")
_BODY = len("2024-01-01T00:00:00")
_LOWEST = np.frombuffer(b"0000-00-00 00:00:00", dtype=np.uint8)  # letter by letter: a digit or the separator
_HIGHEST = np.frombuffer(b"9999-99-99T99:99:99", dtype=np.uint8)
_TAIL = re.compile(r"(?:\.(\d{1,6})\d{0,3})?(Z|([+-])(\d{2}):(\d{2})(?::(\d{2}))?)?", re.ASCII)
_CHANGE_SECONDS = (1800, 3600)  # clock changes in use: an hour, half an hour on Lord Howe Island
_CHANGE_MONTHS = (3, 4, 9, 10, 11)
_CHANGE_HOURS = 4  # clock changes fall before 04:00
_SUNDAY = 6


@dataclass(frozen=True, eq=False)
class Stamps:
    """Date-times as written: ``local`` (n,) and, if given, UTC ``offset`` (n,), int64 microseconds."""

    local: Instants
    offset: Instants | None
    where: str


@dataclass(frozen=True, eq=False)
class Samples:
    """Timestamped values: ``micros`` (n,) int64 since 1970 (UTC, or local on a wall clock), values, wear."""

    micros: Instants
    values: FloatArray
    wear: BoolArray | None = None


def parse(texts: Sequence[str], where: str) -> Stamps:
    """Read ISO 8601 date-times (``T`` or a space between), all with a UTC offset or all without.

    Raises RecordingError ``invalid_field`` for anything else, ``naive_timestamp`` for a mixture,
    ``too_many_epochs`` for a span beyond any recording.
    """
    if not all(_SHORTEST <= len(text) <= _LONGEST for text in texts):
        raise _no_timestamps(where)
    full = [text if text[16:17] == ":" else f"{text[:16]}:00{text[16:]}" for text in texts]
    local = _seconds([text[:_BODY] for text in full], where) * _SECOND
    if np.ptp(local) > MAX_EPOCHS * LONGEST_EPOCH_SECONDS * _SECOND:
        raise too_many_epochs()  # before anyone looks for the clock changes of centuries
    tails = [text[_BODY:] for text in full]
    known = {tail: _tail(tail, where) for tail in set(tails)}
    naive = sum(known[tail][1] is None for tail in tails)
    if naive not in (0, len(texts)):
        raise RecordingError(
            Refusal.NAIVE_TIMESTAMP,
            f"expected all timestamps with a UTC offset or none, found {naive} of {len(texts)} without",
            where=where,
        )
    local += np.array([known[tail][0] for tail in tails], dtype=np.int64)
    return Stamps(local, None if naive else np.array([known[tail][1] for tail in tails], np.int64), where)


def _seconds(bodies: list[str], where: str) -> Instants:
    """Seconds since 1970 (n,) of labels written as ``2024-03-31T01:59:00``."""
    try:
        letters = np.array(bodies, dtype=f"S{_BODY}")
        table = letters.view(np.uint8).reshape(-1, _BODY)  # (n, 19)
        shaped = bool(((table >= _LOWEST) & (table <= _HIGHEST)).all())
        labels = letters.astype(f"U{_BODY}").astype("datetime64[s]") if shaped else None
    except ValueError:
        labels = None
    years = None if labels is None else labels.astype("datetime64[Y]").astype(np.int64) + 1970
    if labels is None or years is None or years.min() < EARLIEST_YEAR or years.max() > LATEST_YEAR:
        raise _no_timestamps(where)
    return labels.astype(np.int64)


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
    return fraction, (-offset if match[3] == "-" else offset) * _SECOND


def _no_timestamps(where: str) -> RecordingError:
    return RecordingError(
        Refusal.INVALID_FIELD,
        f"expected times such as 2024-03-31T01:59:00+01:00, years {EARLIEST_YEAR} to {LATEST_YEAR}; "
        "correct those that are not",
        where=where,
    )


def start_of(text: str, zone: str | None) -> datetime:
    """Read the start of a recording: aware in ``zone``, naive without; fractions of a second are dropped."""
    return _datetime(instants(parse([text], "start"), zone)[0], zone)


def _datetime(micros: np.int64, zone: str | None) -> datetime:
    moment = _UNIX + timedelta(seconds=int(micros) // _SECOND)
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
    utc = stamps.local if stamps.offset is None else stamps.local - stamps.offset
    shown = wall_clock(_UNIX, zone, utc // _SECOND).astype(np.int64)
    if (shown != stamps.local // _SECOND).any():
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
    return found.utc * _SECOND + stamps.local % _SECOND, found.second_pass * _SECOND


def regular(samples: Samples, epoch_seconds: int, zone: str | None) -> Series:
    """Put ``samples`` on regular epochs from the earliest; the module's head states the rules.

    Raises RecordingError ``invalid_field`` for a sample off the grid, ``too_many_epochs`` beyond the limit.
    """
    slot = _slots(samples.micros, epoch_seconds)
    epochs = int(slot.max()) + 1
    if epochs > MAX_EPOCHS:
        raise too_many_epochs()
    values = np.full(epochs, np.nan)
    np.fmax.at(values, slot, samples.values)
    wear = None
    if samples.wear is not None:
        wear = np.zeros(epochs, dtype=np.bool_)
        wear[slot[samples.wear]] = True
    copies = np.bincount(slot, minlength=epochs)
    start = _datetime(samples.micros.min(), zone)
    flags = _like_clock_change(copies, start, epoch_seconds) if zone is None else frozenset[Flag]()
    return Series(start, values, wear, _tidying(samples, slot, values, copies), flags)


def _slots(micros: Instants, epoch_seconds: int) -> npt.NDArray[np.int64]:
    """Epoch (n,) of each sample, counted from the earliest."""
    if epoch_seconds < 1:
        raise RecordingError(
            Refusal.NO_EPOCH_INFORMATION, "expected an epoch of at least 1 second", where="epoch_seconds"
        )
    step = epoch_seconds * _SECOND
    elapsed = micros - micros.min()
    slot: npt.NDArray[np.int64] = (elapsed + step // 2) // step
    off = int((np.abs(elapsed - slot * step) > step // _TOLERANCE).sum())
    if off:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected timestamps every {epoch_seconds} s from the first, found {off} further off than a "
            "tenth of that; correct epoch_seconds, or resample before sending",
            where="timestamps",
        )
    return slot


def _tidying(
    samples: Samples, slot: npt.NDArray[np.int64], values: FloatArray, copies: npt.NDArray[np.int64]
) -> Tidying:
    kept = values[slot]
    differs = ~((samples.values == kept) | (np.isnan(samples.values) & np.isnan(kept)))
    return Tidying(
        unsorted=int((np.diff(samples.micros) < 0).sum()),
        duplicates=int((copies - 1).clip(min=0).sum()),
        conflicts=int(differs.sum()),
        gaps=int((copies == 0).sum()),
    )


def _like_clock_change(copies: npt.NDArray[np.int64], start: datetime, epoch_seconds: int) -> frozenset[Flag]:
    """Flags for a wall clock that skips or repeats one hour early on a Sunday of a changeover month."""
    marks = {Flag.CLOCK_GAP_LIKE_DST: copies == 0, Flag.CLOCK_REPEAT_LIKE_DST: copies > 1}
    return frozenset(
        flag
        for flag, mask in marks.items()
        for first, stop in zip(*runs(mask), strict=True)
        if (stop - first) * epoch_seconds in _CHANGE_SECONDS
        and _at_changeover(start + timedelta(seconds=int(first) * epoch_seconds))
    )


def _at_changeover(label: datetime) -> bool:
    return label.weekday() == _SUNDAY and label.month in _CHANGE_MONTHS and label.hour < _CHANGE_HOURS


def epoch_seconds_of(micros: Instants, stated: int | None, hints: Hints) -> int:
    """Epoch length (s): the commonest step of ``micros`` (n,), which header (``stated``) and hint must share.

    Of equally common steps the shortest counts. Raises RecordingError ``invalid_field`` where they differ,
    ``no_epoch_information`` where none says it.
    """
    rows = _commonest_step(micros)
    if stated is not None and rows not in (None, stated):
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected the epoch length of the header to be the step of the rows, found another; export again",
            where="epoch_seconds",
        )
    seconds = settle("epoch_seconds", stated if rows is None else rows, hints.epoch_seconds)
    if seconds is None:
        raise RecordingError(
            Refusal.NO_EPOCH_INFORMATION,
            "expected an epoch length in the header or at least two rows to tell it from; give epoch_seconds "
            "as a hint",
            where="epoch_seconds",
        )
    return seconds


def _commonest_step(micros: Instants) -> int | None:
    """Seconds between neighbours in time, the shortest of equally common ones; None for a single time."""
    steps, copies = np.unique(np.diff(np.unique(micros)), return_counts=True)
    step = int(steps[np.argmax(copies)]) if steps.size else None
    if step is not None and step % _SECOND:
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected steps of whole seconds; resample before sending", where="time"
        )
    return None if step is None else step // _SECOND
