"""Observations: the raw series and one per metric, each with its value or the reason why there is none."""

from __future__ import annotations

from datetime import datetime

from postprocessing.absence import Absence, fhir_reason
from postprocessing.analysis import Analysis, Metric, Parameters
from postprocessing.fhir.codes import (
    CATEGORIES,
    DATA_ABSENT_REASONS,
    LOCAL_TERMS,
    METRIC_TERMS,
    TERMINOLOGY,
    UCUM,
    UCUM_LABELS,
    coding,
    local_system,
    raw_of,
)
from postprocessing.fhir.devices import WEARABLE
from postprocessing.fhir.frame import Frame, Resource
from postprocessing.fhir.series import SERIES_DECIMALS, Part, sampled_data
from postprocessing.fhir.times import clock_time
from preprocessing.units import Unit, WearSite

__all__ = [
    "UnitError",
    "clock_note",
    "data_absent",
    "derived",
    "metric_key",
    "metric_observation",
    "metrics_of",
    "notes",
    "observation",
    "quantity",
    "raw_key",
    "raw_keys",
    "raw_observation",
    "value_of",
]

_WALL_CLOCK = "The recording has no time zone: dates and clock times are those of the device's own clock."
_NO_WEAR_MASK = f"E = not recorded; nothing is imputed. Values are rounded to {SERIES_DECIMALS} decimals."


class UnitError(ValueError):
    """A metric came in a unit that its table does not allow."""


def metrics_of(analysis: Analysis) -> tuple[Metric, ...]:
    """Return the metrics of the whole recording: sleep, rhythm, activity."""
    return (*analysis.sleep.metrics, *analysis.rhythm.metrics, *analysis.activity.metrics)


def raw_keys(frame: Frame) -> list[str]:
    """Return the keys of the raw Observations, one per part of the series."""
    return [raw_key(part) for part in frame.parts]


def raw_key(part: Part) -> str:
    """Return the key of the Observation of one part of the raw series."""
    return f"raw/{part.first}"


def metric_key(metric: Metric) -> str:
    """Return the key of a metric's Observation."""
    return f"metric/{METRIC_TERMS[metric.code].local}"


def observation(frame: Frame, key: str, category: str, body: Resource) -> Resource:
    """Return an Observation of the wearable's data; ``body`` adds code, time, value and may override."""
    return {
        "resourceType": "Observation",
        "identifier": frame.identifier(key),
        "status": "preliminary",
        "category": [frame.said([CATEGORIES[category]], CATEGORIES[category]["display"])],
        **frame.subject,
        "issued": frame.issued,
        "performer": [frame.organization],
        "device": frame.reference(WEARABLE),
        **body,
    }


def derived(frame: Frame) -> Resource:
    """Return ``derivedFrom``: the raw series."""
    return {"derivedFrom": [frame.reference(key) for key in raw_keys(frame)]}


def notes(*texts: str | None) -> Resource:
    """Return ``note`` with the texts that are there."""
    said = [{"text": text} for text in texts if text]
    return {"note": said} if said else {}


def clock_note(frame: Frame) -> str | None:
    """Return the sentence that a recording without zone needs."""
    return _WALL_CLOCK if frame.zone is None else None


def raw_observation(frame: Frame, part: Part) -> Resource:
    """Return one part of the recording, at its own epochs, as the device reported it."""
    summary = frame.analysis.recording
    raw = raw_of(Unit(summary.unit))
    body = {
        "status": "final",  # what the device reported; nothing about it is an opinion
        "code": frame.concept(raw.local),
        "effectivePeriod": frame.period(part.start, part.end),
        "valueSampledData": sampled_data(part.data, raw.ucum, summary.epoch_seconds * 1000),
        **_body_site(WearSite(summary.wear_site)),
        **notes(_NO_WEAR_MASK, clock_note(frame)),
        **_local_start(frame, part.start),
    }
    return observation(frame, raw_key(part), "activity", body)


def _body_site(site: WearSite) -> Resource:
    return {} if site is WearSite.UNKNOWN else {"bodySite": {"text": site.value}}


def _local_start(frame: Frame, start: datetime) -> Resource:
    if frame.zone is not None:
        return {}
    return {"component": [{"code": frame.concept("local-start-time"), "valueTime": clock_time(start)}]}


