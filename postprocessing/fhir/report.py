"""The DiagnosticReport and the Provenance: what a person reads first, and how everything was made."""

from __future__ import annotations

from collections.abc import Sequence

from postprocessing.analysis import ModelProvenance
from postprocessing.fhir.codes import AIAST, RESULT_FORMAT, TERMINOLOGY, coding
from postprocessing.fhir.devices import AI
from postprocessing.fhir.frame import Frame, Resource
from postprocessing.fhir.narrative import narrative
from postprocessing.fhir.observations import raw_keys

__all__ = ["REPORT", "algorithms_provenance", "model_provenance", "report"]

REPORT = "report"  # key
_PARTICIPANT = f"{TERMINOLOGY}/provenance-participant-type"


def report(frame: Frame, results: Sequence[str]) -> Resource:
    """Return the report over the Observations with the keys ``results``; labelled as AI only if PAT ran."""
    statement = frame.analysis.statement
    return {
        "resourceType": "DiagnosticReport",
        "meta": {**({"security": [AIAST]} if frame.pat_ran else {}), **frame.format},
        "text": {"status": "generated", "div": narrative(frame)},
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
    said = f"Analysis by {made.pipeline} in {RESULT_FORMAT}. {options}".strip()
    create = coding(f"{TERMINOLOGY}/v3-DataOperation", "CREATE", "create")
    assembler = {
        "type": _participant("assembler", "Assembler"),
        "who": {
            "identifier": {"system": f"{frame.base}/NamingSystem/software", "value": made.pipeline},
            "display": made.pipeline,
        },
        "onBehalfOf": frame.organization,
    }
    return {
        "resourceType": "Provenance",
        "target": [frame.reference(key) for key in targets],
        "occurredDateTime": frame.issued,
        "recorded": frame.issued,
        "activity": {"coding": [create], "text": said},
        "agent": [assembler],
        "entity": [{"role": "source", "what": frame.reference(key)} for key in raw_keys(frame)],
    }


def _participant(code: str, display: str) -> Resource:
    return {"coding": [coding(_PARTICIPANT, code, display)]}
