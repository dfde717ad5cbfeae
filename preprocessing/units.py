"""Units, devices and wear sites, and what each allows: the validity table as data.

A count is not a physical unit: each device family has its own, and an algorithm belongs to the family it was
published for. What is not in this table is not computed; the answer says why instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

__all__ = ["Device", "SleepScorer", "Unit", "Validity", "WearSite", "validity"]


class Unit(StrEnum):
    """The quantity of a recording's values, per epoch unless the name says otherwise."""

    ACTIWATCH_COUNTS = "actiwatch_counts"  # CamNtech / Cambridge Neurotechnology Actiwatch
    PHILIPS_ACTIWATCH_COUNTS = "philips_actiwatch_counts"  # Actiwatch 2, Spectrum
    ACTIGRAPH_AXIS1_COUNTS = "actigraph_axis1_counts"  # vertical axis of GT3X and later
    ACTIGRAPH_7164_COUNTS = "actigraph_7164_counts"  # uniaxial AM-7164 (NHANES 2003-06)
    COUNTS = "counts"  # activity counts of a device that is not stated
    MIMS = "mims"  # monitor-independent movement summary, sum of axes, per minute
    ENMO_MG = "enmo_mg"  # Euclidean norm minus one, mean over the epoch, milli-g
    STEPS = "steps"

    @property
    def may_be_negative(self) -> bool:
        """No unit listed here can be negative."""
        return False

    @property
    def is_rate(self) -> bool:
        """Whether finer epochs average (rates) instead of adding up (counts, steps, MIMS)."""
        return self is Unit.ENMO_MG

    @property
    def is_count(self) -> bool:
        """Whether values are activity counts, of a stated device or not."""
        return self not in (Unit.MIMS, Unit.ENMO_MG, Unit.STEPS)

    @property
    def ucum_per_minute(self) -> str:
        """UCUM code of a mean level per minute, as FHIR and the Analysis print it."""
        codes = {Unit.MIMS: "{MIMS}/min", Unit.ENMO_MG: "m[g]", Unit.STEPS: "{steps}/min"}
        return codes.get(self, "{counts}/min")

    @property
    def ucum_per_day(self) -> str:
        """UCUM code of an amount per day; ENMO is a level, whose daily sum is in milli-g times minutes."""
        codes = {Unit.MIMS: "{MIMS}/d", Unit.ENMO_MG: "m[g].min/d", Unit.STEPS: "{steps}/d"}
        return codes.get(self, "{counts}/d")


class Device(StrEnum):
    """Device family; ``synthetic-demo`` is the imaginary device of examples and demonstration weights."""

    ACTIWATCH = "actiwatch"
    PHILIPS_ACTIWATCH = "philips-actiwatch"
    ACTIGRAPH_GT3X = "actigraph-gt3x"
    ACTIGRAPH_7164 = "actigraph-7164"
    MOTIONWATCH = "motionwatch"
    ACTTRUST = "acttrust"
    TEMPATILUMI = "tempatilumi"
    AXIVITY = "axivity"
    GENEACTIV = "geneactiv"
    SYNTHETIC_DEMO = "synthetic-demo"
    UNKNOWN = "unknown"


class WearSite(StrEnum):
    """Where the device was worn."""

    WRIST = "wrist"
    HIP = "hip"
    UNKNOWN = "unknown"


class SleepScorer(StrEnum):
    """Sleep/wake scorers by published name and the form that is implemented."""

    OAKLEY = "oakley-actiware"
    COLE_KRIPKE = "cole-kripke-actigraph"
    SADEH = "sadeh-actigraph"


@dataclass(frozen=True)
class Validity:
    """What a unit at a wear site allows; an empty scorer tuple comes with the reason code of absence.py."""

    sleep_scorers: tuple[SleepScorer, ...]  # the first is the default
    no_sleep_reason: str | None
    rhythm: bool
    no_rhythm_reason: str | None
    pat: bool
    no_pat_reason: str | None


_ACTIGRAPH = (SleepScorer.COLE_KRIPKE, SleepScorer.SADEH)
_TABLE: dict[Unit, Validity] = {
    Unit.ACTIWATCH_COUNTS: Validity((SleepScorer.OAKLEY,), None, True, None, True, None),
    Unit.PHILIPS_ACTIWATCH_COUNTS: Validity((SleepScorer.OAKLEY,), None, True, None, True, None),
    Unit.ACTIGRAPH_AXIS1_COUNTS: Validity(_ACTIGRAPH, None, True, None, True, None),
    Unit.ACTIGRAPH_7164_COUNTS: Validity(_ACTIGRAPH, None, True, None, True, None),
    Unit.COUNTS: Validity((), "device_scaling_unknown", True, None, True, None),
    Unit.MIMS: Validity((), "unit_not_supported", True, None, True, None),
    Unit.ENMO_MG: Validity((), "needs_raw_acceleration", True, None, False, "unit_not_supported"),
    Unit.STEPS: Validity((), "unit_not_supported", False, "unit_not_supported", False, "unit_not_supported"),
}


def validity(unit: Unit, wear_site: WearSite) -> Validity:
    """Return what may be computed from ``unit`` worn at ``wear_site``.

    A hip-worn device is taken off at night in the usual protocol, so it carries no sleep
    (facts: NHANES 2003-06; Quante 2018 for what wrist and hip scorers reach).
    """
    allowed = _TABLE[unit]
    if wear_site is WearSite.HIP and allowed.sleep_scorers:
        return replace(allowed, sleep_scorers=(), no_sleep_reason="needs_overnight_wear")
    return allowed
