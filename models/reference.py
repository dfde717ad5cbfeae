"""Reference: what weeks of a checkpoint's cohort and their embeddings are like, to see when others are not.

A statistic is one number of one week; a reference has its mean and SD over the weeks of people of the cohort,
prepared as the service prepares weeks. It changes no answer, so it is no part of a checkpoint's digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

__all__ = [
    "INPUT",
    "OUTPUT",
    "InputName",
    "OutputName",
    "Reference",
    "Statistic",
    "input_statistics",
    "output_statistics",
]

InputName = Literal["mean", "zero_share", "valid_share"]
OutputName = Literal["mean", "sd"]
INPUT: tuple[InputName, ...] = get_args(InputName)
OUTPUT: tuple[OutputName, ...] = get_args(OutputName)
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Statistic:
    """Mean and SD of one number over the weeks of a cohort; of one that never varies nothing is told."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Reference:
    """What ``n`` weeks of ``cohort`` are like; statistics by the names of INPUT and OUTPUT."""

    cohort: str
    n: int
    input: Mapping[InputName, Statistic]
    output: Mapping[OutputName, Statistic]

    @classmethod
    def of(
        cls, cohort: str, weeks: npt.NDArray[np.float32], embeddings: npt.NDArray[np.float32]
    ) -> Reference:
        """Take it from raw ``weeks`` (N, 10_080), NaN = missing, and their ``embeddings`` (N, 96)."""
        return cls(
            cohort,
            len(weeks),
            dict(zip(INPUT, _over(input_statistics(weeks)), strict=True)),
            dict(zip(OUTPUT, _over(output_statistics(embeddings)), strict=True)),
        )


def input_statistics(weeks: npt.NDArray[np.float32]) -> Doubles:
    """Return mean, share of zeros and share of minutes that hold a value (N, 3) of raw ``weeks``."""
    valid = ~np.isnan(weeks)
    many = valid.sum(axis=1)
    total = np.where(valid, weeks, 0).sum(axis=1, dtype=np.float64)
    zeros = (weeks == 0).sum(axis=1)
    worn = np.maximum(many, 1)
    return np.column_stack([total / worn, zeros / worn, many / weeks.shape[1]])


def output_statistics(embeddings: npt.NDArray[np.float32]) -> Doubles:
    """Return mean and SD over the 96 numbers (N, 2) of each of the ``embeddings``."""
    numbers = embeddings.astype(np.float64)
    return np.column_stack([numbers.mean(axis=1), numbers.std(axis=1)])


def _over(statistics: Doubles) -> list[Statistic]:
    spread = statistics.std(axis=0, ddof=1)
    return [
        Statistic(float(mean), float(sd)) for mean, sd in zip(statistics.mean(axis=0), spread, strict=True)
    ]
