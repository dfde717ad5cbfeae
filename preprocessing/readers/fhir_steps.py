"""Steps in FHIR: one Observation for each span, as HealthKitOnFHIR and step counters write them.

HealthKitOnFHIR (Stanford, MIT licence) writes the sample's metadata, device and source as extensions; of
these the zone, the kind of device and whether a person typed the number are read.
"""

from __future__ import annotations

from collections.abc import Mapping

from preprocessing.calendar import zone_of
from preprocessing.merging import Source
from preprocessing.readers.amounts import Amount
from preprocessing.readers.aware_times import is_naive
from preprocessing.readers.events import kind_of_source
from preprocessing.readers.fhir_resources import (
    LOINC,
    Resource,
    codings,
    device_words,
    effective,
    zone_stated,
)
from preprocessing.recording import RecordingError, Refusal

__all__ = ["amount_of", "is_steps"]

_HEALTHKIT = "http://developer.apple.com/documentation/healthkit"
_STEPS = {
    (LOINC, "55423-8"),  # Number of steps in unspecified time Pedometer
    (LOINC, "66334-4"),  # Steps taken
    (_HEALTHKIT, "HKQuantityTypeIdentifierStepCount"),
}
_DAILY = (LOINC, "41950-7")  # Number of steps in 24 hour Measured
_UNITS = frozenset({"steps", "step", "{steps}", "{step}", "count", "counts", "{count}", "{counts}", "1"})
_EXTENSIONS = "https://bdh.stanford.edu/fhir/defs/"  # of HealthKitOnFHIR
_METADATA, _DEVICE, _REVISION = (
    f"{_EXTENSIONS}{name}" for name in ("metadata", "sourceDevice", "sourceRevision")
)


def is_steps(observation: Resource) -> bool:
    """Whether its code says steps, of a span or of a day."""
    return not codings(observation).isdisjoint({*_STEPS, _DAILY})


def amount_of(observation: Resource, devices: Mapping[str, Resource]) -> Amount | Refusal:
    """Read the steps of one Observation, or tell what sets it aside."""
    quantity = observation.part("valueQuantity")
    start, end = effective(observation)
    if quantity.get("value") is None or quantity.text("comparator") is not None:
        return Refusal.NO_SAMPLES
    if (quantity.text("code") or quantity.text("unit") or "steps").lower() not in _UNITS:
        return Refusal.UNKNOWN_UNIT
    if start is not None and end is None and observation.get("effectivePeriod") is None:
        end = start  # a point in time
    if start is None or end is None:
        return Refusal.NO_EPOCH_INFORMATION
    if _DAILY in codings(observation) or (is_naive(start) and len(start) <= len("2024-03-31")):
        return Refusal.RESOLUTION_TOO_COARSE
    return Amount(
        observation.place,
        quantity.amount("value"),
        start,
        end,
        source=_source(observation, devices),
        key=_key(observation),
        clock=zone_stated(observation) or _sample_zone(observation),
    )


def _key(observation: Resource) -> str | None:
    """What copies share: a business identifier, else the id of the resource."""
    held = observation.items("identifier")
    named = [f"{one.text('system') or ''}|{one.text('value')}" for one in held if one.get("value")]
    return min(named, default=None) or observation.text("id")


def _detail(observation: Resource, group: str, name: str) -> Resource:
    """Extension ``name`` within HealthKitOnFHIR's extension ``group``."""
    groups = (item for item in observation.items("extension") if item.get("url") == group)
    held = (item for outer in groups for item in outer.items("extension"))
    return next((item for item in held if item.get("url") == f"{group}/{name}"), Resource({}))


def _sample_zone(observation: Resource) -> str | None:
    """Zone in which the sample was taken, where HealthKit knew it by an IANA name."""
    name = _detail(observation, _METADATA, "HKTimeZone").text("valueString")
    try:
        return None if name is None or zone_of(name) is None else name
    except RecordingError:
        return None


def _source(observation: Resource, devices: Mapping[str, Resource]) -> Source:
    """Kind of device, by model and type only: what people call their devices is not kept."""
    typed_in = _detail(observation, _METADATA, "HKWasUserEntered")
    if typed_in.get("valueBoolean") is True or typed_in.get("valueDecimal") == 1:
        return Source.MANUAL
    words = (
        _detail(observation, _DEVICE, "model").text("valueString"),
        _detail(observation, _REVISION, "productType").text("valueString"),
        device_words(observation, devices),
        observation.part("device").text("display"),
    )
    return kind_of_source(*words)
