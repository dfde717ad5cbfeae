"""What each number is called in FHIR: standard codes where an exact one exists, and always our own.

Sources: LOINC 2.82 terms, HL7 Personal Health Records guide 1.0.0-ballot2 (PHR), HL7 Physical Activity guide
1.0.x, UCUM. A standard code stands here only if it means exactly the metric; the local code is canonical and
always present.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from postprocessing.absence import Reason, absent
from postprocessing.metrics import METRICS, MetricCode
from preprocessing.units import Device, Unit

__all__ = [
    "AIAST",
    "CATEGORIES",
    "DATA_ABSENT_REASONS",
    "KINDS",
    "LOCAL_TERMS",
    "LOINC",
    "METRIC_TERMS",
    "PHR",
    "PHYSICAL_ACTIVITY",
    "RESULT_FORMAT",
    "TERMINOLOGY",
    "UCUM",
    "UCUM_LABELS",
    "WEARABLES",
    "Coding",
    "MetricTerm",
    "Raw",
    "Term",
    "Wearable",
    "coding",
    "local_system",
    "raw_of",
]

Coding = dict[str, Any]

LOINC = "http://loinc.org"
PHR = "http://hl7.org/fhir/uv/phr/CodeSystem/sleep-episode-codes"
UCUM = "http://unitsofmeasure.org"
PHYSICAL_ACTIVITY = "http://hl7.org/fhir/us/physical-activity/CodeSystem/pa-temporary-codes"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"


def coding(system: str, code: str, display: str) -> Coding:
    """Return a FHIR Coding."""
    return {"system": system, "code": code, "display": display}


def local_system(canonical_base: str) -> str:
    """Return the canonical URL of our CodeSystem below ``canonical_base``."""
    return f"{canonical_base}/CodeSystem/pat-actigraphy"


AIAST = coding(f"{TERMINOLOGY}/v3-ObservationValue", "AIAST", "Artificial Intelligence asserted")
CATEGORIES: dict[str, Coding] = {
    "activity": coding(f"{TERMINOLOGY}/observation-category", "activity", "Activity"),
    "social-history": coding(f"{TERMINOLOGY}/observation-category", "social-history", "Social History"),
}
DATA_ABSENT_REASONS: dict[str, str] = {
    "unknown": "Unknown",
    "not-asked": "Not Asked",
    "not-performed": "Not Performed",
    "unsupported": "Unsupported",
    "not-applicable": "Not Applicable",
}
UCUM_LABELS: dict[str, str] = {  # the units that may leave this service, and the word a person reads
    "min": "min",
    "h": "h",
    "d": "days",
    "%": "%",
    "{#}": "times",
    "1": "1",
    "{counts}": "counts",
    "{counts}/min": "counts/min",
    "{MIMS}": "MIMS",
    "{MIMS}/min": "MIMS/min",
    "m[g]": "mg (milli-g)",
    "{steps}": "steps",
    "{steps}/min": "steps/min",
    "{counts}/d": "counts/day",
    "{MIMS}/d": "MIMS/day",
    "m[g].min/d": "mg (milli-g) x min/day",
    "{steps}/d": "steps/day",
}


@dataclass(frozen=True)
class MetricTerm:
    """How one metric is written: local code, decimals reported, standard (code, display)."""

    metric: MetricCode
    local: str
    decimals: int
    loinc: tuple[str, str] | None = None
    phr: tuple[str, str] | None = None

    @property
    def display(self) -> str:
        """Label of the metric, the same as everywhere else."""
        return METRICS[self.metric].label

    @property
    def definition(self) -> str:
        """Definition of the metric, the same as everywhere else."""
        return METRICS[self.metric].definition

    @property
    def category(self) -> str:
        """PHR puts sleep under social-history; rest-activity rhythm is activity."""
        return "social-history" if METRICS[self.metric].section == "sleep" else "activity"

    @property
    def units(self) -> frozenset[str]:
        """UCUM units that the metric may have; a level follows the recording's unit."""
        return METRICS[self.metric].units

    def codings(self, canonical_base: str) -> list[Coding]:
        """Return the codings in the order LOINC, PHR, local."""
        standard = [coding(system, *pair) for system, pair in ((LOINC, self.loinc), (PHR, self.phr)) if pair]
        return [*standard, coding(local_system(canonical_base), self.local, self.display)]


