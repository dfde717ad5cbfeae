"""The last step of every reader: values on a regular clock become a Recording with its flags."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from preprocessing.recording import BoolArray, Flag, FloatArray, Recording, RecordingError, Refusal, Tidying
from preprocessing.units import Device, Unit, WearSite

__all__ = [
    "LARGEST_VALUE",
    "MAX_EPOCHS",
    "Description",
    "Series",
    "recording_of",
    "serial_of",
    "too_many_epochs",
]

MAX_EPOCHS = 400_000  # four weeks and a half of 7 s epochs, nine months of minutes
LARGEST_VALUE = 1e6  # no device counts further in an hour; beyond it the column is not activity
_FIRST_PLAUSIBLE_YEAR = 1990  # wearable recorders with memory; anonymised files carry earlier dates
_CLOCK_SLACK = timedelta(days=1)
_LONGEST_SERIAL = 32
_FLOOR_SECONDS = 86_400  # a device that shows hardly a zero for this long has a floor
_FLOOR_ZERO_SHARE = (
    0.1  # project choice: 6 % or less in Depresjon's four recordings with a floor, else over 13 %
)


@dataclass(frozen=True)
class Description:
    """What is known about a recording beside its samples."""

    zone: str | None
    epoch_seconds: int
    unit: Unit
    device: Device
    wear_site: WearSite
    source_format: str
    serial: str | None = None
    markers: int = 0
    flags: frozenset[Flag] = frozenset()


@dataclass(frozen=True, eq=False)
class Series:
    """Values (n,) float64 at regular epochs from ``start``, NaN = not recorded; wear (n,) bool if known."""

    start: datetime
    values: FloatArray
    wear: BoolArray | None = None
    tidying: Tidying = field(default_factory=Tidying)
    flags: frozenset[Flag] = frozenset()


def recording_of(description: Description, series: Series) -> Recording:
    """Build the Recording; RecordingError for too many epochs or values outside 0 to 1,000,000."""
    if series.values.size > MAX_EPOCHS:
        raise too_many_epochs()
    outside = int((series.values > LARGEST_VALUE).sum() + (series.values < 0).sum())
    if outside:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected values from 0 to {LARGEST_VALUE:,.0f}, found {outside} outside; write null or nothing "
            "where not recorded",
            where="values",
        )
    return Recording(
        start=series.start,
        zone=description.zone,
        epoch_seconds=description.epoch_seconds,
        values=series.values,
        unit=description.unit,
        device=description.device,
        wear_site=description.wear_site,
        wear=series.wear,
        source_format=description.source_format,
        serial=description.serial,
        markers=description.markers,
        flags=description.flags | series.flags | _observed(description, series),
        tidying=series.tidying,
    )


def too_many_epochs() -> RecordingError:
    """The refusal of a recording beyond ``MAX_EPOCHS``."""
    return RecordingError(
        Refusal.TOO_MANY_EPOCHS,
        f"expected at most {MAX_EPOCHS:,} epochs from first to last, found more; send a shorter span",
        where="values",
    )


def _observed(description: Description, series: Series) -> frozenset[Flag]:
    recorded = series.values[~np.isnan(series.values)]
    lasts = recorded.size * description.epoch_seconds >= _FLOOR_SECONDS
    seen = {
        Flag.TIMEZONE_UNKNOWN: description.zone is None,
        Flag.IMPLAUSIBLE_DATE: _implausible(series.start),
        Flag.ALL_MISSING: recorded.size == 0,
        Flag.NO_MOVEMENT: recorded.size > 0 and not recorded.any(),
        Flag.CONSTANT_FLOOR: lasts and float((recorded == 0).mean()) < _FLOOR_ZERO_SHARE,
    }
    return frozenset(flag for flag, is_so in seen.items() if is_so)


def _implausible(start: datetime) -> bool:
    """Before wearable recorders, or in the future of this machine's clock."""
    latest = datetime.now(UTC) + _CLOCK_SLACK
    limit = latest if start.tzinfo is not None else latest.replace(tzinfo=None)
    return start.year < _FIRST_PLAUSIBLE_YEAR or start > limit


def serial_of(text: str | None) -> str | None:
    """ASCII letters and digits of a serial number; None if there are none."""
    kept = "".join(
        letter for letter in (text or "")[:_LONGEST_SERIAL] if letter.isascii() and letter.isalnum()
    )
    return kept or None
