"""``/openapi.json``: every door of the guard's table in OpenAPI 3.1, made from the models that doors read.

FastAPI describes the routes that it serves; what it cannot know (BentoML's doors, raw bodies, headers, who
may ask, how refusals look) is added here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Literal, get_args

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.responses import JSONResponse

from api.guard import PUBLIC, ROUTES
from api.headers import BOOLEANS
from api.outcomes import under_fhir
from api.problems import MEDIA_TYPE
from api.requests import FHIR_JSON, EmbedRequest, ExplainRequest, FhirRequest, RecordingRequest
from postprocessing.analysis import Analysis
from postprocessing.explanation import Explanation
from postprocessing.sleep_scored import Rescoring, RestRule, Threshold
from preprocessing.readers.hints import Format
from preprocessing.units import Device, SleepScorer, Unit, WearSite
from preprocessing.wear import WearMode
from serving.policy import Verb

__all__ = ["HEADERS", "Description"]

Json = dict[str, Any]
_JSON, _OCTETS, _HTML = "application/json", "application/octet-stream", "text/html"
_SCHEMAS = "#/components/schemas/{model}"
_ANYBODY = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
_LIMITS = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
_REFUSALS = (*_ANYBODY, *_LIMITS, HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE)
_REFUSED_BODIES = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.NOT_ACCEPTABLE,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)

_SOURCE = {"unit": tuple(Unit), "device": tuple(Device), "wear-site": tuple(WearSite)}
_RECORDING: Mapping[str, Sequence[str]] = {
    **_SOURCE,
    **dict.fromkeys(("zone", "epoch-seconds", "since", "until", "source-priority", "participant"), ()),
    **dict.fromkeys(("first-time", "sleep-log"), ()),
    **dict.fromkeys(("clinical", "profile", "intervals", "series"), BOOLEANS),
    "format": tuple(Format),
    "wear": tuple(WearMode),
    "stride-days": tuple("1234567"),
    "scorer": tuple(SleepScorer),
    "threshold": get_args(Threshold),
    "rescoring": get_args(Rescoring),
    "rest": get_args(RestRule),
}
_FHIR: Mapping[str, Sequence[str]] = {"subject": (), "return": ("collection", "transaction")}
_WEEKS: Mapping[str, Sequence[str]] = {
    **_SOURCE,
    "minutes": (),
    **dict.fromkeys(("standardized", "profile", "tokens"), BOOLEANS),
}
HEADERS: Mapping[str, Mapping[str, Sequence[str]]] = {  # what X-PAT- headers may say; nothing: any text
    "/v1/recordings:analyze": {**_RECORDING, **_FHIR},
    "/v1/recordings:report": _RECORDING,
    "/v1/embed": _WEEKS,
}

_BUNDLE: Json = {
    "type": "object",
    "required": ["resourceType", "type", "entry"],
    "properties": {"resourceType": {"const": "Bundle"}, "entry": {"type": "array"}},
}
_OUTCOME: Json = {
    "type": "object",
    "required": ["resourceType", "issue"],
    "properties": {"resourceType": {"const": "OperationOutcome"}, "issue": {"type": "array"}},
}
_EMBEDDED: Json = {
    "type": "object",
    "required": ["model", "calibration", "patch_minutes", "weeks"],
    "properties": {
        "model": {"type": "object"},
        "calibration": {"type": "string"},
        "patch_minutes": {"type": "integer"},
        "weeks": {"type": "array", "items": {"type": "object", "required": ["embedding"]}},
    },
}
_PROBLEM: Json = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "pattern": "^urn:pat-service:problem:"},
        "status": {"type": "integer"},
        **{name: {"type": "string"} for name in ("title", "code", "detail", "where")},
        "errors": {"type": "array", "items": {"type": "object", "required": ["where", "code"]}},
    },
}
_RECORDING_EXAMPLE: Json = {
    "start": "2026-03-02T18:30:00+01:00",
    "zone": "Europe/Berlin",
    "epoch_seconds": 60,
    "unit": "actiwatch_counts",
    "values": [12, 0, None, 431],
}
_WEEK_EXAMPLE: Json = {"weeks": [[0.1, -0.4] * 9], "standardized": True}


@dataclass(frozen=True)
class _Door:
    """A door that FastAPI does not describe: what goes in, what comes out, by media type."""

    title: str
    body: type[BaseModel] | None
    answers: Mapping[str, Json]
    example: Json | None = None


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": _SCHEMAS.format(model=model.__name__)}


_BINARY: Json = {"type": "string", "format": "binary"}
_MODELS: Sequence[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [
    (RecordingRequest, "validation"),
    (FhirRequest, "validation"),
    (ExplainRequest, "validation"),
    (EmbedRequest, "validation"),
    (Analysis, "serialization"),
    (Explanation, "serialization"),
]
_DOORS: Mapping[str, _Door] = {
    "/analyze": _Door("Analyse one recording", RecordingRequest, {_JSON: _ref(Analysis)}, _RECORDING_EXAMPLE),
    "/analyze_fhir": _Door(
        "Analyse one recording, in FHIR R4", FhirRequest, {FHIR_JSON: _BUNDLE}, _RECORDING_EXAMPLE
    ),
    "/explain": _Door(
        "Show where in each week PAT looked",
        ExplainRequest,
        {_JSON: _ref(Explanation)},
        _RECORDING_EXAMPLE,
    ),
    "/embed": _Door("Encode weeks", EmbedRequest, {_JSON: _EMBEDDED}, _WEEK_EXAMPLE),
    "/schema.json": _Door("What BentoML's client reads", None, {_JSON: {"type": "object"}}),
    "/openapi.json": _Door("This document", None, {_JSON: {"type": "object"}}),
}
_ANSWERS: Mapping[str, Mapping[str, Json]] = {
    "/v1/recordings:analyze": {_JSON: _ref(Analysis), FHIR_JSON: _BUNDLE},
    "/v1/recordings:report": {_HTML: {"type": "string"}},
    "/v1/embed": {_JSON: _EMBEDDED, _OCTETS: _BINARY},
    "/v1/audit:search": {_JSON: {"type": "object"}, FHIR_JSON: _BUNDLE},
    "/fhir/$analyze": {FHIR_JSON: _BUNDLE},
    "/fhir/jobs/{id}": {FHIR_JSON: _BUNDLE},
    "/v1/jobs/{id}/result": {"application/x-ndjson": {"type": "string"}},
}
_ALSO: Mapping[str, Sequence[HTTPStatus]] = {
    "/v1/jobs": (HTTPStatus.CONFLICT,),
    "/v1/jobs/{id}/result": (HTTPStatus.CONFLICT, HTTPStatus.NOT_ACCEPTABLE),
    "/fhir/$analyze": (HTTPStatus.CONFLICT,),
    "/fhir/jobs/{id}": (HTTPStatus.INTERNAL_SERVER_ERROR,),
}


class Description:
    """The document of an application, made when it is first asked for."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def answer(self) -> JSONResponse:
        """Answer ``GET /openapi.json``."""
        return JSONResponse(self.document)

    @cached_property
    def document(self) -> Json:
        """The document."""
        made = get_openapi(title="PAT Service", version=version("pat-service"), routes=self._app.routes)
        described = made.get("paths", {})
        made["paths"] = {path: {"get": _open(described.get(path, {}))} for path in sorted(PUBLIC)}
        for (method, path), verb in ROUTES.items():
            found = described.get(path, {}).get(method.lower(), {})
            made["paths"].setdefault(path, {})[method.lower()] = _operation(path, verb, found)
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for foreign in ("HTTPValidationError", "ValidationError"):  # which ForeignErrors rewrites
            schemas.pop(foreign, None)
        schemas |= {"Problem": _PROBLEM, **_model_schemas()}
        made["components"]["securitySchemes"] = {
            "firebase": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        }
        return {**made, "security": [{"firebase": []}]}


