"""Our CodeSystem as a FHIR resource, for receivers that want to know what a local code means."""

from __future__ import annotations

from typing import Any

from postprocessing.fhir.codes import KINDS, LOCAL_TERMS, Term, local_system

__all__ = ["VERSION", "code_system"]

VERSION = "1.1.0"  # raised with every change of LOCAL_TERMS; codes are added, never changed in meaning


def code_system(canonical_base: str) -> dict[str, Any]:
    """Return the complete CodeSystem, to be served at ``{canonical_base}/CodeSystem/pat-actigraphy``."""
    return {
        "resourceType": "CodeSystem",
        "id": "pat-actigraphy",
        "url": local_system(canonical_base),
        "version": VERSION,
        "name": "PatActigraphy",
        "title": "PAT Service actigraphy codes",
        "status": "active",
        "experimental": False,
        "description": f"Metrics, series, model outputs and reasons of absence. {_kinds()}",
        "caseSensitive": True,
        "content": "complete",
        "count": len(LOCAL_TERMS),
        "property": [{"code": "kind", "description": "Group of the concept.", "type": "string"}],
        "concept": [_concept(term) for term in LOCAL_TERMS.values()],
    }


def _kinds() -> str:
    return " ".join(f"{kind}: {meaning}" for kind, meaning in KINDS.items())


def _concept(term: Term) -> dict[str, Any]:
    return {
        "code": term.code,
        "display": term.display,
        "definition": term.definition,
        "property": [{"code": "kind", "valueString": term.kind}],
    }
