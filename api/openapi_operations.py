"""What a reader of ``/openapi.json`` is told of each operation, with a body that can be sent as it stands.

One entry an operation. A route of FastAPI may say the same in its decorator instead (``tags``, ``summary``,
``responses``) and in its model (``json_schema_extra={"examples": [...]}``); tests/api/test_openapi.py refuses
an operation that is told in neither way, tests/security/test_examples.py sends every example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from api.openapi_refusals import outcome_content, problem_content
from api.openapi_schemas import (
    BINARY,
    BUNDLE,
    EMBEDDED,
    TEXT,
    Json,
    array,
    as_written,
    counts,
    exactly,
    ref,
)
from api.requests import FHIR_JSON, EmbedRequest, ExplainRequest, FhirRequest, RecordingRequest
from postprocessing.analysis import Analysis
from postprocessing.deidentified import DeidentifiedAnalysis
from postprocessing.explanation import Explanation

__all__ = ["OPERATIONS", "TAGS", "Operation"]

_JSON, _OCTETS, _HTML, _PLAIN = "application/json", "application/octet-stream", "text/html", "text/plain"

TAGS: Mapping[str, str] = {
    "Analysis": "A recording of movement in; sleep, rhythm, activity and the embedding of each week out.",
    "FHIR": "The same as an operation of a FHIR R4 server; every refusal is an OperationOutcome.",
    "CDS Hooks": "The same as a card beside a patient's record; information only.",
    "Encoder": "Weeks in, the 96 numbers that PAT makes of each out.",
    "Research": "What of an analysis may leave for research.",
    "Subjects and care": "What is kept of a subject, and who cares for one.",
    "Audit": "What was done, by whom and what for.",
    "Operation": "Whether the service answers, and how it is called.",
}


@dataclass(frozen=True)
class Operation:
    """One operation; of a route of FastAPI, what that does not know.

    ``answers`` and ``body`` are schemas by media type, ``examples`` bodies by media type, ``headers`` what
    goes with them. An example is answered with ``example_status``, but with 404 where the operation is for
    ``identified`` callers and nobody is asked who they are. ``also`` are statuses of refusals beside
    those that every operation of its kind has; ``refused`` gives the body of a refusal, or nothing where that
    status does not occur.
    """

    tag: str
    summary: str
    description: str
    answers: Mapping[str, Json]
    body: Mapping[str, Json] = field(default_factory=dict)
    examples: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    example_status: int = 200
    identified: bool = False
    also: Sequence[HTTPStatus] = ()
    refused: Callable[[HTTPStatus], Json] = problem_content


_RECORDING: Json = {
    "start": "2026-03-02T18:30:00+01:00",
    "zone": "Europe/Berlin",
    "epoch_seconds": 60,
    "unit": "actiwatch_counts",
    "device": "actiwatch",
    "wear_site": "wrist",
    "values": [12, 0, None, 431],
}
_SHORT = (
    "The example is four minutes long, so most numbers are absent, each with its reason; send a week "
    "(`examples/week.json`) to see them all."
)
_FILE = """# zone: Europe/Berlin
# epoch_seconds: 60
# unit: actiwatch_counts
# device: actiwatch
# wear_site: wrist
timestamp,value
2026-03-02T18:30:00+01:00,12
2026-03-02T18:31:00+01:00,0
2026-03-02T18:32:00+01:00,431
"""
_FILES = {_PLAIN: TEXT, _OCTETS: BINARY}
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
_PATIENT = {"subject": "Patient/example"}
_CARE = {**_PATIENT, "uid": "user-7"}
_PROBE = {_PLAIN: TEXT}


def _definition(summary: str, description: str) -> Operation:
    """A resource of FHIR that says what the service does."""
    answers = {FHIR_JSON: as_written("resourceType")}
    refused = (HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.UNPROCESSABLE_ENTITY)
    return Operation("FHIR", summary, description, answers, also=refused, refused=outcome_content)


def _down(status: HTTPStatus) -> Json:
    """Probes say no in plain text, and refuse nobody."""
    return {_PLAIN: {"schema": TEXT}} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}


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

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("POST", "/analyze"): Operation(
        "Analysis",
        "Analyse one recording",
        f"Takes a recording in canonical JSON and answers with the document `pat-analysis/1`. {_SHORT}",
        {_JSON: ref(Analysis)},
        {_JSON: ref(RecordingRequest)},
        {_JSON: _RECORDING},
    ),
    ("POST", "/analyze_fhir"): Operation(
        "Analysis",
        "Analyse one recording, in FHIR R4",
        f"As `analyze`, answered as a Bundle of type `return` about `subject`. {_SHORT}",
        {FHIR_JSON: BUNDLE},
        {_JSON: ref(FhirRequest)},
        {_JSON: {**_RECORDING, **_PATIENT, "return": "transaction"}},
    ),
    ("POST", "/explain"): Operation(
        "Analysis",
        "Show where in each week PAT looked",
        "Answers with the attention that each part of each week received. The example holds no week, so the "
        "list of weeks is empty.",
        {_JSON: ref(Explanation)},
        {_JSON: ref(ExplainRequest)},
        {_JSON: _RECORDING},
    ),
    ("POST", "/v1/recordings:analyze"): Operation(
        "Analysis",
        "Analyse one device file",
        "The body is the file as it is, in any format of docs/inputs.md, told by its content. What the file "
        "does not say, and what is wanted, goes into `X-PAT-` headers. With `Accept: application/fhir+json` "
        f"the answer is a Bundle. {_SHORT}",
        {_JSON: ref(Analysis), FHIR_JSON: BUNDLE},
        _FILES,
        {_PLAIN: _FILE},
    ),
    ("POST", "/v1/recordings:report"): Operation(
        "Analysis",
        "Write a report of one device file",
        "Takes what `/v1/recordings:analyze` takes and answers with one HTML page, pictures included.",
        {_HTML: TEXT},
        _FILES,
        {_PLAIN: _FILE},
    ),
    ("POST", "/fhir/$analyze"): Operation(
        "FHIR",
        "Analyse the Observations of one recording",
        "Takes Parameters, a Bundle or a single Observation (SampledData, or steps), answers with a Bundle "
        f"of type `return`. `/fhir/OperationDefinition/analyze` lists the parameters. {_SHORT}",
        {FHIR_JSON: BUNDLE},
        {FHIR_JSON: as_written("resourceType")},
        {FHIR_JSON: _PARAMETERS},
        refused=outcome_content,
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
        {_JSON: as_written("token_endpoint")},
        example_status=404,
        refused=outcome_content,
    ),
    ("GET", "/cds-services"): Operation(
        "CDS Hooks",
        "The CDS Hooks services",
        "The one service there is, and what it wants prefetched.",
        {_JSON: exactly(services=array(as_written("hook", "id", "description", "prefetch")))},
    ),
    ("POST", "/cds-services/pat-activity"): Operation(
        "CDS Hooks",
        "Sum up activity data",
        "Answers with one card about the prefetched Observations, or with none where nothing was prefetched. "
        "No server of the client's is called.",
        {_JSON: exactly(cards=array(as_written("summary", "detail", "indicator", "source")))},
        examples={_JSON: _HOOK},
    ),
    ("POST", "/embed"): Operation(
        "Encoder",
        "Encode weeks",
        "Takes rows as they are (`standardized`) or raw weeks with unit, device and wear site. A row that "
        "cannot be encoded has `null` and the reason in its place.",
        {_JSON: EMBEDDED},
        {_JSON: ref(EmbedRequest)},
        {_JSON: {"weeks": [[0.1, -0.4] * 9], "standardized": True}},
    ),
    ("POST", "/v1/embed"): Operation(
        "Encoder",
        "Encode weeks sent as numbers",
        "The body is rows of little-endian float32, one after the other. With `Accept: "
        "application/octet-stream` the answer is float32 too, and its `X-PAT-` headers say what each number "
        "is. The example is one row of 18 numbers whose bytes happen to be letters.",
        {_JSON: EMBEDDED, _OCTETS: BINARY},
        {_OCTETS: BINARY},
        {_OCTETS: "pat?PAT>" * 9},
        {"standardized": "true", "minutes": "18"},
    ),
    ("POST", "/v1/recordings:deidentify"): Operation(
        "Research",
        "De-identify one recording for research",
        "Takes what `analyze` takes, with `age` and `sex` of the person, and answers with "
        "`pat-deidentified/1`: no date, no place, no series. With `subject` and `project` the answer holds a "
        "random code.",
        {_JSON: ref(DeidentifiedAnalysis)},
        examples={_JSON: {**_RECORDING, "age": 44, "sex": "female"}},
    ),
    ("POST", "/v1/research-codes:resolve"): Operation(
        "Research",
        "Find whose a research code is",
        "Answers with the subject of the caller's tenant. The code of the example is nobody's: 404.",
        {_JSON: exactly(subject=TEXT)},
        examples={_JSON: {"project": "sleep", "code": "0" * 32}},
        example_status=404,
        identified=True,
    ),
    ("POST", "/v1/subjects:delete"): Operation(
        "Subjects and care",
        "Delete what is kept of a subject",
        "Deletes it in every store, shreds the subject's key and reports what there was. May be repeated.",
        {_JSON: exactly(deleted=counts(), key_shredded={"type": "boolean"})},
        examples={_JSON: _PATIENT},
        identified=True,
    ),
    ("POST", "/v1/subjects:export"): Operation(
        "Subjects and care",
        "Export what is kept of a subject",
        "Answers with everything that is held, by store.",
        {_JSON: exactly(subject=TEXT, held={"type": "object", "additionalProperties": {"type": "object"}})},
        examples={_JSON: _PATIENT},
        identified=True,
    ),
    ("POST", "/v1/subjects:disclosures"): Operation(
        "Audit",
        "List who was given data of a subject",
        "Who was given what, when and what for, oldest first (45 CFR 164.528).",
        {_JSON: exactly(disclosures=array(_DISCLOSURE), more={"type": "boolean"})},
        examples={_JSON: {**_PATIENT, "since": "2026-01", "limit": 20}},
        identified=True,
    ),
    ("POST", "/v1/care:begin"): Operation(
        "Subjects and care",
        "Let a caller care for a subject",
        "The caller, named by uid, may then see the subject.",
        {_JSON: exactly(cares={"const": True})},
        examples={_JSON: _CARE},
        identified=True,
    ),
    ("POST", "/v1/care:end"): Operation(
        "Subjects and care",
        "End a relation of care",
        "`ended` says whether there was one.",
        {_JSON: exactly(cares={"const": False}, ended={"type": "boolean"})},
        examples={_JSON: _CARE},
        identified=True,
    ),
    ("POST", "/v1/emergencies"): Operation(
        "Subjects and care",
        "Break the glass",
        "Lets the caller see a subject without a relation of care, for a reason and a time that are kept.",
        {_JSON: exactly(minutes={"type": "integer"})},
        examples={_JSON: {**_PATIENT, "reason": "found unconscious at home", "minutes": 30}},
        identified=True,
    ),
    ("GET", "/v1/emergencies"): Operation(
        "Audit",
        "List the emergencies of the tenant",
        "With their reasons, oldest first.",
        {_JSON: exactly(emergencies=array(_EMERGENCY))},
        identified=True,
    ),
    ("POST", "/v1/audit:search"): Operation(
        "Audit",
        "Search the audit trail of the tenant",
        "Events between two times, oldest first; as FHIR AuditEvents with `Accept: application/fhir+json`.",
        {_JSON: exactly(events=array(_EVENT), more={"type": "boolean"}), FHIR_JSON: BUNDLE},
        examples={_JSON: {"since": "2026-01", "verb": "analyze", "limit": 20}},
        identified=True,
    ),
    ("GET", "/v1/status"): Operation(
        "Operation",
        "Say what serves, and what is degraded",
        "The model with the digest of its weights, the state of the audit trail, and what works but not as "
        "it should.",
        {_JSON: exactly(model={"type": ["object", "null"]}, audit=TEXT, degraded=array(TEXT))},
    ),
    ("GET", "/schema.json"): Operation(
        "Operation",
        "What BentoML's client reads at its start",
        "The BentoML APIs in BentoML's own form.",
        {_JSON: as_written("routes")},
    ),
    ("GET", "/openapi.json"): Operation(
        "Operation", "This document", "Every door in OpenAPI 3.1.", {_JSON: as_written("openapi", "paths")}
    ),
    ("GET", "/livez"): Operation(
        "Operation", "Whether the process lives", "Answers 200 or 503.", _PROBE, refused=_down
    ),
    ("GET", "/readyz"): Operation(
        "Operation",
        "Whether the service may be asked",
        "200 once the pinned weights are proven and, where callers are identified, the trail and the store "
        "answer.",
        _PROBE,
        refused=_down,
    ),
    ("GET", "/healthz"): Operation(
        "Operation", "As livez", "The older name of `livez`.", _PROBE, refused=_down
    ),
}
