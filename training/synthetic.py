"""Synthetic people and their weeks: counts of one imaginary wrist device, for demonstration and tests only.

Each person has traits (chronotype, sleep need, work, liveliness, fragmentation, how faithfully the device is
worn); each week is one noisy realisation of them:

    traits -> nights and naps -> drive per minute -> counts -> off-wrist spells (zeros), lost minutes (NaN)

The drive is Gaussian around a level that depends on state, hour, day and person, with three time constants;
counts are its positive part raised to a power, so that zeros come in bouts and the tail is long, as in real
minute counts. No number here is fitted to a person; the constants were set by comparing cohorts
(training/realism.py). Everything follows from a seed (numpy PCG64, one child seed per person).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from preprocessing.recording import Recording
from preprocessing.units import Device, Unit, WearSite

__all__ = [
    "DAY",
    "SATURATION",
    "PersonTraits",
    "Work",
    "cohort",
    "counts_of",
    "level",
    "minutes",
    "people",
    "person",
    "recording",
    "week",
]

DAY = 1440  # minutes
SATURATION = 8191  # the imaginary device counts with 13 bits
POWER = 2.15  # counts grow faster than the drive: a long right tail
TIME_CONSTANTS = (1.5, 8.0, 110.0)  # minutes: movement, bout, occupation
SHARES = (0.52, 0.38, 0.10)  # of the drive's variance
GETTING_UP = 8  # minutes over which the level moves between states

Counts = npt.NDArray[np.float32]
Minutes = npt.NDArray[np.float64]
Seed = int | Sequence[int]


class Work(StrEnum):
    """When a person works, which decides when the week's sleep is."""

    DAYS = "days"
    NIGHTS = "nights"
    ROTATING = "rotating"


@dataclass(frozen=True)
class PersonTraits:
    """What stays the same in one synthetic person; levels are in units of the drive's SD."""

    midsleep_hour: float  # chronotype: middle of sleep on work days, hours after midnight
    sleep_hours: float
    free_day_delay_hours: float  # how much later midsleep is on free days
    night_to_night_hours: float  # SD of onset and of waking
    work: Work
    awake_level: float
    asleep_level: float
    evening_drop: float  # how far the level falls from early evening to bedtime
    daily_curve: tuple[float, ...]  # person's own shape of the day: (cosine, sine) of 1, 2, 3 cycles a day
    day_to_day: float  # SD of the level from day to day
    gain: float  # counts at a drive of 1
    pace: float  # factor on the time constants
    awakenings_per_hour: float
    awakening_minutes: float
    naps_per_day: float
    nap_minutes: float
    off_wrist_per_day: float
    lost_per_week: float


def person(seed: int | np.random.SeedSequence) -> PersonTraits:
    """Draw one person from the population of the imaginary cohort."""
    rng = np.random.default_rng(seed)
    insomnia, poor_wear = rng.random() < 0.2, rng.random() < 0.15
    return PersonTraits(
        midsleep_hour=rng.normal(3.7, 1.0),
        sleep_hours=float(np.clip(rng.normal(7.9, 1.1), 5.0, 11.0)),
        free_day_delay_hours=abs(rng.normal(0.7, 0.7)),
        night_to_night_hours=rng.lognormal(np.log(1.15), 0.45),
        work=Work(rng.choice(list(Work), p=[0.93, 0.03, 0.04])),
        awake_level=rng.normal(1.36, 0.25),
        asleep_level=rng.normal(-1.0, 0.3),
        evening_drop=abs(rng.normal(0.45, 0.3)),
        daily_curve=tuple(rng.normal(0, 0.11, 6)),
        day_to_day=rng.lognormal(np.log(0.22), 0.4),
        gain=rng.lognormal(np.log(116), 0.24),
        pace=rng.lognormal(0, 0.2),
        awakenings_per_hour=rng.lognormal(np.log(1.1 if insomnia else 0.45), 0.4),
        awakening_minutes=rng.lognormal(np.log(20 if insomnia else 7), 0.4),
        naps_per_day=rng.gamma(0.6, 0.45),
        nap_minutes=rng.lognormal(np.log(50), 0.4),
        off_wrist_per_day=rng.lognormal(np.log(0.7 if poor_wear else 0.08), 0.5),
        lost_per_week=0.4 if poor_wear else 0.03,
    )


