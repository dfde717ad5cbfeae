"""The clinical sections of an answer that was to leave them out: every number absent for that reason."""

from __future__ import annotations

from postprocessing.absence import Reason, absent
from postprocessing.analysis import Activity, Metric, Rhythm, Sleep
from postprocessing.metrics import METRICS, Section, codes_of
from preprocessing.recording import Recording

__all__ = ["left_out"]


def left_out(recording: Recording, valid_days: int) -> tuple[Sleep, Rhythm, Activity]:
    """Return the sections of ``recording`` in which nothing was computed."""
    why = absent(Reason.NOT_REQUESTED)

    def metrics(section: Section) -> tuple[Metric, ...]:
        units = {code: METRICS[code].unit_for(recording.unit) for code in codes_of(section)}
        return tuple(Metric.missing(code, why, unit) for code, unit in units.items())

    asleep = Sleep(
        scorer=None, rest_period=None, valid_nights=0, nights=(), metrics=metrics("sleep"), absent=why
    )
    moving = Activity(valid_days=valid_days, cut_points=None, metrics=metrics("activity"))
    return asleep, Rhythm(metrics=metrics("rhythm")), moving
