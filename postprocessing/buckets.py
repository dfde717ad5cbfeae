"""Buckets: how coarse each metric is before it leaves for research, as one table.

A number is given as the nearest step, and what lies beyond the outermost steps as those: the rarest values
are the ones that tell people apart. A level depends on the device, so it has no fixed steps; it is given to
half of its leading digit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from postprocessing.metrics import METRICS, MetricCode

__all__ = ["BUCKETS", "Bucket", "bucketed"]


@dataclass(frozen=True)
class Bucket:
    """Steps in the metric's unit; without ``step`` half of the leading digit: 100, 150, 200 ... 950, 1000."""

    step: float | None = None
    least: float = 0.0
    most: float = math.inf

    @property
    def words(self) -> str:
        """Say it to a reader."""
        if self.step is None:
            return "half of the leading digit"
        bounded = math.isfinite(self.most)
        return f"{self.step:g}" + (f", from {self.least:g} to {self.most:g}" if bounded else "")


_NOTHING = 1e-9  # of a level
_LEVEL = Bucket()
_SHARE = Bucket(0.05, 0, 1)
_PERCENT = Bucket(5, 40, 100)
BUCKETS: dict[MetricCode, Bucket] = {
    MetricCode.TIME_IN_BED: Bucket(15, 180, 900),
    MetricCode.SLEEP_PERIOD_TIME: Bucket(15, 180, 900),
    MetricCode.TOTAL_SLEEP_TIME: Bucket(15, 120, 840),
    MetricCode.SLEEP_EFFICIENCY: _PERCENT,
    MetricCode.SLEEP_MAINTENANCE_EFFICIENCY: _PERCENT,
    MetricCode.WAKE_AFTER_SLEEP_ONSET: Bucket(10, 0, 240),
    MetricCode.AWAKENINGS: Bucket(5, 0, 60),
    MetricCode.MEAN_AWAKENING_LENGTH: Bucket(1, 0, 20),
    MetricCode.MID_SLEEP: Bucket(0.5),
    MetricCode.MOVEMENT_INDEX: Bucket(5, 0, 60),
    MetricCode.FRAGMENTATION_INDEX: Bucket(5, 0, 60),
    MetricCode.SLEEP_FRAGMENTATION_INDEX: Bucket(10, 0, 120),
    MetricCode.ACTIWARE_FRAGMENTATION_INDEX: Bucket(10, 0, 120),
    MetricCode.SLEEP_ONSET_LATENCY: Bucket(10, 0, 120),
    MetricCode.MID_SLEEP_SD: Bucket(15, 0, 240),
    MetricCode.SLEEP_REGULARITY_INDEX: Bucket(5, -20, 100),
    MetricCode.SOCIAL_JETLAG: Bucket(0.5, 0, 6),
    MetricCode.INTERDAILY_STABILITY: _SHARE,
    MetricCode.INTRADAILY_VARIABILITY: Bucket(0.1, 0, 2),
    MetricCode.INTERDAILY_STABILITY_BINARIZED: _SHARE,
    MetricCode.INTRADAILY_VARIABILITY_BINARIZED: Bucket(0.1, 0, 2),
    MetricCode.RELATIVE_AMPLITUDE: _SHARE,
    MetricCode.L5: _LEVEL,
    MetricCode.L5_ONSET: Bucket(1),
    MetricCode.M10: _LEVEL,
    MetricCode.M10_ONSET: Bucket(1),
    MetricCode.MESOR: _LEVEL,
    MetricCode.AMPLITUDE: _LEVEL,
    MetricCode.ACROPHASE: Bucket(1),
    MetricCode.COSINOR_R_SQUARED: _SHARE,
    MetricCode.LOG_MESOR: Bucket(0.25, 0, 10),
    MetricCode.LOG_AMPLITUDE: Bucket(0.25, 0, 10),
    MetricCode.LOG_ACROPHASE: Bucket(1),
    MetricCode.LOG_COSINOR_R_SQUARED: _SHARE,
    MetricCode.MEAN_LEVEL: _LEVEL,
    MetricCode.TOTAL_ACTIVITY: _LEVEL,
    MetricCode.TOTAL_LOG_ACTIVITY: Bucket(250, 0, 10_000),
    MetricCode.SEDENTARY_TIME: Bucket(30, 0, 1440),
    MetricCode.LIGHT_TIME: Bucket(30, 0, 900),
    MetricCode.MODERATE_TIME: Bucket(10, 0, 240),
    MetricCode.VIGOROUS_TIME: Bucket(10, 0, 120),
    MetricCode.MVPA_TIME: Bucket(10, 0, 300),
    MetricCode.SEDENTARY_BOUT: Bucket(1, 0, 40),
    MetricCode.ACTIVE_BOUT: Bucket(1, 0, 30),
    MetricCode.SEDENTARY_TO_ACTIVE: _SHARE,
    MetricCode.ACTIVE_TO_SEDENTARY: _SHARE,
    MetricCode.STEPS_PER_DAY: Bucket(1000, 0, 25_000),
    MetricCode.MODERATE_CADENCE_TIME: Bucket(10, 0, 180),
    MetricCode.VIGOROUS_CADENCE_TIME: Bucket(10, 0, 120),
}


def bucketed(code: MetricCode, value: float) -> float:
    """Return the step of ``code`` that stands for ``value``; a clock time goes round at midnight."""
    bucket = BUCKETS[code]
    if bucket.step is None:
        return _to_half_a_digit(value)
    step = round(math.floor(value / bucket.step + 0.5) * bucket.step, 6)
    if METRICS[code].kind == "clock_time":
        return step % 24
    return min(max(step, bucket.least), bucket.most)


def _to_half_a_digit(value: float) -> float:
    if abs(value) < _NOTHING:
        return 0.0
    step = 10.0 ** math.floor(math.log10(abs(value))) / 2
    return float(f"{math.floor(value / step + 0.5) * step:.6g}")
