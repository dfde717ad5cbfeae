"""FHIRPath over R4 documents, by a library that knows nothing of ours."""

from __future__ import annotations

from typing import Any

from fhirpathpy import evaluate
from fhirpathpy.models import models

__all__ = ["evaluated", "of_code"]


def evaluated(document: dict[str, Any], path: str) -> list[Any]:
    """Evaluate ``path``, with R4's choices of type."""
    found: list[Any] = evaluate(document, path, {}, models["r4"])
    return found


def of_code(document: dict[str, Any], code: str, path: str) -> list[Any]:
    """Evaluate ``path`` on the Observations of a Bundle that have ``code``."""
    chosen = f"Bundle.entry.resource.ofType(Observation).where(code.coding.where(code='{code}').exists())"
    return evaluated(document, f"{chosen}.{path}")
