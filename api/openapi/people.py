"""What a reader is told of the operations about subjects, those who care for them, and the audit trail."""

from __future__ import annotations

from http import HTTPStatus

from api.openapi.operation import JSON, PATIENT, Operation, Operations
from api.openapi.schemas import BUNDLE, TEXT, array, as_written, counts, exactly, ref
from api.requests import FHIR_JSON
from postprocessing.analysis import Analysis

__all__ = ["PEOPLE"]

_CARE = {**PATIENT, "uid": "user-7"}
_EVENT = as_written("at", "action", "verb", "outcome", "reason")
_DISCLOSURE = exactly(
    at=TEXT,
    uid=TEXT,
    roles=array(TEXT),
    verb=TEXT,
    purpose=TEXT,
    records={"type": "integer"},
    trace=TEXT,
)
_EMERGENCY = exactly(
    uid=TEXT, subject=TEXT, reason=TEXT, since={"type": "integer"}, seconds={"type": "integer"}
)

PEOPLE: Operations = {
    ("POST", "/v1/research-codes:resolve"): Operation(
        "Research",
        "Find whose a research code is",
        "Answers with the subject of the caller's tenant. The code of the example is nobody's: 404.",
        {JSON: exactly(subject=TEXT)},
        examples={JSON: {"project": "sleep", "code": "0" * 32}},
        example_status=404,
        open_status=404,
    ),
    ("POST", "/v1/subjects:analyze"): Operation(
        "Analysis",
        "Analyse what the health data service holds of a subject",
        "Pulls the local days wanted with the caller's own token, analyses them and, with `write_back`, "
        "writes the result back. Where no health data service is set up: 404.",
        {
            JSON: exactly(
                analysis=ref(Analysis),
                source=as_written("pages", "listed", "used", "set_aside", "truncated", "loss_possible"),
                written_back={"type": ["object", "null"], "required": ["metric_id", "status", "reason"]},
            ),
            FHIR_JSON: BUNDLE,
        },
        examples={JSON: {**PATIENT, "since": "2024-05-13", "until": "2024-05-21"}},
        open_status=404,
        also=(HTTPStatus.BAD_GATEWAY,),
    ),
    ("POST", "/v1/subjects:delete"): Operation(
        "Subjects and care",
        "Delete what is kept of a subject",
        "Deletes it in every store, shreds the subject's key and reports what there was. May be repeated.",
        {JSON: exactly(deleted=counts(), key_shredded={"type": "boolean"})},
        examples={JSON: PATIENT},
        open_status=404,
    ),
    ("POST", "/v1/subjects:export"): Operation(
        "Subjects and care",
        "Export what is kept of a subject",
        "Answers with everything that is held, by store.",
        {JSON: exactly(subject=TEXT, held={"type": "object", "additionalProperties": {"type": "object"}})},
        examples={JSON: PATIENT},
        open_status=404,
    ),
    ("POST", "/v1/subjects:disclosures"): Operation(
        "Audit",
        "List who was given data of a subject",
        "Who was given what, when and what for, oldest first (45 CFR 164.528).",
        {JSON: exactly(disclosures=array(_DISCLOSURE), more={"type": "boolean"})},
        examples={JSON: {**PATIENT, "since": "2026-01", "limit": 20}},
        open_status=404,
    ),
    ("POST", "/v1/care:begin"): Operation(
        "Subjects and care",
        "Let a caller care for a subject",
        "The caller, named by uid, may then see the subject.",
        {JSON: exactly(cares={"const": True})},
        examples={JSON: _CARE},
        open_status=404,
    ),
    ("POST", "/v1/care:end"): Operation(
        "Subjects and care",
        "End a relation of care",
        "`ended` says whether there was one.",
        {JSON: exactly(cares={"const": False}, ended={"type": "boolean"})},
        examples={JSON: _CARE},
        open_status=404,
    ),
    ("POST", "/v1/emergencies"): Operation(
        "Subjects and care",
        "Break the glass",
        "Lets the caller see a subject without a relation of care, for a reason and a time that are kept.",
        {JSON: exactly(minutes={"type": "integer"})},
        examples={JSON: {**PATIENT, "reason": "found unconscious at home", "minutes": 30}},
        open_status=404,
    ),
    ("GET", "/v1/emergencies"): Operation(
        "Audit",
        "List the emergencies of the tenant",
        "With their reasons, oldest first.",
        {JSON: exactly(emergencies=array(_EMERGENCY))},
        open_status=404,
    ),
    ("POST", "/v1/audit:search"): Operation(
        "Audit",
        "Search the audit trail of the tenant",
        "Events between two times, oldest first; as FHIR AuditEvents with `Accept: application/fhir+json`.",
        {JSON: exactly(events=array(_EVENT), more={"type": "boolean"}), FHIR_JSON: BUNDLE},
        examples={JSON: {"since": "2026-01", "verb": "analyze", "limit": 20}},
        open_status=404,
    ),
}
