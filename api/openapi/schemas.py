"""The schemas of ``/openapi.json``: of the models that doors read and write, or by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.requests import EmbedRequest, ExplainRequest, FhirRequest, RecordingRequest
from postprocessing.analysis import Analysis
from postprocessing.deidentified import DeidentifiedAnalysis
from postprocessing.explanation import Explanation

__all__ = [
    "BINARY",
    "BUNDLE",
    "EMBEDDED",
    "OUTCOME",
    "PROBLEM",
    "TEXT",
    "Json",
    "array",
    "as_written",
    "components",
    "counts",
    "exactly",
    "ref",
]

Json = dict[str, Any]
_SCHEMAS = "#/components/schemas/{model}"
_MODELS: Sequence[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [
    (RecordingRequest, "validation"),
    (FhirRequest, "validation"),
    (ExplainRequest, "validation"),
    (EmbedRequest, "validation"),
    (Analysis, "serialization"),
    (DeidentifiedAnalysis, "serialization"),
    (Explanation, "serialization"),
]

TEXT: Json = {"type": "string"}
BINARY: Json = {"type": "string", "format": "binary"}
PROBLEM: Json = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "pattern": "^urn:pat-service:problem:"},
        "status": {"type": "integer"},
        **dict.fromkeys(("title", "code", "detail", "where"), TEXT),
        "errors": {"type": "array", "items": {"type": "object", "required": ["where", "code"]}},
    },
}
BUNDLE: Json = {
    "type": "object",
    "required": ["resourceType", "type", "entry"],
    "properties": {"resourceType": {"const": "Bundle"}, "type": TEXT, "entry": {"type": "array"}},
}

OUTCOME: Json = {
    "type": "object",
    "required": ["resourceType", "issue"],
    "properties": {"resourceType": {"const": "OperationOutcome"}, "issue": {"type": "array", "minItems": 1}},
}


def ref(model: type[BaseModel] | str) -> Json:
    """Return a reference to a model, or to a schema of that name, among the components."""
    return {"$ref": _SCHEMAS.format(model=model if isinstance(model, str) else model.__name__)}


def exactly(**properties: Json) -> Json:
    """Return the schema of an object with these properties, all of them and no other."""
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": False,
    }


def array(items: Json) -> Json:
    """Return the schema of an array of ``items``."""
    return {"type": "array", "items": items}


def counts() -> Json:
    """Return the schema of an object whose names are free and whose values are numbers of things."""
    return {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}}


def as_written(*required: str) -> Json:
    """Return the schema of an object that has ``required``, and more that another document describes."""
    return {"type": "object", "required": list(required)}


_NUMBERS = array({"type": "number"})
EMBEDDED: Json = exactly(
    model=as_written("checkpoint", "sha256"),
    calibration=TEXT,
    patch_minutes={"type": "integer"},
    weeks=array(
        {
            "type": "object",
            "required": ["embedding"],
            "properties": {
                "embedding": {"type": ["array", "null"], "items": {"type": "number"}},
                "attention_received": _NUMBERS,
                "error": exactly(code=TEXT, detail=TEXT),
            },
        }
    ),
)


def components() -> Mapping[str, Json]:
    """Return the schemas of the models, and of refusals."""
    _, made = models_json_schema(_MODELS, ref_template=_SCHEMAS)
    definitions: Json = made["$defs"]
    return {"Problem": PROBLEM, **definitions}
