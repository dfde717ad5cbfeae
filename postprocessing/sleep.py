"""Sleep from movement: which epochs are sleep, where the main rest period lies, and how each night went.

Scorers take counts (n,) float64 with NaN = not recorded and return states (n,) int8: 1 sleep, 0 wake, -1
unscored. An epoch whose window holds a missing epoch is unscored; nothing is filled with zeros, because zeros
score as sleep.

The ActiGraph forms reproduce the vendor's output epoch by epoch; docs/clinical-metrics.md says on how much
data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import numpy.typing as npt

from postprocessing.absence import Absence, Reason, absent
from postprocessing.analysis import Basis, Metric, MetricCode, Night, Parameters, Sleep
from preprocessing.calendar import after, wall_clock_of
from preprocessing.recording import BoolArray, FloatArray, Recording
from preprocessing.runs import runs
from preprocessing.units import SleepScorer, validity

__all__ = [
    "ASLEEP",
    "AWAKE",
    "REST_PERIOD",
    "UNSCORED",
    "Scored",
    "cole_kripke",
    "night_values",
    "oakley",
    "oakley_score",
    "rest_blocks",
    "sadeh",
    "score",
    "summarise",
]

States = npt.NDArray[np.int8]

ASLEEP, AWAKE, UNSCORED = 1, 0, -1

REST_PERIOD = "main rest period (algorithmic; no diary)"

# The rest-period rule is a project choice after GGIR's HLRB (experimental, unpublished).
ROLLING_HALF_SECONDS = 1_800  # the sleep score is averaged from 30 min before to 30 min after each epoch
FILL_GAP_SECONDS = 3_600  # a shorter gap between two rest blocks belongs to both
SHORTEST_REST_SECONDS = 3 * 3_600
LONGEST_REST_SECONDS = 24 * 3_600  # the length of the noon-to-noon window that one block is chosen for

MAX_UNSCORED_FRACTION = 0.10  # of the rest interval of a valid night (project choice)
FEWEST_VALID_NIGHTS = 5  # for medians over nights
OAKLEY_THRESHOLD = 40.0  # Actiware "medium"

NIGHT_METRICS = (
    MetricCode.TIME_IN_BED,
    MetricCode.TOTAL_SLEEP_TIME,
    MetricCode.SLEEP_EFFICIENCY,
    MetricCode.WAKE_AFTER_SLEEP_ONSET,
    MetricCode.AWAKENINGS,
)


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


def oakley(counts: FloatArray, epoch_seconds: int, threshold: float = OAKLEY_THRESHOLD) -> States:
    """Score epochs of 15, 30 or 60 s as Actiware does: wake above ``threshold`` (40 is "medium").

    The first and last two minutes are unscored. Raises ValueError for other epochs.
    """
    activity = oakley_score(counts, epoch_seconds)
    edge = 2 * 60 // epoch_seconds
    activity[:edge] = activity[-edge:] = np.nan
    return _states(activity <= threshold, ~np.isnan(activity))


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


def _weighted(counts: FloatArray, weights: FloatArray, ahead: int) -> FloatArray:
    """Weigh each epoch's surroundings; ``weights`` run from ``ahead`` epochs later back, outside is 0."""
    return np.convolve(counts, weights)[ahead : ahead + counts.size]


def _states(asleep: BoolArray, scored: BoolArray) -> States:
    return np.where(scored, asleep, UNSCORED).astype(np.int8)


@dataclass(frozen=True, eq=False)
class Scored:
    """Sleep/wake states (m,) of a recording, at the scorer's resolution.

    ``factor`` recording epochs make one state; state i covers the recording's epochs [i * factor, (i + 1) *
    factor).
    """

    states: States
    epoch_seconds: int
    factor: int
    scorer: SleepScorer
    parameters: Parameters


