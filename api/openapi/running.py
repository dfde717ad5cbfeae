"""What a reader is told of the operations that tell whether the service runs, and how it is called."""

from __future__ import annotations

from http import HTTPStatus

from api.openapi.operation import JSON, PLAIN, Operation, Operations
from api.openapi.schemas import TEXT, Json, as_written

__all__ = ["RUNNING"]

_PROBE = {PLAIN: TEXT}


def _down(status: HTTPStatus) -> Json:
    """Probes say no in plain text, and refuse nobody."""
    return {PLAIN: {"schema": TEXT}} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}


RUNNING: Operations = {
    ("GET", "/v1/status"): Operation(
        "Operation",
        "Say what serves, and what is degraded",
        "The model with the digest of its weights, the state of the audit trail, and what works but not as "
        "it should.",
        {JSON: as_written("model", "audit", "degraded")},
    ),
    ("GET", "/schema.json"): Operation(
        "Operation",
        "What BentoML's client reads at its start",
        "The BentoML APIs in BentoML's own form.",
        {JSON: as_written("routes")},
    ),
    ("GET", "/openapi.json"): Operation(
        "Operation", "This document", "Every door in OpenAPI 3.1.", {JSON: as_written("openapi", "paths")}
    ),
    ("GET", "/livez"): Operation(
        "Operation", "Whether the process lives", "Answers 200 or 503.", _PROBE, refused=_down
    ),
    ("GET", "/readyz"): Operation(
        "Operation",
        "Whether the service may be asked",
        "200 once the pinned weights are proven and, where callers are identified, the trail and the store "
        "answer.",
        _PROBE,
        refused=_down,
    ),
    ("GET", "/healthz"): Operation(
        "Operation", "As livez", "The older name of `livez`.", _PROBE, refused=_down
    ),
}
