"""``/fhir``: the operation ``$analyze``, and the documents that say what this face does."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.desk import Desk
from api.fhir_analyze import Asked, analyzed
from api.fhir_jobs import deferred
from api.fhir_negotiation import NotNegotiable, check_accepted, check_sent
from api.headers import idempotency_key, prefers_async
from api.outcomes import FHIR_TYPE, written
from api.problems import problem, problem_of
from api.requests import FHIR_JSON
from api.v1 import desk
from postprocessing import fhir
from serving.settings import Settings

__all__ = ["DOCUMENTS", "router"]

_RESOURCE = {
    "type": "object",
    "required": ["resourceType"],
    "properties": {"resourceType": {"type": "string"}},
}
_EXAMPLE = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"text": "activity counts"},
    "effectivePeriod": {
        "start": "2026-03-02T18:30:00+01:00",
        "_start": {
            "extension": [
                {
                    "url": "http://hl7.org/fhir/StructureDefinition/tz-code",
                    "valueCode": "Europe/Berlin",
                }
            ]
        },
    },
    "valueSampledData": {
        "origin": {"value": 0, "unit": "counts"},
        "period": 60_000,
        "dimensions": 1,
        "data": "12 0 E 431",
    },
}
_BODY = {"required": True, "content": {FHIR_JSON: {"schema": _RESOURCE, "example": _EXAMPLE}}}
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"description": "The answer.", "content": {FHIR_JSON: {"schema": _RESOURCE}}}
}
_REFUSED: dict[int | str, dict[str, Any]] = {
    status: {"description": why, "content": {FHIR_JSON: {"schema": _RESOURCE}}}
    for status, why in ((404, "There is none."), (406, "Not acceptable."), (422, "An unknown parameter."))
}
_DEFERRED: dict[int | str, dict[str, Any]] = {202: {"description": "Content-Location will have the answer."}}

router = APIRouter(prefix="/fhir", tags=["FHIR"])


@router.post(
    "/$analyze",
    responses={**_ANSWER, **_DEFERRED},
    openapi_extra={"requestBody": _BODY},
    response_class=Response,
)
async def analyze_observations(request: Request, at: Annotated[Desk, Depends(desk)]) -> Response:
    """Analyse one recording in FHIR R4.

    Takes Parameters, a Bundle or a single Observation; answers with a Bundle, or, where
    `Prefer: respond-async` is sent, with 202 and the address that will have it.
    """
    try:
        check_accepted(request.headers, request.query_params)
        check_sent(request.headers)
        key = idempotency_key(request.headers)
    except NotNegotiable as refused:
        return problem_of(refused)
    if prefers_async(request.headers):
        return await deferred(at, Asked(await request.body(), key))
    made = await analyzed(at, Asked(await request.body(), key))
    return Response(made.body, made.status, dict(made.headers), media_type=FHIR_TYPE)


def _metadata(settings: Settings) -> dict[str, Any]:
    instance = fhir.Instance(
        base=settings.fhir_canonical_base,
        version=version("pat-service"),
        organization=settings.organization,
        guarded=settings.guarded,
        token_endpoint=settings.oidc_token_url,
    )
    return fhir.capability_statement(instance)


DOCUMENTS: dict[str, tuple[str, Callable[[Settings], dict[str, Any]]]] = {  # say nothing of anybody
    "/metadata": ("The CapabilityStatement", _metadata),
    f"/OperationDefinition/{fhir.OPERATION}": (
        "The definition of $analyze",
        lambda settings: fhir.operation_definition(settings.fhir_canonical_base),
    ),
    "/CodeSystem/pat-actigraphy": (
        "The local codes",
        lambda settings: fhir.code_system(settings.fhir_canonical_base),
    ),
    f"/ConceptMap/{fhir.CONCEPT_MAP}": (
        "The local codes in LOINC and PHR",
        lambda settings: fhir.concept_map(settings.fhir_canonical_base),
    ),
}


def _document(make: Callable[[Settings], dict[str, Any]]) -> Callable[..., Any]:
    async def read(request: Request, at: Annotated[Desk, Depends(desk)]) -> Response:
        try:
            check_accepted(request.headers, request.query_params)
        except NotNegotiable as refused:
            return problem_of(refused)
        return Response(written(make(at.settings)), media_type=FHIR_TYPE)

    return read


for _path, (_title, _make) in DOCUMENTS.items():
    router.add_api_route(
        _path, _document(_make), summary=_title, responses={**_ANSWER, **_REFUSED}, response_class=Response
    )


@router.get(
    "/.well-known/smart-configuration", summary="Where systems get tokens", responses={404: _REFUSED[404]}
)
async def read_smart_configuration(at: Annotated[Desk, Depends(desk)]) -> Response:
    """Return it where the operator has said who gives tokens; 404 otherwise."""
    settings = at.settings
    if not settings.oidc_token_url:
        return problem(404, "not_found", "this service names no place that gives tokens; ask its operator")
    return Response(written(_smart(settings)), media_type="application/json")


def _smart(settings: Settings) -> dict[str, Any]:
    """Return what SMART's Backend Services want to know (SMART App Launch 2.2)."""
    return {
        "issuer": settings.oidc_issuer,
        "jwks_uri": settings.oidc_jwks_url,
        "token_endpoint": settings.oidc_token_url,
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": ["system/Observation.rs"],
        "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
    }
