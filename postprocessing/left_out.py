"""The clinical sections of an answer that was to leave them out: every number absent for that reason."""

from __future__ import annotations

from functools import lru_cache

from postprocessing.absence import Reason, absent
from postprocessing.analysis import Activity, Metric, Rhythm, Sleep
from postprocessing.metrics import METRICS, Section, codes_of
from preprocessing.units import Unit

__all__ = ["left_out"]


@lru_cache(maxsize=256)
def left_out(unit: Unit, valid_days: int) -> tuple[Sleep, Rhythm, Activity]:
    """Return the sections of a recording in ``unit`` in which nothing was computed."""
    why = absent(Reason.NOT_REQUESTED)

    def metrics(section: Section) -> tuple[Metric, ...]:
        units = {code: METRICS[code].unit_for(unit) for code in codes_of(section)}
        return tuple(Metric.missing(code, why, of_code) for code, of_code in units.items())

    asleep = Sleep(
        scorer=None, rest_period=None, valid_nights=0, nights=(), metrics=metrics("sleep"), absent=why
    )
    moving = Activity(valid_days=valid_days, cut_points=None, metrics=metrics("activity"))
    return asleep, Rhythm(metrics=metrics("rhythm")), moving
