"""What a reader is told of the operations of the FHIR and CDS Hooks faces."""

from __future__ import annotations

from http import HTTPStatus

from api.openapi.operation import JSON, KEY, SHORT, Operation, Operations
from api.openapi.schemas import BUNDLE, Json, array, as_written, exactly
from api.requests import FHIR_JSON

__all__ = ["FHIR"]

_START: Json = {
    "start": "2026-03-02T18:30:00+01:00",
    "_start": {
        "extension": [
            {"url": "http://hl7.org/fhir/StructureDefinition/tz-code", "valueCode": "Europe/Berlin"}
        ]
    },
}
_OBSERVATION: Json = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"text": "activity"},
    "subject": {"reference": "Patient/example"},
    "effectivePeriod": _START,
    "valueSampledData": {
        "origin": {"value": 0, "unit": "counts"},
        "period": 60_000,
        "dimensions": 1,
        "data": "12 0 E 431",
    },
}
_PARAMETERS: Json = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "return", "valueCode": "transaction"},
        {"name": "observation", "resource": _OBSERVATION},
    ],
}
_HOOK: Json = {
    "hook": "patient-view",
    "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
    "context": {"userId": "Practitioner/1", "patientId": "example"},
    "prefetch": {"activity": _OBSERVATION},
}

_PREFER: Json = {
    "name": "Prefer",
    "in": "header",
    "description": "`respond-async`: answer at once with where the Bundle will be. Anything else is ignored.",
    "schema": {"type": "string"},
}
_FORMAT: Json = {
    "name": "_format",
    "in": "query",
    "description": "Wins over Accept.",
    "schema": {"enum": ["json", "application/json", "application/fhir+json"]},
}


def _definition(summary: str, description: str) -> Operation:
    """A resource of FHIR that says what the service does."""
    answers = {FHIR_JSON: as_written("resourceType")}
    refused = (HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.UNPROCESSABLE_ENTITY)
    return Operation("FHIR", summary, description, answers, parameters=[_FORMAT], also=refused)


FHIR: Operations = {
    ("POST", "/fhir/$analyze"): Operation(
        "FHIR",
        "Analyse the Observations of one recording",
        "Takes Parameters, a Bundle or a single Observation (SampledData, or steps), answers with a Bundle "
        f"of type `return`. `/fhir/OperationDefinition/analyze` lists the parameters. {SHORT}",
        {FHIR_JSON: BUNDLE},
        {FHIR_JSON: as_written("resourceType")},
        {FHIR_JSON: _PARAMETERS},
        parameters=[KEY, _PREFER, _FORMAT],
        more={202: {}},
        also=(HTTPStatus.CONFLICT,),
    ),
    ("GET", "/fhir/metadata"): _definition(
        "The CapabilityStatement", "What this face of the service does, in FHIR's own form."
    ),
    ("GET", "/fhir/OperationDefinition/analyze"): _definition(
        "The definition of $analyze", "Every parameter, with its type and what it may be."
    ),
    ("GET", "/fhir/CodeSystem/pat-actigraphy"): _definition(
        "The local codes", "Codes of the metrics, with their definitions."
    ),
    ("GET", "/fhir/ConceptMap/pat-actigraphy-standard"): _definition(
        "The local codes in LOINC and PHR", "Where a standard code says the same."
    ),
    ("GET", "/fhir/.well-known/smart-configuration"): Operation(
        "FHIR",
        "Where systems get tokens",
        "SMART's configuration, where the operator has named the place; 404 otherwise, as in development.",
        {JSON: as_written("token_endpoint")},
        example_status=404,
    ),
    ("GET", "/cds-services"): Operation(
        "CDS Hooks",
        "The CDS Hooks services",
        "The one service there is, and what it wants prefetched.",
        {JSON: exactly(services=array(as_written("hook", "id", "description", "prefetch")))},
    ),
    ("POST", "/cds-services/pat-activity"): Operation(
        "CDS Hooks",
        "Sum up activity data",
        "Answers with one card about the prefetched Observations, or with none where nothing was prefetched. "
        "No server of the client's is called.",
        {JSON: exactly(cards=array(as_written("summary", "detail", "indicator", "source")))},
        examples={JSON: _HOOK},
    ),
}
