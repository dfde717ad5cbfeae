"""CDS Hooks 2.0: one ``patient-view`` service that sums up the activity data it is handed; information only.

It reads what the client prefetched and nothing else: no server of the client's is ever called.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import ConfigDict, Field
from starlette.responses import JSONResponse, Response

from api.access import current_access
from api.desk import Desk
from api.problems import answer
from api.subjects import Strict
from api.v1 import desk
from pat_runner.account import AnalyzeOptions
from postprocessing.card import card, refused_card
from preprocessing.readers import read_fhir
from preprocessing.readers.fhir_json import Sent
from preprocessing.recording import RecordingError, Refusal
from serving import request_telemetry

__all__ = ["SERVICE", "router"]

SERVICE = "pat-activity"
_STEPS = ("http://loinc.org|55423-8", "http://loinc.org|66334-4")
_SERIES = ("activity-counts", "activity-mims", "activity-enmo", "activity-steps")
_KEYS = ("activity", "steps")  # of prefetch; the first that holds anything is read
_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9\-.]{1,64}$")]
_Text = Annotated[str, Field(max_length=2048)]
_EXAMPLE: dict[str, Any] = {
    "hook": "patient-view",
    "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
    "context": {"userId": "Practitioner/1", "patientId": "example"},
}

router = APIRouter(tags=["CDS Hooks"])


class PatientView(Strict):
    """The context of the hook ``patient-view`` 1.0."""

    userId: _Text  # noqa: N815  # the names are the standard's
    patientId: _Id  # noqa: N815
    encounterId: _Text | None = None  # noqa: N815


class HookRequest(Strict):
    """A call of the service; server and authorization of the client are not used."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    hook: Literal["patient-view"]
    hookInstance: _Text  # noqa: N815
    context: PatientView
    fhirServer: _Text | None = None  # noqa: N815
    fhirAuthorization: dict[str, Any] | None = None  # noqa: N815
    prefetch: dict[str, Any] = Field(default_factory=dict)
    extension: dict[str, Any] | None = None


@router.get("/cds-services", summary="The CDS Hooks services")
async def read_services(at: Annotated[Desk, Depends(desk)]) -> dict[str, Any]:
    """Return the one service there is, and what it wants prefetched."""
    system = f"{at.settings.fhir_canonical_base}/CodeSystem/pat-actigraphy"
    codes = (",".join(f"{system}|{code}" for code in _SERIES), ",".join(_STEPS))
    search = "Observation?patient={{context.patientId}}&code="
    service = {
        "hook": "patient-view",
        "id": SERVICE,
        "title": "Sleep and activity from wearable data",
        "description": "Sums up sleep, rhythm and activity of prefetched Observations. Information only.",
        "prefetch": {key: f"{search}{code}" for key, code in zip(_KEYS, codes, strict=True)},
    }
    return {"services": [service]}


@router.post(f"/cds-services/{SERVICE}", summary="Sum up activity data")
async def view_patient(body: HookRequest, at: Annotated[Desk, Depends(desk)]) -> Response:
    """Answer with one card about the prefetched recording, or with none where nothing was prefetched."""
    return await answer(_viewed(at, body))


async def _viewed(at: Desk, asked: HookRequest) -> Response:
    patient = asked.context.patientId
    if access := current_access():
        await access.about(f"Patient/{patient}")
    held = next((value for key in _KEYS if _holds(value := asked.prefetch.get(key))), None)
    return JSONResponse({"cards": [] if held is None else [await _card(at, held, patient)]})


def _holds(prefetched: Any) -> bool:
    """Whether anything was found: a Bundle with entries, or an Observation."""
    if not isinstance(prefetched, dict):
        return False
    return prefetched.get("resourceType") == "Observation" or bool(prefetched.get("entry"))


async def _card(at: Desk, held: dict[str, Any], patient: str) -> dict[str, Any]:
    source = at.settings.organization
    try:
        sent = await asyncio.to_thread(read_fhir, held)
    except RecordingError as error:
        request_telemetry.of_process().refused(422, error.code)  # the answer is a card all the same
        return refused_card(str(error), source)
    _check_patient(sent, patient)
    analysis = await at.analyze(sent.recording, AnalyzeOptions())
    return card(analysis, source)


def _check_patient(sent: Sent, patient: str) -> None:
    """Refuse data that are another's, or do not say whose they are."""
    reference = sent.subject.reference or ""
    if reference != f"Patient/{patient}" and not reference.endswith(f"/Patient/{patient}"):
        detail = "expected Observations whose subject is the patient of the context; send those"
        raise RecordingError(Refusal.INVALID_FIELD, detail, where="prefetch")
