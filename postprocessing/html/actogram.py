"""The double-plotted actogram: 48 hours a row on the local clock, so that no night is cut at midnight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import numpy as np
import numpy.typing as npt

from postprocessing.analysis import Analysis, Night
from postprocessing.circadian import ClockSeries
from postprocessing.html.markup import Markup, element, joined
from postprocessing.html.svg import Frame, label, picture, rectangle, short, steps, upright
from postprocessing.html.words import Clock, amount, duration, label_of, rate_words
from preprocessing.calendar import Transition, transitions
from preprocessing.recording import BoolArray, FloatArray, Recording
from preprocessing.runs import runs

__all__ = ["MOST_ROWS", "PERCENTILE", "Days", "drawn"]

MOST_ROWS = 60
PERCENTILE = 99
BIN_MINUTES = 5
DAY_BINS = 1440 // BIN_MINUTES  # one unit of the picture is one bin
DAY_SECONDS = 86_400
LEFT, TOP, RIGHT, LEGEND = 74.0, 26.0, 10.0, 30.0
OUTSIDE, WORN, OFF, GAP = range(4)

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Days:
    """A recording in bins of the local clock: ``levels`` (days, 288) per minute, NaN = nothing worn.

    ``kinds`` (days, 288) says what each bin holds: ``WORN`` if any part of it was, else ``OFF`` if any part
    was recorded, else ``GAP``; ``OUTSIDE`` of the recording and in an hour that the clock skipped.
    """

    first: date
    levels: FloatArray
    kinds: IntArray

    @classmethod
    def of(cls, recording: Recording, worn: BoolArray) -> Days:
        """Average the ``worn`` (n,) epochs over each bin; passes of a repeated hour are averaged together."""
        series = ClockSeries.of(recording, recording.recorded)
        kept = np.repeat(worn & recording.recorded, series.levels.size // worn.size)
        days = series.clock.astype("datetime64[D]").astype(np.int64)
        cell = (days - days.min()) * DAY_BINS + series.clock_seconds // (BIN_MINUTES * 60)
        size = int(days.max() - days.min() + 1) * DAY_BINS
        total = np.bincount(cell[kept], series.levels[kept], minlength=size)
        count = np.bincount(cell[kept], minlength=size)
        levels = np.divide(total, count, out=np.full(size, np.nan), where=count > 0)
        kinds = np.zeros(size, dtype=np.int64)
        for kind, mask in ((GAP, np.ones(kept.size, dtype=np.bool_)), (OFF, series.valid), (WORN, kept)):
            kinds[cell[mask]] = kind
        return cls(
            date.fromordinal(int(days.min()) + _EPOCH_DAY),
            levels.reshape(-1, DAY_BINS),
            kinds.reshape(-1, DAY_BINS),
        )

    @property
    def full_height(self) -> float | None:
        """Level of a full bar: the 99th percentile of those above zero; None where nothing moved."""
        moving = self.levels[self.levels > 0]
        return float(np.percentile(moving, PERCENTILE)) if moving.size else None


_EPOCH_DAY = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class _Span:
    """A stretch of the local clock within one day of the recording, in bins from its midnight."""

    day: int
    start: float
    end: float


@dataclass(frozen=True, eq=False)
class _Page:
    """What all rows share."""

    days: Days
    clock: Clock
    nights: tuple[Night, ...]
    changes: tuple[Transition, ...]

    @property
    def rows(self) -> int:
        return min(len(self.days.levels), MOST_ROWS)

    @property
    def row_height(self) -> float:
        return 30.0 if self.rows <= 10 else 20.0 if self.rows <= 31 else 13.0

    @property
    def bottom(self) -> float:
        return TOP + self.rows * self.row_height

    def spans(self, start: datetime | None, end: datetime | None) -> Iterator[_Span]:
        """Cut the local stretch [start, end) at midnights."""
        if start is not None and end is not None:
            yield from self.cut(self.clock.local(start), self.clock.local(end))

    def cut(self, start: datetime, end: datetime) -> Iterator[_Span]:
        """Cut a stretch of naive labels at midnights."""
        while start < end:
            midnight = datetime.combine(start.date() + timedelta(days=1), time())
            stop = min(end, midnight)
            begin = datetime.combine(start.date(), time())
            day = (start.date() - self.days.first).days
            yield _Span(day, _bins(start - begin), _bins(stop - begin))
            start = stop


def _bins(elapsed: timedelta) -> float:
    return elapsed / timedelta(minutes=BIN_MINUTES)


def drawn(analysis: Analysis, recording: Recording, days: Days) -> Markup:
    """Draw the actogram of ``recording``, binned as ``days``, with what the Analysis says of its nights."""
    changes = tuple(transitions(recording.zone, recording.start, recording.end))
    page = _Page(days, Clock.of(analysis), analysis.sleep.nights, changes)
    shown = range(min(page.rows + 1, len(days.levels)))
    frame = Frame(
        "actogram",
        "Double-plotted actogram",
        f"{page.rows} rows of 48 hours on the local clock, one for each day and the day after it. Bars show "
        "activity; shading shows rest and sleep, hatching time not worn or not recorded.",
        LEFT + 2 * DAY_BINS + RIGHT,
        page.bottom + LEGEND,
    )
    parts = [_definitions(page, shown), *_rows(page), *_axis(page), *_legend(page)]
    return picture(frame, parts, _words(page, recording))


def _definitions(page: _Page, shown: range) -> Markup:
    by_day = _shading(page)
    marks = _clock_changes(page)
    days = (_day(page, day, by_day.get(day, []), marks.get(day, [])) for day in shown)
    return element("defs", _hatch("off", "M0 4L4 0"), _hatch("gap", "M0 0L4 4"), joined(days, "\n"))


def _hatch(name: str, path: str) -> Markup:
    ground = rectangle(0, 0, 4, 4, f"{name}ground")
    pattern = element("path", d=path, class_=f"hatch {name}")
    return element("pattern", ground, pattern, id=name, width=4, height=4, patternUnits="userSpaceOnUse")


def _shading(page: _Page) -> dict[int, list[Markup]]:
    """Rest intervals, those of valid nights with the sleep period on top, by day."""
    shading: dict[int, list[Markup]] = {}
    for night in page.nights:
        slept = [("sleep", night.onset, night.offset)] if night.valid else []
        for kind, start, end in (("rest", night.start, night.end), *slept):
            for span in page.spans(start, end):
                shading.setdefault(span.day, []).append(_band(page, span, kind))
    return shading


def _band(page: _Page, span: _Span, kind: str) -> Markup:
    height = page.row_height
    return rectangle(span.start, 1 - height, span.end - span.start, height - 1, kind)


def _clock_changes(page: _Page) -> dict[int, list[Markup]]:
    """The hour that a clock change skips or repeats, by day."""
    marks: dict[int, list[Markup]] = {}
    for change in page.changes:
        start, end = sorted(label_of(change.instant, offset) for offset in (change.before, change.after))
        spans = list(page.cut(start, end))
        for span in spans:
            marks.setdefault(span.day, []).append(_band(page, span, "change"))
        first = spans[0]
        marks[first.day] += [
            upright(first.start, 1 - page.row_height, 0, "changeline"),
            rectangle(spans[-1].end + 1, 1 - page.row_height, 40, 9, "paper"),
            label(spans[-1].end + 3, 7.5 - page.row_height, _shift(change), "changelabel"),
        ]
    return marks


def _shift(change: Transition) -> str:
    minutes = (change.after - change.before) / timedelta(minutes=1)
    sign = "+" if minutes > 0 else "−"  # noqa: RUF001  # a minus in print
    return f"clock {sign}{duration(abs(minutes)).removesuffix(' 00 min')}"


def _day(page: _Page, day: int, shading: list[Markup], marks: list[Markup]) -> Markup:
    kinds, levels = page.days.kinds[day], page.days.levels[day]
    full, height = page.days.full_height, page.row_height - 2
    heights = np.minimum(levels / full, 1) * height if full else np.full(levels.size, np.nan)
    bars = element("path", d=steps(heights, 1), class_="bar")
    hatches = [
        rectangle(start, 1 - page.row_height, stop - start, page.row_height - 1, kind)
        for number, kind in ((OFF, "isoff"), (GAP, "isgap"))
        for start, stop in zip(*(edge.tolist() for edge in runs(kinds == number)), strict=True)
    ]
    return element("g", *hatches, *shading, bars, *marks, id=f"day-{day}")


def _axis(page: _Page) -> Iterator[Markup]:
    yield label(LEFT, 9, page.clock.short)
    for hour in range(0, 49, 6):
        x = LEFT + hour * DAY_BINS / 24
        yield upright(x, TOP - 3, page.bottom, "axis" if hour % 24 == 0 else "grid")
        yield label(x, TOP - 6, f"{hour % 24:02d}", "middle")


def _rows(page: _Page) -> Iterator[Markup]:
    for row in range(page.rows):
        base = TOP + (row + 1) * page.row_height
        yield label(LEFT - 6, base - 2, page.clock.day(page.days.first + timedelta(days=row)), "end")
        for half in (0, 1):
            if row + half < len(page.days.levels):
                x = LEFT + half * DAY_BINS
                yield element("use", href=f"#day-{row + half}", x=short(x), y=short(base))
        yield element("line", x1=LEFT, x2=LEFT + 2 * DAY_BINS, y1=short(base), y2=short(base), class_="grid")


def _legend(page: _Page) -> Iterator[Markup]:
    y = page.bottom + 12
    entries = [
        *(("rest box", "rest interval"), ("sleep box", "sleep onset to offset")),
        *(("isoff box", "not worn"), ("isgap box", "not recorded")),
        *([("change box", "clock change")] if page.changes else []),
    ]
    places = (0, 82, 208, 276, 358)
    for place, (kind, words) in zip(places, entries, strict=False):
        x = LEFT + place
        yield rectangle(x, y, 14, 9, kind)
        yield label(x + 18, y + 8, words)


def _words(page: _Page, recording: Recording) -> str:
    full, rate = page.days.full_height, rate_words(recording.unit)
    scale = (
        f"Each bar is the mean of {BIN_MINUTES} minutes while worn, on a linear scale. A full bar is the "
        f"{PERCENTILE}th percentile of those above zero, {amount(full)} {rate}; higher bars are cut."
        if full is not None
        else "No movement was recorded, so there are no bars."
    )
    nights = "The sleep of a night that is not valid is not shaded."
    told = [nights] if any(night.start and not night.valid for night in page.nights) else []
    row = "Each row shows one day and the day after it."
    return " ".join([row, scale, *told, *_changes(page), *_cut(page)])


def _changes(page: _Page) -> Iterator[str]:
    for change in page.changes:
        start, end = sorted(label_of(change.instant, offset) for offset in (change.before, change.after))
        did = "skipped" if change.kind == "spring" else "showed twice"
        when = page.clock.date(start.date())
        yield f"On {when} the clock {did} the time from {start:%H:%M} to {end:%H:%M}."


def _cut(page: _Page) -> Iterator[str]:
    total = len(page.days.levels)
    if total > page.rows:
        yield f"The first {page.rows} of {total} days are drawn; the numbers rest on all of them."