def score(recording: Recording, worn: BoolArray, scorer: SleepScorer | None = None) -> Scored | Absence:
    """Score a recording's ``worn`` (n,) epochs with the scorer of its unit, or another allowed for it."""
    allowed = validity(recording.unit, recording.wear_site)
    if allowed.no_sleep_reason is not None:
        return absent(allowed.no_sleep_reason)
    chosen = scorer or allowed.sleep_scorers[0]
    if chosen not in allowed.sleep_scorers:
        return absent(
            Reason.UNIT_NOT_SUPPORTED, f"The scorer {chosen.value} is not defined for {recording.unit.value}."
        )
    seconds = _scoring_epoch(chosen, recording.epoch_seconds)
    if seconds is None or recording.epochs * recording.epoch_seconds < seconds:
        return absent(
            Reason.INSUFFICIENT_DATA,
            f"The scorer {chosen.value} needs minutes; the epochs are {recording.epoch_seconds} s long.",
        )
    counts = _sum_up(np.where(worn, recording.values, np.nan), seconds // recording.epoch_seconds)
    states, parameters = _apply(chosen, counts, seconds)
    return Scored(states, seconds, seconds // recording.epoch_seconds, chosen, parameters)


def _scoring_epoch(scorer: SleepScorer, epoch_seconds: int) -> int | None:
    if scorer is SleepScorer.OAKLEY and epoch_seconds in (15, 30):
        return epoch_seconds
    return 60 if 60 % epoch_seconds == 0 else None


def _sum_up(counts: FloatArray, factor: int) -> FloatArray:
    """Add up ``factor`` epochs each; a sum with a missing epoch is missing, a remainder is left out."""
    whole = counts.size // factor * factor
    sums: FloatArray = counts[:whole].reshape(-1, factor).sum(axis=1)
    return sums


def _apply(scorer: SleepScorer, counts: FloatArray, epoch_seconds: int) -> tuple[States, Parameters]:
    scored_at: Parameters = {"scored_epoch_seconds": epoch_seconds}
    match scorer:
        case SleepScorer.OAKLEY:
            return oakley(counts, epoch_seconds), scored_at | {"wake_above": OAKLEY_THRESHOLD}
        case SleepScorer.COLE_KRIPKE:
            return cole_kripke(counts), scored_at | {"sleep_below": 1.0, "rescoring": "none"}
        case SleepScorer.SADEH:
            return sadeh(counts), scored_at | {"sleep_above": -4.0, "rescoring": "none"}


def rest_blocks(states: States, epoch_seconds: int) -> npt.NDArray[np.int64]:
    """Find the rest blocks (k, 2) of ``states`` (m,), as [first, end) in epochs, of any length.

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


def summarise(recording: Recording, worn: BoolArray, scorer: SleepScorer | None = None) -> Sleep:
    """Return sleep of ``recording``: every noon-to-noon night and the medians over valid nights.

    ``worn`` (n,) marks the epochs that count; all others are unscored. ``scorer`` defaults to the unit's
    first.
    """
    scored = score(recording, worn, scorer)
    if isinstance(scored, Absence):
        return _no_sleep(scored)
    nights = tuple(_Nights(recording, worn & recording.recorded, scored))
    valid = [night for night in nights if night.valid]
    return Sleep(
        scorer=scored.scorer,
        rest_period=REST_PERIOD,
        valid_nights=len(valid),
        nights=nights,
        metrics=_medians(valid, scored),
    )


def _no_sleep(absence: Absence) -> Sleep:
    return Sleep(
        scorer=None,
        rest_period=None,
        valid_nights=0,
        nights=(),
        metrics=_all_missing(absence),
        absent=absence,
    )


def _all_missing(absence: Absence) -> tuple[Metric, ...]:
    return (*(Metric.missing(code, absence) for code in NIGHT_METRICS), _latency())


def _latency() -> Metric:
    return Metric.missing(MetricCode.SLEEP_ONSET_LATENCY, absent(Reason.NO_SLEEP_LOG))


@dataclass(frozen=True, eq=False)
class _Nights:
    """The noon-to-noon windows that a recording touches, each with its main rest period."""

    recording: Recording
    worn: BoolArray
    scored: Scored

    def __iter__(self) -> Iterator[Night]:
        scored = self.scored
        noon_days = (wall_clock_of(self.recording) - np.timedelta64(12, "h")).astype("datetime64[D]")
        window_of = noon_days[:: scored.factor][: scored.states.size]  # (m,)
        main = _main_blocks(rest_blocks(scored.states, scored.epoch_seconds), window_of, scored.epoch_seconds)
        for window in np.unique(window_of):
            night_of: date = window.item()
            yield (
                self._rest(night_of, *main[window])
                if window in main
                else self._no_rest(night_of, window_of == window)
            )

    def _no_rest(self, night_of: date, window: BoolArray) -> Night:
        hours = int((self.scored.states[window] != UNSCORED).sum()) * self.scored.epoch_seconds / 3600
        reason = Reason.TOO_MUCH_MISSING if hours < 16 else Reason.INSUFFICIENT_DATA
        why = absent(
            reason, f"No rest of 3 to 24 hours was found in the {hours:.1f} scored hours from noon to noon."
        )
        return Night(
            night_of=night_of,
            start=None,
            end=None,
            onset=None,
            offset=None,
            valid=False,
            absent=why,
            metrics=_all_missing(why),
        )

    def _rest(self, night_of: date, first: int, end: int) -> Night:
        states = self.scored.states[first:end]
        asleep = np.flatnonzero(states == ASLEEP)
        onset, offset = first + int(asleep[0]), first + int(asleep[-1]) + 1
        why = self._why_invalid(first, end)
        return Night(
            night_of=night_of,
            start=self._instant(first),
            end=self._instant(end),
            onset=self._instant(onset),
            offset=self._instant(offset),
            valid=why is None,
            absent=why,
            metrics=_all_missing(why) if why else self._metrics(first, end),
        )

    def _instant(self, state: int) -> datetime:
        return after(self.recording.start, timedelta(seconds=state * self.scored.epoch_seconds))

    def _why_invalid(self, first: int, end: int) -> Absence | None:
        states = self.scored.states
        if first == 0 or end == states.size:
            return absent(
                Reason.INSUFFICIENT_DATA, "The rest period runs into the start or end of the recording."
            )
        unscored = float((states[first:end] == UNSCORED).mean())
        if unscored < MAX_UNSCORED_FRACTION:
            return None
        limit = f"{MAX_UNSCORED_FRACTION:.0%} or more is too much"
        return absent(Reason.TOO_MUCH_MISSING, f"{unscored:.0%} of the rest interval is unscored; {limit}.")

    def _metrics(self, first: int, end: int) -> tuple[Metric, ...]:
        scored, factor = self.scored, self.scored.factor
        values = night_values(scored.states[first:end], scored.epoch_seconds)
        basis = Basis(
            scored.scorer,
            _parameters(scored),
            epochs_used=int((scored.states[first:end] != UNSCORED).sum()) * factor,
            wear_minutes=self.recording.minutes_of(self.worn[first * factor : end * factor]),
        )
        return (*(Metric.known(code, values[code], basis) for code in NIGHT_METRICS), _latency())


def _main_blocks(
    blocks: npt.NDArray[np.int64], window_of: npt.NDArray[np.datetime64], epoch_seconds: int
) -> dict[np.datetime64, tuple[int, int]]:
    """Choose for each window the longest block whose middle lies in it; of equal ones the latest."""
    main: dict[np.datetime64, tuple[int, int]] = {}
    for first, end in blocks.tolist():
        if not SHORTEST_REST_SECONDS <= (end - first) * epoch_seconds <= LONGEST_REST_SECONDS:
            continue
        window = window_of[(first + end) // 2]
        best = main.get(window, (0, 0))
        if end - first >= best[1] - best[0]:
            main[window] = (first, end)
    return main


def night_values(states: States, epoch_seconds: int) -> dict[MetricCode, float]:
    """Return the night's numbers from the states (k,) of its rest interval; at least one epoch must be sleep.

    Wake after sleep onset and awakenings count what was scored wake between the first and the last sleep
    epoch.
    """
    asleep = np.flatnonzero(states == ASLEEP)
    period = states[asleep[0] : asleep[-1] + 1]
    awake = period[period != UNSCORED] == AWAKE
    minutes = epoch_seconds / 60
    return {
        MetricCode.TIME_IN_BED: states.size * minutes,
        MetricCode.TOTAL_SLEEP_TIME: asleep.size * minutes,
        MetricCode.SLEEP_EFFICIENCY: 100 * asleep.size / states.size,
        MetricCode.WAKE_AFTER_SLEEP_ONSET: int(awake.sum()) * minutes,
        MetricCode.AWAKENINGS: float(len(runs(awake)[0])),
    }


def _parameters(scored: Scored) -> Parameters:
    return scored.parameters | {
        "rest_period": REST_PERIOD,
        "rolling_minutes": 2 * ROLLING_HALF_SECONDS / 60,
        "fill_gaps_below_minutes": FILL_GAP_SECONDS / 60,
        "shortest_rest_minutes": SHORTEST_REST_SECONDS / 60,
    }


def _medians(nights: list[Night], scored: Scored) -> tuple[Metric, ...]:
    if len(nights) < FEWEST_VALID_NIGHTS:
        return _all_missing(
            absent(
                Reason.TOO_FEW_VALID_NIGHTS, f"{len(nights)} valid nights; {FEWEST_VALID_NIGHTS} are needed."
            )
        )
    known = [
        [metric for metric in night.metrics if metric.value is not None] for night in nights
    ]  # (nights, 5)
    basis = Basis(
        scored.scorer,
        _parameters(scored) | {"statistic": "median over valid nights", "valid_nights": len(nights)},
        epochs_used=sum(metrics[0].epochs_used or 0 for metrics in known),
        wear_minutes=sum(metrics[0].wear_minutes or 0.0 for metrics in known),
    )
    values = np.median([[metric.value for metric in metrics] for metrics in known], axis=0).tolist()
    return (
        *(Metric.known(code, value, basis) for code, value in zip(NIGHT_METRICS, values, strict=True)),
        _latency(),
    )
