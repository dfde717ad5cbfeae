"""Activity against the published features of NHANES 2003-06 (Leroux 2019, Stat Biosci 11:262).

The publication takes a minute without wear as a sedentary one; as recorded this is done here too. The
service uses worn minutes only, which is the default that stands beside it.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from postprocessing.activity import bouts_of, intensity_minutes, log_volume, nonwear_as_sedentary, volume
from postprocessing.cut_points import CUT_POINTS
from postprocessing.metrics import MetricCode
from postprocessing.valid_days import DayLevels
from preprocessing.recording import BoolArray, FloatArray
from preprocessing.wear import WearMode
from validation.comparison import Check, Pairs
from validation.oracles import Oracles

__all__ = ["CHECKS"]

TROIANO = next(points for points in CUT_POINTS if points.name == "troiano-2008")
FEATURES = {
    "TAC": MetricCode.TOTAL_ACTIVITY,
    "TLAC": MetricCode.TOTAL_LOG_ACTIVITY,
    "ST": MetricCode.SEDENTARY_TIME,
    "MVPA": MetricCode.MVPA_TIME,
    "SBout": MetricCode.SEDENTARY_BOUT,
    "ABout": MetricCode.ACTIVE_BOUT,
    "SATP": MetricCode.SEDENTARY_TO_ACTIVE,
    "ASTP": MetricCode.ACTIVE_TO_SEDENTARY,
}


def _minutes(counts: FloatArray, wear: BoolArray, mode: WearMode) -> DayLevels:
    still = nonwear_as_sedentary(counts, wear)
    if mode is WearMode.AS_RECORDED:
        return still
    return DayLevels(still.levels, np.where(wear.reshape(-1), still.place, -1), still.days, 1.0)


def _feature(name: str, oracles: Oracles, mode: WearMode) -> Pairs:
    expected, found = [], []
    for published, person in oracles.leroux().values():
        minutes = _minutes(person["counts"].astype(np.float64), person["wear"] == 1, mode)
        expected.append(published[name])
        found.append(float(np.nanmean(_of_days(name, minutes))))
    return np.array(expected), np.array(found)


def _of_days(name: str, minutes: DayLevels) -> FloatArray:
    """One number (days,) of each day."""
    made = volume(minutes) | log_volume(minutes) | intensity_minutes(minutes, TROIANO)
    return (made | bouts_of(minutes, TROIANO.light).values())[FEATURES[name]]


def _wear_time(oracles: Oracles, _: WearMode) -> Pairs:
    people = oracles.leroux().values()
    expected = [published["WT"] for published, _ in people]
    return np.array(expected), np.array([(person["wear"] == 1).sum(axis=1).mean() for _, person in people])


_PUBLISHED, _STRENGTH = "Leroux 2019", "good: 42 people of NHANES 2003-06"
CHECKS = (
    *(
        Check(f"{name}, {code.value}", _PUBLISHED, _STRENGTH, partial(_feature, name), tolerance=1e-6)
        for name, code in FEATURES.items()
    ),
    Check("WT, wear minutes", _PUBLISHED, _STRENGTH, _wear_time, tolerance=1e-6, masks=False),
)
