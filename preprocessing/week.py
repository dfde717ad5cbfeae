"""Week: the 10,080-minute local wall-clock grid that PAT was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt

from preprocessing.calendar import elapsed_seconds, midnight, midnights, transitions, wall_clock
from preprocessing.recording import BoolArray, FloatArray, Recording
from preprocessing.scaling import WEEK_MINUTES

__all__ = ["Week", "resolves_minutes", "weeks_of"]

_DAYS = 7
_DAY_MINUTES = 1440
_MINUTE_SECONDS = 60


@dataclass(frozen=True, eq=False)
class Week:
    """Seven local days of 1,440 wall-clock minutes.

    ``counts`` float32 (10_080,), NaN = missing; ``wear`` and ``missing`` bool (10_080,), where ``missing`` is
    not recorded, not worn, or skipped by the spring change. ``start`` is local midnight (aware with a zone,
    naive on wall clock), ``end`` the midnight seven days on. Of the hour that the autumn change repeats the
    first pass is kept and ``dropped_minutes`` counts the second.
    """

    start: datetime
    end: datetime
    zone: str | None
    counts: npt.NDArray[np.float32]
    wear: npt.NDArray[np.bool_]
    missing: npt.NDArray[np.bool_]
    dst_transition: Literal["spring", "autumn"] | None
    dropped_minutes: int

    @property
    def missing_fraction(self) -> float:
        """Share of the 10,080 minutes that hold no value."""
        return float(self.missing.mean())

    @property
    def actogram(self) -> npt.NDArray[np.float32]:
        """View (7, 1440) of ``counts``: one row per local day."""
        return self.counts.reshape(_DAYS, _DAY_MINUTES)


def resolves_minutes(recording: Recording) -> bool:
    """Whether epochs are no longer than the minutes of the grid."""
    return recording.epoch_seconds <= _MINUTE_SECONDS


def weeks_of(recording: Recording, worn: BoolArray, stride_days: int = 7) -> list[Week]:
    """Cut ``recording`` into complete local weeks, every ``stride_days`` from its first local midnight.

    ``worn`` (n,) bool masks non-wear. A week is complete when the recording covers all its minutes; what
    comes before the first midnight or after the last complete week is left out, never padded or rotated. No
    weeks where an epoch is longer than a minute (``resolves_minutes``); one that crosses the border of two
    minutes is split by overlap.
    """
    if stride_days < 1:
        raise ValueError(f"expected a stride of at least 1 day, found {stride_days}")
    begins = midnights(recording)
    if not begins or not resolves_minutes(recording):
        return []
    first = begins[0].date()
    starts = range(0, (begins[-1].date() - first).days - _DAYS + 1, stride_days)
    return [_week(recording, worn, first + timedelta(days=k)) for k in starts]


def _week(recording: Recording, worn: BoolArray, day: date) -> Week:
    start, end = midnight(day, recording.zone), midnight(day + timedelta(days=_DAYS), recording.zone)
    minute, parts, dropped = _minutes(recording, start, end, day)
    counts = _per_minute(minute, parts.of(recording, worn), recording)
    missing = np.isnan(counts)
    changes = transitions(recording.zone, start, end)
    kind = changes[0].kind if changes else None
    return Week(start, end, recording.zone, counts, ~missing, missing, kind, dropped)


@dataclass(frozen=True)
class _Parts:
    """Parts ``first`` to ``stop`` of a recording whose epochs are each cut in ``per_epoch`` equal parts."""

    first: int
    stop: int
    per_epoch: int

    def of(self, recording: Recording, worn: BoolArray) -> FloatArray:
        """Values (stop - first,) of the parts, NaN where not worn; an amount is shared among its parts."""
        epochs = slice(self.first // self.per_epoch, -(-self.stop // self.per_epoch))
        values = np.where(worn[epochs], recording.values[epochs], np.nan)
        shares = values if recording.unit.is_rate else values / self.per_epoch
        skip = self.first - epochs.start * self.per_epoch
        return np.repeat(shares, self.per_epoch)[skip : skip + self.stop - self.first]


def _minutes(
    recording: Recording, start: datetime, end: datetime, day: date
) -> tuple[npt.NDArray[np.int64], _Parts, int]:
    """Return the minute of the week (n,) of each part that starts in [start, end), and those parts.

    Parts of a second pass get minute -1; the third value is how many minutes they cover.
    """
    step = _part_seconds(recording)
    first, last = (-(-elapsed_seconds(recording.start, edge) // step) for edge in (start, end))
    seconds = np.arange(first, last, dtype=np.int64) * step
    labels = wall_clock(recording.start, recording.zone, seconds)
    minute = (labels - np.datetime64(day, "s")).astype(np.int64) // _MINUTE_SECONDS
    again = np.zeros(labels.size, dtype=np.bool_)
    again[1:] = labels[1:] <= np.maximum.accumulate(labels)[:-1]
    minute[again] = -1
    parts = _Parts(first, last, recording.epoch_seconds // step)
    return minute, parts, int(again.sum()) * step // _MINUTE_SECONDS


def _part_seconds(recording: Recording) -> int:
    """Seconds of the parts that an epoch is cut in so that none crosses a minute.

    Epochs that make up minutes stay whole, even where they begin off the minute: each belongs to the minute
    that it begins in, because cutting would smear it over two.
    """
    epoch = recording.epoch_seconds
    if _MINUTE_SECONDS % epoch == 0:
        return epoch
    return math.gcd(epoch, _MINUTE_SECONDS, recording.start.second)


def _per_minute(
    minute: npt.NDArray[np.int64], values: FloatArray, recording: Recording
) -> npt.NDArray[np.float32]:
    """Sum (counts, steps, MIMS) or average (rates) parts into (10_080,); NaN unless all are there."""
    per_minute = _MINUTE_SECONDS // _part_seconds(recording)
    kept = minute >= 0
    counts = np.bincount(minute[kept], weights=values[kept], minlength=WEEK_MINUTES)
    counts[np.bincount(minute[kept], minlength=WEEK_MINUTES) != per_minute] = np.nan
    return (counts / per_minute if recording.unit.is_rate else counts).astype(np.float32)
