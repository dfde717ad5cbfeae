"""A small transaction, as the service sends them: identifiers on its resources, references by urn:uuid."""

from __future__ import annotations

import json
import uuid
from typing import Any

SYSTEM = "https://pat-service.invalid/fhir/NamingSystem/result"
LOINC = "http://loinc.org"


def transaction(name: str = "one", subject: str = "Patient/123") -> bytes:
    """A transaction of an Observation (total sleep time) and its DiagnosticReport."""
    observed = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}"
    code = {"coding": [{"system": LOINC, "code": "93832-4", "display": "Sleep duration"}]}
    observation = {
        "resourceType": "Observation",
        "identifier": [{"system": SYSTEM, "value": f"{name}/sleep"}],
        "status": "preliminary",
        "code": code,
        "subject": {"reference": subject},
        "valueQuantity": {"value": 412, "unit": "min", "system": "http://unitsofmeasure.org", "code": "min"},
    }
    report = {
        "resourceType": "DiagnosticReport",
        "identifier": [{"system": SYSTEM, "value": f"{name}/report"}],
        "status": "preliminary",
        "code": {"text": "Actigraphy report"},
        "subject": {"reference": subject},
        "result": [{"reference": observed}],
    }
    entry = [
        _entry(observed, observation),
        _entry(f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name + 'r')}", report),
    ]
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entry}).encode()


def _entry(url: str, resource: dict[str, Any]) -> dict[str, Any]:
    return {
        "fullUrl": url,
        "resource": resource,
        "request": {"method": "POST", "url": resource["resourceType"]},
    }
