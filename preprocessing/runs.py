"""Runs: the unbroken stretches of a mask, such as zeros in a row or a gap in the clock."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Indices", "runs"]

Indices = npt.NDArray[np.int64]


def runs(mask: npt.NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """Return starts and stops (half-open), int64 (k,), of the runs of True in ``mask`` (n,)."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0)).astype(np.int64)
    return edges[::2], edges[1::2]
