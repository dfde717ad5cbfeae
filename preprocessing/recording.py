"""The Recording: what one device recorded, before any opinion about it.

Errors raised while reading:

    RecordingError            the input cannot become a Recording; carries a machine-readable code
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from preprocessing.units import Device, Unit, WearSite

__all__ = [
    "BoolArray",
    "Flag",
    "FloatArray",
    "Recording",
    "RecordingError",
    "Refusal",
    "Tidying",
    "ZoneChange",
]

EARLIEST_YEAR = 1900  # anonymised files carry dates such as 1918; they are flagged, not refused
LATEST_YEAR = 2199
LONGEST_DAYS = 1100  # three years; work and memory grow with the span, however coarse the epochs
LONGEST_EPOCH_SECONDS = 3600

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


class Refusal(StrEnum):
    """Why an input is refused (HTTP 422, or 400 for ``unparsable``); a closed list."""

    UNPARSABLE = "unparsable"
    UNKNOWN_FORMAT = "unknown_format"
    INVALID_FIELD = "invalid_field"
    NO_EPOCH_INFORMATION = "no_epoch_information"
    NO_TIME_ZONE = "no_time_zone"
    NAIVE_TIMESTAMP = "naive_timestamp"
    UNKNOWN_UNIT = "unknown_unit"
    RESOLUTION_TOO_COARSE = "resolution_too_coarse"
    MIXED_QUANTITIES = "mixed_quantities"
    NO_SAMPLES = "no_samples"
    TOO_MANY_EPOCHS = "too_many_epochs"


class RecordingError(ValueError):
    """An input cannot become a Recording.

    The message says what was expected, what was found and what to do; it never holds a recorded value.
    ``where`` names the field, line or column, again without its content.
    """

    def __init__(self, code: Refusal, message: str, *, where: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.where = where


class Flag(StrEnum):
    """What a reader of the result must know about the recording; never an error."""

    TIMEZONE_UNKNOWN = "timezone_unknown"
    IMPLAUSIBLE_DATE = "implausible_date"
    NO_MOVEMENT = "no_movement"
    ALL_MISSING = "all_missing"
    CLOCK_GAP_LIKE_DST = "clock_gap_like_dst"  # a wall clock without zone skips an hour as in spring
    CLOCK_REPEAT_LIKE_DST = "clock_repeat_like_dst"  # a wall clock without zone repeats an hour as in autumn
    CONSTANT_FLOOR = "constant_floor"  # the device hardly ever reports zero
    NONWEAR_NOT_ASSESSABLE = "nonwear_not_assessable"
    UNVERIFIED_FORMAT = "unverified_format"  # read by its description, unchecked against a vendor file
    DATE_UNKNOWN = "date_unknown"  # the file has weekdays only; the dates shown are placeholders
    ZONE_CHANGED = "zone_changed"  # the wearer travelled; clock times are those of ``zone``
    RESAMPLED = "resampled"  # samples did not stand on whole epochs and were split by overlap
    SPREAD_SAMPLES = "spread_samples"  # samples longer than an epoch were spread evenly over it


@dataclass(frozen=True)
class Tidying:
    """What the reader did to put the samples in order; every count is 0 for an orderly file.

    Of samples at the same instant the largest is kept, whatever their order: a smaller copy is a partial sum.
    """

    unsorted: int = 0  # samples that stood earlier than their predecessor
    duplicates: int = 0  # samples dropped because the same instant was already there
    conflicts: int = 0  # those of the duplicates that differed from the value kept
    gaps: int = 0  # epochs inserted as not recorded
    overlaps: int = 0  # samples cut or dropped because another source covers their time
    set_aside: int = 0  # samples that the recording cannot hold: another quantity, naive times, too long


@dataclass(frozen=True)
class ZoneChange:
    """From ``instant`` (aware) on the wearer's clock showed ``zone``, an IANA name or a fixed offset."""

    instant: datetime
    zone: str


