"""Series: what the numbers were made from, epoch by epoch, run-length coded so that a month stays small."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from postprocessing.absence import Absence
from postprocessing.analysis import Runs, Series
from postprocessing.circadian import clock_profile
from postprocessing.sleep_scored import SleepOptions, scored
from preprocessing.recording import BoolArray, Recording

__all__ = ["series_of"]


def series_of(recording: Recording, worn: BoolArray, options: SleepOptions) -> Series:
    """Return the state of each scored epoch, wear, and the mean day of the ``worn`` (n,) epochs."""
    made = scored(recording, worn, options)
    asleep = None if isinstance(made, Absence) else _runs(recording, made.states, made.epoch_seconds)
    wear = _runs(recording, (worn & recording.recorded).astype(np.int8), recording.epoch_seconds)
    return Series(sleep=asleep, wear=wear, day_profile=clock_profile(recording, worn))


def _runs(recording: Recording, states: npt.NDArray[np.int8], epoch_seconds: int) -> Runs:
    """Code ``states`` (m,), at least one, as values and the lengths that they hold for."""
    starts = np.flatnonzero(np.diff(states, prepend=states[0] + 1))
    return Runs(
        start=recording.start,
        epoch_seconds=epoch_seconds,
        values=tuple(states[starts].tolist()),
        lengths=tuple(np.diff(starts, append=states.size).tolist()),
    )
