"""Non-wear against ActiLife: both rules at each setting that its file holds."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any, Literal

import numpy as np

from preprocessing.recording import FloatArray
from preprocessing.wear import ChoiRule, TroianoRule, WearMode, choi_nonwear, troiano_nonwear
from validation.comparison import Check, Pairs
from validation.oracles import Oracles

__all__ = ["CHECKS"]

Settings = dict[str, Any]


def _vendor(kind: str, oracles: Oracles) -> dict[int, tuple[Settings, FloatArray]]:
    """Settings and non-wear (n,) by shortest period, in consecutive mode."""
    day = oracles.actilife()
    start = datetime.fromisoformat(day["start"])
    found: dict[int, tuple[Settings, FloatArray]] = {}
    for row in day[f"{kind}_periods"]:
        if not row.get("endat_nnz_seq", True):
            continue
        nonwear = found.setdefault(row["min_period_len"], (row, np.zeros(len(day["axis1"]))))[1]
        begin, end = (datetime.fromisoformat(row[f"period_{edge}"]) - start for edge in ("start", "end"))
        nonwear[int(begin.total_seconds() // 60) : int(end.total_seconds() // 60)] = not row["wear"]
    return found


def _nonwear(kind: Literal["choi", "troiano"], oracles: Oracles, _: WearMode) -> Pairs:
    counts = np.array(oracles.actilife()["axis1"], dtype=np.float64)
    expected, found = [], []
    for minutes, (row, nonwear) in _vendor(kind, oracles).items():
        expected.append(nonwear)
        found.append(
            choi_nonwear(counts, 60, ChoiRule(minutes, row["min_window_len"], row["spike_tolerance"]))
            if kind == "choi"
            else troiano_nonwear(
                counts, 60, TroianoRule(minutes, row["spike_tolerance"], row["spike_stoplevel"])
            )
        )
    return np.concatenate(expected), np.concatenate(found).astype(np.float64)


_STRENGTH = "one person, one day; three settings, none of them the paper's"
CHECKS = (
    Check("Choi non-wear, minutes", "ActiLife 6", _STRENGTH, partial(_nonwear, "choi"), masks=False),
    Check(
        "Troiano non-wear, minutes",
        "ActiLife 6",
        "one person, one day; consecutive mode only",
        partial(_nonwear, "troiano"),
        masks=False,
    ),
)
