"""Our metric codes -> LOINC and the PHR sleep codes, as a FHIR ConceptMap; unmapped codes are not in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from postprocessing.fhir.code_system import VERSION
from postprocessing.fhir.codes import LOINC, METRIC_TERMS, PHR, MetricTerm, local_system

__all__ = ["CONCEPT_MAP", "concept_map"]

CONCEPT_MAP = "pat-actigraphy-standard"  # id
_Pair = tuple[str, str]


def concept_map(canonical_base: str) -> dict[str, Any]:
    """Return the complete ConceptMap, to be served at ``{canonical_base}/ConceptMap/{CONCEPT_MAP}``."""
    return {
        "resourceType": "ConceptMap",
        "id": CONCEPT_MAP,
        "url": f"{canonical_base}/ConceptMap/{CONCEPT_MAP}",
        "version": VERSION,
        "name": "PatActigraphyStandard",
        "title": "PAT Service actigraphy codes in LOINC and in the HL7 Personal Health Records guide",
        "status": "active",
        "experimental": False,
        "description": (
            "Standard codes that mean exactly the metric. The local code stays in every resource; a code "
            "that is not listed has no standard equivalent."
        ),
        "group": [
            _group(canonical_base, LOINC, lambda term: term.loinc),
            _group(canonical_base, PHR, lambda term: term.phr),
        ],
    }


def _group(base: str, target: str, standard: Callable[[MetricTerm], _Pair | None]) -> dict[str, Any]:
    elements = [_element(term, pair) for term in METRIC_TERMS.values() if (pair := standard(term))]
    return {"source": local_system(base), "sourceVersion": VERSION, "target": target, "element": elements}


def _element(term: MetricTerm, pair: _Pair) -> dict[str, Any]:
    code, display = pair
    target = {"code": code, "display": display, "equivalence": "equivalent"}
    return {"code": term.local, "display": term.display, "target": [target]}
