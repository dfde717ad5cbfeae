"""De-identification: an Analysis goes in, what may leave for research comes out.

One table lists what is kept and by which rule, another what is left out and why; a field in neither is left
out. Texts survive only as words of a closed list, so nothing that a person wrote does. The person's age and
sex are the sender's to give, and a code stands for the person where one was made (serving/codes.py).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from postprocessing.absence import Reason
from postprocessing.analysis import Analysis
from postprocessing.buckets import bucketed
from postprocessing.cut_points import CUT_POINTS
from postprocessing.deidentified import DeidentifiedAnalysis, DeidentifiedPerson, Sex
from postprocessing.metrics import METRICS
from postprocessing.rest_periods import LOGGED, REST_PERIOD, TUDOR_LOCKE
from preprocessing.recording import Flag
from preprocessing.units import SleepScorer, Unit, WearSite

__all__ = ["ALGORITHMS", "ALLOWED", "DROPPED", "Person", "Rule", "Why", "age_band", "deidentified"]

OLDEST_DECADE = 80  # ages above 89 are one band, 45 CFR 164.514(b)(2)(i)(C)
MOST_DAYS = 30
ALGORITHMS = (
    *SleepScorer,
    "nonparametric rhythm of hourly means, population variances (Witting 1990)",
    "least and most active hours of the mean day by clock minute (van Someren 1999)",
    "24 h cosinor by linear least squares (Nelson 1979)",
    "sums and means of worn time by local day, not prorated",
    "bouts of a day (Di 2017, Leroux 2019), worn minutes only",
    "minutes by cadence (Tudor-Locke 2018)",
    *(f"cut points {points.name}" for points in CUT_POINTS),
)
WEAR_RULES = (
    *("as_recorded", "device_flags", "not_assessable", "choi2011", "troiano2008"),
    "wrist_zero_run_720",
)
FLAGS = (  # those that tell neither time nor place
    *(Flag.NO_MOVEMENT, Flag.ALL_MISSING, Flag.CONSTANT_FLOOR, Flag.NONWEAR_NOT_ASSESSABLE),
    *(Flag.RESAMPLED, Flag.SPREAD_SAMPLES),
)
ARCHITECTURES = tuple(f"PAT-{form}{size}" for form in ("", "Conv-") for size in "SML")
ENGINES = ("native", "onnxruntime", "torch", "openvino")
OPTIONS: Mapping[str, tuple[str | bool, ...]] = {  # those that change a number that is kept
    "wear": ("detect", "as_recorded", "choi2011", "troiano2008"),
    "clinical": (True, False),
    "scorer": ("by unit", *SleepScorer),
    "threshold": ("low", "medium", "high", "automatic"),
    "rescoring": ("none", "webster"),
    "rest": ("sleep log", "hlrb", "tudor-locke"),
}


class Why(StrEnum):
    """Why a field is left out."""

    DATE = "date"
    PLACE = "place"
    DEVICE = "device"
    SERIES = "series"
    DIGEST = "digest"
    EXACT = "exact"
    FREE_TEXT = "free_text"
    UNUSED = "unused"
    UNLISTED = "unlisted"


@dataclass(frozen=True)
class Rule:
    """How a field is kept: a sentence for the reader, and what it makes of a value and the part around it."""

    words: str
    keep: Callable[[Any, Any], Any]


def _word(what: str, known: tuple[object, ...]) -> Rule:
    return Rule(f"one of {what}", lambda value, _: value if value in known else None)


def _words(what: str, known: tuple[object, ...]) -> Rule:
    return Rule(f"those of {what}", lambda values, _: tuple(value for value in values if value in known))


def _shaped(what: str, pattern: str) -> Rule:
    return Rule(what, lambda value, _: value if re.fullmatch(pattern, value, re.ASCII) else None)


def _chosen(options: Mapping[str, Any], _: object) -> dict[str, Any]:
    return {name: options[name] for name, known in OPTIONS.items() if options.get(name) in known}


_PART = Rule("by the rules of its fields", lambda value, _: value)
_DAYS = Rule(f"up to {MOST_DAYS}", lambda value, _: min(value, MOST_DAYS))
_UNITS = tuple({unit for info in METRICS.values() for unit in info.units})
ALLOWED: Mapping[str, Rule] = {
    "Analysis.recording": _PART,
    "Analysis.quality": _PART,
    "Analysis.sleep": _PART,
    "Analysis.rhythm": _PART,
    "Analysis.activity": _PART,
    "Analysis.provenance": _PART,
    "RecordingSummary.unit": _word("the units", tuple(Unit)),
    "RecordingSummary.wear_site": _word("the wear sites", tuple(WearSite)),
    "RecordingSummary.epoch_seconds": _word("15, 30 and 60", (15, 30, 60)),
    "Quality.wear_rule": _word("the rules for wear", WEAR_RULES),
    "Quality.valid_days": _DAYS,
    "Quality.flags": _words("the flags that tell neither time nor place", FLAGS),
    "Sleep.scorer": _word("the scorers", tuple(SleepScorer)),
    "Sleep.rest_period": _word("the rules for rest", (REST_PERIOD, TUDOR_LOCKE, LOGGED)),
    "Sleep.valid_nights": _DAYS,
    "Sleep.metrics": _PART,
    "Sleep.absent": _PART,
    "Rhythm.metrics": _PART,
    "Rhythm.flags": _words("`hip_worn`", ("hip_worn",)),
    "Activity.valid_days": _DAYS,
    "Activity.cut_points": _word("the sets of cut points", tuple(points.name for points in CUT_POINTS)),
    "Activity.metrics": _PART,
    "Metric.code": _word("the metrics", tuple(METRICS)),
    "Metric.kind": _word("the kinds", ("quantity", "count", "clock_time")),
    "Metric.value": Rule(
        "in the steps of the metric", lambda value, of: None if value is None else bucketed(of.code, value)
    ),
    "Metric.unit": _word("the units of the metrics", _UNITS),
    "Metric.algorithm": _word("the algorithms", ALGORITHMS),
    "Metric.absent": _PART,
    "Absence.reason": _word("the reasons", tuple(Reason)),
    "Provenance.pipeline": _shaped("program and version", r"pat-service/\d{1,4}\.\d{1,4}\.\d{1,4}"),
    "Provenance.options": Rule("those that change a number, as one of their choices", _chosen),
    "Provenance.model": _PART,
    "ModelProvenance.sha256": _shaped("64 hexadecimal digits", r"[0-9a-f]{64}"),
    "ModelProvenance.architecture": _word("the architectures", ARCHITECTURES),
    "ModelProvenance.engine": _word("the engines", ENGINES),
    "ModelProvenance.precision": _word("fp32 and bf16", ("fp32", "bf16")),
}
DROPPED: Mapping[str, Why] = {
    "Analysis.schema_": Why.UNUSED,
    "Analysis.statement": Why.FREE_TEXT,
    "Analysis.series": Why.SERIES,
    "Analysis.weeks": Why.SERIES,
    "Analysis.weeks_absent": Why.UNUSED,
    "RecordingSummary.source_format": Why.DEVICE,
    "RecordingSummary.start": Why.DATE,
    "RecordingSummary.end": Why.DATE,
    "RecordingSummary.zone": Why.PLACE,
    "RecordingSummary.epochs": Why.EXACT,
    "RecordingSummary.device": Why.DEVICE,
    "RecordingSummary.sources": Why.DEVICE,
    "Quality.wear_minutes": Why.EXACT,
    "Quality.nonwear_minutes": Why.EXACT,
    "Quality.not_recorded_minutes": Why.EXACT,
    "Quality.unsorted_samples": Why.EXACT,
    "Quality.duplicate_samples": Why.EXACT,
    "Quality.conflicting_samples": Why.EXACT,
    "Quality.inserted_epochs": Why.EXACT,
    "Quality.overlapping_samples": Why.EXACT,
    "Quality.set_aside_samples": Why.EXACT,
    "Sleep.nights": Why.DATE,
    "Metric.parameters": Why.EXACT,
    "Metric.epochs_used": Why.EXACT,
    "Metric.wear_minutes": Why.EXACT,
    "Metric.interval": Why.EXACT,
    "Absence.detail": Why.FREE_TEXT,
    "Provenance.input_sha256": Why.DIGEST,
    "ModelProvenance.checkpoint": Why.FREE_TEXT,
    "ModelProvenance.source": Why.FREE_TEXT,
    "ModelProvenance.licence": Why.FREE_TEXT,
    "ModelProvenance.scaling_sha256": Why.UNUSED,
    "ModelProvenance.scaling_cohort": Why.FREE_TEXT,
}


@dataclass(frozen=True)
class Person:
    """Who was recorded, as far as the sender says; ``age`` in years."""

    code: str | None = None
    age: int | None = None
    sex: Sex | None = None


def deidentified(analysis: Analysis, person: Person | None = None) -> DeidentifiedAnalysis:
    """Return what of ``analysis`` may leave for research."""
    dropped: dict[str, Why] = {}
    kept = _sieved(analysis, dropped)
    counts = Counter(why.value for why in dropped.values())
    return DeidentifiedAnalysis(
        **kept, person=_described(person or Person()), dropped=dict(sorted(counts.items()))
    )


def _described(person: Person) -> DeidentifiedPerson:
    band = None if person.age is None else age_band(person.age)
    return DeidentifiedPerson(code=person.code, sex=person.sex, age_band=band)


def age_band(age: int) -> str:
    """Return the ten years that ``age`` lies in; 90+ for all above 89."""
    decade = age // 10 * 10
    return f"{decade}-{decade + 9}" if decade <= OLDEST_DECADE else f"{OLDEST_DECADE + 10}+"


def _sieved(part: BaseModel, dropped: dict[str, Why]) -> dict[str, Any]:
    """Return the fields of ``part`` that are kept; name in ``dropped`` those left out that held something."""
    kept = {}
    for name in type(part).model_fields:
        field, value = f"{type(part).__name__}.{name}", getattr(part, name)
        if (rule := ALLOWED.get(field)) is not None:
            kept[name] = _ruled(rule, value, part, dropped)
        if _is_less(kept.get(name), value):
            dropped[field] = DROPPED.get(field, Why.UNLISTED)
    return kept


def _ruled(rule: Rule, value: Any, part: BaseModel, dropped: dict[str, Why]) -> Any:
    if isinstance(value, BaseModel):
        return _sieved(value, dropped)
    if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        return tuple(_sieved(one, dropped) for one in value)
    return None if value is None else rule.keep(value, part)


def _is_less(kept: Any, value: Any) -> bool:
    """Whether a field held something of which nothing, or not every word, is kept."""
    if value is None or value in ((), {}):
        return False
    return kept is None or (isinstance(value, tuple | dict) and len(kept) < len(value))
