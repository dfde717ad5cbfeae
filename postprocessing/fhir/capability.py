"""CapabilityStatement: what the FHIR face of one running service does, and nothing that it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from postprocessing.fhir.codes import TERMINOLOGY
from postprocessing.fhir.operation import OPERATION

__all__ = ["FHIR_VERSION", "Instance", "capability_statement"]

FHIR_VERSION = "4.0.1"
_CHANGED = "2026-11-28"  # of what is stated here
_SERVICES = f"{TERMINOLOGY}/restful-security-service"
_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_LATER = (
    "With `Prefer: respond-async` it is answered 202 at once, and Content-Location has the address of the "
    "answer: 202 with X-Progress and Retry-After until it is there, then what the call would have had, for "
    "24 hours and for the caller alone. DELETE on that address cancels the call or removes its answer."
)


@dataclass(frozen=True)
class Instance:
    """What differs between services: address, version, who runs it, who may ask, who gives tokens.

    One that ``keeps`` can answer later.
    """

    base: str
    version: str
    organization: str
    guarded: bool
    keeps: bool = False
    token_endpoint: str = ""


def capability_statement(instance: Instance) -> dict[str, Any]:
    """Return the statement, to be served at ``/fhir/metadata``."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _CHANGED,
        "publisher": instance.organization,
        "kind": "instance",
        "software": {"name": "PAT Service", "version": instance.version},
        "implementation": {
            "description": "Analysis of actigraphy: Observations in, a Bundle of results out."
        },
        "fhirVersion": FHIR_VERSION,
        "format": ["application/fhir+json", "json"],
        "rest": [_rest(instance)],
    }


def _rest(instance: Instance) -> dict[str, Any]:
    operation = {"name": OPERATION, "definition": f"{instance.base}/OperationDefinition/{OPERATION}"}
    if instance.keeps:  # R4 has no element for it
        operation["documentation"] = _LATER
    return {
        "mode": "server",
        "documentation": "No operation stores a resource here; the resources below are definitions.",
        "security": _security(instance),
        "resource": [
            {"type": kind, "interaction": [{"code": "read"}]}
            for kind in ("CodeSystem", "ConceptMap", "OperationDefinition")
        ],
        "operation": [operation],
    }


def _security(instance: Instance) -> dict[str, Any]:
    if not instance.guarded:
        return {"cors": False, "description": "Nobody is asked who they are: loopback, for development."}
    made: dict[str, Any] = {
        "cors": False,
        "description": "Authorization: Bearer with an ID token of a person or an access token of a system.",
    }
    if instance.token_endpoint:
        uris = {"url": "token", "valueUri": instance.token_endpoint}
        made["extension"] = [{"url": _OAUTH_URIS, "extension": [uris]}]
        coding = {"system": _SERVICES, "code": "SMART-on-FHIR", "display": "SMART-on-FHIR"}
        made["service"] = [{"coding": [coding], "text": "SMART Backend Services"}]
    return made
