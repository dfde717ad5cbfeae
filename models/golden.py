"""The golden: a panel of weeks with the float64 reference's outputs, stored beside the weights.

Every engine must reproduce it before it answers (pat_runner/gate.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from preprocessing.scaling import WEEK_MINUTES

__all__ = ["PANEL", "Golden", "panel_weeks"]

# What each row of a panel is.
PANEL = (
    "ordinary",
    "ordinary, a late sleeper",
    "ordinary, restless",
    "ordinary, a night worker",
    "still: every minute typical of its cohort",
    "extreme values",
    "spring: an hour that the clock skipped",
    "two days missing",
)
_SEED = 20_241_115
_DAY = 1440

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Golden:
    """Inputs with the outputs that the float64 reference gives for them."""

    weeks: npt.NDArray[np.float32]  # (M, T), standardised
    pooled: Doubles  # (M, 96)
    profile: Doubles  # (M, N)


def panel_weeks() -> npt.NDArray[np.float32]:
    """Return the seeded inputs of a golden (8, 10_080), as ``PANEL`` names them; a missing minute is 0."""
    noise = np.random.default_rng(_SEED).normal(0, 0.7, (4, WEEK_MINUTES))
    ordinary, late, restless, nights = (
        _rhythm(shift) + noise[row] for row, shift in enumerate((0, 3, 0, 11))
    )
    restless = np.where(np.arange(WEEK_MINUTES) % 97 < 5, restless + 2.5, restless)
    return np.stack(
        [
            ordinary,
            late,
            restless,
            nights,
            np.zeros(WEEK_MINUTES),
            _with_extremes(ordinary),
            _without(late, slice(6 * _DAY + 120, 6 * _DAY + 180)),
            _without(restless, slice(2 * _DAY, 4 * _DAY)),
        ]
    ).astype(np.float32)


def _rhythm(hours_later: float) -> Doubles:
    minute = np.arange(WEEK_MINUTES, dtype=np.float64) - 60 * hours_later
    return 0.8 * np.sin(2 * np.pi * (minute / _DAY - 0.4))


def _with_extremes(week: Doubles) -> Doubles:
    extreme: Doubles = week.copy()
    extreme[1000:1200] = -6
    extreme[4000:4200:2], extreme[4001:4200:2] = 50, -50
    extreme[[2500, 6000, 8000, 9000]] = 80, 100, 250, -100
    return extreme


def _without(week: Doubles, minutes: slice) -> Doubles:
    rest = week.copy()
    rest[minutes] = 0
    return rest
