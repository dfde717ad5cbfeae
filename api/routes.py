"""Every route that there is, with the verb that it does; what is not here does not exist, whoever asks."""

from __future__ import annotations

from collections.abc import Mapping

from api.doors import DEFINITIONS, PAGES
from serving.policy import Verb

__all__ = ["CLOSED", "PUBLIC", "ROUTES"]

ROUTES: Mapping[tuple[str, str], Verb] = {
    ("POST", "/analyze"): Verb.ANALYZE,
    ("POST", "/analyze_fhir"): Verb.ANALYZE,
    ("POST", "/explain"): Verb.ANALYZE,
    ("POST", "/embed"): Verb.EMBED,
    ("POST", "/v1/embed"): Verb.EMBED,
    ("POST", "/v1/recordings:analyze"): Verb.ANALYZE,
    ("POST", "/v1/recordings:report"): Verb.ANALYZE,
    ("POST", "/fhir/$analyze"): Verb.ANALYZE,
    ("POST", "/cds-services/pat-activity"): Verb.ANALYZE,
    ("POST", "/v1/subjects:analyze"): Verb.ANALYZE_SUBJECT,
    ("POST", "/v1/subjects:delete"): Verb.DELETE_SUBJECT,
    ("POST", "/v1/subjects:export"): Verb.EXPORT_SUBJECT,
    ("POST", "/v1/care:begin"): Verb.CHANGE_CARE,
    ("POST", "/v1/care:end"): Verb.CHANGE_CARE,
    ("POST", "/v1/emergencies"): Verb.BREAK_GLASS,
    ("GET", "/v1/emergencies"): Verb.SEARCH_AUDIT,
    ("POST", "/v1/audit:search"): Verb.SEARCH_AUDIT,
    ("POST", "/v1/subjects:disclosures"): Verb.READ_DISCLOSURES,
    ("GET", "/v1/status"): Verb.READ_STATUS,
    ("POST", "/v1/recordings:deidentify"): Verb.DEIDENTIFY,
    ("POST", "/v1/research-codes:resolve"): Verb.RESOLVE_CODE,
    ("GET", "/v1/deliveries/{id}"): Verb.DELIVER,
    ("POST", "/v1/jobs"): Verb.ANALYZE,
    ("GET", "/v1/jobs/{id}"): Verb.READ_JOB,
    ("GET", "/v1/jobs/{id}/result"): Verb.READ_JOB,
    ("DELETE", "/v1/jobs/{id}"): Verb.DELETE_JOB,
    ("GET", "/fhir/jobs/{id}"): Verb.READ_JOB,
    ("DELETE", "/fhir/jobs/{id}"): Verb.DELETE_JOB,
    ("GET", "/schema.json"): Verb.READ_SCHEMA,
    ("GET", "/openapi.json"): Verb.READ_SCHEMA,
}
PUBLIC = frozenset({"/livez", "/readyz", "/healthz"}) | DEFINITIONS | PAGES  # say nothing of anybody
CLOSED = frozenset({"/", "/metrics", "/docs.json"})  # what BentoML adds; nobody serves metrics then
