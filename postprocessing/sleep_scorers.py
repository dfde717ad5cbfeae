"""Sleep/wake scorers: which epochs are sleep, by the published formulas in the form of the devices' vendors.

Scorers take counts (n,) float64 with NaN = not recorded and return states (n,) int8: 1 sleep, 0 wake, -1
unscored. An epoch whose window holds a missing epoch is unscored; nothing is filled with zeros, because zeros
score as sleep.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from preprocessing.recording import BoolArray, FloatArray
from preprocessing.runs import Indices, runs

__all__ = [
    "ASLEEP",
    "AWAKE",
    "MOBILE_PER_MINUTE",
    "OAKLEY_THRESHOLDS",
    "UNSCORED",
    "States",
    "actiware_automatic_threshold",
    "cole_kripke",
    "oakley",
    "oakley_score",
    "sadeh",
    "webster",
]

States = npt.NDArray[np.int8]

ASLEEP, AWAKE, UNSCORED = 1, 0, -1

OAKLEY_THRESHOLDS = {"low": 20.0, "medium": 40.0, "high": 80.0}  # Actiware; only "medium" is verified
MOBILE_PER_MINUTE = 4  # Actiware's "mobile": at least one count per quarter of a minute
AUTOMATIC_FACTOR = 0.88888  # Actiware's automatic threshold per mean count of the mobile minutes


def oakley_score(counts: FloatArray, epoch_seconds: int) -> FloatArray:
    """Return the weighted activity (n,) around each epoch, NaN where its window holds NaN.

    Weights of the Actiwatch vendor's algorithm: 0.04 and 0.2 for the second and first minute on either side,
    and as many times 1 for the epoch itself as it fits into a minute. They are applied as whole numbers, so
    that a sum exactly at the threshold stays there. Outside the recording counts are 0. Raises ValueError
    unless the epoch is 15, 30 or 60 s.
    """
    if epoch_seconds not in (15, 30, 60):
        raise ValueError(f"expected epochs of 15, 30 or 60 s for the Oakley scorer, found {epoch_seconds} s")
    per_minute = 60 // epoch_seconds
    side = np.repeat([1.0, 5.0], per_minute)
    weights = np.concatenate([side, [25.0 * per_minute], side[::-1]])
    return _weighted(counts, weights, ahead=2 * per_minute) / 25


def oakley(counts: FloatArray, epoch_seconds: int, threshold: float = OAKLEY_THRESHOLDS["medium"]) -> States:
    """Score epochs of 15, 30 or 60 s as Actiware does: wake above ``threshold`` (40 is "medium").

    The first and last two minutes are unscored. Raises ValueError for other epochs.
    """
    activity = oakley_score(counts, epoch_seconds)
    edge = 2 * 60 // epoch_seconds
    activity[:edge] = activity[-edge:] = np.nan
    return _states(activity <= threshold, ~np.isnan(activity))


def actiware_automatic_threshold(counts: FloatArray, epoch_seconds: int) -> float | None:
    """Return 0.88888 sum(a) / mobile minutes over all recorded epochs; None where none is mobile.

    Actiware's rule by its description; an epoch is mobile with at least 4 counts per minute of its length.
    """
    recorded = counts[~np.isnan(counts)]
    mobile = int((recorded >= MOBILE_PER_MINUTE * epoch_seconds / 60).sum())
    return AUTOMATIC_FACTOR * float(recorded.sum()) / (mobile * epoch_seconds / 60) if mobile else None


def cole_kripke(counts: FloatArray) -> States:
    """Score minutes of ActiGraph vertical-axis counts by Cole-Kripke, in ActiGraph's form.

    Cole, Kripke, Gruen, Mullaney, Gillin 1992, Sleep 15:461. The counts are divided by 100 and capped at 300
    before the published weights; sleep where the index is below 1.
    """
    weights = np.array([67.0, 74.0, 230.0, 76.0, 58.0, 54.0, 106.0])  # minute t + 2 down to minute t - 4
    index = _weighted(np.minimum(counts, 30_000.0), weights, ahead=2) / 100_000
    return _states(index < 1, ~np.isnan(index))


def sadeh(counts: FloatArray) -> States:
    """Score minutes of ActiGraph vertical-axis counts by Sadeh, in ActiGraph's form.

    Sadeh 1994, Sleep 17:201. Counts are capped at 300 and sleep begins above -4; the paper's own threshold on
    a zero-crossing device is 0.
    """
    capped = np.minimum(counts, 300.0)
    eleven = np.ones(11)  # minutes t - 5 .. t + 5
    mean = _weighted(capped, eleven, ahead=5) / 11
    moderate = _weighted(((capped >= 50) & (capped < 100)).astype(np.float64), eleven, ahead=5)
    last_six = np.lib.stride_tricks.sliding_window_view(np.pad(capped, (5, 0)), 6)  # (n, 6)
    deviation = last_six.std(axis=1, ddof=1)
    index = 7.601 - 0.065 * mean - 1.08 * moderate - 0.056 * deviation - 0.703 * np.log(capped + 1)
    return _states(index > -4, ~np.isnan(index))


def webster(states: States, epoch_seconds: int) -> States:
    """Return ``states`` (n,) rescored by Webster's five rules (Webster 1982, Sleep 5:389).

    (a), (b), (c): after at least 4, 10, 15 minutes of wake the next 1, 3, 4 minutes of sleep become wake;
    all three read the wake as it was scored, so that none feeds another. (d): then sleep of at most 6 minutes
    between at least 10 minutes of wake on either side becomes wake; (e): then, on what (d) left, sleep of at
    most 10 minutes between at least 20 on either side. Sources disagree on (d), on the order and on
    cascading. Unscored epochs end a run and stay unscored.
    """
    rescored = states.copy()
    for wake_minutes, sleep_minutes in ((4, 1), (10, 3), (15, 4)):
        first, stop = runs(states == AWAKE)
        for end in stop[(stop - first) * epoch_seconds >= wake_minutes * 60]:
            _wake_what_sleeps(rescored, end, sleep_minutes * 60 // epoch_seconds)
    for sleep_minutes, wake_minutes in ((6, 10), (10, 20)):
        rescored = _without_short_sleep(rescored, sleep_minutes * 60, wake_minutes * 60, epoch_seconds)
    return rescored


def _wake_what_sleeps(states: States, first: int, epochs: int) -> None:
    """Turn the sleep of the ``epochs`` from ``first`` to wake, as far as nothing unscored stands between."""
    after = states[first : first + epochs]
    unscored = np.flatnonzero(after == UNSCORED)
    after[: unscored[0] if unscored.size else None] = AWAKE


def _without_short_sleep(states: States, longest: int, wake: int, epoch_seconds: int) -> States:
    """Turn sleep of at most ``longest`` seconds to wake where it stands between ``wake`` seconds of wake."""
    first, stop = runs(states == ASLEEP)
    before, after = _wake_before_and_after(states, first, stop)
    short = ((stop - first) * epoch_seconds <= longest) & (np.minimum(before, after) * epoch_seconds >= wake)
    rescored = states.copy()
    for begin, end in zip(first[short], stop[short], strict=True):
        rescored[begin:end] = AWAKE
    return rescored


def _wake_before_and_after(states: States, first: Indices, stop: Indices) -> tuple[Indices, Indices]:
    """Lengths in epochs (k,) of the wake that ends at each ``first`` and that begins at each ``stop``."""
    begins, ends = runs(states == AWAKE)
    ending = np.zeros(states.size + 1, np.int64)
    beginning = np.zeros(states.size + 1, np.int64)
    ending[ends] = beginning[begins] = ends - begins
    return ending[first], beginning[stop]


def _weighted(counts: FloatArray, weights: FloatArray, ahead: int) -> FloatArray:
    """Weigh each epoch's surroundings; ``weights`` run from ``ahead`` epochs later back, outside is 0."""
    return np.convolve(counts, weights)[ahead : ahead + counts.size]


def _states(asleep: BoolArray, scored: BoolArray) -> States:
    return np.where(scored, asleep, UNSCORED).astype(np.int8)
