"""Scaling: the per-minute mean and SD of a reference cohort that turn weeks into what PAT was trained on.

PAT's inputs were standardised per column, that is per minute of the week across participants (population SD,
a constant column gets SD 1; no log, no clipping, no smoothing). A cohort's Scaling is therefore part of a
checkpoint, and a recording from another device runs only with a labelled fallback.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from preprocessing.units import Device, Unit, WearSite

__all__ = ["MINIMUM_WEEKS", "WEEK_MINUTES", "Calibration", "Scaling", "Weeks", "per_recording"]

WEEK_MINUTES = 10_080  # 7 days of 1,440 minutes
MINIMUM_WEEKS = 100  # below this a per-minute mean and SD are mostly noise

Weeks = npt.NDArray[np.float32]  # (N, 10_080), NaN = not recorded


class Calibration(StrEnum):
    """How a week was standardised; only ``reference_cohort`` may carry a calibrated probability."""

    REFERENCE_COHORT = "reference_cohort"
    PER_RECORDING = "per_recording"
    CALLER = "caller"


@dataclass(frozen=True, eq=False)
class Scaling:
    """Per-minute mean and SD of one cohort of one device, unit and wear site.

    ``mean`` and ``sd`` are float64 (10_080,), minute 0 = local midnight; ``n`` weeks were fitted on.
    """

    mean: npt.NDArray[np.float64]
    sd: npt.NDArray[np.float64]
    unit: Unit
    device: Device
    wear_site: WearSite
    cohort: str
    n: int

    def __post_init__(self) -> None:
        for name, column in (("mean", self.mean), ("sd", self.sd)):
            if column.shape != (WEEK_MINUTES,) or column.dtype != np.float64 or not np.isfinite(column).all():
                raise ValueError(f"scaling {name}: expected {WEEK_MINUTES} finite float64 values")
        if bool((self.sd <= 0).any()):
            raise ValueError("scaling sd: expected every value above 0")
        if float((self.sd != 1.0).mean()) <= 0.95:
            raise ValueError("scaling sd: expected more than 95 % of the minutes to vary; rebuild the table")

    @classmethod
    def fit(cls, weeks: Weeks, *, unit: Unit, device: Device, wear_site: WearSite, cohort: str) -> Scaling:
        """Fit on ``weeks`` (N, 10_080), N >= 100, as scikit-learn's StandardScaler does.

        Population SD over the recorded weeks of each minute; a constant minute gets SD 1. Raises ValueError
        for too few weeks, or for a minute that no week recorded.
        """
        if len(weeks) < MINIMUM_WEEKS:
            raise ValueError(f"expected at least {MINIMUM_WEEKS} weeks to fit a scaling, found {len(weeks)}")
        if bool(np.isnan(weeks).all(axis=0).any()):
            raise ValueError("expected every minute of the week to be recorded in some week; add weeks")
        mean, sd = _mean_and_sd(weeks, axis=0)
        return cls(mean[0], sd[0], unit, device, wear_site, cohort, len(weeks))

    def matches(self, unit: Unit, device: Device, wear_site: WearSite) -> bool:
        """Whether a recording of this unit, device and wear site is like those of the cohort."""
        return (unit, device, wear_site) == (self.unit, self.device, self.wear_site)

    def apply(self, weeks: Weeks) -> Weeks:
        """Standardise ``weeks`` (N, 10_080); a missing minute becomes 0, the cohort's mean."""
        return np.nan_to_num((weeks - self.mean) / self.sd, nan=0.0).astype(np.float32)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over both columns and what they were fitted on."""
        label = f"{self.unit}|{self.device}|{self.wear_site}|{self.cohort}|{self.n}".encode()
        columns = self.mean.astype("<f8").tobytes() + self.sd.astype("<f8").tobytes()
        return hashlib.sha256(label + columns).hexdigest()


def per_recording(weeks: Weeks) -> Weeks:
    """Standardise each week of ``weeks`` (N, 10_080) by its own mean and SD; the labelled fallback.

    The day-night curve stays in, so this is not PAT's training distribution: no calibrated probability may
    come from it. A week without movement, or without data, is all zero.
    """
    mean, sd = _mean_and_sd(weeks, axis=1)
    return np.nan_to_num((weeks - mean) / sd, nan=0.0).astype(np.float32)


def _mean_and_sd(weeks: Weeks, axis: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and population SD of what is recorded, axis kept; SD 1 where nothing varies beyond rounding."""
    recorded = ~np.isnan(weeks)
    n = np.maximum(recorded.sum(axis=axis, keepdims=True), 1)
    mean = np.where(recorded, weeks, 0.0).sum(axis=axis, keepdims=True, dtype=np.float64) / n
    sd = np.sqrt((np.where(recorded, weeks - mean, 0.0) ** 2).sum(axis=axis, keepdims=True) / n)
    sd[sd <= 10 * np.finfo(np.float64).eps * np.abs(mean)] = 1.0
    return mean, sd
