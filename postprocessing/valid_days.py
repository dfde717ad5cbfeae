"""Valid days: the local days on which a device was worn long enough to speak of that day."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from postprocessing.contract import valid_day_minutes
from preprocessing.calendar import Labels, wall_clock_of
from preprocessing.recording import BoolArray, FloatArray, Recording
from preprocessing.resampling import coarser

__all__ = ["DayLevels", "ValidDays", "worn_minutes"]

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DayLevels:
    """Levels per minute (m,) of successive epochs, and the ``place`` (m,) of each one's day among ``days``.

    A place of -1 marks what does not count: not worn, not recorded, or on a day that is not valid.
    ``minutes`` is the length of an epoch, and ``epochs`` the number of the recording's own epochs in it.
    """

    levels: FloatArray
    place: IntArray
    days: int
    minutes: float
    epochs: int = 1

    @property
    def counted(self) -> BoolArray:
        """Mask (m,) of what counts."""
        return self.place >= 0

    def sums(self, values: FloatArray | BoolArray) -> FloatArray:
        """Sum (days,) of ``values`` (m,) over what counts of each day."""
        counted = self.counted
        return np.bincount(self.place[counted], values[counted], minlength=self.days).astype(np.float64)


@dataclass(frozen=True, eq=False)
class ValidDays:
    """The valid days of a recording; ``places``: which of them each local day since ``first`` is, or -1."""

    recording: Recording
    worn: BoolArray  # (n,)
    first: int  # days since 1970
    places: IntArray  # (local days,)

    @classmethod
    def of(cls, recording: Recording, worn: BoolArray) -> ValidDays:
        """Find the days with enough ``worn`` (n,) epochs: 16 h, or 10 h on the hip."""
        worn = worn & recording.recorded
        day = _day_numbers(wall_clock_of(recording))
        first = int(day.min())
        seconds = (
            np.bincount(day[worn] - first, minlength=int(day.max()) - first + 1) * recording.epoch_seconds
        )
        valid = seconds >= valid_day_minutes(recording.wear_site) * 60
        return cls(recording, worn, first, np.where(valid, np.cumsum(valid) - 1, -1))

    @property
    def count(self) -> int:
        """Number of valid days."""
        return int(self.places.max()) + 1

    @cached_property
    def by_epoch(self) -> DayLevels:
        """The recording's own epochs."""
        return self._levels(self.recording, self.worn, 1)

    @cached_property
    def by_minute(self) -> DayLevels | None:
        """Whole minutes, worn throughout; None where the epochs make no minutes."""
        if self.recording.epoch_seconds == 60:
            return self.by_epoch
        minutes = worn_minutes(self.recording, self.worn)
        return minutes and self._levels(*minutes, 60 // self.recording.epoch_seconds)

    def _levels(self, recording: Recording, worn: BoolArray, epochs: int) -> DayLevels:
        place = self.places[_day_numbers(wall_clock_of(recording)) - self.first]
        minutes = recording.epoch_seconds / 60
        levels = recording.values if recording.unit.is_rate else recording.values / minutes
        return DayLevels(levels, np.where(worn, place, -1), self.count, minutes, epochs)


def worn_minutes(recording: Recording, worn: BoolArray) -> tuple[Recording, BoolArray] | None:
    """Return ``recording`` in whole minutes and which were ``worn`` throughout; None where none fits."""
    seconds = recording.epoch_seconds
    if seconds == 60:
        return recording, worn & recording.recorded
    if 60 % seconds or recording.epochs * seconds < 120:
        return None
    minutes = coarser(replace(recording, wear=worn), 60)
    return minutes, minutes.recorded & np.asarray(minutes.wear, dtype=np.bool_)


def _day_numbers(clock: Labels) -> IntArray:
    return clock.astype("datetime64[D]").astype(np.int64)
