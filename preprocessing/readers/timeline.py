"""Timestamped samples become the regular epochs that they stand for.

Samples are put in order, doubled ones merged and gaps opened as not recorded; each is counted. The result
depends on the set of samples only, never on their order:

- a sample belongs to the epoch nearest to it, counted from the earliest;
- of several samples in one epoch the largest value is kept (a smaller copy is a partial sum), and the epoch
  was worn if any of them says so;
- where the clock drifted or was set, so that samples stand further than a tenth of an epoch off, each covers
  the time to the next one, at most an epoch, and is split among the epochs by overlap (flag ``resampled``);
- samples much closer together than an epoch are refused: the stated epoch cannot be theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from preprocessing.calendar import Instants
from preprocessing.readers.assemble import Series, too_many_epochs
from preprocessing.readers.hints import Hints, settle
from preprocessing.readers.stamps import SECOND, datetime_of
from preprocessing.recording import BoolArray, Flag, FloatArray, RecordingError, Refusal, Tidying
from preprocessing.resampling import Grid, Spans, binned, grid_over, pieces_of, spread
from preprocessing.runs import runs

__all__ = ["Samples", "epoch_seconds_of", "irregular", "regular"]

_TOLERANCE = 10  # a sample may stand a tenth of an epoch off the grid
_CHANGE_SECONDS = (1800, 3600)  # clock changes in use: an hour, half an hour on Lord Howe Island
_CHANGE_MONTHS = (3, 4, 9, 10, 11)
_CHANGE_HOURS = 4  # clock changes fall before 04:00
_SUNDAY = 6


@dataclass(frozen=True, eq=False)
class Samples:
    """Timestamped values: ``micros`` (n,) int64 since 1970 (UTC, or local on a wall clock), values, wear.

    ``average`` tells levels, such as ENMO, from amounts, such as counts.
    """

    micros: Instants
    values: FloatArray
    wear: BoolArray | None = None
    average: bool = False


def regular(samples: Samples, epoch_seconds: int, zone: str | None, limit: int) -> Series:
    """Put ``samples`` on regular epochs from the earliest; the module's head states the rules.

    Raises RecordingError ``invalid_field`` for samples closer together than epochs, ``too_many_epochs``
    beyond ``limit``.
    """
    step = epoch_seconds * SECOND
    if samples.micros.size <= limit and (np.diff(samples.micros) == step).all():
        return Series(datetime_of(samples.micros[0], zone), samples.values, samples.wear)
    elapsed = samples.micros - samples.micros.min()
    slot = (elapsed + step // 2) // step
    if slot.max() >= limit:
        raise too_many_epochs(limit)
    if (np.abs(elapsed - slot * step) > step // _TOLERANCE).any():
        return _by_overlap(samples, epoch_seconds, zone)
    return _by_slot(samples, slot, epoch_seconds, zone)


def irregular(samples: Samples, epoch_seconds: int, zone: str | None, limit: int) -> Series:
    """Add up (levels: average) points in time in the epoch that holds them; epochs are whole since 1970.

    Of several points at one instant the largest is kept. Raises RecordingError ``too_many_epochs`` beyond
    ``limit``, ``invalid_field`` where wear is given, which points in time cannot say.
    """
    if samples.wear is not None:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected no wear with irregular sampling; send regular epochs",
            where="wear",
        )
    micros, copy_of = np.unique(samples.micros, return_inverse=True)
    values = _largest(copy_of, samples.values, micros.size)
    grid = grid_over(int(micros[0]), int(micros[-1]) + 1, epoch_seconds * SECOND)
    if grid.epochs > limit:
        raise too_many_epochs(limit)
    made = binned(micros, values, grid, average=samples.average)
    reached = np.zeros(grid.epochs, dtype=np.bool_)
    reached[(micros - grid.start) // grid.step] = True
    tidied = replace(_tidying(samples, values[copy_of], np.bincount(copy_of)), gaps=int((~reached).sum()))
    return Series(datetime_of(grid.start, zone), made, tidying=tidied, flags=frozenset({Flag.RESAMPLED}))


def _by_slot(samples: Samples, slot: npt.NDArray[np.int64], epoch_seconds: int, zone: str | None) -> Series:
    epochs = int(slot.max()) + 1
    values = _largest(slot, samples.values, epochs)
    wear = None
    if samples.wear is not None:
        wear = np.zeros(epochs, dtype=np.bool_)
        wear[slot[samples.wear]] = True
    copies = np.bincount(slot, minlength=epochs)
    start = datetime_of(samples.micros.min(), zone)
    flags = _like_clock_change(copies, start, epoch_seconds) if zone is None else frozenset[Flag]()
    return Series(start, values, wear, _tidying(samples, values[slot], copies), flags)


def _largest(place: npt.NDArray[np.int64], values: FloatArray, places: int) -> FloatArray:
    """The largest of the ``values`` (n,) at each of the ``places``; NaN where there is none."""
    found = np.full(places, np.nan)
    if (np.diff(place) > 0).all():
        found[place] = values
    else:
        np.fmax.at(found, place, values)
    return found


def _by_overlap(samples: Samples, epoch_seconds: int, zone: str | None) -> Series:
    """Split samples of a clock that drifted or was set among regular epochs from the first whole second."""
    micros, copy_of = np.unique(samples.micros, return_inverse=True)
    values = _largest(copy_of, samples.values, micros.size)
    step = epoch_seconds * SECOND
    _check_spacing(micros, epoch_seconds)
    spans = Spans(micros, np.minimum(micros + step, np.append(micros[1:], micros[-1] + step)), values)
    first = int(micros[0]) // SECOND * SECOND
    grid = Grid(first, step, -(-(int(spans.end[-1]) - first) // step))
    made = spread(spans, grid, average=samples.average)
    worn = None if samples.wear is None else np.unique(samples.micros[samples.wear])
    wear = None if worn is None else _touched(spans, np.isin(micros, worn), grid)
    gaps = int((np.bincount(pieces_of(spans, grid)[1], minlength=grid.epochs) == 0).sum())
    tidied = replace(_tidying(samples, values[copy_of], np.bincount(copy_of)), gaps=gaps)
    return Series(datetime_of(first, zone), made, wear, tidied, frozenset({Flag.RESAMPLED}))


def _check_spacing(micros: Instants, epoch_seconds: int) -> None:
    close = int((np.diff(micros) < epoch_seconds * SECOND * (1 - 1 / _TOLERANCE)).sum())
    if close:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected timestamps about {epoch_seconds} s apart, found {close} closer together; correct "
            "epoch_seconds, split the file where its clock was set back, or declare irregular sampling",
            where="timestamps",
        )


def _touched(spans: Spans, chosen: BoolArray, grid: Grid) -> BoolArray:
    """Mask (epochs,) of the epochs that a chosen span reaches."""
    which, epoch, _ = pieces_of(spans, grid)
    mask = np.zeros(grid.epochs, dtype=np.bool_)
    mask[epoch[chosen[which]]] = True
    return mask


def _tidying(samples: Samples, kept: FloatArray, copies: npt.NDArray[np.int64]) -> Tidying:
    """Counts: ``kept`` (n,) is the value kept in each sample's place, ``copies`` how many a place has."""
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
    between = np.diff(micros)
    if not (between > 0).all():
        between = np.diff(np.unique(micros))
    steps, copies = np.unique(between, return_counts=True)
    step = int(steps[np.argmax(copies)]) if steps.size else None
    if step is not None and step % SECOND:
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected steps of whole seconds; resample before sending", where="time"
        )
    return None if step is None else step // SECOND
