"""How operations of ``/openapi.json`` refuse: which statuses, and an example of each body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from api.openapi.schemas import OUTCOME, Json, ref
from api.problems import MEDIA_TYPE, problem
from api.requests import FHIR_JSON
from postprocessing.fhir.outcome import Fault, operation_outcome
from preprocessing.recording import Refusal
from serving.auth import Unauthenticated

__all__ = ["EXAMPLES", "OF_ANYBODY", "OF_BODIES", "OF_CALLERS", "outcome_content", "problem_content"]

OF_ANYBODY = (
    HTTPStatus.NOT_FOUND,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
OF_CALLERS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
OF_BODIES = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.NOT_ACCEPTABLE,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
EXAMPLES: Mapping[HTTPStatus, tuple[str, str]] = {
    HTTPStatus.BAD_REQUEST: (
        Refusal.UNPARSABLE,
        "expected complete JSON without NaN or Infinity; null means missing",
    ),
    HTTPStatus.UNAUTHORIZED: (
        "unauthenticated",
        str(Unauthenticated("no_token")),
    ),
    HTTPStatus.FORBIDDEN: ("forbidden", "your role does not include this"),
    HTTPStatus.NOT_FOUND: ("not_found", "there is no such subject"),
    HTTPStatus.NOT_ACCEPTABLE: ("not_acceptable", "this door answers text/html"),
    HTTPStatus.REQUEST_TIMEOUT: ("body_too_slow", "expected a body within the time that a request may take"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "body_too_large",
        "this door takes at most 2000000 bytes; send larger recordings to POST /v1/recordings:analyze",
    ),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: ("content_type", "expected Content-Type application/json"),
    HTTPStatus.UNPROCESSABLE_ENTITY: (
        Refusal.INVALID_FIELD,
        "expected the fields and types of docs/api.md, found 1 that differ",
    ),
    HTTPStatus.CONFLICT: ("job_not_done", "the job has not ended; ask again later"),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("internal", "the request failed; the server's log says where"),
    HTTPStatus.BAD_GATEWAY: ("upstream_error", "the health data service failed; try again later"),
    HTTPStatus.TOO_MANY_REQUESTS: (
        "too_many_requests",
        "at most 120 requests a minute of one caller; try again later",
    ),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: ("headers_too_large", "expected at most 100 headers"),
    HTTPStatus.SERVICE_UNAVAILABLE: ("overloaded", "the service cannot answer now; try again later"),
}
_MORE: Mapping[HTTPStatus, Mapping[str, Any]] = {
    HTTPStatus.UNPROCESSABLE_ENTITY: {"errors": [{"where": "epoch_seconds", "code": "int_type"}]}
}

_REQUEST = "0" * 32  # the trace of no request


def problem_content(status: HTTPStatus) -> Json:
    """Return the problem body of a refusal, by media type, with its example."""
    code, detail = EXAMPLES[status]
    example = json.loads(bytes(problem(status, code, detail, extra=_MORE.get(status)).body))
    return {MEDIA_TYPE: {"schema": ref("Problem"), "example": example}}


def outcome_content(status: HTTPStatus) -> Json:
    """Return the same as FHIR says it."""
    code, detail = EXAMPLES[status]
    example = operation_outcome([Fault(status, code, detail, None)], _REQUEST)
    return {FHIR_JSON: {"schema": OUTCOME, "example": example}}
