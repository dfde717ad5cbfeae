"""Sleep from movement: which epochs are sleep, when somebody was in bed, and how each night went.

The scorers and the periods of Tudor-Locke reproduce vendors' output; docs/clinical-metrics.md says on how
much data. Nothing here was checked against polysomnography.
"""

from __future__ import annotations

import numpy as np

from postprocessing.absence import Absence, Reason, absent
from postprocessing.analysis import Basis, Metric, Night, Parameters, Sleep
from postprocessing.contract import CONTRACT, Need
from postprocessing.metrics import METRICS, MetricCode
from postprocessing.rest_periods import RestRules, rest_periods, rest_rules
from postprocessing.sleep_nights import NIGHT_METRICS, all_missing, night_values, nights
from postprocessing.sleep_regularity import REGULARITY_METRICS, clock_median, regularity
from postprocessing.sleep_scored import LogEntry, Scored, SleepOptions, check_options, scored
from preprocessing.recording import BoolArray, Recording
from preprocessing.units import SleepScorer

__all__ = [
    "SLEEP_METRICS",
    "LogEntry",
    "Scored",
    "SleepOptions",
    "check_options",
    "night_values",
    "scored",
    "summarise",
]

SLEEP_METRICS = (*NIGHT_METRICS, *REGULARITY_METRICS)

DEFAULT = SleepOptions()


def summarise(recording: Recording, worn: BoolArray, options: SleepOptions = DEFAULT) -> Sleep:
    """Return sleep of ``recording``: every noon-to-noon night, and the numbers over valid nights.

    ``worn`` (n,) marks the epochs that count; all others are unscored. Raises RecordingError
    ``invalid_field`` for options that contradict each other or the recording.
    """
    made, rules = scored(recording, worn, options), rest_rules(options)
    if isinstance(made, Absence):
        return _no_sleep(made, rules)
    found = nights(made, rules, rest_periods(made, options))
    valid = [night for night in found if night.valid and not night.nap]
    return Sleep(
        scorer=made.scorer,
        rest_period=rules.name,
        valid_nights=len(valid),
        nights=found,
        metrics=(*_medians(valid, rules, made.scorer), *regularity(made, valid, options)),
    )


def _no_sleep(absence: Absence, rules: RestRules) -> Sleep:
    return Sleep(
        scorer=None,
        rest_period=None,
        valid_nights=0,
        nights=(),
        metrics=all_missing(SLEEP_METRICS, absence, logged=rules.logged),
        absent=absence,
    )


def _medians(valid: list[Night], rules: RestRules, scorer: SleepScorer) -> tuple[Metric, ...]:
    if why := CONTRACT[Need.VALID_NIGHTS].shortfall(len(valid)):
        return all_missing(NIGHT_METRICS, why, logged=rules.logged)
    by_code = zip(NIGHT_METRICS, zip(*(night.metrics for night in valid), strict=True), strict=True)
    return tuple(_median(code, metrics, scorer) for code, metrics in by_code)


def _median(code: MetricCode, of_nights: tuple[Metric, ...], scorer: SleepScorer) -> Metric:
    """Return the median over the nights that know the number; if none does, why the first does not."""
    known = [metric for metric in of_nights if metric.value is not None]
    if not known and of_nights[0].absent is not None:
        return Metric.missing(code, of_nights[0].absent)
    if why := CONTRACT[Need.VALID_NIGHTS].shortfall(len(known)):
        return Metric.missing(code, why)
    values = np.array([metric.value for metric in known], dtype=np.float64)
    value = clock_median(values) if METRICS[code].kind == "clock_time" else float(np.median(values))
    if value is None:
        return Metric.missing(code, absent(Reason.NOT_UNIQUE, "The nights lie all around the clock."))
    statistic: Parameters = {"statistic": "median over valid nights", "valid_nights": len(known)}
    basis = Basis(
        scorer,
        known[0].parameters | statistic,
        sum(metric.epochs_used or 0 for metric in known),
        sum(metric.wear_minutes or 0.0 for metric in known),
    )
    return Metric.known(code, value, basis)
