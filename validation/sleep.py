"""Sleep against ActiLife and Actiware."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np

from postprocessing.metrics import MetricCode
from postprocessing.rest_periods import TudorLockeRule, tudor_locke_periods
from postprocessing.sleep_nights import fragmentation_values, night_values
from postprocessing.sleep_regularity import sleep_regularity
from postprocessing.sleep_scorers import (
    ASLEEP,
    AWAKE,
    UNSCORED,
    States,
    actiware_automatic_threshold,
    cole_kripke,
    oakley_score,
    sadeh,
)
from preprocessing.calendar import wall_clock_of
from preprocessing.recording import FloatArray, Recording
from preprocessing.runs import runs
from preprocessing.units import Unit
from preprocessing.wear import WearMode, assess
from validation.comparison import Check, Pairs
from validation.oracles import Oracles, number

__all__ = ["CHECKS"]

THIRTY_SECONDS = ("rpx_eng", "rpx_ger", "rpx_ger2")
PRINTED = {"rpx_eng": ("Efficiency", "Sleep Time"), "rpx_ger": ("Effizienz", "Schlafzeit")}
OAKLEY_MEDIUM = 40.0


def actilife_day(oracles: Oracles) -> Recording:
    """Return the day of ActiLife's sample file."""
    vendor = oracles.actilife()
    start = datetime.fromisoformat(vendor["start"]).replace(tzinfo=None)
    return Recording(
        start, None, 60, np.array(vendor["axis1"], dtype=np.float64), Unit.ACTIGRAPH_AXIS1_COUNTS
    )


def _masked(recording: Recording, mode: WearMode) -> FloatArray:
    return np.where(assess(recording, mode).worn, recording.values, np.nan)


def _letters(scorer: Callable[[FloatArray], States], letters: str, oracles: Oracles, mode: WearMode) -> Pairs:
    expected = np.array([letter == "S" for letter in oracles.actilife()[letters]], dtype=np.float64)
    states = scorer(_masked(actilife_day(oracles), mode)).astype(np.float64)
    return expected, np.where(states == UNSCORED, np.nan, states)


def _vendor_states(oracles: Oracles, name: str) -> States:
    """Actiware's states (n,) as ours: 1 sleep, 0 wake, -1 unscored."""
    states = oracles.array(name, "sleepwake")
    return np.where(states < 0, UNSCORED, 1 - states).astype(np.int8)


def _actiware(names: tuple[str, ...], epoch_seconds: int, oracles: Oracles, mode: WearMode) -> Pairs:
    """Epochs that Actiware scored; as recorded, missing counts are 0 as it takes them."""
    expected, found = [], []
    for name in names:
        vendor, counts = _vendor_states(oracles, name), oracles.array(name, "activity").astype(np.float64)
        recording = Recording(
            datetime(2000, 1, 1), None, epoch_seconds, counts, Unit.PHILIPS_ACTIWATCH_COUNTS
        )
        as_recorded = mode is WearMode.AS_RECORDED
        values = np.nan_to_num(counts) if as_recorded else _masked(recording, mode)
        score = oakley_score(values, epoch_seconds)
        states = np.where(np.isnan(score), np.nan, score <= OAKLEY_MEDIUM)
        expected.append(vendor[vendor != UNSCORED].astype(np.float64))
        found.append(states[vendor != UNSCORED])
    return np.concatenate(expected), np.concatenate(found)


def _printed(code: MetricCode, oracles: Oracles, _: WearMode) -> Pairs:
    """Sleep time or efficiency of each night, on the vendor's own intervals and states."""
    expected, found = [], []
    for name, columns in PRINTED.items():
        interval, states = oracles.array(name, "interval"), _vendor_states(oracles, name)
        rests = zip(*runs((interval == 1) | (interval == 2)), strict=True)
        for (first, end), row in zip(rests, oracles.actiware_rows(name, "SLEEP"), strict=True):
            inside = np.where(interval[first:end] == 2, states[first:end], AWAKE).astype(np.int8)
            value = night_values(inside, 30)[code]
            expected.append(number(row[columns[code is MetricCode.TOTAL_SLEEP_TIME]]))
            found.append(round(value, 2))  # as many places as are printed
    return np.array(expected), np.array(found)


def _tudor_locke(oracles: Oracles, mode: WearMode) -> Pairs:
    """In-bed and out-of-bed minutes of every period, under each set of settings."""
    counts = _masked(actilife_day(oracles), mode)
    states, expected, found = sadeh(counts), [], []
    for rule, rows in _tudor_locke_rows(oracles).items():
        edges = [_minute(oracles, row[edge]) for row in rows for edge in ("in_bed_time", "out_bed_time")]
        periods = tudor_locke_periods(states, counts, 60, rule).reshape(-1)
        expected.append(np.array(edges))
        found.append(periods if len(periods) == len(edges) else np.full(len(edges), np.nan))
    return np.concatenate(expected), np.concatenate(found).astype(np.float64)


def _tudor_locke_rows(oracles: Oracles) -> dict[TudorLockeRule, list[dict[str, Any]]]:
    grouped: dict[TudorLockeRule, list[dict[str, Any]]] = {}
    for row in oracles.actilife()["sleep_periods"]:
        rule = TudorLockeRule(
            asleep=row["n_bedtime_start"],
            awake=row["n_wake_time_end"],
            shortest=row["min_sleep_period"],
            longest=row["max_sleep_period"],
            active_minutes=row["min_nonzero_epochs"],
        )
        grouped.setdefault(rule, []).append(row)
    return grouped


