"""Drift: what is told of the last weeks, when, and that nothing of a single one can be read from it."""

from dataclasses import replace

import numpy as np
import pytest

from models.reference import Reference, Statistic, input_statistics, output_statistics
from pat_runner.drift import FEWEST, MOST, Drift

WEEK = 10_080
REFERENCE = Reference(
    "test",
    100,
    {"mean": Statistic(100, 20), "zero_share": Statistic(0.3, 0.1), "valid_share": Statistic(0.9, 0.05)},
    {"mean": Statistic(0.0, 0.5), "sd": Statistic(1.0, 0.25)},
)


class Told(list):
    def __call__(self, side, drift):
        self.append((side, drift))


@pytest.fixture
def told():
    return Told()


def weeks(n, level=100.0):
    made = np.full((n, WEEK), level, np.float32)
    made[:, : WEEK // 10] = np.nan
    made[:, WEEK // 10 : WEEK // 10 + 9 * WEEK // 100 * 3] = 0
    return made


def test_statistics_are_of_what_was_recorded():
    [[mean, zero, valid]] = input_statistics(np.array([[np.nan, 0, 3, 6]], np.float32))
    assert (mean, zero, valid) == (3, pytest.approx(1 / 3), 0.75)
    assert input_statistics(np.full((1, 4), np.nan, np.float32)).tolist() == [[0, 0, 0]]
    [[mean, sd]] = output_statistics(np.array([[1, -1, 3, -3]], np.float32))
    assert (mean, sd) == (0, pytest.approx(np.sqrt(5)))


def test_a_reference_is_mean_and_sd_over_weeks():
    counts = np.array([[1, 3], [5, 7]], np.float32)
    made = Reference.of("test", counts, np.array([[1, 1], [0, 2]], np.float32))
    assert made.n == 2
    assert (made.input["mean"].mean, made.input["mean"].sd) == (4, pytest.approx(np.sqrt(8)))
    assert made.output["sd"].mean == 0.5


def test_weeks_like_the_cohort_do_not_drift_and_others_do_by_sds(told):
    drift = Drift(REFERENCE, told)
    drift.went_in(weeks(FEWEST, level=200.0))
    [(side, found)] = told
    assert side == "input"
    assert found["mean"] == pytest.approx((200 * 0.7 - 100) / 20, rel=0.01)
    assert found["zero_share"] == pytest.approx(0, abs=0.02)
    assert found["valid_share"] == pytest.approx(0, abs=0.01)


def test_embeddings_drift_by_their_own_reference(told):
    drift = Drift(REFERENCE, told)
    drift.came_out(np.tile(np.array([3, 1], np.float32), (FEWEST, 48)))
    assert told == [("output", {"mean": 4.0, "sd": 0.0})]


def test_nothing_is_told_of_few_weeks_and_nothing_after_every_week(told):
    drift = Drift(REFERENCE, told)
    for _ in range(FEWEST - 1):
        drift.went_in(weeks(1))
    assert told == []
    drift.went_in(weeks(1))
    assert len(told) == 1
    for _ in range(FEWEST - 1):
        drift.went_in(weeks(1, level=1_000.0))
    assert len(told) == 1  # the difference of two tellings is of as many weeks again
    drift.went_in(weeks(1))
    assert len(told) == 2


def test_the_window_is_bounded_and_slides(told):
    drift = Drift(REFERENCE, told)
    drift.went_in(weeks(MOST, level=1_000.0))
    drift.went_in(weeks(MOST))
    assert len(drift) == MOST
    assert told[-1][1]["mean"] == pytest.approx((100 * 0.7 - 100) / 20, rel=0.02)


def test_of_what_never_varied_in_the_cohort_no_distance_is_told(told):
    still = replace(REFERENCE, output={"mean": Statistic(0.0, 0.0), "sd": Statistic(1.0, 0.25)})
    Drift(still, told).came_out(np.tile(np.array([3, 1], np.float32), (FEWEST, 48)))
    assert told == [("output", {"sd": 0.0})]


def test_without_a_reference_nothing_is_said_of_any_distance(told):
    drift = Drift(None, told)
    drift.went_in(weeks(FEWEST))
    drift.came_out(np.ones((FEWEST, 96), np.float32))
    assert {str(found) for _, found in told} == {"{}"}
    assert len(drift) == FEWEST


def test_nothing_is_made_of_no_weeks(told):
    drift = Drift(REFERENCE, told)
    drift.went_in(np.empty((0, WEEK), np.float32))
    drift.came_out(np.empty((0, 96), np.float32))
    assert (len(drift), told) == (0, [])