METRIC_TERMS: dict[MetricCode, MetricTerm] = {
    term.metric: term
    for term in (
        MetricTerm(MetricCode.TIME_IN_BED, "time-in-bed", 2, ("103213-5", "Duration in bed")),
        MetricTerm(MetricCode.SLEEP_PERIOD_TIME, "sleep-period-time", 2),
        MetricTerm(
            MetricCode.TOTAL_SLEEP_TIME,
            "total-sleep-time",
            2,
            ("93832-4", "Sleep duration"),
            ("totalSleepTime", "Total sleep time"),
        ),
        MetricTerm(
            MetricCode.SLEEP_EFFICIENCY,
            "sleep-efficiency",
            1,
            phr=("sleepEfficiencyPercentage", "Sleep efficiency percentage"),
        ),
        MetricTerm(MetricCode.SLEEP_MAINTENANCE_EFFICIENCY, "sleep-maintenance-efficiency", 1),
        MetricTerm(
            MetricCode.WAKE_AFTER_SLEEP_ONSET,
            "wake-after-sleep-onset",
            2,
            ("103215-0", "Wake time after sleep onset"),
            ("wakeAfterSleepOnset", "Wake after sleep onset"),
        ),
        MetricTerm(
            MetricCode.AWAKENINGS,
            "awakenings",
            1,
            ("103211-9", "Number of awakenings"),
            ("numberOfAwakenings", "Number of awakenings"),
        ),
        MetricTerm(MetricCode.MEAN_AWAKENING_LENGTH, "mean-awakening-length", 2),
        MetricTerm(MetricCode.MID_SLEEP, "mid-sleep", 0),
        MetricTerm(MetricCode.MOVEMENT_INDEX, "movement-index", 1),
        MetricTerm(MetricCode.FRAGMENTATION_INDEX, "fragmentation-index", 1),
        MetricTerm(MetricCode.SLEEP_FRAGMENTATION_INDEX, "sleep-fragmentation-index", 1),
        MetricTerm(MetricCode.ACTIWARE_FRAGMENTATION_INDEX, "actiware-fragmentation-index", 1),
        MetricTerm(
            MetricCode.SLEEP_ONSET_LATENCY,
            "sleep-onset-latency",
            2,
            ("103212-7", "Duration of falling asleep"),
            ("latencyToSleepOnset", "Latency to sleep onset"),
        ),
        MetricTerm(MetricCode.MID_SLEEP_SD, "mid-sleep-sd", 2),
        MetricTerm(MetricCode.SLEEP_REGULARITY_INDEX, "sleep-regularity-index", 3),
        MetricTerm(MetricCode.SOCIAL_JETLAG, "social-jetlag", 2),
        MetricTerm(MetricCode.INTERDAILY_STABILITY, "IS", 3),
        MetricTerm(MetricCode.INTRADAILY_VARIABILITY, "IV", 3),
        MetricTerm(MetricCode.INTERDAILY_STABILITY_BINARIZED, "IS-binarized", 3),
        MetricTerm(MetricCode.INTRADAILY_VARIABILITY_BINARIZED, "IV-binarized", 3),
        MetricTerm(MetricCode.RELATIVE_AMPLITUDE, "RA", 3),
        MetricTerm(MetricCode.L5, "L5", 3),
        MetricTerm(MetricCode.L5_ONSET, "L5-onset", 0),
        MetricTerm(MetricCode.M10, "M10", 3),
        MetricTerm(MetricCode.M10_ONSET, "M10-onset", 0),
        MetricTerm(MetricCode.MESOR, "mesor", 3),
        MetricTerm(MetricCode.AMPLITUDE, "amplitude", 3),
        MetricTerm(MetricCode.ACROPHASE, "acrophase", 0),
        MetricTerm(MetricCode.COSINOR_R_SQUARED, "cosinor-r-squared", 3),
        MetricTerm(MetricCode.LOG_MESOR, "log-mesor", 3),
        MetricTerm(MetricCode.LOG_AMPLITUDE, "log-amplitude", 3),
        MetricTerm(MetricCode.LOG_ACROPHASE, "log-acrophase", 0),
        MetricTerm(MetricCode.LOG_COSINOR_R_SQUARED, "log-cosinor-r-squared", 3),
        MetricTerm(MetricCode.MEAN_LEVEL, "mean-level", 3),
        MetricTerm(MetricCode.TOTAL_ACTIVITY, "total-activity", 3),
        MetricTerm(MetricCode.TOTAL_LOG_ACTIVITY, "total-log-activity", 3),
        MetricTerm(MetricCode.SEDENTARY_TIME, "sedentary-time", 2),
        MetricTerm(MetricCode.LIGHT_TIME, "light-time", 2, ("101688-0", "Duration of light activity")),
        MetricTerm(
            MetricCode.MODERATE_TIME, "moderate-time", 2, ("101689-8", "Duration of moderate activity")
        ),
        MetricTerm(
            MetricCode.VIGOROUS_TIME, "vigorous-time", 2, ("101690-6", "Duration of vigorous activity")
        ),
        MetricTerm(MetricCode.MVPA_TIME, "mvpa-time", 2),
        MetricTerm(MetricCode.SEDENTARY_BOUT, "sedentary-bout", 2),
        MetricTerm(MetricCode.ACTIVE_BOUT, "active-bout", 2),
        MetricTerm(MetricCode.SEDENTARY_TO_ACTIVE, "sedentary-to-active", 3),
        MetricTerm(MetricCode.ACTIVE_TO_SEDENTARY, "active-to-sedentary", 3),
        MetricTerm(
            MetricCode.STEPS_PER_DAY, "steps-per-day", 0, ("41950-7", "Number of steps in 24 hour Measured")
        ),
        MetricTerm(MetricCode.MODERATE_CADENCE_TIME, "moderate-cadence-time", 2),
        MetricTerm(MetricCode.VIGOROUS_CADENCE_TIME, "vigorous-cadence-time", 2),
    )
}


