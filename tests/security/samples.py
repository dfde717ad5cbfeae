"""One good request for every route, with and without a subject; a route that is not here fails a test.

What names a code, a job or a delivery names one of nobody, and is answered with 404.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.health_data.metrics import PERIOD

RECORDING = {
    "start": "2026-03-02T18:30:00+01:00",
    "zone": "Europe/Berlin",
    "epoch_seconds": 60,
    "unit": "actiwatch_counts",
    "values": [12, 0, None, 431],
}
FHIR = {"Accept": "application/fhir+json"}
ZONE = {"url": "http://hl7.org/fhir/StructureDefinition/tz-code", "valueCode": "Europe/Berlin"}
READY = {"X-PAT-Standardized": "true", "X-PAT-Minutes": "18"}
REASON = "found unconscious at home"
Request = dict[str, Any]  # options of httpx


NDJSON = {"Content-Type": "application/x-ndjson"}


def _lines(subject: str = "") -> Request:
    """A job of one recording."""
    named = {"subject": subject} if subject else {}
    return {"content": json.dumps({**RECORDING, **named}).encode() + b"\n", "headers": NDJSON}


def _raw(**headers: str) -> Request:
    return {"content": json.dumps(RECORDING).encode(), "headers": headers}


def _observation(subject: str) -> dict[str, Any]:
    """The recording as SampledData."""
    start = {"start": RECORDING["start"], "_start": {"extension": [ZONE]}}
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "activity"},
        "subject": {"reference": f"Patient/{subject}"},
        "effectivePeriod": start,
        "valueSampledData": {
            "origin": {"value": 0, "unit": "counts"},
            "period": 60_000,
            "dimensions": 1,
            "data": "12 0 E 431",
        },
    }


def _viewed(subject: str) -> dict[str, Any]:
    """A call of the CDS Hooks service about a patient whose data were not prefetched."""
    context = {"userId": "Practitioner/1", "patientId": subject}
    return {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": context,
    }


WITHOUT_SUBJECT: Mapping[tuple[str, str], Request] = {
    ("POST", "/analyze"): {"json": RECORDING},
    ("POST", "/explain"): {"json": RECORDING},
    ("POST", "/embed"): {"json": {"weeks": [[0.0] * 18], "standardized": True}},
    ("POST", "/v1/embed"): {"content": bytes(4 * 18), "headers": READY},
    ("POST", "/v1/recordings:report"): _raw(),
    ("POST", "/v1/audit:search"): {"json": {"uid": "user-7", "limit": 3}},
    ("GET", "/v1/emergencies"): {},
    ("GET", "/v1/status"): {},
    ("GET", "/v1/deliveries/{id}"): {},  # of nobody
    ("POST", "/v1/research-codes:resolve"): {"json": {"project": "sleep", "code": "0" * 32}},  # of nobody
    ("POST", "/v1/jobs"): _lines(),
    ("GET", "/v1/jobs/{id}"): {},
    ("GET", "/v1/jobs/{id}/result"): {},
    ("DELETE", "/v1/jobs/{id}"): {},
    ("GET", "/fhir/jobs/{id}"): {},
    ("DELETE", "/fhir/jobs/{id}"): {},
    ("GET", "/schema.json"): {},
    ("GET", "/openapi.json"): {},
}
OF_A_SUBJECT: Mapping[tuple[str, str], Callable[[str], Request]] = {
    ("POST", "/analyze_fhir"): lambda subject: {"json": {**RECORDING, "subject": f"Patient/{subject}"}},
    ("POST", "/v1/recordings:analyze"): lambda subject: _raw(
        **FHIR, **{"X-PAT-Subject": f"Patient/{subject}"}
    ),
    ("POST", "/fhir/$analyze"): lambda subject: {"json": _observation(subject)},
    ("POST", "/cds-services/pat-activity"): lambda subject: {"json": _viewed(subject)},
    ("POST", "/v1/recordings:deidentify"): lambda subject: {"json": {**RECORDING, "subject": subject}},
    ("POST", "/v1/subjects:analyze"): lambda subject: {"json": {"subject": subject, **PERIOD}},
    ("POST", "/v1/subjects:delete"): lambda subject: {"json": {"subject": subject}},
    ("POST", "/v1/subjects:export"): lambda subject: {"json": {"subject": subject}},
    ("POST", "/v1/subjects:disclosures"): lambda subject: {"json": {"subject": subject}},
    ("POST", "/v1/care:begin"): lambda subject: {"json": {"subject": subject, "uid": "user-7"}},
    ("POST", "/v1/care:end"): lambda subject: {"json": {"subject": subject, "uid": "user-7"}},
    ("POST", "/v1/emergencies"): lambda subject: {"json": {"subject": subject, "reason": REASON}},
}


def good(route: tuple[str, str], subject: str = "") -> Request:
    """A request that the route answers with 200 for who may."""
    return WITHOUT_SUBJECT[route] if route in WITHOUT_SUBJECT else OF_A_SUBJECT[route](subject or "p-any")


def sent(route: tuple[str, str], subject: str = "", **headers: str) -> Request:
    """The same with more headers, as options of ``httpx.Client.request``."""
    options = good(route, subject)
    return {**options, "headers": {**options.get("headers", {}), **headers}}
