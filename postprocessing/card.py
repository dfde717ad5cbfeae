"""An Analysis as a CDS Hooks card: a few numbers, or why they are absent; information only."""

from __future__ import annotations

from typing import Any

from postprocessing.analysis import Analysis, Metric
from postprocessing.fhir.codes import METRIC_TERMS, UCUM_LABELS
from postprocessing.metrics import MetricCode

__all__ = ["card", "refused_card"]

_SHOWN = (
    MetricCode.TOTAL_SLEEP_TIME,
    MetricCode.SLEEP_EFFICIENCY,
    MetricCode.SLEEP_REGULARITY_INDEX,
    MetricCode.INTERDAILY_STABILITY,
    MetricCode.RELATIVE_AMPLITUDE,
    MetricCode.STEPS_PER_DAY,
)


def card(analysis: Analysis, source: str) -> dict[str, Any]:
    """Return the card that sums up ``analysis``; ``source`` names who runs the service."""
    found = {metric.code: metric for metric in _metrics(analysis)}
    lines = [f"- {_said(found[code])}" for code in _SHOWN if code in found]
    return _card(_summary(analysis), "\n".join([*lines, "", f"_{analysis.statement}_"]), source)


def refused_card(why: str, source: str) -> dict[str, Any]:
    """Return the card that says why there is no analysis."""
    return _card("Activity data: not analysed", why, source)


def _card(summary: str, detail: str, source: str) -> dict[str, Any]:
    return {"summary": summary, "detail": detail, "indicator": "info", "source": {"label": source}}


def _metrics(analysis: Analysis) -> tuple[Metric, ...]:
    return (*analysis.sleep.metrics, *analysis.rhythm.metrics, *analysis.activity.metrics)


def _summary(analysis: Analysis) -> str:
    made, sleep = analysis.recording, analysis.sleep
    days = f"{made.start:%Y-%m-%d} to {made.end:%Y-%m-%d}"
    nights = f": {sleep.valid_nights} of {len(sleep.nights)} nights count" if sleep.nights else ""
    return f"Activity data {days}{nights}"


def _said(metric: Metric) -> str:
    term = METRIC_TERMS[metric.code]
    if metric.value is None:
        return f"{term.display}: absent. {metric.absent.detail if metric.absent else ''}".strip()
    unit = UCUM_LABELS[metric.unit]
    return f"{term.display}: {metric.value:.{term.decimals}f}{'' if unit == '1' else f' {unit}'}"
