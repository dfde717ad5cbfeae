"""Every door's body: how large it may be, whether it is JSON, and where a larger one goes."""

from __future__ import annotations

from collections.abc import Mapping

from serving.limits import Door
from serving.settings import Settings

__all__ = ["DEFINITIONS", "PAGES", "WITHOUT_BODY", "doors", "raw"]

DEFINITIONS = frozenset(  # what the FHIR and CDS Hooks faces can do; they say nothing of anybody
    {
        *("/fhir/metadata", "/fhir/OperationDefinition/analyze", "/fhir/CodeSystem/pat-actigraphy"),
        *("/fhir/ConceptMap/pat-actigraphy-standard", "/fhir/.well-known/smart-configuration"),
        "/cds-services",
    }
)
PAGES = frozenset(  # Swagger UI and what it is made of; they hold nothing of anybody
    {"/docs", "/docs/page.css", "/docs/page.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"}
)
WITHOUT_BODY = (
    *("/v1/jobs/{id}", "/v1/jobs/{id}/result", "/fhir/jobs/{id}"),
    *("/schema.json", "/openapi.json", "/v1/status", "/livez", "/readyz", "/healthz"),
    "/v1/deliveries/{id}",
    *sorted(DEFINITIONS | PAGES),
)
_JSON = ("/analyze", "/analyze_fhir", "/embed", "/explain")
_RAW = ("/v1/recordings:analyze", "/v1/recordings:report")
_SMALL = (
    *("/v1/subjects:delete", "/v1/subjects:export", "/v1/subjects:disclosures"),
    *("/v1/care:begin", "/v1/care:end", "/v1/emergencies"),
    *("/v1/audit:search", "/v1/research-codes:resolve"),
)
_SMALL_BYTES = 65_536


def doors(settings: Settings) -> Mapping[str, Door]:
    """Return the door of each path that takes a body."""
    larger = "send larger recordings to POST /v1/recordings:analyze"
    json = Door(settings.json_body_bytes, json_only=True, larger=larger)
    shorter = "send the recording in shorter parts"
    fhir = Door(
        settings.raw_body_bytes, json_only=False, larger=shorter
    )  # its JSON is checked where it is read
    prefetched = Door(settings.raw_body_bytes, json_only=True, larger=shorter)
    small = Door(_SMALL_BYTES, json_only=True, larger="docs/security.md says what it takes")
    one = Door(
        settings.json_body_bytes, json_only=True, larger="larger recordings go through the pat command"
    )
    weeks = Door(settings.embed_body_bytes, json_only=False, larger="send fewer weeks at a time")
    return {
        **dict.fromkeys(_JSON, json),
        **dict.fromkeys(_RAW, raw(settings)),
        "/fhir/$analyze": fhir,
        "/cds-services/pat-activity": prefetched,
        **dict.fromkeys(_SMALL, small),
        "/v1/recordings:deidentify": one,
        "/v1/subjects:analyze": Door(_SMALL_BYTES, json_only=True, larger="docs/api.md says what it takes"),
        "/v1/embed": weeks,
        "/v1/jobs": Door(settings.job_body_bytes, json_only=False, larger="send the items in several jobs"),
    }


def raw(settings: Settings) -> Door:
    """Return the door of files, which is that of any other path too."""
    return Door(settings.raw_body_bytes, json_only=False, larger="larger files go through the pat command")
