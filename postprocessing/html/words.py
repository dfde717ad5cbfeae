"""Words: how the report says numbers, units, dates, flags and rules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from postprocessing.analysis import Analysis, Metric
from preprocessing.calendar import zone_of
from preprocessing.recording import Flag
from preprocessing.units import Unit

__all__ = [
    "Clock",
    "amount",
    "calibration_words",
    "device_words",
    "duration",
    "flag_words",
    "hours",
    "quantity_words",
    "range_words",
    "rate_words",
    "unit_words",
    "value_words",
    "wear_rule_words",
]

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_UNITS = {
    "1": "",
    "{#}": "",
    "{counts}/min": "counts per minute",
    "{counts}/d": "counts per day",
    "{MIMS}/min": "MIMS per minute",
    "{MIMS}/d": "MIMS per day",
    "{steps}/min": "steps per minute",
    "{steps}/d": "steps per day",
    "m[g]": "milli-g",
    "m[g].min/d": "milli-g minutes per day",
}
_QUANTITIES: dict[str, str] = {
    Unit.ACTIWATCH_COUNTS: "Actiwatch activity counts",
    Unit.PHILIPS_ACTIWATCH_COUNTS: "Philips Actiwatch activity counts",
    Unit.ACTIGRAPH_AXIS1_COUNTS: "ActiGraph activity counts (vertical axis)",
    Unit.ACTIGRAPH_7164_COUNTS: "ActiGraph AM-7164 activity counts",
    Unit.COUNTS: "activity counts",
    Unit.MIMS: "MIMS (monitor-independent movement summary)",
    Unit.ENMO_MG: "acceleration (ENMO) in milli-g",
    Unit.STEPS: "steps",
}
_FLAGS: dict[str, str] = {
    Flag.TIMEZONE_UNKNOWN: (
        "The time zone is not known: times are what the device's clock showed, and clock changes, "
        "if there were any, are not corrected."
    ),
    Flag.IMPLAUSIBLE_DATE: "The dates are implausible, perhaps because the file was anonymised.",
    Flag.NO_MOVEMENT: "Every recorded value is zero.",
    Flag.ALL_MISSING: "No value was recorded.",
    Flag.CLOCK_GAP_LIKE_DST: (
        "The device's clock skips an hour as it would in spring; the zone is not known."
    ),
    Flag.CLOCK_REPEAT_LIKE_DST: (
        "The device's clock repeats an hour as it would in autumn; the zone is not known."
    ),
    Flag.CONSTANT_FLOOR: "The device hardly ever reports zero.",
    Flag.NONWEAR_NOT_ASSESSABLE: (
        "Whether the device was worn cannot be seen from its values, so all recorded time counts as worn."
    ),
    Flag.UNVERIFIED_FORMAT: (
        "The file was read by its format's description, which was not checked against a file of the vendor."
    ),
    Flag.DATE_UNKNOWN: "The file holds weekdays only: days are numbered, and dates are not shown.",
    Flag.ZONE_CHANGED: "The wearer travelled: all clock times are those of the zone named above.",
    Flag.RESAMPLED: "The samples did not stand on whole epochs and were split by overlap.",
    Flag.SPREAD_SAMPLES: "Samples longer than an epoch were spread evenly over their time.",
    "hip_worn": (
        "The device was worn on the hip and is usually taken off at night: zeros of the night lower "
        "L5 and push the relative amplitude towards 1."
    ),
}
_WEAR_RULES = {
    "as_recorded": "on request, all recorded time counts as worn",
    "device_flags": "the device or the sender says when it was worn",
    "not_assessable": "wear cannot be seen from the values, so all recorded time counts as worn",
    "choi2011": "zeros of 90 minutes or more count as not worn (Choi 2011)",
    "troiano2008": "zeros of 60 minutes or more count as not worn (Troiano 2008)",
    "wrist_zero_run_720": "only zeros of 12 hours or more in a row count as not worn",
}
_CALIBRATIONS = {
    "reference_cohort": "each minute was scaled by the mean and spread of the checkpoint's own cohort",
    "per_recording": (
        "the week was scaled by itself, because the checkpoint knows no cohort of this device; levels of "
        "different people are then not comparable"
    ),
}


def amount(number: float) -> str:
    """Write ``number`` with three significant digits, whole from 100 on."""
    if number == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(number))))
    return f"{number:,.{min(decimals, 6)}f}"


def duration(minutes: float) -> str:
    """Write minutes, from an hour on as hours and minutes."""
    if minutes < 60:
        return f"{minutes:.0f} min" if minutes == round(minutes) else f"{amount(minutes)} min"
    whole = math.floor(minutes + 0.5)
    return f"{whole // 60:,} h {whole % 60:02d} min"


def hours(minutes: float) -> str:
    """Write minutes as hours with one decimal."""
    return f"{minutes / 60:,.1f} h"


def unit_words(ucum: str) -> str:
    """Say a UCUM unit in words."""
    return _UNITS.get(ucum, ucum)


def value_words(metric: Metric) -> str:
    """Say a metric's value with its unit, clock times to the minute; nothing where it is absent."""
    return "" if metric.value is None else _number_words(metric.value, metric)


