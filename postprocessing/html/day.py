"""The mean day: the average level at each clock minute, with the least and the most active hours marked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from postprocessing.analysis import Analysis, Metric
from postprocessing.circadian import L5_MINUTES, M10_MINUTES, ClockSeries, day_profile
from postprocessing.html.markup import Markup, element, paragraph
from postprocessing.html.svg import Frame, label, nice_ceiling, picture, rectangle, short, steps, upright
from postprocessing.html.words import Clock, rate_words, value_words
from postprocessing.metrics import MetricCode
from preprocessing.recording import BoolArray, FloatArray, Recording

__all__ = ["drawn"]

BIN_MINUTES = 5
LEFT, TOP, WIDTH, HEIGHT, FOOT, RIGHT = 60.0, 24.0, 576.0, 170.0, 28.0, 24.0
BOTTOM = TOP + HEIGHT
PER_HOUR = WIDTH / 24


@dataclass(frozen=True, eq=False)
class _Day:
    """Mean levels (288,) of the day per five minutes, and the rhythm's numbers by code."""

    levels: FloatArray
    found: dict[MetricCode, Metric]
    rate: str
    clock: Clock

    def value(self, code: MetricCode) -> float | None:
        metric = self.found.get(code)
        return metric.value if metric else None

    @property
    def ceiling(self) -> float:
        """Top of the scale, with room for the names of the windows."""
        peaks = [float(np.nanmax(self.levels))]
        mesor, amplitude = self.value(MetricCode.MESOR), self.value(MetricCode.AMPLITUDE)
        if mesor is not None and amplitude is not None:
            peaks.append(mesor + amplitude)
        return nice_ceiling(1.12 * max(peaks))

    def y(self, level: float) -> float:
        return BOTTOM - level / self.ceiling * HEIGHT


def drawn(analysis: Analysis, recording: Recording, worn: BoolArray) -> Markup:
    """Draw the mean day of the ``worn`` (n,) epochs, or say that there is none."""
    profile, days_seen = day_profile(ClockSeries.of(recording, worn & recording.recorded))
    if not days_seen.any():
        return paragraph("No minute was recorded and worn, so there is no mean day.", class_="absent")
    found = {metric.code: metric for metric in analysis.rhythm.metrics}
    day = _Day(_coarse(profile), found, rate_words(recording.unit), Clock.of(analysis))
    frame = Frame(
        "mean-day",
        "Mean day profile",
        f"Mean level in {day.rate} at each time of day. {_windows_in_words(day)}",
        LEFT + WIDTH + RIGHT,
        BOTTOM + FOOT,
    )
    parts = [*_bands(day), *_grid(day), _area(day), *_cosine(day), *_names(day)]
    return picture(frame, parts, _words(day, int(days_seen.min()), int(days_seen.max())))


def _coarse(profile: FloatArray) -> FloatArray:
    table = profile.reshape(-1, BIN_MINUTES)
    seen = ~np.isnan(table)
    total = np.where(seen, table, 0).sum(axis=1)
    means: FloatArray = np.full(len(table), np.nan)
    np.divide(total, seen.sum(axis=1), out=means, where=seen.any(axis=1))
    return means


def _bands(day: _Day) -> Iterator[Markup]:
    for code, minutes, kind in _WINDOWS:
        if (onset := day.value(code)) is not None:
            end = onset + minutes / 60
            yield rectangle(LEFT + onset * PER_HOUR, TOP, (min(end, 24) - onset) * PER_HOUR, HEIGHT, kind)
            if end > 24:
                yield rectangle(LEFT, TOP, (end - 24) * PER_HOUR, HEIGHT, kind)


_WINDOWS = (
    (MetricCode.L5_ONSET, L5_MINUTES, "low"),
    (MetricCode.M10_ONSET, M10_MINUTES, "high"),
)


def _names(day: _Day) -> Iterator[Markup]:
    for (code, _, _), name in zip(_WINDOWS, ("L5", "M10"), strict=True):
        if (onset := day.value(code)) is not None:
            yield label(LEFT + onset * PER_HOUR + 4, TOP + 11, name)


def _grid(day: _Day) -> Iterator[Markup]:
    yield label(LEFT - 52, 9, day.rate)
    yield label(LEFT + WIDTH, 9, day.clock.short, "end")
    for share in (0.0, 0.5, 1.0):
        y = BOTTOM - share * HEIGHT
        yield element("line", x1=LEFT, x2=LEFT + WIDTH, y1=y, y2=y, class_="grid" if share else "axis")
        yield label(LEFT - 6, y + 3, f"{share * day.ceiling:,g}", "end")
    for hour in range(0, 25, 3):
        x = LEFT + hour * PER_HOUR
        yield upright(x, BOTTOM, BOTTOM + 4, "axis")
        yield label(x, BOTTOM + 14, f"{hour % 24:02d}", "middle")


def _area(day: _Day) -> Markup:
    heights = day.levels / day.ceiling * HEIGHT
    return element("path", d=steps(heights, WIDTH / heights.size, LEFT, BOTTOM), class_="bar")


def _cosine(day: _Day) -> Iterator[Markup]:
    mesor, amplitude = day.value(MetricCode.MESOR), day.value(MetricCode.AMPLITUDE)
    peak = day.value(MetricCode.ACROPHASE)
    if mesor is None or amplitude is None or peak is None:
        return
    hours = np.arange(0, 24.01, 0.25)
    levels = np.maximum(mesor + amplitude * np.cos(2 * np.pi * (hours - peak) / 24), 0)
    points = zip((LEFT + hours * PER_HOUR).tolist(), map(day.y, levels.tolist()), strict=True)
    yield element("path", d="M" + "L".join(f"{short(x)} {short(y)}" for x, y in points), class_="curve")
    x = LEFT + peak * PER_HOUR
    yield upright(x, TOP - 2, BOTTOM, "changeline")
    yield label(x, TOP - 5, "acrophase", "middle changelabel")


def _windows_in_words(day: _Day) -> str:
    names = (
        (MetricCode.L5_ONSET, "The least active 5 hours (L5) start at"),
        (MetricCode.M10_ONSET, "The most active 10 hours (M10) start at"),
        (MetricCode.ACROPHASE, "The acrophase is at"),
    )
    said = [
        f"{words} {value_words(day.found[code])}." for code, words in names if day.value(code) is not None
    ]
    return " ".join(said) or "L5, M10 and acrophase are absent."


def _words(day: _Day, fewest: int, most: int) -> str:
    days = f"{most} days" if fewest == most else f"{fewest} to {most} days"
    mean = f"Mean of {days} per {BIN_MINUTES} minutes of the clock, worn time only."
    curve = "The dashed line is the fitted 24-hour cosine; its peak is the acrophase."
    fitted = [curve] if day.value(MetricCode.ACROPHASE) is not None else []
    return " ".join([mean, _windows_in_words(day), *fitted])