RESULT_FORMAT = "result-format-1"  # raised if a resource, element or code is removed or changes in meaning


@dataclass(frozen=True)
class Term:
    """One concept of our CodeSystem; ``kind`` groups it."""

    code: str
    display: str
    definition: str
    kind: str


KINDS: dict[str, str] = {
    "metric": "A number about sleep, rhythm or activity.",
    "night": "A statement about one night.",
    "series": "What a device recorded, epoch by epoch.",
    "quality": "What the numbers rest on.",
    "interval": "How far a summary would move with other nights or days.",
    "model-output": "Output of the PAT model or a document about it.",
    "format": "The form of a result, by its major version.",
    "absence-reason": "Why a value is absent.",
}
_OTHERS = (
    Term(
        "sleep-night",
        "Sleep of one night",
        "The main rest period of one night; its metrics are components.",
        "night",
    ),
    Term(
        "valid-night",
        "Night counts",
        "Whether the night is recorded well enough to enter the medians.",
        "night",
    ),
    Term("sleep-onset-time", "Time of sleep onset", "Start of the first sleep epoch of the night.", "night"),
    Term("sleep-offset-time", "Time of sleep offset", "End of the last sleep epoch of the night.", "night"),
    Term("rest-start-time", "Start of rest", "Local clock time at which the rest period starts.", "night"),
    Term("rest-end-time", "End of rest", "Local clock time at which the rest period ends.", "night"),
    Term(
        "activity-counts",
        "Activity counts per epoch",
        "Activity counts of a device, one per epoch.",
        "series",
    ),
    Term("activity-mims", "MIMS per epoch", "Monitor-independent movement summary, one per epoch.", "series"),
    Term("activity-enmo", "ENMO per epoch", "Euclidean norm minus one, mean of each epoch.", "series"),
    Term("activity-steps", "Steps per epoch", "Steps counted by a device, one number per epoch.", "series"),
    Term(
        "local-start-time",
        "Local start time",
        "Wall-clock time of the first epoch; the zone is unknown.",
        "series",
    ),
    Term(
        "recording-quality",
        "Quality of the recording",
        "How long the device recorded and was worn; its parts are components.",
        "quality",
    ),
    Term("wear-time", "Wear time", "Time that counts as worn.", "quality"),
    Term("non-wear-time", "Non-wear time", "Time recorded but not worn.", "quality"),
    Term("not-recorded-time", "Time not recorded", "Time within the recording without a value.", "quality"),
    Term("wear-share", "Share of time worn", "Worn time of all time of the recording.", "quality"),
    Term("valid-days", "Days with enough wear", "Local days with at least 16 h of wear.", "quality"),
    Term(
        "interval-low",
        "Lower bound",
        "Lower bound of the bootstrap interval of the value; the note says how it was made.",
        "interval",
    ),
    Term(
        "interval-high",
        "Upper bound",
        "Upper bound of the bootstrap interval; of a clock time it runs forward from the lower bound.",
        "interval",
    ),
    Term(
        "embedding",
        "PAT embedding",
        "Mean over patches of the PAT encoder's output for one week, float32 little-endian.",
        "model-output",
    ),
    Term(
        "attention",
        "Attention received per patch",
        "Share of the last layer's attention each patch of a week receives; it attributes no prediction.",
        "model-output",
    ),
    Term(
        "pat-head",
        "PAT prediction head",
        "A trained head on the PAT encoder; the text names it.",
        "model-output",
    ),
    Term("prediction", "PAT prediction", "The output of a PAT head for one week.", "model-output"),
    Term("actigraphy-report", "Actigraphy analysis report", "All results of one recording.", "model-output"),
    Term(
        RESULT_FORMAT,
        "Result format 1",
        "Resources as docs/fhir.md lists them; within format 1 resources and elements are only added.",
        "format",
    ),
)