@dataclass(frozen=True, eq=False)
class Recording:
    """A regular series of epochs from one device, in one quantity.

    ``values`` (n,) float64, one per epoch, NaN = not recorded. Epoch i covers
    [start + i * epoch_seconds, start + (i + 1) * epoch_seconds) in *elapsed* time.

    ``zone`` is an IANA name or a fixed offset such as ``+05:30``, and then ``start`` is aware;
    ``zone is None`` is wall clock without zone, and then ``start`` is naive (flag ``timezone_unknown``).
    ``wear`` (n,) bool is present only if the device or the sender says what was worn. ``source`` (n,) int8
    says of each epoch which of ``sources`` gave most of it, -1 for none, where a recording was merged from
    several. ``travel`` holds the zones that the wearer's clock showed, in order, where they differ from
    ``zone``; all local times are those of ``zone``.
    """

    start: datetime
    zone: str | None
    epoch_seconds: int
    values: FloatArray  # (n,)
    unit: Unit
    device: Device = Device.UNKNOWN
    wear_site: WearSite = WearSite.UNKNOWN
    wear: BoolArray | None = None  # (n,)
    source_format: str = "unknown"
    serial: str | None = None  # an identifier under HIPAA: never logged, never in a URL
    markers: int = 0  # presses of the event button that the file reports
    flags: frozenset[Flag] = frozenset()
    tidying: Tidying = field(default_factory=Tidying)
    source: npt.NDArray[np.int8] | None = None
    sources: tuple[str, ...] = ()
    travel: tuple[ZoneChange, ...] = ()

    def __post_init__(self) -> None:
        self._check_clock()
        self._check_values()

    def _check_clock(self) -> None:
        if (self.zone is None) != (self.start.tzinfo is None):
            raise RecordingError(
                Refusal.NO_TIME_ZONE,
                "expected an aware start with a zone, or a naive start without one; give both or neither",
                where="start",
            )
        if not EARLIEST_YEAR <= self.start.year <= LATEST_YEAR:
            raise RecordingError(
                Refusal.INVALID_FIELD,
                f"expected a start between the years {EARLIEST_YEAR} and {LATEST_YEAR}; correct the date",
                where="start",
            )
        if self.epoch_seconds < 1:
            raise RecordingError(
                Refusal.NO_EPOCH_INFORMATION, "expected an epoch of at least 1 second", where="epoch_seconds"
            )
        if self.epoch_seconds > LONGEST_EPOCH_SECONDS:
            raise RecordingError(
                Refusal.RESOLUTION_TOO_COARSE,
                f"expected epochs of at most {LONGEST_EPOCH_SECONDS} s; send the epoch export, not totals",
                where="epoch_seconds",
            )

    def _check_values(self) -> None:
        values = self.values
        if values.ndim != 1 or values.dtype != np.float64:
            raise TypeError("values must be a float64 vector")
        if values.size == 0:
            raise RecordingError(Refusal.NO_SAMPLES, "expected epochs, found none; send data", where="values")
        if self.days > LONGEST_DAYS:
            raise RecordingError(
                Refusal.TOO_MANY_EPOCHS,
                f"expected at most {LONGEST_DAYS} days from first to last epoch; send a shorter span",
                where="values",
            )
        if np.isinf(values).any():
            raise RecordingError(Refusal.INVALID_FIELD, "expected finite values or null", where="values")
        if not self.unit.may_be_negative and bool((values < 0).any()):
            raise RecordingError(
                Refusal.INVALID_FIELD,
                f"expected values of at least 0 for unit {self.unit.value}; mark missing epochs as null",
                where="values",
            )
        if self.wear is not None and self.wear.shape != values.shape:
            raise RecordingError(
                Refusal.INVALID_FIELD, "expected one wear flag per value or none at all", where="wear"
            )
        if self.source is not None and self.source.shape != values.shape:
            raise TypeError("source must have one element per value")

    @property
    def epochs(self) -> int:
        """Number of epochs, recorded or not."""
        return int(self.values.size)

    @property
    def recorded(self) -> BoolArray:
        """Mask (n,) of the epochs that hold a value."""
        return ~np.isnan(self.values)

    @property
    def end(self) -> datetime:
        """End of the last epoch, on the clock of ``start`` (elapsed time, also across clock changes)."""
        elapsed = timedelta(seconds=self.epochs * self.epoch_seconds)
        if self.start.tzinfo is None:
            return self.start + elapsed
        from preprocessing.calendar import after  # noqa: PLC0415  # calendar knows zones, Recording only carries one

        return after(self.start, elapsed)

    @property
    def days(self) -> float:
        """Length in days of 24 elapsed hours."""
        return self.epochs * self.epoch_seconds / 86_400

    def minutes_of(self, mask: BoolArray) -> float:
        """Minutes covered by the epochs of ``mask`` (n,)."""
        return int(mask.sum()) * self.epoch_seconds / 60