def _minute(oracles: Oracles, printed: str) -> float:
    start = datetime.fromisoformat(oracles.actilife()["start"])
    return (datetime.fromisoformat(printed) - start).total_seconds() / 60


PRINTED_BY_ACTILIFE = {
    "duration": MetricCode.TIME_IN_BED,
    "efficiency": MetricCode.SLEEP_EFFICIENCY,
    "total_sleep_time": MetricCode.TOTAL_SLEEP_TIME,
    "wake_after_onset": MetricCode.WAKE_AFTER_SLEEP_ONSET,
    "nb_awakenings": MetricCode.AWAKENINGS,
    "ave_awakening": MetricCode.MEAN_AWAKENING_LENGTH,
    "movement_index": MetricCode.MOVEMENT_INDEX,
    "fragmentation_index": MetricCode.FRAGMENTATION_INDEX,
    "sleep_fragmentation_index": MetricCode.SLEEP_FRAGMENTATION_INDEX,
}


def _period_statistics(column: str, oracles: Oracles, mode: WearMode) -> Pairs:
    """One number of every period, on ActiLife's own interval, with as many places as it prints."""
    counts = _masked(actilife_day(oracles), mode)
    states, expected, found = sadeh(counts), [], []
    for row in oracles.actilife()["sleep_periods"]:
        first, end = (int(_minute(oracles, row[edge])) for edge in ("in_bed_time", "out_bed_time"))
        inside = states[first:end]
        asleep = np.flatnonzero(inside == ASLEEP)
        slept = slice(int(asleep[0]), int(asleep[-1]) + 1)
        values = night_values(inside, 60) | fragmentation_values(inside[slept], counts[first:end][slept], 60)
        expected.append(float(row[column]))
        found.append(round(values[PRINTED_BY_ACTILIFE[column]], 3 if column.endswith("index") else 2))
    return np.array(expected), np.array(found)


def _automatic(oracles: Oracles, mode: WearMode) -> Pairs:
    """Minutes by Actiware's automatic threshold; the library takes a sum at the threshold as wake.

    Minutes whose window holds a missing one, or the edge, are left out: the library calls them wake.
    """
    expected, found = [], []
    for name, segment in oracles.segments():
        recording = oracles.recording(name, segment)
        counts = _masked(recording, mode)
        threshold = actiware_automatic_threshold(counts, 60)
        score = oakley_score(np.pad(recording.values, 2, constant_values=np.nan), 60)[2:-2]
        ours = oakley_score(np.nan_to_num(counts), 60) < (np.nan if threshold is None else threshold)
        held = ~np.isnan(score)
        expected.append(oracles.library_states(name, segment, "oakley_auto_pyA")[held].astype(np.float64))
        found.append(ours[held].astype(np.float64))
    return np.concatenate(expected), np.concatenate(found)


def _regularity(oracles: Oracles, _: WearMode) -> Pairs:
    """SRI of whole weeks on the library's own states."""
    expected, found = [], []
    for name, segment in oracles.segments():
        if segment == "full" and not name.startswith("nhanes"):
            continue
        states = oracles.library_states(name, segment, "oakley40_pyA")
        ours = sleep_regularity(states, wall_clock_of(oracles.recording(name, segment)), 60)
        expected.append(oracles.scalars()[name][segment]["SRI_oakley40"])
        found.append(np.nan if ours.index is None else ours.index)
    return np.array(expected), np.array(found)


_ONE_DAY = "one person, one day"
CHECKS = (
    Check("Sadeh, minutes", "ActiLife 6", _ONE_DAY, partial(_letters, sadeh, "sadeh")),
    Check("Cole-Kripke, minutes", "ActiLife 6", _ONE_DAY, partial(_letters, cole_kripke, "cole_kripke")),
    Check("Oakley medium, 60 s", "Actiware", "one file of 8 days", partial(_actiware, ("rpx_fr",), 60)),
    Check(
        "Oakley medium, 30 s",
        "Actiware",
        "three files of 7 days; one epoch sums to exactly 40",
        partial(_actiware, THIRTY_SECONDS, 30),
        misses=1,
    ),
    Check(
        "Oakley automatic threshold, minutes",
        "pyActigraphy 1.2.2",
        "12 recordings; a library, not the vendor",
        _automatic,
    ),
    Check(
        "SRI, whole weeks, its states",
        "pyActigraphy 1.2.2",
        "11 segments",
        _regularity,
        tolerance=1e-9,
        masks=False,
    ),
    Check(
        "Tudor-Locke periods, minutes in and out of bed",
        "ActiLife 6",
        "one person, one day; 10 periods, 3 settings",
        _tudor_locke,
    ),
    *(
        Check(
            f"{code.value}, its periods",
            "ActiLife 6",
            "one person, one day; 10 overlapping periods",
            partial(_period_statistics, column),
        )
        for column, code in PRINTED_BY_ACTILIFE.items()
    ),
    Check(
        "total sleep time, its intervals",
        "Actiware",
        "two files, 14 nights",
        partial(_printed, MetricCode.TOTAL_SLEEP_TIME),
        masks=False,
    ),
    Check(
        "sleep efficiency, its intervals",
        "Actiware",
        "two files, 14 nights",
        partial(_printed, MetricCode.SLEEP_EFFICIENCY),
        masks=False,
    ),
)
