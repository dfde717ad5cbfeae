"""Hints: what a caller knows about a file that its format may not say.

A hint supplies what a format lacks. A hint that contradicts the file is refused, because one of the two is
wrong and only the caller can say which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from enum import StrEnum
from typing import Any, TypeVar

from preprocessing.calendar import zone_of
from preprocessing.merging import Source
from preprocessing.recording import EARLIEST_YEAR, LATEST_YEAR, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite

__all__ = [
    "MAX_EPOCHS",
    "NO_HINTS",
    "TEXT_HINTS",
    "Format",
    "Hints",
    "device_of",
    "epoch_of",
    "hints_of",
    "settle",
    "settle_device",
    "settle_wear_site",
    "source_of",
    "unit_of",
    "wear_site_of",
]

MAX_EPOCHS = 400_000  # of a service's door: four weeks and a half of 7 s epochs, nine months of minutes
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
    NHANES_2003 = "nhanes-2003-06"
    NHANES_2011 = "nhanes-2011-14"
    APPLE_EXPORT = "apple-health-export"
    HEALTHKIT_JSON = "healthkit-json"
    FITBIT_STEPS = "fitbit-steps"
    HEALTH_CONNECT = "health-connect"
    OPEN_MHEALTH = "open-mhealth"
    ACTIGRAPHY_SERIES = "actigraphy-series"
    FHIR = "fhir"


@dataclass(frozen=True)
class Hints:
    """What the caller adds; None = says nothing.

    ``zone`` is an IANA name or a fixed offset. ``since`` and ``until`` are the first and the last local day
    wanted. ``source_priority`` is for formats that hold samples of several sources, ``participant`` for files
    of several people, ``first_time`` (HH:MM:SS, local) for a file whose header stands in another one.
    ``max_epochs`` is the limit of the door, not of the file.
    """

    unit: Unit | None = None
    device: Device | None = None
    wear_site: WearSite | None = None
    zone: str | None = None
    epoch_seconds: int | None = None
    format: Format | None = None
    since: date | None = None
    until: date | None = None
    source_priority: tuple[Source, ...] | None = None
    participant: str | None = None
    first_time: str | None = None
    max_epochs: int = MAX_EPOCHS

    def __post_init__(self) -> None:
        if self.zone is not None:
            zone_of(self.zone)
        if self.since and self.until and self.until < self.since:
            raise RecordingError(
                Refusal.INVALID_FIELD, "expected since no later than until; exchange them", where="since"
            )


NO_HINTS = Hints()
TEXT_HINTS = tuple(field.name for field in fields(Hints) if field.name != "max_epochs")


def hints_of(texts: Mapping[str, str], max_epochs: int = MAX_EPOCHS) -> Hints:
    """Read hints given as text (HTTP headers, command line) by the names of ``Hints``'s fields.

    Raises RecordingError for an unknown name or value.
    """
    if unknown := len(texts.keys() - set(TEXT_HINTS)):
        names = ", ".join(TEXT_HINTS)
        raise RecordingError(Refusal.INVALID_FIELD, f"expected hints among {names}, found {unknown} other")
    given: dict[str, Any] = {name: _READ_HINT[name](text) for name, text in texts.items()}
    return Hints(**given, max_epochs=max_epochs)


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


def _day_of(where: str) -> Callable[[str], date]:
    def day_of(text: str) -> date:
        try:
            day = date.fromisoformat(text) if len(text) == len("2024-03-31") else None
        except ValueError:
            day = None
        if day is None or not EARLIEST_YEAR <= day.year <= LATEST_YEAR:
            raise RecordingError(
                Refusal.INVALID_FIELD, f"expected {where} as a date such as 2024-03-31", where=where
            )
        return day

    return day_of


def source_of(name: str) -> Source:
    """Return the kind of source called ``name``; RecordingError ``invalid_field`` otherwise."""
    return _choice(Source, name, "sources")


def _sources_of(text: str) -> tuple[Source, ...]:
    named = tuple(source_of(name.strip()) for name in text.split(",", len(Source)))
    if len(set(named)) != len(named):
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected each source once in source_priority", where="source_priority"
        )
    return named


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


_READ_HINT: dict[str, Callable[[str], Any]] = {
    "unit": unit_of,
    "device": device_of,
    "wear_site": wear_site_of,
    "zone": str,
    "epoch_seconds": epoch_of,
    "format": lambda text: _choice(Format, text, "format"),
    "since": _day_of("since"),
    "until": _day_of("until"),
    "source_priority": _sources_of,
    "participant": str,
    "first_time": str,
}
