"""What a reader is told of the operations whose answer comes later: jobs, and deliveries to a FHIR server."""

from __future__ import annotations

import json
from http import HTTPStatus

from api.openapi.operation import JSON, KEY, RECORDING, Operation, Operations
from api.openapi.schemas import BUNDLE, TEXT, Json, array, exactly
from api.requests import FHIR_JSON

__all__ = ["LATER"]

_LINES = "application/x-ndjson"
_ID: Json = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "As the answer to POST named it; the one of the example is nobody's.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{22}$"},
    "example": "A" * 22,
}
_OUTPUT: Json = {
    "name": "X-PAT-Output",
    "in": "header",
    "description": "What the result holds of each recording.",
    "schema": {"type": "string", "enum": ["analysis", "collection", "transaction"]},
}
_MOMENT: Json = {"type": ["string", "null"]}
_NUMBER: Json = {"type": "integer"}
_JOB = exactly(
    id=TEXT,
    state=TEXT,
    output=TEXT,
    items=_NUMBER,
    done=_NUMBER,
    set_aside=_NUMBER,
    created=_MOMENT,
    ended=_MOMENT,
    expires=_MOMENT,
    result=_MOMENT,
)
_JOB["properties"]["reason"] = TEXT
_DELIVERY = exactly(
    delivery=TEXT,
    state=TEXT,
    accepted=_MOMENT,
    attempts=_NUMBER,
    next_attempt=_MOMENT,
    ended=_MOMENT,
    reason=_MOMENT,
    status={"type": ["integer", "null"]},
    codes=array(TEXT),
)
_NO_STORE = 503  # where nothing is kept, no job is

LATER: Operations = {
    ("POST", "/v1/jobs"): Operation(
        "Jobs",
        "Take in many recordings",
        "One recording a line, as `analyze` takes it, with `id` and `subject` beside. The answer names it.",
        {JSON: _JOB},
        {_LINES: TEXT},
        {_LINES: json.dumps({"id": "night-1", **RECORDING}) + "\n"},
        parameters=[_OUTPUT, KEY],
        status=202,
        open_status=_NO_STORE,
        also=(HTTPStatus.CONFLICT,),
    ),
    ("GET", "/v1/jobs/{id}"): Operation(
        "Jobs",
        "Say how far a job is",
        "A job is its caller's alone; another's is not there.",
        {JSON: _JOB},
        parameters=[_ID],
        example_status=404,
        open_status=_NO_STORE,
    ),
    ("GET", "/v1/jobs/{id}/result"): Operation(
        "Jobs",
        "Return what a job made",
        "A line for every recording, in order: its analysis or Bundle, or the problem it was set aside for.",
        {_LINES: TEXT},
        parameters=[_ID],
        example_status=404,
        open_status=_NO_STORE,
        also=(HTTPStatus.CONFLICT, HTTPStatus.NOT_ACCEPTABLE),
    ),
    ("DELETE", "/v1/jobs/{id}"): Operation(
        "Jobs",
        "Cancel a job, or remove what it made",
        "What came in and what came out goes.",
        {JSON: exactly(id=TEXT, state=TEXT)},
        parameters=[_ID],
        example_status=404,
        open_status=_NO_STORE,
    ),
    ("GET", "/fhir/jobs/{id}"): Operation(
        "FHIR",
        "Return the answer to a deferred call",
        "Of a call with `Prefer: respond-async`; 202 while the answer is not there.",
        {FHIR_JSON: BUNDLE},
        parameters=[_ID],
        example_status=404,
        open_status=_NO_STORE,
        more={202: {}},
        also=(HTTPStatus.INTERNAL_SERVER_ERROR,),
    ),
    ("DELETE", "/fhir/jobs/{id}"): Operation(
        "FHIR",
        "Cancel a deferred call",
        "Or remove its answer.",
        {},
        parameters=[_ID],
        status=202,
        example_status=404,
        open_status=_NO_STORE,
    ),
    ("GET", "/v1/deliveries/{id}"): Operation(
        "Jobs",
        "Say how far a delivery is",
        "Of a result that is sent to the configured FHIR server, to who asked for it.",
        {JSON: _DELIVERY},
        parameters=[_ID],
        example_status=404,
        open_status=404,
    ),
}
