"""The narrative of a DiagnosticReport: what was recorded and computed, and what is absent and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from postprocessing.absence import Absence
from postprocessing.analysis import Metric, Prediction, WeekResult
from postprocessing.fhir.codes import METRIC_TERMS, UCUM_LABELS
from postprocessing.fhir.frame import Frame
from postprocessing.fhir.observations import metrics_of, value_of
from postprocessing.html.words import Clock, device_words, flag_words, hours, quantity_words, wear_rule_words
from postprocessing.wording import RESEARCH_SCORE

__all__ = ["XHTML", "narrative"]

XHTML = "http://www.w3.org/1999/xhtml"
_REVIEW = "For clinical review: preliminary until a clinician signs it off."


def narrative(frame: Frame) -> str:
    """Return the XHTML div of ``frame``'s report: plain tags, no attributes, every text escaped."""
    analysis = frame.analysis
    parts = [
        _paragraph(f"{_REVIEW} {analysis.statement}"),
        *map(_paragraph, _recorded(frame)),
        *map(_paragraph, _slept(frame)),
        _table(
            ("Metric", "Value"), (_row(frame, metric) for metric in metrics_of(analysis) if not metric.absent)
        ),
        _table(("Not computed", "Why"), _absent(metrics_of(analysis))),
        *map(_paragraph, _encoded(frame)),
        _table(("Prediction of PAT", "Week", "Output", "Evidence"), _predicted(frame)),
    ]
    return f'<div xmlns="{XHTML}">{"".join(parts)}</div>'


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    written = "".join(f"<tr>{_cells(row, 'td')}</tr>" for row in rows)
    return f"<table><tr>{_cells(heads, 'th')}</tr>{written}</table>" if written else ""


def _cells(texts: Sequence[str], tag: str) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)


def _recorded(frame: Frame) -> Iterator[str]:
    recording, quality, clock = frame.analysis.recording, frame.analysis.quality, Clock.of(frame.analysis)
    yield (
        f"Recorded: {quantity_words(recording.unit)} every {recording.epoch_seconds} s from "
        f"{clock.moment(recording.start)} to {clock.moment(recording.end)} ({clock.named}). "
        f"{device_words(recording.device, recording.wear_site).removesuffix(',')}."
    )
    yield (
        f"Worn for {hours(quality.wear_minutes)}, not worn for {hours(quality.nonwear_minutes)}, "
        f"not recorded for {hours(quality.not_recorded_minutes)}. "
        f"Wear rule {wear_rule_words(quality.wear_rule)}."
    )
    yield from map(flag_words, (*quality.flags, *frame.analysis.rhythm.flags))


def _slept(frame: Frame) -> Iterator[str]:
    sleep = frame.analysis.sleep
    if sleep.absent is not None:
        yield f"Sleep is absent: {sleep.absent.detail}"
    if not sleep.nights:
        return
    found = f"Rest periods: {sleep.rest_period}. " if sleep.rest_period else ""
    scored = f"Sleep scored by {sleep.scorer}. " if sleep.scorer else ""
    nights = sum(not night.nap for night in sleep.nights)
    yield f"{scored}{found}{sleep.valid_nights} of {nights} nights count; numbers of sleep are their medians."


def _row(frame: Frame, metric: Metric) -> tuple[str, str]:
    number, unit = _said(frame, metric)
    said = f"{number} {unit}".strip()
    if (bounds := metric.interval) is not None:
        ends = (metric.model_copy(update={"value": end}) for end in (bounds.low, bounds.high))
        low, high = (_said(frame, end)[0] for end in ends)
        said = f"{said} ({bounds.level:.0%} interval {low} to {high})"
    return METRIC_TERMS[metric.code].display, said


def _said(frame: Frame, metric: Metric) -> tuple[str, str]:
    """Return number and unit as the metric's own Observation has them."""
    value = value_of(frame, metric)
    if "valueTime" in value:
        return str(value["valueTime"]), ""
    quantity = value["valueQuantity"]
    unit = UCUM_LABELS[quantity["code"]]
    return str(quantity["value"]), "" if unit == "1" else unit


def _absent(metrics: Iterable[Metric]) -> Iterator[tuple[str, str]]:
    """Yield the metrics that share a reason, and the reason."""
    named: dict[str, list[str]] = {}
    for metric in metrics:
        if metric.absent is not None:
            named.setdefault(metric.absent.detail, []).append(METRIC_TERMS[metric.code].display)
    for why, names in named.items():
        yield "; ".join(names), why


def _encoded(frame: Frame) -> Iterator[str]:
    analysis, clock = frame.analysis, Clock.of(frame.analysis)
    if analysis.weeks_absent is not None:
        yield f"The model PAT read no week: {analysis.weeks_absent.detail}"
        return
    done = sum(week.embedding is not None for week in analysis.weeks)
    made = analysis.provenance.model
    named = f" with the weights {made.checkpoint}; this output is labelled as AI" if made and done else ""
    yield f"The model PAT encoded {done} of {len(analysis.weeks)} weeks{named}."
    for week in analysis.weeks:
        if week.absent is not None:
            yield f"The week from {_first_day(clock, week)} is not encoded: {week.absent.detail}"
    for why in dict.fromkeys(_unpredicted(analysis.weeks)):
        yield f"No prediction: {why.detail}"


def _first_day(clock: Clock, week: WeekResult) -> str:
    return clock.date(clock.local(week.start).date())


def _unpredicted(weeks: Sequence[WeekResult]) -> Iterator[Absence]:
    for week in weeks:
        if week.predictions_absent is not None:
            yield week.predictions_absent


def _predicted(frame: Frame) -> Iterator[tuple[str, str, str, str]]:
    clock = Clock.of(frame.analysis)
    for week in frame.analysis.weeks:
        for prediction in week.predictions:
            evidence = f"{prediction.evidence} {RESEARCH_SCORE}".strip()
            yield prediction.head, _first_day(clock, week), _output(prediction), evidence


def _output(prediction: Prediction) -> str:
    if prediction.calibrated:
        return f"calibrated probability {100 * prediction.probability:.1f} %"
    return f"score {prediction.probability:.3f}, uncalibrated: not a probability"
