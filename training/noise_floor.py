"""How much of a hidden minute could be known at all: errors of two answers that are not the network's.

    python -m training.noise_floor

- *schedule known*: an oracle that knows each person and when in this very week that person sleeps, naps,
  wakes up and has a better day. It answers with the expected count; what it leaves is minute-to-minute noise.
- *linear*: the best linear answer from the visible patches' means, with the covariance of a large cohort.

Both are given as shares of the error of the per-minute mean, as the network's is.
"""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from models.config import CONFIGS
from preprocessing.scaling import Scaling
from preprocessing.units import Device, Unit, WearSite
from training.masked_autoencoder import hidden_count
from training.synthetic import PersonTraits, cohort, counts_of, level, people

__all__ = ["expected_week", "linear_ratio", "main", "schedule_known_ratio"]

Floats = npt.NDArray[np.float64]
PATCH = CONFIGS["PAT-S"].patch
QUANTILES = ndtri((np.arange(64) + 0.5) / 64)  # of the drive's unit-variance noise


def expected_week(traits: PersonTraits, rng: np.random.Generator, first_weekday: int) -> Floats:
    """Expected counts (10_080,) of the week that ``rng`` would give, its noise averaged out."""
    drive = level(traits, rng, days=7, first_weekday=first_weekday)[:, None] + QUANTILES
    expected: Floats = counts_of(drive, traits.gain).mean(axis=1)
    return expected


def schedule_known_ratio(scaling: Scaling, n: int, seed: tuple[int, int]) -> float:
    """Error of the oracle over that of the mean, on the ``n`` people of the cohort ``seed``."""
    weeks = cohort(n, seed)
    answers = np.stack([expected_week(*one) for one in people(n, seed)]).astype(np.float32)
    recorded = ~np.isnan(weeks)
    error = (scaling.apply(weeks) - scaling.apply(answers))[recorded]
    return float(np.square(error).mean() / np.square(scaling.apply(weeks)[recorded]).mean())


def linear_ratio(training: Floats, held_out: Floats, random: np.random.Generator) -> float:
    """Error of the best linear answer over that of the mean, for standardised weeks (N, T)."""
    patches = training.shape[1] // PATCH
    means = training.reshape(-1, patches, PATCH).mean(axis=2)
    covariance = means.T @ means / len(means)
    errors = np.zeros(2)
    for week in held_out.reshape(-1, patches, PATCH):
        hidden, visible = np.split(random.permutation(patches), [hidden_count(patches)])
        seen = covariance[np.ix_(visible, visible)] + 0.003 * np.eye(
            len(visible)
        )  # keeps it well conditioned
        answer = covariance[np.ix_(hidden, visible)] @ np.linalg.solve(seen, week[visible].mean(axis=1))
        errors += np.square(week[hidden] - answer[:, None]).sum(), np.square(week[hidden]).sum()
    return float(errors[0] / errors[1])


def main() -> None:
    """Write both ratios, from the demonstration's cohort, for its held-out people and 400 others."""
    weeks = cohort(4000, (0, 1))
    scaling = Scaling.fit(
        weeks,
        unit=Unit.ACTIWATCH_COUNTS,
        device=Device.SYNTHETIC_DEMO,
        wear_site=WearSite.WRIST,
        cohort="noise-floor",
    )
    training = scaling.apply(weeks).astype(np.float64)
    for seed in ((0, 2), (1, 2)):
        held_out = scaling.apply(cohort(400, seed)).astype(np.float64)
        linear = linear_ratio(training, held_out, np.random.default_rng(0))
        oracle = schedule_known_ratio(scaling, 400, seed)
        sys.stdout.write(f"people {seed}: linear {linear:.4f}, schedule known {oracle:.4f}\n")


if __name__ == "__main__":
    main()
