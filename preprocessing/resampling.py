"""Resampling: finer or irregular samples become regular epochs, and nothing is lost or made up on the way.

Amounts (counts, steps, MIMS) add up; an amount over a span is split among epochs by overlap. Levels (ENMO)
are averaged, weighted by the time they hold. What went in comes out: the epochs add up to the samples' sum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from preprocessing.calendar import Instants, after
from preprocessing.recording import BoolArray, FloatArray, Recording, RecordingError, Refusal

__all__ = ["Grid", "Spans", "binned", "coarser", "grid_over", "pieces_of", "spread"]

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """Epochs of ``step`` (microseconds) from ``start`` (microseconds since 1970), ``epochs`` of them."""

    start: int
    step: int
    epochs: int


@dataclass(frozen=True, eq=False)
class Spans:
    """Values (n,) that hold over [start, end) (n,) int64 microseconds; spans may not overlap each other."""

    start: Instants
    end: Instants
    values: FloatArray


def grid_over(start: int, end: int, step: int) -> Grid:
    """Return the epochs that cover [start, end) and begin at whole multiples of ``step`` since 1970."""
    first = start // step
    return Grid(first * step, step, -(-end // step) - first)


def binned(micros: Instants, values: FloatArray, grid: Grid, *, average: bool) -> FloatArray:
    """Sum or average point samples (n,), in order of time and within ``grid``, in each epoch (epochs,).

    An epoch without samples is NaN, and so is one that holds a NaN sample.
    """
    edges = grid.start + np.arange(grid.epochs + 1, dtype=np.int64) * grid.step
    at = np.searchsorted(micros, edges)
    held = np.diff(at)
    filled = held > 0
    totals = np.full(grid.epochs, np.nan)
    totals[filled] = np.add.reduceat(values, at[:-1][filled])
    return totals / held.clip(min=1) if average else totals


def spread(spans: Spans, grid: Grid, *, average: bool) -> FloatArray:
    """Split amounts among the epochs of ``grid`` by overlap, or average levels by the time they hold.

    Returns (epochs,) float64, NaN where no span reaches and where a NaN span does.
    """
    which, epoch, overlap = pieces_of(spans, grid)
    length = (spans.end - spans.start)[which]
    weight = overlap if average else overlap / length
    totals = np.bincount(epoch, weights=spans.values[which] * weight, minlength=grid.epochs)
    covered = np.bincount(epoch, weights=overlap, minlength=grid.epochs)
    shares = np.divide(totals, covered, out=np.full(grid.epochs, np.nan), where=covered > 0)
    return shares if average else np.where(covered > 0, totals, np.nan)


def pieces_of(spans: Spans, grid: Grid) -> tuple[IntArray, IntArray, IntArray]:
    """Cut ``spans`` at the borders of the epochs: which span (k,), which epoch (k,), microseconds (k,)."""
    first = (spans.start - grid.start) // grid.step
    last = (spans.end - 1 - grid.start) // grid.step
    count = last - first + 1
    which = np.repeat(np.arange(count.size, dtype=np.int64), count)
    epoch = first[which] + np.arange(which.size) - np.repeat(np.cumsum(count) - count, count)
    border = grid.start + epoch * grid.step
    end = np.minimum(spans.end[which], border + grid.step)
    return which, epoch, end - np.maximum(spans.start[which], border)


def coarser(recording: Recording, epoch_seconds: int) -> Recording:
    """Return ``recording`` in epochs of ``epoch_seconds``, a multiple of its own, that begin at whole ones.

    An epoch with a missing part is missing, as on PAT's grid; parts before the first and after the last whole
    epoch are left out. An epoch was worn if all of it was; its source is that of its first part. Raises
    RecordingError ``invalid_field`` for another length, ``no_samples`` where no whole epoch is left.
    """
    own = recording.epoch_seconds
    if epoch_seconds < own or epoch_seconds % own:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected a multiple of the recording's epoch of {own} s to resample to, found another length",
            where="epoch_seconds",
        )
    parts = epoch_seconds // own
    skipped = _parts_before_a_whole_epoch(recording, epoch_seconds)
    epochs = (recording.epochs - skipped) // parts
    if epochs < 1:
        raise RecordingError(
            Refusal.NO_SAMPLES, "expected at least one whole epoch to resample to, found none"
        )
    inside = slice(skipped, skipped + epochs * parts)
    table = recording.values[inside].reshape(epochs, parts)
    wear: BoolArray | None = None
    if recording.wear is not None:
        wear = np.logical_and.reduceat(recording.wear[inside], np.arange(0, epochs * parts, parts))
    return replace(
        recording,
        start=after(recording.start, timedelta(seconds=skipped * own)),
        epoch_seconds=epoch_seconds,
        values=table.mean(axis=1) if recording.unit.is_rate else table.sum(axis=1),
        wear=wear,
        source=None if recording.source is None else recording.source[inside][::parts],
    )


def _parts_before_a_whole_epoch(recording: Recording, epoch_seconds: int) -> int:
    """Epochs of ``recording`` before the first that begins at a whole ``epoch_seconds`` of the local day.

    None are skipped where none ever does, because the recording's own epochs stand off the grid.
    """
    start = recording.start
    late = (start.hour * 3600 + start.minute * 60 + start.second) % epoch_seconds
    to_next = -late % epoch_seconds
    return to_next // recording.epoch_seconds if to_next % recording.epoch_seconds == 0 else 0
