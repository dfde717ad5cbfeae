"""Rest periods: when somebody was in bed, by a sleep log or, without one, by a rule on the scored epochs.

Intervals are [first, end) in states of the scorer. A night is named by the local date of the noon before the
middle of its rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np
import numpy.typing as npt

from postprocessing.analysis import Parameters
from postprocessing.sleep_scored import LogEntry, Scored, SleepOptions
from postprocessing.sleep_scorers import ASLEEP, AWAKE, States
from preprocessing.calendar import elapsed_seconds
from preprocessing.recording import BoolArray
from preprocessing.runs import Indices, runs

__all__ = [
    "LOGGED",
    "REST_PERIOD",
    "TUDOR_LOCKE",
    "TUDOR_LOCKE_2014",
    "RestPeriod",
    "RestRules",
    "TudorLockeRule",
    "hlrb_blocks",
    "rest_periods",
    "rest_rules",
    "tudor_locke_periods",
]

Blocks = npt.NDArray[np.int64]  # (k, 2), [first, end) each

REST_PERIOD = "main rest period (algorithmic; no diary)"
TUDOR_LOCKE = "main rest period by Tudor-Locke (algorithmic; no diary)"
LOGGED = "sleep log"

NOON = timedelta(hours=12)

# The HLRB-like rule is a project choice after GGIR's (experimental, unpublished).
ROLLING_HALF_SECONDS = 1_800  # the sleep score is averaged from 30 min before to 30 min after each epoch
FILL_GAP_SECONDS = 3_600  # a shorter gap between two rest blocks belongs to both
SHORTEST_REST_SECONDS = 3 * 3_600  # also of a logged window that may be the night of its day
LONGEST_REST_SECONDS = 24 * 3_600  # the length of the noon-to-noon window that one block is chosen for


@dataclass(frozen=True)
class TudorLockeRule:
    """Settings of the Tudor-Locke rule in minutes; ``active_minutes`` is the fewest minutes above zero."""

    asleep: int
    awake: int
    shortest: int
    longest: int = 1_440
    active_minutes: int = 0


TUDOR_LOCKE_2014 = TudorLockeRule(asleep=5, awake=10, shortest=160)  # Appl Physiol Nutr Metab 39:53


@dataclass(frozen=True)
class RestPeriod:
    """A rest interval [first, end) in states and the night that it belongs to."""

    first: int
    end: int
    night_of: date
    nap: bool = False


@dataclass(frozen=True)
class RestRules:
    """What found the rest periods, in the words of the answer."""

    name: str
    parameters: Parameters
    logged: bool


def rest_rules(options: SleepOptions) -> RestRules:
    """Say which rule ``options`` ask for."""
    if options.log:
        return RestRules(LOGGED, {"shortest_night_minutes": SHORTEST_REST_SECONDS / 60}, logged=True)
    if options.rest == "tudor-locke":
        rule = TUDOR_LOCKE_2014
        minutes: Parameters = {
            "in_bed_after_sleep_minutes": rule.asleep,
            "out_of_bed_after_wake_minutes": rule.awake,
            "shortest_rest_minutes": rule.shortest,
        }
        return RestRules(TUDOR_LOCKE, minutes, logged=False)
    hours: Parameters = {
        "rolling_minutes": 2 * ROLLING_HALF_SECONDS / 60,
        "fill_gaps_below_minutes": FILL_GAP_SECONDS / 60,
        "shortest_rest_minutes": SHORTEST_REST_SECONDS / 60,
    }
    return RestRules(REST_PERIOD, hours, logged=False)


def rest_periods(scored: Scored, options: SleepOptions) -> list[RestPeriod]:
    """Find the nights and naps of a log, or by a rule the main rest of each night, in order."""
    if options.log:
        return _logged(scored, options.log)
    if options.rest == "tudor-locke":
        blocks = tudor_locke_periods(scored.states, scored.counts, scored.epoch_seconds)
    else:
        blocks = hlrb_blocks(scored.states, scored.epoch_seconds)
        length = (blocks[:, 1] - blocks[:, 0]) * scored.epoch_seconds
        blocks = blocks[(length >= SHORTEST_REST_SECONDS) & (length <= LONGEST_REST_SECONDS)]
    found = [RestPeriod(first, end, _night_of(scored, first, end)) for first, end in blocks.tolist()]
    return list(_longest_of_each_night(found).values())


def _night_of(scored: Scored, first: int, end: int) -> date:
    return (scored.local((first + end) // 2) - NOON).date()


def _longest_of_each_night(periods: Iterable[RestPeriod]) -> dict[date, RestPeriod]:
    """Choose the longest period of each night; of equal ones the latest."""
    longest: dict[date, RestPeriod] = {}
    for period in periods:
        best = longest.get(period.night_of)
        if best is None or period.end - period.first >= best.end - best.first:
            longest[period.night_of] = period
    return longest


def hlrb_blocks(states: States, epoch_seconds: int) -> Blocks:
    """Find the rest blocks (k, 2) of ``states`` (m,) of any length.

    An epoch rests where more than half of the hour centred on it is sleep; at the edges, of what there is of
    that hour. Unscored epochs are not sleep. Gaps of less than an hour between two blocks are filled.
    """
    half = ROLLING_HALF_SECONDS // epoch_seconds
    slept = np.concatenate([[0], np.cumsum(states == ASLEEP)])
    epoch = np.arange(states.size)
    low, high = np.maximum(epoch - half, 0), np.minimum(epoch + half + 1, states.size)
    starts, stops = runs(2 * (slept[high] - slept[low]) > high - low)
    apart = (starts[1:] - stops[:-1]) * epoch_seconds >= FILL_GAP_SECONDS
    first, last = np.concatenate([[True], apart]), np.concatenate([apart, [True]])
    return np.column_stack([starts[first[: starts.size]], stops[last[: stops.size]]])


def tudor_locke_periods(
    states: States,
    counts: npt.NDArray[np.float64],
    epoch_seconds: int,
    rule: TudorLockeRule = TUDOR_LOCKE_2014,
) -> Blocks:
    """Find the rest periods (k, 2) of ``states`` (m,) as ActiLife 6 does (Tudor-Locke 2014).

    In bed with the first of 5 minutes of sleep in a row, out of bed with the first of 10 minutes of wake in a
    row. A period shorter than 160 minutes is none, nor is one that is still running when the recording ends.
    An unscored epoch is neither sleep nor wake.
    """
    asleep = _beginnings(states == ASLEEP, rule.asleep * 60 // epoch_seconds)
    awake = _beginnings(states == AWAKE, rule.awake * 60 // epoch_seconds)
    active = np.concatenate([[0], np.cumsum(counts > 0)])
    found = [
        (first, end)
        for first, end in _alternate(asleep, awake)
        if rule.shortest * 60 <= (end - first) * epoch_seconds <= rule.longest * 60
        and (active[end] - active[first]) * epoch_seconds >= rule.active_minutes * 60
    ]
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _beginnings(mask: BoolArray, least: int) -> Indices:
    """First epochs of the runs of ``mask`` (m,) that hold at least ``least``."""
    first, stop = runs(mask)
    return first[stop - first >= least]


def _alternate(asleep: Indices, awake: Indices) -> Iterator[tuple[int, int]]:
    """Pair the first of ``asleep`` with the next of ``awake``, then the next of ``asleep``, and so on."""
    end = -1
    after = np.searchsorted(awake, asleep)
    for first, place in zip(asleep.tolist(), after.tolist(), strict=True):
        if first > end and place < awake.size:
            end = int(awake[place])
            yield first, end


def _logged(scored: Scored, log: tuple[LogEntry, ...]) -> list[RestPeriod]:
    """Take the windows of a log, in order; the longest of each day is its night, the others are naps.

    A window of less than three hours is a nap in any case.
    """
    windows = [_window(scored, entry) for entry in log]
    long = [one for one in windows if (one.end - one.first) * scored.epoch_seconds >= SHORTEST_REST_SECONDS]
    nights = _longest_of_each_night(sorted(long, key=_first))
    found = [replace(one, nap=nights.get(one.night_of) != one) for one in windows if one.end > one.first]
    return sorted(found, key=_first)


def _first(period: RestPeriod) -> int:
    return period.first


def _window(scored: Scored, entry: LogEntry) -> RestPeriod:
    """Take the states nearest to what the log says; they may lie outside the recording."""
    first, end = (_nearest_state(scored, at) for at in (entry.in_bed, entry.out_of_bed))
    return RestPeriod(first, end, _night_of(scored, first, end))


def _nearest_state(scored: Scored, at: datetime) -> int:
    return math.floor(elapsed_seconds(scored.recording.start, at) / scored.epoch_seconds + 0.5)
