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
from api.v1 import desk
from postprocessing import fhir
from serving.settings import Settings

__all__ = ["DOCUMENTS", "router"]

router = APIRouter(prefix="/fhir", tags=["FHIR"])


@router.post("/$analyze", response_class=Response)
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
        keeps=settings.guarded or settings.keeps,
        token_endpoint=settings.oidc_token_url,
    )
    return fhir.capability_statement(instance)


DOCUMENTS: dict[str, Callable[[Settings], dict[str, Any]]] = {  # say nothing of anybody
    "/metadata": _metadata,
    f"/OperationDefinition/{fhir.OPERATION}": (
        lambda settings: fhir.operation_definition(settings.fhir_canonical_base)
    ),
    "/CodeSystem/pat-actigraphy": lambda settings: fhir.code_system(settings.fhir_canonical_base),
    f"/ConceptMap/{fhir.CONCEPT_MAP}": lambda settings: fhir.concept_map(settings.fhir_canonical_base),
}


def _document(make: Callable[[Settings], dict[str, Any]]) -> Callable[..., Any]:
    async def read(request: Request, at: Annotated[Desk, Depends(desk)]) -> Response:
        try:
            check_accepted(request.headers, request.query_params)
        except NotNegotiable as refused:
            return problem_of(refused)
        return Response(written(make(at.settings)), media_type=FHIR_TYPE)

    return read


for _path, _make in DOCUMENTS.items():
    router.add_api_route(_path, _document(_make), response_class=Response)


@router.get("/.well-known/smart-configuration")
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