def _model_schemas() -> Json:
    _, made = models_json_schema(_MODELS, ref_template=_SCHEMAS)
    definitions: Json = made["$defs"]
    return definitions


def _open(found: Json) -> Json:
    """Describe what is open to everybody: a definition that FastAPI knows, or a probe."""
    if "get" not in found:
        return _probe()
    return {**found["get"], "security": []}


def _probe() -> Json:
    said = {"description": "yes", "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {"responses": {"200": said, "503": {"description": "no"}}, "security": []}


def _operation(path: str, verb: Verb, found: Json) -> Json:
    """Describe one door; ``found`` is what FastAPI knows of it."""
    made = {**found, "responses": _responses(path, found), "x-pat-verb": verb.value}
    if path in _DOORS:
        made |= _of_bentoml(_DOORS[path])
    if path in HEADERS:
        made["parameters"] = [_header(name, known) for name, known in HEADERS[path].items()]
        made["requestBody"] = {"required": True, "content": {_OCTETS: {"schema": _BINARY}}}
    return made


def _of_bentoml(door: _Door) -> Json:
    made: Json = {"summary": door.title}
    if door.body is not None:
        content = {"schema": _ref(door.body), "example": door.example}
        made["requestBody"] = {"required": True, "content": {_JSON: content}}
    return made


def _header(name: str, known: Sequence[str]) -> Json:
    schema: Json = {"type": "string", **({"enum": list(known)} if known else {})}
    return {"name": f"X-PAT-{name.title()}", "in": "header", "schema": schema}


def _responses(path: str, found: Json) -> Json:
    door, takes_body = _DOORS.get(path), path in HEADERS or "requestBody" in found
    answers = door.answers if door else _ANSWERS.get(path, {_JSON: {"type": "object"}})
    content = {kind: {"schema": schema} for kind, schema in answers.items()}
    refusals = [*_REFUSALS, *(_REFUSED_BODIES if takes_body or (door and door.body) else ())]
    refusals += _ALSO.get(path, ())
    answered = sorted(status for status in found.get("responses", {}) if status < "400") or ["200"]
    problem = {MEDIA_TYPE: {"schema": {"$ref": _SCHEMAS.format(model="Problem")}}}
    if under_fhir(path):
        problem = {FHIR_JSON: {"schema": _OUTCOME}}
    refused = {str(int(code)): {"description": code.phrase, "content": problem} for code in refusals}
    return {**{status: {"description": "the answer", "content": content} for status in answered}, **refused}
