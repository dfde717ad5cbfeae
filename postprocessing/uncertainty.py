"""How far a summary would move if other nights or days had been recorded: percentile bootstrap intervals.

Nights and local days are drawn with replacement, whole, so that what belongs to one night stays together
(Efron 1979, Ann Stat 7:1; percentile form). The draws come from a fixed seed, so the same recording always
gives the same interval. An interval says nothing of what the algorithm gets wrong every night, and with five
to seven units it is too narrow rather than too wide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from postprocessing.analysis import Interval, Metric, Night, Sleep
from postprocessing.metrics import METRICS, MetricCode
from postprocessing.sleep_regularity import around_the_clock
from preprocessing.recording import FloatArray

__all__ = [
    "Bootstrap",
    "Statistic",
    "bootstrap",
    "clock_interval_of",
    "draws",
    "interval_of",
    "mean",
    "median",
    "standard_deviation",
    "with_intervals",
    "with_night_intervals",
]

IntArray = npt.NDArray[np.int64]
Statistic = Callable[[FloatArray], FloatArray]  # (resamples, n) -> (resamples,)

MOST_LOST = (
    0.1  # share of the resamples that may not give the number, as where none of a clock minute is left
)


@dataclass(frozen=True)
class Bootstrap:
    """How an interval is made; ``fewest`` units below which there is none (project choice)."""

    level: float = 0.95
    resamples: int = 1_000
    fewest: int = 5
    seed: int = 20_261_122


DEFAULT = Bootstrap()


@lru_cache(maxsize=64)
def draws(units: int, options: Bootstrap = DEFAULT) -> IntArray:
    """Return which of ``units`` are drawn: (resamples, units), the same for the same options on any machine.

    The raw stream of PCG64 is used because only that is promised not to change between versions of numpy.
    """
    raw = np.random.PCG64(options.seed).random_raw(options.resamples * units)
    drawn = (raw % np.uint64(units)).astype(np.int64).reshape(options.resamples, units)
    drawn.flags.writeable = False
    return drawn


def median(values: FloatArray) -> FloatArray:
    """Median of each row of (resamples, n)."""
    found: FloatArray = np.median(values, axis=1)
    return found


def mean(values: FloatArray) -> FloatArray:
    """Mean of each row of (resamples, n)."""
    found: FloatArray = values.mean(axis=1)
    return found


def standard_deviation(values: FloatArray) -> FloatArray:
    """Sample SD (ddof 1) of each row of (resamples, n)."""
    found: FloatArray = values.std(axis=1, ddof=1)
    return found


def bootstrap(
    values: FloatArray,
    statistic: Statistic,
    options: Bootstrap = DEFAULT,
    *,
    over: Literal["nights", "days"] = "nights",
    scale: Literal["linear", "clock"] = "linear",
) -> Interval | None:
    """Return the interval of ``statistic`` over ``values`` (n,), one a night or day, none of them NaN.

    On the ``clock`` scale values are hours; they are laid out around their circular mean first, and the
    interval runs forward from ``low`` to ``high``, over midnight where ``high`` is below ``low``. None with
    fewer than ``options.fewest`` values, or where clock times point in no common direction.
    """
    if values.size < options.fewest:
        return None
    laid_out = (0.0, values) if scale == "linear" else around_the_clock(values)
    if laid_out is None:
        return None
    centre, apart = laid_out
    interval = interval_of(statistic(apart[draws(values.size, options)]), values.size, options, over=over)
    return interval if interval is None or scale == "linear" else _on_clock(interval, centre)


def interval_of(
    estimates: FloatArray, units: int, options: Bootstrap, *, over: Literal["nights", "days"]
) -> Interval | None:
    """Return the central ``options.level`` of ``estimates`` (resamples,); NaN where a resample gives none.

    None where more than a tenth of the resamples give none.
    """
    known = estimates[np.isfinite(estimates)]
    if known.size < (1 - MOST_LOST) * estimates.size:
        return None
    tail = (1 - options.level) / 2
    low, high = np.quantile(known, [tail, 1 - tail]).tolist()
    return Interval(
        low=low,
        high=high,
        level=options.level,
        resamples=int(known.size),
        units=units,
        method=f"percentile bootstrap over {over}, seed {options.seed}",
    )


def clock_interval_of(
    estimates: FloatArray, units: int, options: Bootstrap, *, over: Literal["nights", "days"]
) -> Interval | None:
    """As ``interval_of``, of clock hours (resamples,) laid out around their circular mean."""
    known = np.isfinite(estimates)
    laid_out = around_the_clock(estimates[known]) if known.any() else None
    if laid_out is None:
        return None
    apart = np.full(estimates.shape, np.nan)
    apart[known] = laid_out[1]
    interval = interval_of(apart, units, options, over=over)
    return _on_clock(interval, laid_out[0]) if interval else None


def _on_clock(interval: Interval, centre: float) -> Interval:
    low, high = ((edge + centre) % 24 % 24 for edge in (interval.low, interval.high))  # -1e-17 % 24 is 24
    return interval.model_copy(update={"low": low, "high": high})


def with_intervals(
    metrics: tuple[Metric, ...], intervals: Mapping[MetricCode, Interval | None]
) -> tuple[Metric, ...]:
    """Return ``metrics`` with the interval of each that has a value and one in ``intervals``."""
    return tuple(
        metric.model_copy(update={"interval": intervals[metric.code]})
        if metric.value is not None and intervals.get(metric.code)
        else metric
        for metric in metrics
    )


def with_night_intervals(sleep: Sleep, options: Bootstrap = DEFAULT) -> Sleep:
    """Return ``sleep`` with intervals of its medians over valid nights and of the SD of mid-sleep.

    Regularity (SRI) and social jetlag compare nights with each other and get none.
    """
    nights = [night for night in sleep.nights if night.valid and not night.nap]
    intervals = {
        code: bootstrap(_values(nights, code), median, options, scale=_scale(code))
        for code in {metric.code for night in nights for metric in night.metrics}
    }
    intervals[MetricCode.MID_SLEEP_SD] = _mid_sleep_sd(_values(nights, MetricCode.MID_SLEEP), options)
    return sleep.model_copy(update={"metrics": with_intervals(sleep.metrics, intervals)})


def _values(nights: list[Night], code: MetricCode) -> FloatArray:
    """Known values (n,) of one metric over ``nights``."""
    found = [metric.value for night in nights for metric in night.metrics if metric.code == code]
    return np.array([value for value in found if value is not None], dtype=np.float64)


def _scale(code: MetricCode) -> Literal["linear", "clock"]:
    return "clock" if METRICS[code].kind == "clock_time" else "linear"


def _mid_sleep_sd(hours: FloatArray, options: Bootstrap) -> Interval | None:
    """Interval of the SD in minutes of clock hours (n,)."""
    laid_out = around_the_clock(hours) if hours.size else None
    return bootstrap(laid_out[1] * 60, standard_deviation, options) if laid_out else None
