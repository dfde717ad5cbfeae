"""FHIR resources as plain JSON: which Observations a document holds, and what their common elements say.

HL7 FHIR R4 and R5. A modifier that this reader does not know may turn the meaning of a resource round, so a
used resource with a ``modifierExtension`` or ``implicitRules`` is refused (FHIR, Extensibility). Patients,
performers, names and notes are never read; the subject is compared, not kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from preprocessing.readers.json_document import Fields as Resource
from preprocessing.readers.pieces import check_person
from preprocessing.recording import RecordingError, Refusal

__all__ = [
    "LOINC",
    "UCUM",
    "Collected",
    "Resource",
    "Subject",
    "codings",
    "collected",
    "device_words",
    "effective",
    "is_usable",
    "refuse_modified",
    "subject_of",
    "zone_stated",
]

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
_ZONES = (  # R4, and its name since R5
    "http://hl7.org/fhir/StructureDefinition/tz-code",
    "http://hl7.org/fhir/StructureDefinition/timezone",
)
_BUNDLES = ("collection", "searchset", "transaction", "batch", "document")
_RESOURCES_IN = {"observation": "Observation", "bundle": "Bundle"}  # parameters of $analyze that hold data
_TOPS = ("Observation", "Bundle", "Parameters")
_USABLE = ("final", "amended", "corrected", "preliminary")
_UNUSABLE = ("registered", "cancelled", "entered-in-error", "unknown")
_MODIFIERS = ("modifierExtension", "implicitRules")
_TIMES = ("effectiveDateTime", "effectivePeriod", "effectiveInstant", "effectiveTiming")


@dataclass(frozen=True)
class Collected:
    """Observations of a document, and its Devices by the references that may mean them."""

    observations: list[Resource] = field(default_factory=list)
    devices: dict[str, Resource] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """Whose data they say they are, as written: a reference, or the system and value of an identifier."""

    reference: str | None = None
    identifier: tuple[str, str] | None = None


def collected(document: Mapping[str, Any], options: Collection[str] = ()) -> Collected:
    """Gather the Observations of an Observation, a Bundle, or the Parameters of an operation around them.

    ``options`` are parameters that say what to do with the data; who calls reads them. Raises RecordingError
    ``invalid_field`` for a Bundle of another type or an unknown parameter.
    """
    found = Collected()
    kind = document.get("resourceType")
    top = Resource(document, kind if kind in _TOPS else "resource")
    for full_url, resource in _resources(top, options):
        kind = resource.get("resourceType")
        if kind == "Observation":
            found.observations.append(resource)
        elif kind == "Device":
            names = (full_url, f"Device/{resource.text('id')}")
            found.devices.update({name: resource for name in names if name})
    return found


def _resources(document: Resource, options: Collection[str]) -> Iterable[tuple[str | None, Resource]]:
    """Each resource with its full URL, if it has one."""
    tops = _parameters(document, options) if document.get("resourceType") == "Parameters" else [document]
    for top in tops:
        if top.get("resourceType") != "Bundle":
            yield None, top
            continue
        if top.get("type") not in _BUNDLES:
            raise top.wrong("type", f"one of {', '.join(_BUNDLES)}")
        refuse_modified(top, "entry")
        for entry in top.items("entry"):
            refuse_modified(entry, "resource")
            yield entry.text("fullUrl"), entry.part("resource")


def _parameters(document: Resource, options: Collection[str]) -> list[Resource]:
    refuse_modified(document, "parameter")
    held = []
    for parameter in document.items("parameter"):
        refuse_modified(parameter, "resource")
        name = parameter.text("name")
        if name in options:
            continue
        resource = parameter.part("resource")
        if name not in _RESOURCES_IN or resource.get("resourceType") != _RESOURCES_IN[name]:
            beside = f", beside {', '.join(options)}," if options else " alone"
            raise parameter.wrong(
                "name", f"the parameters observation (an Observation) and bundle (a Bundle){beside}"
            )
        held.append(resource)
    return held


def refuse_modified(resource: Resource, *apart: str) -> None:
    """Refuse a modifier anywhere in ``resource``, except in its elements ``apart``."""
    heap: list[Any] = [value for name, value in resource.held.items() if name not in apart]
    found = any(name in resource for name in _MODIFIERS)
    while heap and not found:
        value = heap.pop()
        if isinstance(value, dict):
            found = any(name in value for name in _MODIFIERS)
            heap.extend(value.values())
        elif isinstance(value, list):
            heap.extend(value)
    if found:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected resources without modifierExtension and implicitRules, because they may change what a "
            "value means; leave out the resources that have them",
            where="modifierExtension",
        )


def is_usable(observation: Resource) -> bool:
    """Whether its status lets a value be used; RecordingError ``invalid_field`` for no status of FHIR's."""
    status = observation.get("status")
    if status not in (*_USABLE, *_UNUSABLE):
        raise observation.wrong("status", f"one such as {_USABLE[0]}")
    return status in _USABLE


