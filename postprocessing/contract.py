"""The missing-data contract: how much must have been recorded for a number to be given, as one table.

A recording with less has no number but a reason. A part of it, an hour or a day, that holds too little is
left out; it is never filled or prorated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from postprocessing.absence import Absence, Reason, absent
from postprocessing.metrics import MetricCode, codes_of
from preprocessing.units import WearSite

__all__ = ["CONTRACT", "NEEDS", "Minimum", "Need", "least", "valid_day_minutes", "why_absent"]


class Need(StrEnum):
    """What may be too little: in a part of the recording, or in all of it."""

    MINUTES_OF_AN_HOUR = "minutes_of_an_hour"
    MINUTES_OF_A_DAY = "minutes_of_a_day"
    MINUTES_OF_A_WAKING_DAY = "minutes_of_a_waking_day"
    DAYS_OF_STABILITY = "days_of_stability"
    SHARE_OF_HOURS = "share_of_hours"
    CLOCK_HOURS = "clock_hours"
    DAYS_OF_PROFILE = "days_of_profile"
    DAYS_PER_CLOCK_MINUTE = "days_per_clock_minute"
    VALID_DAYS = "valid_days"
    SCORED_SHARE_OF_REST = "scored_share_of_rest"
    VALID_NIGHTS = "valid_nights"
    SHARE_OF_DAY_PAIR = "share_of_day_pair"
    DAY_PAIRS = "day_pairs"
    FREE_NIGHTS = "free_nights"
    WORK_NIGHTS = "work_nights"


@dataclass(frozen=True)
class Minimum:
    """The ``least`` that a number needs, and what is said where ``found`` is less.

    ``reason`` is None where a part that falls short is left out rather than the number absent. ``exclusive``:
    exactly the least is too little.
    """

    least: float
    reason: Reason | None
    sentence: str  # with the places {found} and {least}
    source: str
    exclusive: bool = False

    def shortfall(self, found: float) -> Absence | None:
        """Return why ``found`` is too little; None where it is enough or only a part is left out."""
        enough = found > self.least if self.exclusive else found >= self.least
        if enough or self.reason is None:
            return None
        return absent(self.reason, self.sentence.format(found=found, least=self.least))


_CHOICE = "project choice"
CONTRACT: dict[Need, Minimum] = {
    Need.MINUTES_OF_AN_HOUR: Minimum(30, None, "An hour has {found:g} valid minutes.", _CHOICE),
    Need.MINUTES_OF_A_DAY: Minimum(
        960, None, "A day has {found:g} worn minutes.", "16 h of wear, customary in 24 h protocols"
    ),
    Need.MINUTES_OF_A_WAKING_DAY: Minimum(
        600, None, "A day has {found:g} worn minutes.", "10 h of wear, Troiano 2008, MSSE 40:181"
    ),
    Need.DAYS_OF_STABILITY: Minimum(
        3,
        Reason.TOO_FEW_VALID_DAYS,
        "The recording has {found:.2f} days; {least:g} are needed.",
        _CHOICE,
    ),
    Need.SHARE_OF_HOURS: Minimum(
        0.75,
        Reason.TOO_MUCH_MISSING,
        "{found:.1%} of the hours have 30 valid minutes; {least:.0%} are needed.",
        _CHOICE,
    ),
    Need.CLOCK_HOURS: Minimum(
        24,
        Reason.TOO_MUCH_MISSING,
        "{found:g} of 24 hours of the day have 30 valid minutes on some day; all are needed.",
        "the published formula has a mean for each of them",
    ),
    Need.DAYS_OF_PROFILE: Minimum(
        2,
        Reason.TOO_FEW_VALID_DAYS,
        "The recording has {found:.2f} days; {least:g} are needed.",
        _CHOICE,
    ),
    Need.DAYS_PER_CLOCK_MINUTE: Minimum(
        2,
        Reason.TOO_MUCH_MISSING,
        "A minute of the day is valid on {found:g} days only; each must be on {least:g}.",
        _CHOICE,
    ),
    Need.VALID_DAYS: Minimum(
        1,
        Reason.TOO_FEW_VALID_DAYS,
        "{found:g} days are worn long enough; {least:g} is needed.",
        _CHOICE,
    ),
    Need.SCORED_SHARE_OF_REST: Minimum(
        0.90,
        Reason.TOO_MUCH_MISSING,
        "{found:.0%} of the rest interval is scored; more than {least:.0%} is needed.",
        _CHOICE,
        exclusive=True,
    ),
    Need.VALID_NIGHTS: Minimum(
        5, Reason.TOO_FEW_VALID_NIGHTS, "{found:g} valid nights; {least:g} are needed.", _CHOICE
    ),
    Need.SHARE_OF_DAY_PAIR: Minimum(
        0.66, None, "{found:.0%} of a pair of days is scored on both.", "after GGIR"
    ),
    Need.DAY_PAIRS: Minimum(
        5,
        Reason.TOO_FEW_VALID_DAYS,
        "{found:g} pairs of days are two thirds scored on both; {least:g} are needed.",
        _CHOICE,
    ),
    Need.FREE_NIGHTS: Minimum(
        1, Reason.TOO_FEW_VALID_NIGHTS, "{found:g} nights before free days; {least:g} is needed.", _CHOICE
    ),
    Need.WORK_NIGHTS: Minimum(
        2, Reason.TOO_FEW_VALID_NIGHTS, "{found:g} nights before work days; {least:g} are needed.", _CHOICE
    ),
}

_STABILITY = (Need.DAYS_OF_STABILITY, Need.SHARE_OF_HOURS, Need.CLOCK_HOURS)
_PROFILE = (Need.DAYS_OF_PROFILE, Need.DAYS_PER_CLOCK_MINUTE)
_STABLE = {
    MetricCode.INTERDAILY_STABILITY,
    MetricCode.INTRADAILY_VARIABILITY,
    MetricCode.INTERDAILY_STABILITY_BINARIZED,
    MetricCode.INTRADAILY_VARIABILITY_BINARIZED,
}


def _needs_of(codes: Iterable[MetricCode], needs: tuple[Need, ...]) -> dict[MetricCode, tuple[Need, ...]]:
    return dict.fromkeys(codes, needs)


NEEDS: dict[MetricCode, tuple[Need, ...]] = (
    _needs_of(codes_of("sleep"), (Need.VALID_NIGHTS,))
    | {
        MetricCode.SLEEP_REGULARITY_INDEX: (Need.DAY_PAIRS,),
        MetricCode.SOCIAL_JETLAG: (Need.FREE_NIGHTS, Need.WORK_NIGHTS),
    }
    | _needs_of(codes_of("rhythm"), _PROFILE)
    | _needs_of(_STABLE, _STABILITY)
    | _needs_of(codes_of("activity"), (Need.VALID_DAYS,))
)


def why_absent(code: MetricCode, found: Mapping[Need, float]) -> Absence | None:
    """Say why a recording in which there is ``found`` has no ``code``; None where it has all that it needs.

    ``found`` holds every need of the metric; the first that falls short is named.
    """
    shortfalls = (CONTRACT[need].shortfall(found[need]) for need in NEEDS[code])
    return next((why for why in shortfalls if why), None)


def least(need: Need) -> float:
    """Return the minimum of ``need``."""
    return CONTRACT[need].least


def valid_day_minutes(wear_site: WearSite) -> int:
    """Worn minutes of a valid day: 16 h around the clock, 10 h on the hip, where nights are off."""
    hip = wear_site is WearSite.HIP
    return int(least(Need.MINUTES_OF_A_WAKING_DAY if hip else Need.MINUTES_OF_A_DAY))
