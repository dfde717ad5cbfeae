"""The tables of the report: headline numbers, nights, and every number of a section with what it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from postprocessing.absence import Absence
from postprocessing.analysis import Analysis, Metric, Night
from postprocessing.html.markup import Markup, element, joined, paragraph, table
from postprocessing.html.words import Clock, range_words, value_words
from postprocessing.metrics import METRICS, MetricCode
from preprocessing.units import Unit

__all__ = ["MOST_NIGHTS", "because", "headline", "nights", "numbers"]

MOST_NIGHTS = 100
_HEADLINES = (
    MetricCode.TOTAL_SLEEP_TIME,
    MetricCode.SLEEP_EFFICIENCY,
    MetricCode.WAKE_AFTER_SLEEP_ONSET,
    MetricCode.MID_SLEEP,
    MetricCode.INTERDAILY_STABILITY,
    MetricCode.RELATIVE_AMPLITUDE,
    MetricCode.L5_ONSET,
    MetricCode.M10_ONSET,
)
_OF_A_NIGHT = (
    MetricCode.TOTAL_SLEEP_TIME,
    MetricCode.SLEEP_EFFICIENCY,
    MetricCode.WAKE_AFTER_SLEEP_ONSET,
    MetricCode.AWAKENINGS,
)


def headline(analysis: Analysis) -> Markup:
    """List a few numbers, each with what it is, or why it is absent."""
    found = {
        metric.code: metric
        for part in (analysis.sleep, analysis.rhythm, analysis.activity)
        for metric in part.metrics
    }
    volume = MetricCode.STEPS_PER_DAY if analysis.recording.unit == Unit.STEPS else MetricCode.MEAN_LEVEL
    per_night = {metric.code for night in analysis.sleep.nights for metric in night.metrics}
    rows = [
        _headline(found[code], per_night=code in per_night) for code in (*_HEADLINES, volume) if code in found
    ]
    return table(
        "The recording in short; all other numbers stand further below.",
        ("Number", "Value", "What it is"),
        rows,
    )


def _headline(metric: Metric, *, per_night: bool) -> tuple[str, ...]:
    info = METRICS[metric.code]
    of = " Median over valid nights." if per_night else ""
    value = because(metric.absent) if metric.absent else value_words(metric)
    return info.label, value, f"{info.definition}{of}"


def because(absence: Absence) -> Markup:
    """Say that something is absent, its reason code and the sentence."""
    code = element("code", absence.reason.value)
    return element("span", "absent: ", code, f". {absence.detail}", class_="absent")


def numbers(caption: str, metrics: Sequence[Metric]) -> Markup:
    """List every number of a section that has a value, with its definition and source."""
    present = [metric for metric in metrics if metric.value is not None]
    if not present:
        return paragraph("No number of this section is present; see below.", class_="absent")
    spread = any(metric.interval for metric in present)
    heads = ("Number", "Value", *(("Interval",) if spread else ()), "What it is", "Source")
    rows = (_number(metric, spread=spread) for metric in present)
    return joined([table(caption, heads, rows, "numbers"), *_spread(present)])


def _number(metric: Metric, *, spread: bool) -> Iterator[str]:
    info = METRICS[metric.code]
    yield info.label
    yield value_words(metric)
    if spread:
        yield _interval(metric)
    yield info.definition
    yield info.source


def _interval(metric: Metric) -> str:
    if metric.interval is None:
        return ""
    return range_words(metric.interval.low, metric.interval.high, metric)


def _spread(metrics: Iterable[Metric]) -> Iterator[Markup]:
    """Say once what the intervals of a table are."""
    made = dict.fromkeys(
        f"the central {of.level:.0%} of {of.resamples:,} resamples of {of.units} nights or days ({of.method})"
        for metric in metrics
        if (of := metric.interval) is not None
    )
    if made:
        yield paragraph(
            f"Interval: {'; or '.join(made)}. It says how far the value would move if other nights or days "
            "had been recorded; it is no error of measurement."
        )


def nights(analysis: Analysis) -> Markup:
    """List the nights, valid or with the reason why not."""
    found = analysis.sleep.nights
    if not found:
        return paragraph("No night is listed.", *_why(analysis.sleep.absent), class_="absent")
    clock = Clock.of(analysis)
    heads = (
        *("Night of", "In bed", "Out of bed", "Onset", "Offset"),
        *(METRICS[code].label for code in _OF_A_NIGHT),
        "Valid",
    )
    rows = (_night(night, clock) for night in found[:MOST_NIGHTS])
    caption = f"Nights, {clock.named}. A night carries the date of the evening."
    listed = table(caption, heads, rows, "nights")
    if len(found) <= MOST_NIGHTS:
        return listed
    return joined([listed, paragraph(f"The first {MOST_NIGHTS} of {len(found)} nights are listed.")])


def _why(absence: Absence | None) -> list[Markup]:
    return [] if absence is None else [joined([" ", because(absence)])]


def _night(night: Night, clock: Clock) -> Iterator[str]:
    by_code = {metric.code: metric for metric in night.metrics}
    yield clock.day(night.night_of) + (" (nap)" if night.nap else "")
    for moment in (night.start, night.end, night.onset, night.offset):
        yield clock.time(moment)
    for code in _OF_A_NIGHT:
        metric = by_code.get(code)
        yield value_words(metric) if metric and metric.value is not None else "–"  # noqa: RUF001  # a dash in print
    if night.valid:
        yield "yes"
    else:
        yield because(night.absent) if night.absent else "no"
