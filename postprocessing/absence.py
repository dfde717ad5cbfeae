"""Why a number is absent: the closed list of reasons, each with a sentence and its FHIR code."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

__all__ = ["Absence", "Reason", "absent", "fhir_reason"]


class Reason(StrEnum):
    """Machine-readable reason codes; part of the public contract ``pat-analysis/1``."""

    UNIT_NOT_SUPPORTED = "unit_not_supported"
    DEVICE_SCALING_UNKNOWN = "device_scaling_unknown"
    NEEDS_RAW_ACCELERATION = "needs_raw_acceleration"
    NEEDS_OVERNIGHT_WEAR = "needs_overnight_wear"
    TOO_FEW_VALID_NIGHTS = "too_few_valid_nights"
    TOO_FEW_VALID_DAYS = "too_few_valid_days"
    TOO_MUCH_MISSING = "too_much_missing"
    WEEKDAY_UNKNOWN = "weekday_unknown"
    NONWEAR_NOT_ASSESSABLE = "nonwear_not_assessable"
    INSUFFICIENT_DATA = "insufficient_data"
    NO_SLEEP_LOG = "no_sleep_log"
    NO_HEAD = "no_head"
    HEAD_NOT_APPLICABLE = "head_not_applicable"
    ZONE_CHANGED = "zone_changed"
    NOT_UNIQUE = "not_unique"
    NOT_REQUESTED = "not_requested"


@dataclass(frozen=True)
class _Meaning:
    sentence: str
    fhir: str  # code of http://terminology.hl7.org/CodeSystem/data-absent-reason


_MEANINGS: dict[Reason, _Meaning] = {
    Reason.UNIT_NOT_SUPPORTED: _Meaning("No published algorithm exists for this unit.", "unsupported"),
    Reason.DEVICE_SCALING_UNKNOWN: _Meaning(
        "The algorithm's thresholds belong to a device family, and this device is not stated.", "unsupported"
    ),
    Reason.NEEDS_RAW_ACCELERATION: _Meaning(
        "The algorithm needs raw tri-axial acceleration, not epoch summaries.", "unsupported"
    ),
    Reason.NEEDS_OVERNIGHT_WEAR: _Meaning(
        "The device was worn where it is taken off at night, so the nights were not recorded.",
        "not-performed",
    ),
    Reason.TOO_FEW_VALID_NIGHTS: _Meaning("Too few nights are recorded well enough.", "not-performed"),
    Reason.TOO_FEW_VALID_DAYS: _Meaning("Too few days are recorded well enough.", "not-performed"),
    Reason.TOO_MUCH_MISSING: _Meaning("Too much of the time needed was not recorded or not worn.", "unknown"),
    Reason.WEEKDAY_UNKNOWN: _Meaning("The recording does not say which weekday it is.", "unknown"),
    Reason.NONWEAR_NOT_ASSESSABLE: _Meaning(
        "The device never reports zero, so non-wear cannot be seen.", "unknown"
    ),
    Reason.INSUFFICIENT_DATA: _Meaning("The recording does not hold what the metric needs.", "not-performed"),
    Reason.NO_SLEEP_LOG: _Meaning(
        "It needs the time of going to bed from a sleep log; movement alone does not show it.", "not-asked"
    ),
    Reason.NO_HEAD: _Meaning("No trained head is installed for it.", "not-performed"),
    Reason.HEAD_NOT_APPLICABLE: _Meaning(
        "The installed head was not trained on recordings like this.", "unsupported"
    ),
    Reason.ZONE_CHANGED: _Meaning(
        "The recording spans time zones, so clock time is not comparable.", "unknown"
    ),
    Reason.NOT_UNIQUE: _Meaning(
        "Several times of day fit equally well, so none is reported.", "not-applicable"
    ),
    Reason.NOT_REQUESTED: _Meaning("The request left it out.", "not-asked"),
}


class Absence(BaseModel):
    """Why a value is not there: a code for machines and a sentence for people."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    reason: Reason
    """The code."""
    detail: str
    """The reason in words, with what this recording lacks; never a health value."""


def absent(reason: Reason | str, detail: str = "") -> Absence:
    """Build an Absence; ``detail`` adds what this recording lacks (counts and durations, never values)."""
    reason = Reason(reason)
    sentence = _MEANINGS[reason].sentence
    return Absence(reason=reason, detail=f"{sentence} {detail}".strip())


def fhir_reason(reason: Reason) -> str:
    """Return the FHIR data-absent-reason code for ``reason``."""
    return _MEANINGS[reason].fhir
