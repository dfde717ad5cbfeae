"""The example week as FHIR clients send it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from tests.shared import ROOT

Json = dict[str, Any]
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
ZONE = "http://hl7.org/fhir/StructureDefinition/tz-code"
SUBJECT = "Patient/example"


def week() -> Json:
    """The example week in canonical JSON."""
    read: Json = json.loads((ROOT / "examples" / "week.json").read_text())
    return read


def series(subject: str | None = SUBJECT) -> Json:
    """The example week as one Observation with SampledData."""
    held = week()
    made = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "activity counts"},
        "effectivePeriod": {
            "start": held["start"],
            "_start": {"extension": [{"url": ZONE, "valueCode": held["zone"]}]},
        },
        "valueSampledData": {
            "origin": {"value": 0, "unit": "counts"},
            "period": 60_000,
            "dimensions": 1,
            "data": " ".join("E" if value is None else str(value) for value in held["values"]),
        },
    }
    return made | ({"subject": {"reference": subject}} if subject else {})


def bundled(*resources: Json, kind: str = "collection") -> Json:
    return {"resourceType": "Bundle", "type": kind, "entry": [{"resource": one} for one in resources]}


def parameters(*given: Json) -> Json:
    """Parameters with the example week, its device and what else is ``given``."""
    held = week()
    known = [
        {"name": "observation", "resource": series()},
        {"name": "unit", "valueCode": held["unit"]},
        {"name": "device", "valueCode": held["device"]},
        {"name": "wear-site", "valueCode": held["wear_site"]},
    ]
    return {"resourceType": "Parameters", "parameter": [*known, *given]}


def steps(days: int = 2, subject: str = SUBJECT) -> list[Json]:
    """Steps as HealthKitOnFHIR writes them: an Observation for each five minutes of the waking day."""
    begin = datetime.fromisoformat("2026-03-02T07:00:00+01:00")
    starts = (begin + timedelta(days=day, minutes=5 * k) for day in range(days) for k in range(192))
    return [_steps(start, 40 + index % 90, subject) for index, start in enumerate(starts)]


def _steps(start: datetime, count: int, subject: str) -> Json:
    apple = "http://developer.apple.com/documentation/healthkit"
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {
            "coding": [
                {"system": LOINC, "code": "55423-8"},
                {"system": apple, "code": "HKQuantityTypeIdentifierStepCount"},
            ]
        },
        "subject": {"reference": subject},
        "effectivePeriod": {"start": start.isoformat(), "end": (start + timedelta(minutes=5)).isoformat()},
        "valueQuantity": {"value": count, "unit": "steps"},
    }