def _metric_terms() -> tuple[Term, ...]:
    return tuple(Term(term.local, term.display, term.definition, "metric") for term in METRIC_TERMS.values())


def _reason_terms() -> tuple[Term, ...]:
    sentences = {reason: absent(reason).detail for reason in Reason}
    displays = {reason: reason.value.replace("_", " ").capitalize() for reason in Reason}
    return tuple(
        Term(reason.value, displays[reason], sentences[reason], "absence-reason") for reason in Reason
    )


LOCAL_TERMS: dict[str, Term] = {term.code: term for term in (*_metric_terms(), *_OTHERS, *_reason_terms())}


@dataclass(frozen=True)
class Raw:
    """How a recorded series is written: local code and UCUM unit of one epoch's value."""

    local: str
    ucum: str


_RAW: dict[Unit, Raw] = {
    Unit.MIMS: Raw("activity-mims", "{MIMS}"),
    Unit.ENMO_MG: Raw("activity-enmo", "m[g]"),
    Unit.STEPS: Raw("activity-steps", "{steps}"),
}


def raw_of(unit: Unit) -> Raw:
    """Return how a series in ``unit`` is written; every count unit is ``{counts}`` per epoch."""
    return _RAW.get(unit, Raw("activity-counts", "{counts}"))


@dataclass(frozen=True)
class Wearable:
    """What a Device resource says of a device family."""

    model: str | None
    manufacturer: str | None


WEARABLES: dict[Device, Wearable] = {
    Device.ACTIWATCH: Wearable("Actiwatch", "CamNtech"),
    Device.PHILIPS_ACTIWATCH: Wearable("Actiwatch", "Philips Respironics"),
    Device.ACTIGRAPH_GT3X: Wearable("GT3X", "ActiGraph"),
    Device.ACTIGRAPH_7164: Wearable("AM-7164", "ActiGraph"),
    Device.MOTIONWATCH: Wearable("MotionWatch", "CamNtech"),
    Device.ACTTRUST: Wearable("ActTrust", "Condor Instruments"),
    Device.TEMPATILUMI: Wearable("Tempatilumi", None),
    Device.AXIVITY: Wearable(None, "Axivity"),
    Device.GENEACTIV: Wearable("GENEActiv", "Activinsights"),
    Device.SYNTHETIC_DEMO: Wearable("Synthetic demonstration device", None),
    Device.UNKNOWN: Wearable(None, None),
}