def week(traits: PersonTraits, rng: np.random.Generator, first_weekday: int = 0) -> Counts:
    """One week (10_080,) of counts per minute from the local midnight of ``first_weekday`` (Monday = 0)."""
    return minutes(traits, rng, days=7, first_weekday=first_weekday)


def cohort(n: int, seed: Seed) -> Counts:
    """Weeks of ``n`` people, one each, (n, 10_080), from local midnight; NaN = not recorded.

    The weekday of the first day varies by person, as in NHANES and as the service cuts weeks. The first
    people of a larger cohort of the same seed are the same people.
    """
    return np.stack([week(traits, rng, first) for traits, rng, first in people(n, seed)])


def people(n: int, seed: Seed) -> Iterator[tuple[PersonTraits, np.random.Generator, int]]:
    """Traits, generator and first weekday of each of the ``n`` people of a cohort; a new call begins anew."""
    for child in np.random.SeedSequence(seed).spawn(n):
        traits_seed, week_seed = child.spawn(2)
        rng = np.random.default_rng(week_seed)
        yield person(traits_seed), rng, int(rng.integers(7))


def recording(seed: int, *, days: float, start: datetime, zone: str | None = None) -> Recording:
    """A recording of one person from ``start`` (naive local time) for ``days`` days.

    With ``zone`` the recording is aware. The person lives by elapsed time, also across clock changes.
    """
    traits_seed, life_seed = np.random.SeedSequence(seed).spawn(2)
    skipped, epochs = start.hour * 60 + start.minute, round(days * DAY)
    whole_days = -(-(skipped + epochs) // DAY)
    rng = np.random.default_rng(life_seed)
    counts = minutes(person(traits_seed), rng, days=whole_days, first_weekday=start.weekday())
    return Recording(
        start=start.replace(tzinfo=ZoneInfo(zone)) if zone else start,
        zone=zone,
        epoch_seconds=60,
        values=counts[skipped : skipped + epochs].astype(np.float64),
        unit=Unit.ACTIWATCH_COUNTS,
        device=Device.SYNTHETIC_DEMO,
        wear_site=WearSite.WRIST,
        source_format="synthetic",
    )


def minutes(traits: PersonTraits, rng: np.random.Generator, *, days: int, first_weekday: int = 0) -> Counts:
    """Counts (days * 1440,) from midnight of ``first_weekday``: whole numbers, NaN = not recorded."""
    total = days * DAY
    drive = level(traits, rng, days=days, first_weekday=first_weekday) + _fluctuation(traits, rng, total)
    counts = counts_of(drive, traits.gain)
    counts[_spells(rng, total, traits.off_wrist_per_day / DAY, mean_minutes=100)] = 0
    counts[_spells(rng, total, traits.lost_per_week / (7 * DAY), mean_minutes=240)] = np.nan
    return counts.astype(np.float32)


def counts_of(drive: Minutes, gain: float) -> Minutes:
    """What the imaginary device counts in a minute of ``drive``, any shape."""
    return np.minimum(np.floor(gain * np.maximum(drive, 0) ** POWER), SATURATION)


def level(traits: PersonTraits, rng: np.random.Generator, *, days: int, first_weekday: int = 0) -> Minutes:
    """Mean drive (days * 1440,) of this person in this week: nights, naps, hours, days; without noise."""
    asleep = _asleep(traits, rng, days, first_weekday)
    hour = np.arange(asleep.size) % DAY / 60
    evening = np.clip((hour - 17) / 6, 0, 1) + (hour < 4)
    day_effect = np.repeat(rng.normal(0, traits.day_to_day, days), DAY)
    awake = traits.awake_level + day_effect + _daily_curve(traits, hour) - traits.evening_drop * evening
    stepped = np.where(asleep, traits.asleep_level, awake)
    return np.convolve(stepped, np.full(GETTING_UP, 1 / GETTING_UP), mode="same")


def _daily_curve(traits: PersonTraits, hour: Minutes) -> Minutes:
    """The person's own shape of the day, at ``hour`` (T,)."""
    angles = 2 * np.pi * np.outer((1, 2, 3), hour) / 24
    waves = np.stack([np.cos(angles), np.sin(angles)], axis=1).reshape(6, -1)
    curve: Minutes = np.asarray(traits.daily_curve) @ waves
    return curve


def _asleep(
    traits: PersonTraits, rng: np.random.Generator, days: int, first_weekday: int
) -> npt.NDArray[np.bool_]:
    """State per minute (days * 1440,): nights and naps minus awakenings."""
    asleep = np.zeros(days * DAY, bool)
    night_shifts = _night_shifts(traits, rng, days + 2)
    for day in range(-1, days + 1):  # the sleep that belongs to the morning of this day
        onset, waking = _night(
            traits, rng, (first_weekday + day) % 7, after_shift=bool(night_shifts[day + 1])
        )
        asleep[max(0, day * DAY + onset) : max(0, day * DAY + waking)] = True
    awake_again = _spells(rng, asleep.size, traits.awakenings_per_hour / 60, traits.awakening_minutes)
    asleep &= ~awake_again
    return asleep | _naps(traits, rng, days)


def _night_shifts(traits: PersonTraits, rng: np.random.Generator, days: int) -> npt.NDArray[np.bool_]:
    """Which mornings (days,) follow a night at work: four in a row if on nights, three if rotating."""
    phase, day = rng.integers(7), np.arange(days)
    length = {Work.DAYS: 0, Work.NIGHTS: 4, Work.ROTATING: 3}[traits.work]
    return (day + phase) % 7 < length


def _night(
    traits: PersonTraits, rng: np.random.Generator, weekday: int, *, after_shift: bool
) -> tuple[int, int]:
    """Onset and waking in minutes from the midnight of the day the sleep belongs to."""
    middle = 11.5 if after_shift else traits.midsleep_hour + traits.free_day_delay_hours * (weekday >= 5)
    hours = traits.sleep_hours - 1.5 * after_shift
    jitter = rng.normal(0, traits.night_to_night_hours, 2)
    onset, waking = middle - hours / 2 + jitter[0], middle + hours / 2 + jitter[1]
    return round(60 * onset), round(60 * max(waking, onset + 1))


def _naps(traits: PersonTraits, rng: np.random.Generator, days: int) -> npt.NDArray[np.bool_]:
    """Naps per minute (days * 1440,), mostly in the early afternoon."""
    asleep = np.zeros(days * DAY, bool)
    for day in np.flatnonzero(rng.random(days) < traits.naps_per_day):
        start = day * DAY + round(60 * rng.normal(14.5, 1.8))
        asleep[start : start + round(rng.exponential(traits.nap_minutes))] = True
    return asleep


def _fluctuation(traits: PersonTraits, rng: np.random.Generator, n: int) -> Minutes:
    """Unit-variance Gaussian noise (n,) with the three time constants."""
    total = np.zeros(n)
    for tau, share in zip(TIME_CONSTANTS, SHARES, strict=True):
        keep = np.exp(-1 / (tau * traits.pace))
        innovations = rng.normal(0, np.sqrt(share * (1 - keep**2)), n)
        innovations[0] /= np.sqrt(1 - keep**2)  # start in the stationary state
        total += lfilter([1.0], [1.0, -keep], innovations)
    return total


def _spells(
    rng: np.random.Generator, n: int, per_minute: float, mean_minutes: float
) -> npt.NDArray[np.bool_]:
    """Mask (n,) of spells that begin at random with exponential length."""
    mask = np.zeros(n, bool)
    for start in np.flatnonzero(rng.random(n) < per_minute):
        mask[start : start + 1 + round(rng.exponential(mean_minutes))] = True
    return mask
