"""Hints: what a caller knows about a file that its format may not say.

A hint supplies what a format lacks. A hint that contradicts the file is refused, because one of the two is
wrong and only the caller can say which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TypeVar

from preprocessing.calendar import zone_of
from preprocessing.recording import RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite

__all__ = [
    "NO_HINTS",
    "Format",
    "Hints",
    "device_of",
    "epoch_of",
    "hints_of",
    "settle",
    "settle_device",
    "settle_wear_site",
    "unit_of",
    "wear_site_of",
]

T = TypeVar("T")
_Choice = TypeVar("_Choice", bound=StrEnum)


class Format(StrEnum):
    """Names of the formats, as ``Recording.source_format`` and the ``format`` hint spell them."""

    CANONICAL_JSON = "canonical-json"
    CANONICAL_CSV = "canonical-csv"
    AWD = "awd"
    COHORT_CSV = "cohort-csv"
    ACTIWARE = "actiware"
    MOTIONWATCH = "motionwatch-mtn"
    ACTTRUST = "acttrust"
    TEMPATILUMI = "tempatilumi"
    AGD = "agd"
    ACTILIFE_CSV = "actilife-csv"
    EPOCH_CSV = "epoch-csv"
    BIOBANK_TIMESERIES = "biobank-timeseries"


@dataclass(frozen=True)
class Hints:
    """What the caller adds; None = says nothing. ``zone`` is an IANA name or a fixed offset."""

    unit: Unit | None = None
    device: Device | None = None
    wear_site: WearSite | None = None
    zone: str | None = None
    epoch_seconds: int | None = None
    format: Format | None = None

    def __post_init__(self) -> None:
        if self.zone is not None:
            zone_of(self.zone)


NO_HINTS = Hints()


def hints_of(texts: Mapping[str, str]) -> Hints:
    """Read hints given as text (HTTP headers, command line) by the names of ``Hints``'s fields.

    Raises RecordingError for an unknown name or value.
    """
    unknown = len(texts.keys() - {field.name for field in fields(Hints)})
    if unknown:
        names = ", ".join(field.name for field in fields(Hints))
        raise RecordingError(Refusal.INVALID_FIELD, f"expected hints among {names}, found {unknown} other")
    return Hints(
        unit=unit_of(texts["unit"]) if "unit" in texts else None,
        device=device_of(texts["device"]) if "device" in texts else None,
        wear_site=wear_site_of(texts["wear_site"]) if "wear_site" in texts else None,
        zone=texts.get("zone"),
        epoch_seconds=epoch_of(texts["epoch_seconds"]) if "epoch_seconds" in texts else None,
        format=_choice(Format, texts["format"], "format") if "format" in texts else None,
    )


def unit_of(name: str) -> Unit:
    """Return the unit called ``name``; RecordingError ``unknown_unit`` otherwise."""
    return _choice(Unit, name, "unit", Refusal.UNKNOWN_UNIT)


def device_of(name: str) -> Device:
    """Return the device family called ``name``; RecordingError ``invalid_field`` otherwise."""
    return _choice(Device, name, "device")


def wear_site_of(name: str) -> WearSite:
    """Return the wear site called ``name``; RecordingError ``invalid_field`` otherwise."""
    return _choice(WearSite, name, "wear_site")


def epoch_of(text: str) -> int:
    """Return the epoch length in seconds written in ``text``; RecordingError otherwise."""
    if text.isascii() and text.isdigit() and len(text) <= 6:
        return int(text)
    raise RecordingError(
        Refusal.NO_EPOCH_INFORMATION,
        "expected epoch_seconds as a whole number of seconds such as 60",
        where="epoch_seconds",
    )


def settle(name: str, stated: T | None, hint: T | None) -> T | None:
    """Return what the file states, else the hint; RecordingError ``invalid_field`` where they differ."""
    if stated is None or hint is None or stated == hint:
        return hint if stated is None else stated
    raise RecordingError(
        Refusal.INVALID_FIELD,
        f"expected the hint for {name} to agree with the file, found a contradiction; drop the wrong one",
        where=name,
    )


def settle_device(stated: Device, hints: Hints) -> Device:
    """``settle`` for the device family; ``unknown`` states nothing."""
    return settle("device", None if stated is Device.UNKNOWN else stated, hints.device) or Device.UNKNOWN


def settle_wear_site(stated: WearSite, hints: Hints) -> WearSite:
    """``settle`` for the wear site; ``unknown`` states nothing."""
    return (
        settle("wear_site", None if stated is WearSite.UNKNOWN else stated, hints.wear_site)
        or WearSite.UNKNOWN
    )


def _choice(kind: type[_Choice], name: str, where: str, refusal: Refusal = Refusal.INVALID_FIELD) -> _Choice:
    try:
        return kind(name)
    except ValueError:
        known = ", ".join(kind)
        raise RecordingError(refusal, f"expected {where} to be one of {known}", where=where) from None
