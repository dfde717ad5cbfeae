"""Wear: when the device was on the body, by the device's own word or by a published rule on zeros.

Zeros are also sleep. On the hip, where the device is taken off at night, Choi's rule applies. On the wrist,
healthy sleep can hold hours of zeros, so only zeros of 12 hours in a row count as non-wear there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from preprocessing.recording import BoolArray, Flag, FloatArray, Recording, RecordingError, Refusal
from preprocessing.runs import runs
from preprocessing.units import Unit, WearSite

__all__ = [
    "CHOI_2011",
    "TROIANO_2008",
    "WRIST_ZERO_MINUTES",
    "ChoiRule",
    "TroianoRule",
    "Wear",
    "WearMode",
    "assess",
    "choi_nonwear",
    "troiano_nonwear",
]

WRIST_ZERO_MINUTES = 720  # project choice: the longest zero run seen asleep on a wrist is 553 min (Depresjon)
_ACTIGRAPH = (Unit.ACTIGRAPH_AXIS1_COUNTS, Unit.ACTIGRAPH_7164_COUNTS)


class WearMode(StrEnum):
    """``detect`` applies the rule that fits; ``as_recorded`` takes every recorded epoch as worn.

    The others name a rule, for counts of ActiGraph on the hip, which they were published for.
    """

    DETECT = "detect"
    AS_RECORDED = "as_recorded"
    CHOI_2011 = "choi2011"
    TROIANO_2008 = "troiano2008"


@dataclass(frozen=True, eq=False)
class Wear:
    """What was worn by which ``rule``; ``worn`` (n,) bool is False where nothing was recorded."""

    rule: str
    worn: BoolArray
    flags: frozenset[Flag] = frozenset()


@dataclass(frozen=True)
class ChoiRule:
    """Settings of Choi's rule in minutes."""

    period: int  # zeros at least this long are non-wear
    window: int  # a spike is an artefact if the zeros on each side are at least this long
    spike: int  # and it is at most this long


CHOI_2011 = ChoiRule(period=90, window=30, spike=2)  # Choi et al. 2011, Med Sci Sports Exerc 43:357


def assess(recording: Recording, mode: WearMode = WearMode.DETECT) -> Wear:
    """Tell worn epochs by the first rule that applies.

    ``as_recorded`` on demand; ``device_flags`` of the sender; ``not_assessable`` for a device that hardly
    ever shows zero; ``choi2011`` for ActiGraph counts on the hip; ``wrist_zero_run_720`` for all others,
    because an unknown site may be a wrist. Raises RecordingError ``invalid_field`` for a rule that was not
    published for the device and its site.
    """
    recorded = recording.recorded
    if mode is WearMode.AS_RECORDED:
        return Wear(mode.value, recorded)
    if mode is not WearMode.DETECT:
        return _by_named_rule(recording, mode)
    if recording.wear is not None:
        return Wear("device_flags", recording.wear & recorded)
    if Flag.CONSTANT_FLOOR in recording.flags:
        return Wear("not_assessable", recorded, frozenset({Flag.NONWEAR_NOT_ASSESSABLE}))
    if _fits_zero_rules(recording):
        return _by_named_rule(recording, WearMode.CHOI_2011)
    off = _long_runs(recording.values == 0, _epochs(WRIST_ZERO_MINUTES, recording.epoch_seconds))
    return Wear(f"wrist_zero_run_{WRIST_ZERO_MINUTES}", recorded & ~off)


def _fits_zero_rules(recording: Recording) -> bool:
    return recording.wear_site is WearSite.HIP and recording.unit in _ACTIGRAPH


def _by_named_rule(recording: Recording, mode: WearMode) -> Wear:
    if not _fits_zero_rules(recording):
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected ActiGraph counts from the hip for wear {mode}, which would take sleep on a wrist for "
            "non-wear; state the wear site, or use detect",
            where="wear",
        )
    rule = choi_nonwear if mode is WearMode.CHOI_2011 else troiano_nonwear
    return Wear(mode.value, recording.recorded & ~rule(recording.values, recording.epoch_seconds))


def choi_nonwear(counts: FloatArray, epoch_seconds: int, rule: ChoiRule = CHOI_2011) -> BoolArray:
    """Non-wear (n,) bool of ``counts`` (n,) by Choi's rule, as ActiLife 6 applies it.

    Zeros shorter than the spike setting join the spikes around them. A missing epoch ends a run of zeros.
    """
    zero = counts == 0
    zero &= _long_runs(zero, _epochs(rule.spike, epoch_seconds))
    first, stop = runs(zero)
    length = stop - first
    wide = length >= _epochs(rule.window, epoch_seconds)
    gap = first[1:] - stop[:-1]
    tolerated = wide[:-1] & wide[1:] & (gap <= _epochs(rule.spike, epoch_seconds))
    for spike in np.flatnonzero(tolerated):
        between = slice(stop[spike], first[spike + 1])
        zero[between] = ~np.isnan(counts[between]).any()
    return _long_runs(zero, _epochs(rule.period, epoch_seconds))


@dataclass(frozen=True)
class TroianoRule:
    """Settings of Troiano's rule, in minutes and counts per minute."""

    period: int  # zeros at least this long are non-wear
    spike: int  # movement inside is an artefact if it is at most this long
    stop_level: int  # and nowhere above this


TROIANO_2008 = TroianoRule(period=60, spike=2, stop_level=100)  # Troiano et al. 2008, MSSE 40:181


def troiano_nonwear(counts: FloatArray, epoch_seconds: int, rule: TroianoRule = TROIANO_2008) -> BoolArray:
    """Non-wear (n,) bool of ``counts`` (n,) by Troiano's rule, consecutive mode, as ActiLife 6 applies it.

    The movement tolerated inside a period must be followed by a zero. A missing epoch ends a period.
    """
    zero = counts == 0
    first, stop = runs(zero)
    level = rule.stop_level * epoch_seconds / 60
    short = first[1:] - stop[:-1] <= _epochs(rule.spike, epoch_seconds)
    for spike in np.flatnonzero(short):
        between = slice(stop[spike], first[spike + 1])
        zero[between] = (counts[between] <= level).all()  # never for a missing epoch
    return _long_runs(zero, _epochs(rule.period, epoch_seconds))


def _epochs(minutes: int, epoch_seconds: int) -> int:
    return max(1, round(minutes * 60 / epoch_seconds))


def _long_runs(mask: npt.NDArray[np.bool_], least: int) -> BoolArray:
    """Mask (n,) of the runs of ``mask`` (n,) that hold at least ``least`` epochs."""
    first, stop = runs(mask)
    long = stop - first >= least
    edges = np.zeros(mask.size + 1, dtype=np.int8)
    edges[first[long]] += 1
    edges[stop[long]] -= 1
    return edges[:-1].cumsum() > 0
