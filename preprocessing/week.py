"""Week: the 10,080-minute local wall-clock grid that PAT was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Week"]


@dataclass(frozen=True, eq=False)
class Week:
    """Seven local days of 1,440 wall-clock minutes.

    ``counts`` float32 (10_080,), NaN = not recorded; ``wear`` and ``missing`` bool (10_080,).
    ``start`` is local midnight (aware with a zone, naive on wall clock). An hour that the spring change skips is
    missing; of the hour that the autumn change repeats the first pass is kept and ``dropped_minutes`` counts the rest.
    """

    start: datetime
    end: datetime
    zone: str | None
    counts: npt.NDArray[np.float32]
    wear: npt.NDArray[np.bool_]
    missing: npt.NDArray[np.bool_]
    dst_transition: Literal["spring", "autumn"] | None
    dropped_minutes: int