def metric_observation(frame: Frame, metric: Metric) -> Resource:
    """Return a metric of the whole recording, with its value or the reason why there is none."""
    term = METRIC_TERMS[metric.code]
    body = {
        "code": frame.said(term.codings(frame.base), _label(frame, metric)),
        "effectivePeriod": frame.whole,
        **value_of(frame, metric),
        **_method(metric),
        **derived(frame),
        **_bounds(frame, metric),
        **notes(_basis(metric), _interval_note(metric), _reference_clock(frame, metric), clock_note(frame)),
    }
    return observation(frame, metric_key(metric), term.category, body)


def _bounds(frame: Frame, metric: Metric) -> Resource:
    """Return the bounds of the metric's interval as components, or nothing if it has none."""
    if metric.interval is None:
        return {}
    bounds = {"interval-low": metric.interval.low, "interval-high": metric.interval.high}
    said = {code: value_of(frame, metric.model_copy(update={"value": at})) for code, at in bounds.items()}
    return {"component": [{"code": frame.concept(code), **value} for code, value in said.items()]}


def _interval_note(metric: Metric) -> str | None:
    """Say how the metric's interval was made."""
    made = metric.interval
    if made is None:
        return None
    return f"{made.level:.0%} bounds by {made.method}, from {made.units} of them; no error of measurement."


def value_of(frame: Frame, metric: Metric) -> Resource:
    """Return ``valueQuantity``, ``valueTime`` or ``dataAbsentReason``; raises UnitError."""
    if metric.absent is not None:
        return data_absent(frame, metric.absent)
    if metric.kind == "clock_time":
        return {"valueTime": metric.clock}
    term = METRIC_TERMS[metric.code]
    if metric.unit not in term.units:
        raise UnitError(f"{term.local}: expected one of {', '.join(sorted(term.units))}, found another unit")
    assert metric.value is not None  # noqa: S101  # Metric holds a value or an absence
    return {"valueQuantity": quantity(metric.value, metric.unit, term.decimals)}


def quantity(value: float, ucum: str, decimals: int) -> Resource:
    """Return ``value``, rounded, as Quantity in a unit of ``UCUM_LABELS``."""
    return {"value": _rounded(value, decimals), "unit": UCUM_LABELS[ucum], "system": UCUM, "code": ucum}


def _rounded(value: float, decimals: int) -> float | int:
    number = round(value, decimals)
    return int(number) if number.is_integer() else number


def data_absent(frame: Frame, absence: Absence) -> Resource:
    """Return ``dataAbsentReason``: the FHIR code, our reason code and the sentence."""
    code = fhir_reason(absence.reason)
    ours = LOCAL_TERMS[absence.reason.value]
    codings = [
        coding(f"{TERMINOLOGY}/data-absent-reason", code, DATA_ABSENT_REASONS[code]),
        coding(local_system(frame.base), ours.code, ours.display),
    ]
    return {"dataAbsentReason": frame.said(codings, absence.detail)}


def _label(frame: Frame, metric: Metric) -> str:
    display = METRIC_TERMS[metric.code].display
    nights = frame.analysis.sleep.valid_nights
    if metric in frame.analysis.sleep.metrics and metric.value is not None:
        return f"{display}, median over {nights} night{'' if nights == 1 else 's'}"
    return display


def _method(metric: Metric) -> Resource:
    if metric.algorithm is None:
        return {}
    return {"method": {"text": f"{metric.algorithm}{_written(metric.parameters)}"}}


def _written(parameters: Parameters) -> str:
    said = ", ".join(f"{name}={value}" for name, value in sorted(parameters.items()))
    return f" ({said})" if said else ""


def _basis(metric: Metric) -> str | None:
    facts = []
    if metric.epochs_used is not None:
        facts.append(f"{metric.epochs_used} epochs used")
    if metric.wear_minutes is not None:
        facts.append(f"{_rounded(metric.wear_minutes, 1)} min of wear")
    return f"Rests on {', '.join(facts)}." if facts else None


def _reference_clock(frame: Frame, metric: Metric) -> str | None:
    if metric.kind != "clock_time" or frame.zone is None:
        return None
    return f"Local clock time after midnight, zone {frame.zone}."
