"""What a reader needs to judge the numbers: what is absent, how well it was recorded, and what made them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from postprocessing.absence import Absence
from postprocessing.analysis import Analysis, Metric, Parameters
from postprocessing.html.markup import Markup, bullets, element, joined, paragraph, table
from postprocessing.html.words import (
    Clock,
    calibration_words,
    flag_words,
    hours,
    wear_rule_words,
)
from postprocessing.metrics import METRICS

__all__ = ["absences", "provenance", "quality"]

_COUNTS = (
    ("unsorted_samples", "Samples out of order"),
    ("duplicate_samples", "Samples given twice"),
    ("conflicting_samples", "of these, with different values"),
    ("inserted_epochs", "Epochs missing in the file"),
    ("overlapping_samples", "Samples that another source covers"),
    ("set_aside_samples", "Samples set aside"),
)


def absences(analysis: Analysis) -> Markup:
    """List what is absent, grouped by reason."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, absence in _absent(analysis):
        groups.setdefault((absence.reason.value, absence.detail), []).append(name)
    if not groups:
        return paragraph("Nothing is absent.")
    rows = [
        (element("code", reason), detail, ", ".join(dict.fromkeys(names)))
        for (reason, detail), names in groups.items()
    ]
    return table("Absent numbers by reason", ("Reason", "Why", "What"), rows)


def _absent(analysis: Analysis) -> Iterator[tuple[str, Absence]]:
    for metric in _metrics(analysis):
        if metric.absent is not None:
            yield METRICS[metric.code].label, metric.absent
    if analysis.weeks_absent is not None:
        yield "PAT", analysis.weeks_absent
    clock = Clock.of(analysis)
    for week in analysis.weeks:
        named = f"week from {clock.day(clock.local(week.start).date())}"
        if week.absent is not None:
            yield f"PAT, {named}", week.absent
        if week.predictions_absent is not None:
            yield f"predictions, {named}", week.predictions_absent


def _metrics(analysis: Analysis) -> Iterator[Metric]:
    for part in (analysis.sleep, analysis.rhythm, analysis.activity):
        yield from part.metrics


def quality(analysis: Analysis) -> Markup:
    """Say how well the recording carries the numbers."""
    made = analysis.quality
    rows = [
        ("How non-wear was found", wear_rule_words(made.wear_rule)),
        ("Worn", hours(made.wear_minutes)),
        ("Not worn", hours(made.nonwear_minutes)),
        ("Not recorded", hours(made.not_recorded_minutes)),
        ("Valid days", str(made.valid_days)),
        *((label, f"{getattr(made, name):,}") for name, label in _COUNTS if getattr(made, name)),
        *((f"From {source}", hours(minutes)) for source, minutes in analysis.recording.sources.items()),
    ]
    flags = (*made.flags, *analysis.rhythm.flags)
    said = [joined([element("code", flag), f": {flag_words(flag)}"]) for flag in flags]
    return joined(
        [
            table("Wear and order of the recording", ("What", "Value"), rows),
            *([paragraph("What a reader must know of this recording:"), bullets(said)] if said else []),
        ]
    )


def provenance(analysis: Analysis) -> Markup:
    """Say what made the numbers: algorithms, options, input and weights."""
    return joined([_algorithms(_metrics(analysis)), _makers(analysis)])


def _algorithms(metrics: Iterable[Metric]) -> Markup:
    groups: dict[tuple[str, str, str], list[str]] = {}
    for metric in metrics:
        if metric.algorithm is not None:
            key = (metric.algorithm, _listed(metric.parameters), _basis(metric))
            groups.setdefault(key, []).append(METRICS[metric.code].label)
    rows = [(*key, ", ".join(names)) for key, names in groups.items()]
    if not rows:
        return paragraph("No number was made.", class_="absent")
    return table("Algorithms", ("Algorithm", "Parameters", "Rests on", "Numbers"), rows)


def _listed(parameters: Parameters) -> str:
    return ", ".join(f"{name} {_said(value)}" for name, value in parameters.items()) or "none"


def _said(value: float | int | str | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _basis(metric: Metric) -> str:
    said = [] if metric.epochs_used is None else [f"{metric.epochs_used:,} epochs"]
    if metric.wear_minutes is not None:
        said.append(f"{hours(metric.wear_minutes)} worn")
    return ", ".join(said) or "not stated"


def _makers(analysis: Analysis) -> Markup:
    made, model, recording = analysis.provenance, analysis.provenance.model, analysis.recording
    rows: list[tuple[str, str]] = [
        ("Program", made.pipeline),
        ("Document", analysis.schema_),
        ("Input", joined(["SHA-256 ", element("code", made.input_sha256, class_="digest")])),
        ("Read as", f"{recording.source_format}, {recording.epochs:,} epochs of {recording.epoch_seconds} s"),
        ("Options", _listed(made.options)),
    ]
    if model is not None:
        rows += [
            ("PAT weights", f"{model.checkpoint} ({model.architecture}), {model.source}, {model.licence}"),
            ("Weights", joined(["SHA-256 ", element("code", model.sha256, class_="digest")])),
            ("Cohort of the scaling", model.scaling_cohort or "none"),
            ("Engine", f"{model.engine}, {model.precision}"),
        ]
    kinds = dict.fromkeys(week.calibration for week in analysis.weeks)
    rows += [("Calibration", calibration_words(kind)) for kind in kinds]
    return table("Program, input and weights", ("What", "Value"), rows)
