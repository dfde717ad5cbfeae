"""Observations of single nights: one each, its metrics as components, so that a month fits one Bundle."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from postprocessing.analysis import Metric, Night
from postprocessing.fhir.codes import METRIC_TERMS
from postprocessing.fhir.frame import Frame, Resource
from postprocessing.fhir.observations import clock_note, data_absent, derived, notes, observation, value_of
from postprocessing.fhir.times import clock_time, date_time

__all__ = ["night_key", "night_observation"]


def night_key(night: Night) -> str:
    """Return the key of a night's Observation."""
    if night.nap and night.start is not None:
        return f"nap/{night.start.isoformat()}"
    return f"night/{night.night_of.isoformat()}"


def night_observation(frame: Frame, night: Night) -> Resource:
    """Return one night: when, whether it counts and why not, and its metrics as components."""
    components = [*_night_facts(frame, night), *(_component(frame, metric) for metric in night.metrics)]
    body = {
        "code": frame.concept("sleep-night"),
        **_night_time(frame, night),
        **(data_absent(frame, night.absent) if night.absent else {}),
        **({"method": {"text": frame.analysis.sleep.scorer}} if frame.analysis.sleep.scorer else {}),
        **derived(frame),
        **notes(clock_note(frame)),
        "component": components,
    }
    return observation(frame, night_key(night), "social-history", body)


def _night_time(frame: Frame, night: Night) -> Resource:
    if night.start is None or night.end is None:
        return {"effectiveDateTime": night.night_of.isoformat()}
    return {"effectivePeriod": frame.period(night.start, night.end)}


def _night_facts(frame: Frame, night: Night) -> Iterator[Resource]:
    yield {"code": frame.concept("valid-night"), "valueBoolean": night.valid}
    moments = {"sleep-onset-time": night.onset, "sleep-offset-time": night.offset}
    if frame.zone is None:
        moments |= {"rest-start-time": night.start, "rest-end-time": night.end}
    for code, moment in moments.items():
        if moment is not None:
            yield {"code": frame.concept(code), **_moment(moment)}


def _moment(moment: datetime) -> Resource:
    if moment.tzinfo is None:
        return {"valueTime": clock_time(moment)}
    return {"valueDateTime": date_time(moment)}


def _component(frame: Frame, metric: Metric) -> Resource:
    term = METRIC_TERMS[metric.code]
    return {"code": frame.said(term.codings(frame.base), term.display), **value_of(frame, metric)}
