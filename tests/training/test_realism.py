"""The generator is not tamer than real weeks."""

from __future__ import annotations

import numpy as np
import pytest

from tests.shared import shared
from training import realism
from training.synthetic import cohort

# Quartiles of Depresjon (n = 53) across persons or minutes, as python -m training.realism prints
# them: aggregates, so that the bounds hold where the recordings are not at hand.
ZERO_SHARE = (0.301, 0.400)
VARIATION = 1.18  # first quartile
DAY_TO_DAY = 0.554  # third quartile


@pytest.fixture(scope="module")
def synthetic():
    return realism.statistics(cohort(200, seed=11))


def test_statistics_of_a_tiny_cohort_are_those_counted_by_hand():
    day = np.zeros(1440)
    day[:720] = 10.0
    weeks = np.stack([np.tile(day, 7), np.tile(3 * day, 7)])
    found = realism.statistics(weeks)
    assert found["mean"].tolist() == [5.0, 15.0]
    assert found["zero_share"].tolist() == [0.5, 0.5]
    np.testing.assert_allclose(found["variation"], 0.5)  # mean 20, SD 10, in the minutes that anybody moves
    np.testing.assert_allclose(found["day_to_day"], 1.0)
    np.testing.assert_allclose(found["repeated"], 0.5)  # each moving minute repeats exactly, the others are 0


def test_the_statistics_called_repeated_is_zero_for_noise():
    noise = np.random.default_rng(0).normal(size=(300, realism.WEEK))
    assert abs(realism.statistics(noise)["repeated"][0]) < 0.002


def test_synthetic_people_are_as_hard_as_the_published_quartiles_of_real_ones(synthetic):
    middle = {name: float(np.median(values)) for name, values in synthetic.items()}
    assert ZERO_SHARE[0] <= middle["zero_share"] <= ZERO_SHARE[1]
    assert middle["variation"] >= VARIATION
    assert middle["day_to_day"] <= DAY_TO_DAY


def test_synthetic_people_are_as_hard_as_depresjon(synthetic):
    real = realism.statistics(realism.depresjon(shared("data/cohorts/depresjon.npz").parent))
    made = {name: float(np.median(values)) for name, values in synthetic.items()}
    low, _, high = realism.quartiles(real["zero_share"])
    assert low <= made["zero_share"] <= high
    assert made["variation"] >= realism.quartiles(real["variation"])[1]  # people differ at least as much
    for name in ("day_to_day", "neighbour"):
        assert made[name] <= realism.quartiles(real[name])[1]  # and repeat themselves no more
    low, _, high = realism.quartiles(real["hour_apart"])
    assert low <= made["hour_apart"] <= high
    assert made["repeated"] <= real["repeated"][0]
    assert made["patch_apart"] <= real["patch_apart"][0]
    assert made["four_patches_apart"] <= real["four_patches_apart"][0] + 0.02


def test_the_table_has_a_row_for_each_statistic(capsys):
    realism.main([str(shared("data/cohorts/depresjon.npz").parent)])
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 2 + len(realism.STATISTICS)
    assert "Depresjon (n = 53)" in rows[0]
