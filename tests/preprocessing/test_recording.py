"""A Recording checks itself, and its refusals never hold a value."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from preprocessing.recording import Recording, RecordingError, Refusal
from preprocessing.units import Unit, WearSite, validity
from tests.preprocessing.inputs import recording


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"zone": None}, Refusal.NO_TIME_ZONE),
        ({"start": datetime(2024, 1, 1)}, Refusal.NO_TIME_ZONE),
        ({"epoch_seconds": 0}, Refusal.NO_EPOCH_INFORMATION),
        ({"epoch_seconds": 3601}, Refusal.RESOLUTION_TOO_COARSE),
        ({"values": np.zeros(0)}, Refusal.NO_SAMPLES),
        ({"values": np.array([1.0, np.inf])}, Refusal.INVALID_FIELD),
        ({"values": np.array([1.0, -77.0])}, Refusal.INVALID_FIELD),
        ({"wear": np.ones(3, dtype=bool)}, Refusal.INVALID_FIELD),
    ],
)
def test_a_recording_that_cannot_be_is_refused(change, code):
    with pytest.raises(RecordingError) as refused:
        replace(recording(epochs=5), **change)
    assert refused.value.code is code
    assert "77" not in str(refused.value)


def test_a_date_outside_living_memory_is_refused():
    with pytest.raises(RecordingError):
        recording("1899-12-31T00:00", None, epochs=5)


def test_the_end_is_elapsed_time_across_the_clock_change():
    assert recording("2024-03-30T00:00", epochs=2 * 1440).end.isoformat() == "2024-04-01T01:00:00+02:00"
    assert recording("2024-03-30T00:00", None, epochs=2 * 1440).end == datetime(2024, 4, 1)


def test_lengths_follow_from_the_epoch():
    half = recording(epochs=2880, epoch_seconds=30)
    assert half.days == 1
    assert half.minutes_of(half.values < 3) == 1.5


def test_a_hip_worn_actigraph_carries_no_sleep():
    allowed = validity(Unit.ACTIGRAPH_AXIS1_COUNTS, WearSite.HIP)
    assert allowed.sleep_scorers == ()
    assert allowed.no_sleep_reason == "needs_overnight_wear"
    assert allowed.rhythm


def test_the_level_of_a_unit_has_one_code_per_minute():
    assert Unit.MIMS.ucum_per_minute == "{MIMS}/min"
    assert Unit.ENMO_MG.ucum_per_minute == "m[g]"
    assert Unit.COUNTS.ucum_per_minute == "{counts}/min"


def test_a_span_of_more_than_three_years_is_refused_however_coarse_its_epochs():
    hours = np.zeros(1101 * 24)
    with pytest.raises(RecordingError) as refused:
        Recording(datetime(2020, 1, 1), None, 3600, hours, Unit.COUNTS)
    assert refused.value.code is Refusal.TOO_MANY_EPOCHS
    Recording(datetime(2020, 1, 1), None, 3600, hours[: 1100 * 24], Unit.COUNTS)
