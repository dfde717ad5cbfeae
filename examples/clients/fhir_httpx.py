"""Analyse a recording as a FHIR client does: POST /fhir/$analyze with httpx. fhir_httpx.py [URL [FILE]].

ACCESS_TOKEN in the environment is sent along, for a service that identifies its callers.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

import httpx

WEEK = Path(__file__).resolve().parents[1] / "week.json"
FHIR_JSON = "application/fhir+json"
ZONE = "http://hl7.org/fhir/StructureDefinition/tz-code"


def main(url: str = "http://127.0.0.1:3000", file: str = str(WEEK)) -> int:
    """Send the recording as SampledData, print the Observations that come back."""
    token = os.environ.get("ACCESS_TOKEN", "")
    headers = {
        "Content-Type": FHIR_JSON,
        "Accept": FHIR_JSON,
        "Idempotency-Key": str(uuid.uuid4()),  # the same call sent again has the same answer
        **({"Authorization": f"Bearer {token}"} if token else {}),
    }
    body = json.dumps(parameters(json.loads(Path(file).read_text())))
    answer = httpx.post(f"{url}/fhir/$analyze", content=body, headers=headers, timeout=60)
    if answer.is_error:
        print(answer.status_code, refusal(answer.json()), file=sys.stderr)
        return 1
    for entry in answer.json()["entry"]:
        if entry["resource"]["resourceType"] == "Observation":
            print(*said(entry["resource"]))
    return 0


def parameters(recording: dict[str, Any]) -> dict[str, Any]:
    """Return the Parameters of ``$analyze`` for a recording in canonical JSON with a start."""
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "activity"},
        "effectivePeriod": {
            "start": recording["start"],
            "_start": {"extension": [{"url": ZONE, "valueCode": recording["zone"]}]},
        },
        "valueSampledData": {
            "origin": {"value": 0, "unit": "counts"},
            "period": recording["epoch_seconds"] * 1000,
            "dimensions": 1,
            "data": " ".join("E" if value is None else str(value) for value in recording["values"]),
        },
    }
    given = {"unit": recording["unit"], "device": recording["device"], "wear-site": recording["wear_site"]}
    stated = [{"name": name, "valueCode": value} for name, value in given.items()]
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": "observation", "resource": observation}, *stated],
    }


def said(observation: dict[str, Any]) -> tuple[str, ...]:
    """Return what an Observation is of, and its value or why there is none."""
    name = observation["code"].get("text") or observation["code"]["coding"][0]["code"]
    if "valueQuantity" in observation:
        return name, str(observation["valueQuantity"]["value"]), observation["valueQuantity"].get("unit", "")
    if "valueTime" in observation:
        return name, observation["valueTime"]
    if "dataAbsentReason" in observation:
        return name, "absent:", observation["dataAbsentReason"]["text"]
    return (
        name,
        f"({len(observation['component'])} components)" if "component" in observation else "(a series)",
    )


def refusal(outcome: dict[str, Any]) -> str:
    """Return what an OperationOutcome says, with where in the request."""
    return "; ".join(
        " ".join([issue["details"]["text"], *issue.get("expression", []), issue.get("diagnostics", "")])
        for issue in outcome["issue"]
    )


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
