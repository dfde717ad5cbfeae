"""The two devices of a result: the wearable that measured, and the AI software that encoded."""

from __future__ import annotations

from postprocessing.analysis import ModelProvenance
from postprocessing.fhir.codes import TERMINOLOGY, WEARABLES, coding
from postprocessing.fhir.frame import Frame, Resource
from preprocessing.recording import Recording
from preprocessing.units import Device, WearSite

__all__ = ["AI", "WEARABLE", "ai_device", "wearable"]

WEARABLE, AI = "device/wearable", "device/ai"  # keys
_AI_TYPE = {
    "system": "http://hl7.org/fhir/uv/aitransparency/CodeSystem/AIdeviceTypeCS",
    "code": "Artificial-Intelligence",
}


def wearable(frame: Frame, recording: Recording) -> Resource:
    """Return the Device that recorded; its serial number is the identifier where the recording states one."""
    known = WEARABLES[Device(recording.device)]
    resource: Resource = {
        "resourceType": "Device",
        "identifier": _wearable_identifier(frame, recording.serial),
    }
    if known.manufacturer:
        resource["manufacturer"] = known.manufacturer
    if known.model:
        resource["deviceName"] = [{"name": known.model, "type": "model-name"}]
    return resource | {"type": {"text": _worn_at(recording.wear_site)}}


def _wearable_identifier(frame: Frame, serial: str | None) -> list[Resource]:
    if serial is None or not serial.strip():
        return frame.identifier(WEARABLE)
    kind = coding(f"{TERMINOLOGY}/v2-0203", "SNO", "Serial Number")
    system = f"{frame.base}/NamingSystem/device-serial"
    return [{"type": {"coding": [kind]}, "system": system, "value": serial.strip()}]


def _worn_at(site: WearSite) -> str:
    return "Activity monitor" if site is WearSite.UNKNOWN else f"Activity monitor worn at the {site.value}"


def ai_device(frame: Frame, model: ModelProvenance) -> Resource:
    """Return the PAT encoder as Device: tag, weights digest and pipeline version."""
    name, _, version = model.checkpoint.partition(":")
    versions = {
        "model": version or name,
        "weights-sha256": model.sha256,
        "pipeline": frame.analysis.provenance.pipeline,
        "engine": model.engine,
        "precision": model.precision,
    }
    return {
        "resourceType": "Device",
        "identifier": [
            {"system": f"{frame.base}/NamingSystem/model", "value": f"{name}@{version or model.sha256}"}
        ],
        "status": "active",
        "deviceName": [{"name": name, "type": "model-name"}],
        "modelNumber": model.architecture,
        "type": {"coding": [_AI_TYPE], "text": "AI model"},
        "version": [{"type": {"text": kind}, "value": value} for kind, value in versions.items() if value],
        "note": [{"text": f"Source: {model.source}. Licence: {model.licence}. {_scaling(model)}"}],
    }


def _scaling(model: ModelProvenance) -> str:
    if model.scaling_cohort is None:
        return "It has no cohort standardisation of its own."
    return f"Standardised with the cohort {model.scaling_cohort}."
