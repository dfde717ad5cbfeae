"""Refusals under ``/fhir`` as OperationOutcomes: one place, whoever in the service refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.trace import get_current_span
from starlette.responses import Response

from postprocessing.fhir.outcome import Fault, operation_outcome

__all__ = ["FHIR_TYPE", "NOWHERE", "as_outcome", "request_id", "under_fhir", "written"]

FHIR_TYPE = "application/fhir+json; fhirVersion=4.0"  # of every answer under /fhir
NOWHERE = "/fhir/nowhere"  # what an unknown path under /fhir becomes
_REPLACED = frozenset({b"content-type", b"content-length"})


def under_fhir(path: str) -> bool:
    """Whether ``path`` is of the FHIR face."""
    return path == "/fhir" or path.startswith("/fhir/")


def request_id() -> str:
    """Return what the service's records call the request that is being answered: its trace."""
    return f"{get_current_span().get_span_context().trace_id:032x}"


def written(document: Mapping[str, Any]) -> bytes:
    """Return ``document`` as JSON; the same document gives the same bytes."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def as_outcome(problem: Response) -> Response:
    """Say the ``problem`` body of a refusal as OperationOutcome, with the same status and headers."""
    body = operation_outcome(list(_faults(json.loads(bytes(problem.body)))), request_id())
    made = Response(written(body), problem.status_code, media_type=FHIR_TYPE)
    kept = [(name, value) for name, value in problem.raw_headers if name.lower() not in _REPLACED]
    made.raw_headers.extend(kept)
    return made


def _faults(said: Mapping[str, Any]) -> Iterable[Fault]:
    status, code, text = said["status"], said["code"], said["detail"]
    places = [error.get("where") for error in said.get("errors", ())] or [said.get("where")]
    for place in places:
        yield Fault(status, code, text, place if _is_path(place) else None)


def _is_path(place: object) -> bool:
    """Whether a place is a FHIRPath: it begins with the type of a resource."""
    return isinstance(place, str) and place[:1].isupper() and not place.startswith("X-")