def _number_words(number: float, metric: Metric) -> str:
    if metric.kind == "clock_time":
        minutes = math.floor(number * 60 + 0.5) % 1440
        return f"{minutes // 60:02d}:{minutes % 60:02d}"
    if metric.unit == "min":
        return duration(number)
    digits = f"{number:g}" if metric.kind == "count" and abs(number) < 1000 else amount(number)
    return f"{digits} {unit_words(metric.unit)}".rstrip()


def range_words(low: float, high: float, metric: Metric) -> str:
    """Say a range of values of ``metric``, its unit once."""
    unit = unit_words(metric.unit)
    first = _number_words(low, metric)
    if unit and metric.kind != "clock_time" and metric.unit != "min":
        first = first.removesuffix(unit).rstrip()
    return f"{first} to {_number_words(high, metric)}"


def quantity_words(unit: str) -> str:
    """Say what was recorded."""
    return _QUANTITIES.get(unit, unit)


def rate_words(unit: Unit) -> str:
    """Say the unit of a mean level."""
    return unit_words(unit.ucum_per_minute)


def device_words(device: str, wear_site: str) -> str:
    """Say which device it was and where it was worn, as far as that is known."""
    named = "A device that is not stated" if device == "unknown" else f"A device of the family {device}"
    site = "at an unknown site" if wear_site == "unknown" else f"on the {wear_site}"
    return f"{named}, worn {site},"


def flag_words(flag: str) -> str:
    """Explain a flag; one that is not known is named."""
    return _FLAGS.get(flag, flag)


def wear_rule_words(rule: str) -> str:
    """Explain a rule for non-wear; one that is not known is named."""
    return f"{rule}: {_WEAR_RULES[rule]}" if rule in _WEAR_RULES else rule


def calibration_words(calibration: str) -> str:
    """Explain how a week was scaled for PAT."""
    return f"{calibration}: {_CALIBRATIONS.get(calibration, 'not explained')}"


@dataclass(frozen=True)
class Clock:
    """How local times of one recording are said; days are numbered from ``first`` where dates are unknown."""

    zone: str | None
    first: date
    dates_known: bool

    @classmethod
    def of(cls, analysis: Analysis) -> Clock:
        """Take the clock of an Analysis."""
        recording = analysis.recording
        known = Flag.DATE_UNKNOWN not in analysis.quality.flags
        return cls(recording.zone, _local(recording.start, recording.zone).date(), known)

    def local(self, moment: datetime) -> datetime:
        """Return the naive local label of ``moment``."""
        return _local(moment, self.zone)

    def time(self, moment: datetime | None) -> str:
        """Say HH:MM; a dash for none."""
        return "–" if moment is None else self.local(moment).strftime("%H:%M")  # noqa: RUF001  # a dash in print

    def day(self, day: date) -> str:
        """Say a day in short: ``Mon 5 Jan``, or ``Mon, day 1``."""
        weekday = _WEEKDAYS[day.weekday()][:3]
        if not self.dates_known:
            return f"{weekday}, day {(day - self.first).days + 1}"
        return f"{weekday} {day.day} {_MONTHS[day.month - 1][:3]}"

    def date(self, day: date) -> str:
        """Say a day in full."""
        weekday = _WEEKDAYS[day.weekday()]
        if not self.dates_known:
            return f"{weekday}, day {(day - self.first).days + 1}"
        return f"{weekday} {day.day} {_MONTHS[day.month - 1]} {day.year}"

    def moment(self, moment: datetime) -> str:
        """Say day and time in full."""
        return f"{self.date(self.local(moment).date())}, {self.time(moment)}"

    @property
    def _zone(self) -> str:
        return f"UTC{self.zone}" if (self.zone or "").startswith(("+", "-")) else str(self.zone)

    @property
    def named(self) -> str:
        """Say whose clock it is."""
        return f"clock of {self._zone}" if self.zone else "clock of the device; its time zone is not known"

    @property
    def short(self) -> str:
        """Say whose clock it is, for an axis."""
        return f"local time, {self._zone}" if self.zone else "the device's clock"


def _local(moment: datetime, zone: str | None) -> datetime:
    if moment.tzinfo is None:
        return moment
    if zone is None:
        return moment.replace(tzinfo=None)
    return moment.astimezone(UTC).astimezone(zone_of(zone)).replace(tzinfo=None)


def label_of(moment: datetime, offset: timedelta) -> datetime:
    """Return the naive label that a clock with UTC ``offset`` shows at ``moment``."""
    return moment.astimezone(UTC).replace(tzinfo=None) + offset
