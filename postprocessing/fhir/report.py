"""The DiagnosticReport and the Provenance: what a person reads first, and how everything was made."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from postprocessing.analysis import Metric, ModelProvenance
from postprocessing.fhir.codes import AIAST, METRIC_TERMS, TERMINOLOGY, UCUM_LABELS, coding
from postprocessing.fhir.devices import AI
from postprocessing.fhir.frame import Frame, Resource
from postprocessing.fhir.observations import metrics_of, raw_keys, value_of

__all__ = ["REPORT", "XHTML", "algorithms_provenance", "model_provenance", "report"]

REPORT = "report"  # key
XHTML = "http://www.w3.org/1999/xhtml"
_PARTICIPANT = f"{TERMINOLOGY}/provenance-participant-type"


def report(frame: Frame, results: Sequence[str]) -> Resource:
    """Return the report over the Observations with the keys ``results``; labelled as AI only if PAT ran."""
    statement = frame.analysis.statement
    return {
        "resourceType": "DiagnosticReport",
        **({"meta": {"security": [AIAST]}} if frame.pat_ran else {}),
        "text": {"status": "generated", "div": _narrative(frame)},
        "identifier": frame.identifier(REPORT),
        "status": "preliminary",
        "category": [{"coding": [coding(f"{TERMINOLOGY}/v2-0074", "OTH", "Other")]}],
        "code": frame.concept("actigraphy-report"),
        **frame.subject,
        "effectivePeriod": frame.whole,
        "issued": frame.issued,
        "performer": [frame.organization],
        "result": [frame.reference(key) for key in results],
        "conclusion": f"For clinical review. {statement}",
    }


def _narrative(frame: Frame) -> str:
    rows = "".join(_row(frame, metric) for metric in metrics_of(frame.analysis))
    lines = "".join(f"<p>{escape(line)}</p>" for line in (*_facts(frame), frame.analysis.statement))
    table = f"<table><tr><th>Metric</th><th>Value</th></tr>{rows}</table>" if rows else ""
    return f'<div xmlns="{XHTML}">{table}{lines}</div>'


def _row(frame: Frame, metric: Metric) -> str:
    display = METRIC_TERMS[metric.code].display
    return f"<tr><td>{escape(display)}</td><td>{escape(_said(frame, metric))}</td></tr>"


def _said(frame: Frame, metric: Metric) -> str:
    if metric.absent is not None:
        return f"absent: {metric.absent.detail}"
    value = value_of(frame, metric)
    if "valueTime" in value:
        return str(value["valueTime"])
    quantity = value["valueQuantity"]
    unit = UCUM_LABELS[quantity["code"]]
    return str(quantity["value"]) if unit == "1" else f"{quantity['value']} {unit}"


def _facts(frame: Frame) -> list[str]:
    analysis = frame.analysis
    encoded = sum(week.embedding is not None for week in analysis.weeks)
    sleep = analysis.sleep
    facts = [
        f"{sleep.valid_nights} of {len(sleep.nights)} nights count.",
        f"Wear rule {analysis.quality.wear_rule}: {analysis.quality.wear_minutes:.0f} minutes of wear.",
        f"PAT encoded {encoded} of {len(analysis.weeks)} weeks.",
    ]
    flags = (*analysis.quality.flags, *analysis.rhythm.flags)
    return [*facts, f"Flags: {', '.join(flags)}."] if flags else facts


def algorithms_provenance(frame: Frame, targets: Sequence[str]) -> Resource:
    """Return how the published algorithms made the resources with the keys ``targets``."""
    return _provenance(frame, targets)


def model_provenance(frame: Frame, targets: Sequence[str], model: ModelProvenance) -> Resource:
    """Return how PAT made the resources with the keys ``targets``: the AI Device is the author."""
    provenance = _provenance(frame, targets)
    author = {"type": _participant("author", "Author"), "who": frame.reference(AI)}
    weights = {"system": "urn:ietf:rfc:3986", "value": f"urn:sha256:{model.sha256}"}
    derivation = {
        "role": "derivation",
        "what": {"identifier": weights, "display": f"weights {model.checkpoint}"},
    }
    return provenance | {
        "reason": [{"coding": [AIAST]}],
        "agent": [author, *provenance["agent"]],
        "entity": [*provenance["entity"], derivation],
    }


def _provenance(frame: Frame, targets: Sequence[str]) -> Resource:
    made = frame.analysis.provenance
    options = "; ".join(f"{name}={value}" for name, value in sorted(made.options.items()))
    create = coding(f"{TERMINOLOGY}/v3-DataOperation", "CREATE", "create")
    assembler = {
        "type": _participant("assembler", "Assembler"),
        "who": {"display": made.pipeline},
        "onBehalfOf": frame.organization,
    }
    return {
        "resourceType": "Provenance",
        "target": [frame.reference(key) for key in targets],
        "occurredDateTime": frame.issued,
        "recorded": frame.issued,
        "activity": {"coding": [create], "text": f"Analysis by {made.pipeline}. {options}".strip()},
        "agent": [assembler],
        "entity": [{"role": "source", "what": frame.reference(key)} for key in raw_keys(frame)],
    }


def _participant(code: str, display: str) -> Resource:
    return {"coding": [coding(_PARTICIPANT, code, display)]}
