"""OperationOutcome: how a refusal is said in FHIR R4; input is never repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["PROBLEMS", "Fault", "operation_outcome"]

PROBLEMS = "urn:pat-service:problem"  # system of our codes of refusal, which docs/api.md lists

_BY_CODE: Mapping[str, str] = {
    **dict.fromkeys(("no_epoch_information", "no_time_zone", "no_samples"), "required"),
    **dict.fromkeys(("mixed_quantities", "resolution_too_coarse", "bundle_too_large"), "business-rule"),
    **dict.fromkeys(("idempotency_key_reused",), "business-rule"),
    **dict.fromkeys(("unknown_unit", "naive_timestamp", "invalid_field"), "value"),
    "unsupported_parameter": "not-supported",
}
_BY_STATUS: Mapping[int, str] = {
    400: "structure",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    406: "not-supported",
    408: "timeout",
    409: "conflict",
    413: "too-long",
    415: "not-supported",
    422: "invalid",
    429: "throttled",
    431: "too-long",
    503: "transient",
    504: "timeout",
}


@dataclass(frozen=True)
class Fault:
    """One thing that is refused: HTTP status, our code, a sentence, and the FHIRPath of the element."""

    status: int
    code: str
    text: str
    expression: str | None = None


def operation_outcome(faults: Sequence[Fault], request: str) -> dict[str, Any]:
    """Return the OperationOutcome of the request that the service's records call ``request``."""
    return {"resourceType": "OperationOutcome", "issue": [_issue(fault, request) for fault in faults]}


def _issue(fault: Fault, request: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "severity": "fatal" if fault.status >= 500 else "error",
        "code": _BY_CODE.get(fault.code) or _BY_STATUS.get(fault.status, "exception"),
        "details": {"coding": [{"system": PROBLEMS, "code": fault.code}], "text": fault.text},
        "diagnostics": f"request {request}",
    }
    return made | ({"expression": [fault.expression]} if fault.expression else {})