def subject_of(observations: Iterable[Resource]) -> Subject:
    """Whose they are; several subjects are refused, for they are not one person's recording."""
    found = {subject for one in observations if (subject := _subject(one)) != Subject()}
    check_person((f"{one.reference} {one.identifier}" for one in found), "Observation.subject")
    return found.pop() if found else Subject()


def _subject(observation: Resource) -> Subject:
    subject = observation.part("subject")
    if (reference := subject.text("reference")) is not None:
        return Subject(reference)
    identifier = subject.part("identifier")
    value = identifier.text("value")
    return Subject() if value is None else Subject(identifier=(identifier.text("system") or "", value))


def codings(observation: Resource) -> set[tuple[str | None, str | None]]:
    """System and code of each coding of ``Observation.code``."""
    held = observation.part("code").items("coding")
    return {(coding.text("system"), coding.text("code")) for coding in held}


def effective(observation: Resource) -> tuple[str | None, str | None]:
    """When it was measured, as written: start and end of the Period, or one time and None.

    Raises RecordingError ``invalid_field`` for several times or a Timing.
    """
    given = [name for name in _TIMES if observation.get(name) is not None]
    if len(given) > 1 or "effectiveTiming" in given:
        raise observation.wrong("effective", "one DateTime, Period or Instant")
    if given == ["effectivePeriod"]:
        period = observation.part("effectivePeriod")
        return period.text("start"), period.text("end")
    return (observation.text(given[0]) if given else None), None


def zone_stated(observation: Resource) -> str | None:
    """IANA zone in the extension for it: of the time, of the start of the Period, or of the Observation."""
    period = observation.part("effectivePeriod")
    places = [observation.part(f"_{name}") for name in ("effectiveDateTime", "effectiveInstant")]
    held = (
        item
        for place in (period.part("_start"), period, *places, observation)
        for item in place.items("extension")
    )
    zones = (item.text("valueCode") for item in held if item.get("url") in _ZONES)
    return next((zone for zone in zones if zone is not None), None)


def device_words(observation: Resource, devices: Mapping[str, Resource]) -> str:
    """Manufacturer and model of the Device that it refers to, if that is in the document; no other names."""
    reference = observation.part("device").text("reference") or ""
    contained = {f"#{held.text('id')}": held for held in observation.items("contained")}
    device = contained.get(reference) or devices.get(reference) or Resource({})
    if device.get("resourceType") != "Device":
        return ""
    refuse_modified(device)
    names = [
        name.text("name") if "name" in name else name.text("value")  # R4 deviceName.name, R5 name.value
        for name in (*device.items("deviceName"), *device.items("name"))
        if name.get("type") in ("model-name", "manufacturer-name", "registered-name")
    ]
    words = (device.text("manufacturer"), device.text("modelNumber"), *names)
    return " ".join(word for word in words if word)
