"""The series behind the numbers: run-length coded, and whole again when it is unfolded."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from postprocessing.analysis import Runs
from postprocessing.series import series_of
from postprocessing.sleep_scored import SleepOptions, scored
from preprocessing.units import Unit
from tests.postprocessing.synthetic import regular


def unfolded(runs: Runs) -> list[int]:
    return np.repeat(runs.values, runs.lengths).tolist()


def test_what_is_coded_is_what_was_scored_and_worn():
    recording = regular(3)
    worn = recording.recorded
    worn[100:300] = False
    found = series_of(recording, worn, SleepOptions())
    assert unfolded(found.sleep) == scored(recording, worn, SleepOptions()).states.tolist()
    assert unfolded(found.wear) == worn.astype(int).tolist()
    assert len(found.sleep.values) < 40
    assert len(found.day_profile) == 1440
    assert found.day_profile[12 * 60] == 500


def test_a_unit_without_scorer_has_wear_and_a_profile_but_no_sleep():
    found = series_of(regular(2, unit=Unit.MIMS), regular(2).recorded, SleepOptions())
    assert found.sleep is None
    assert found.wear.values == (1,)


def test_a_minute_that_was_never_valid_has_no_level():
    recording = regular(2)
    worn = recording.recorded
    worn[: 2 * 1440] = False
    worn[0] = True
    found = series_of(recording, worn, SleepOptions())
    assert sum(level is not None for level in found.day_profile) == 1


def test_every_value_has_a_length():
    recording = regular(1)
    with pytest.raises(ValidationError, match="length"):
        Runs(start=recording.start, epoch_seconds=60, values=(1, 0), lengths=(3,))
