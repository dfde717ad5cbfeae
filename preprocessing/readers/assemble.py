"""The last step of every reader: values on a regular clock become a Recording with its flags."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt

from preprocessing.calendar import after, elapsed_seconds, midnight
from preprocessing.recording import (
    BoolArray,
    Flag,
    FloatArray,
    Recording,
    RecordingError,
    Refusal,
    Tidying,
    ZoneChange,
)
from preprocessing.units import Device, Unit, WearSite

__all__ = [
    "LARGEST_VALUE",
    "Description",
    "Series",
    "clipped",
    "recording_of",
    "serial_of",
    "too_many_epochs",
]

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
    """What is known about a recording beside its samples; RecordingError for an epoch below a second."""

    zone: str | None
    epoch_seconds: int
    unit: Unit
    device: Device
    wear_site: WearSite
    source_format: str
    serial: str | None = None
    markers: int = 0
    flags: frozenset[Flag] = frozenset()

    def __post_init__(self) -> None:
        if self.epoch_seconds < 1:
            raise RecordingError(
                Refusal.NO_EPOCH_INFORMATION, "expected epochs of at least 1 second", where="epoch_seconds"
            )


@dataclass(frozen=True, eq=False)
class Series:
    """Values (n,) float64 at regular epochs from ``start``, NaN = not recorded; wear (n,) bool if known."""

    start: datetime
    values: FloatArray
    wear: BoolArray | None = None
    tidying: Tidying = field(default_factory=Tidying)
    flags: frozenset[Flag] = frozenset()
    source: npt.NDArray[np.int8] | None = None  # (n,), index into sources
    sources: tuple[str, ...] = ()
    travel: tuple[ZoneChange, ...] = ()


def recording_of(description: Description, series: Series) -> Recording:
    """Build the Recording; RecordingError for values outside 0 to 1,000,000."""
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
        flags=description.flags
        | series.flags
        | _observed(series.start, description.zone, description.epoch_seconds, series.values),
        tidying=series.tidying,
        source=series.source,
        sources=series.sources,
        travel=series.travel,
    )


def too_many_epochs(limit: int) -> RecordingError:
    """The refusal of a recording of more than ``limit`` epochs."""
    return RecordingError(
        Refusal.TOO_MANY_EPOCHS,
        f"expected at most {limit:,} epochs from first to last, found more; send a shorter span, choose one "
        "with since and until, or use the pat command",
        where="values",
    )


def clipped(recording: Recording, since: date | None, until: date | None) -> Recording:
    """Keep the epochs that begin on the local days from ``since`` to ``until``, both included.

    Raises RecordingError ``no_samples`` where none does.
    """
    first, stop = _range(recording, since, until)
    if first >= stop:
        raise RecordingError(
            Refusal.NO_SAMPLES, "expected epochs from since to until, found none; choose other days"
        )
    if (first, stop) == (0, recording.epochs):
        return recording
    start, values = (
        after(recording.start, timedelta(seconds=first * recording.epoch_seconds)),
        recording.values[first:stop],
    )
    return replace(
        recording,
        start=start,
        values=values,
        wear=None if recording.wear is None else recording.wear[first:stop],
        source=None if recording.source is None else recording.source[first:stop],
        flags=(recording.flags - _VISIBLE)
        | _observed(start, recording.zone, recording.epoch_seconds, values),
    )


def _range(recording: Recording, since: date | None, until: date | None) -> tuple[int, int]:
    step, zone = recording.epoch_seconds, recording.zone
    first = 0 if since is None else -(-elapsed_seconds(recording.start, midnight(since, zone)) // step)
    if until is None:
        return max(first, 0), recording.epochs
    end = midnight(until + timedelta(days=1), zone)
    return max(first, 0), min(recording.epochs, -(-elapsed_seconds(recording.start, end) // step))


_VISIBLE = frozenset({Flag.IMPLAUSIBLE_DATE, Flag.ALL_MISSING, Flag.NO_MOVEMENT, Flag.CONSTANT_FLOOR})


def _observed(start: datetime, zone: str | None, epoch_seconds: int, values: FloatArray) -> frozenset[Flag]:
    recorded = values[~np.isnan(values)]
    lasts = recorded.size * epoch_seconds >= _FLOOR_SECONDS
    seen = {
        Flag.TIMEZONE_UNKNOWN: zone is None,
        Flag.IMPLAUSIBLE_DATE: _implausible(start),
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
