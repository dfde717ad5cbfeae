"""One check: a metric against one oracle, over everything that the oracle has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from preprocessing.recording import FloatArray
from preprocessing.wear import WearMode
from validation.oracles import Oracles

__all__ = ["Agreement", "Check", "Row", "compared"]

Pairs = tuple[FloatArray, FloatArray]  # expected (k,), found (k,) with NaN = absent


@dataclass(frozen=True)
class Check:
    """What is compared with what, how close it must be, and how much that proves.

    ``pairs`` gives the oracle's and our values under a wear mode. ``misses`` values may lie outside
    ``tolerance``. ``masks`` is False where wear plays no part.
    """

    metric: str
    oracle: str
    strength: str
    pairs: Callable[[Oracles, WearMode], Pairs]
    tolerance: float = 0.0
    relative: bool = False
    misses: int = 0
    masks: bool = True


@dataclass(frozen=True)
class Agreement:
    """How ``n`` values agree; ``largest`` is the largest difference of those that are not absent."""

    n: int
    exact: int
    within: int
    absent: int
    largest: float

    @classmethod
    def of(cls, expected: FloatArray, found: FloatArray, tolerance: float, *, relative: bool) -> Agreement:
        """Count over (k,) pairs; ``relative`` takes differences as a share of the expected value."""
        if expected.shape != found.shape or np.isnan(expected).any():
            raise ValueError(f"expected {expected.shape} known values, found {found.shape}")
        absent = np.isnan(found)
        scale = np.abs(expected) if relative else np.ones(expected.shape)
        difference = np.abs(found - expected)[~absent] / np.where(scale > 0, scale, 1)[~absent]
        return cls(
            n=expected.size,
            exact=int((found == expected).sum()),
            within=int((difference <= tolerance).sum()),
            absent=int(absent.sum()),
            largest=float(difference.max()) if difference.size else float("nan"),
        )


@dataclass(frozen=True)
class Row:
    """One line of the table: agreement as recorded, and with the default masking of non-wear."""

    check: Check
    recorded: Agreement
    masked: Agreement | None

    @property
    def holds(self) -> bool:
        """Whether enough was compared and is close enough, as recorded."""
        return self.recorded.n > 0 and self.recorded.n - self.recorded.within <= self.check.misses


def compared(check: Check, oracles: Oracles) -> Row:
    """Run ``check`` under both wear modes."""

    def agreement(mode: WearMode) -> Agreement:
        expected, found = check.pairs(oracles, mode)
        return Agreement.of(expected, found, check.tolerance, relative=check.relative)

    masked = agreement(WearMode.DETECT) if check.masks else None
    return Row(check, agreement(WearMode.AS_RECORDED), masked)
