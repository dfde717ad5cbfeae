"""PAT in the report: how each week was read, and where in it the last layer looked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from postprocessing.analysis import Analysis, Prediction, WeekResult
from postprocessing.explanation import MEANING
from postprocessing.html.markup import Markup, element, joined, paragraph, table
from postprocessing.html.svg import Frame, label, picture, steps, upright
from postprocessing.html.words import Clock, amount
from postprocessing.wording import RESEARCH_SCORE

__all__ = ["MOST_STRIPS", "MOST_WEEKS", "section"]

MOST_STRIPS = 8
MOST_WEEKS = 60
LEFT, TOP, WIDTH, STRIP, RIGHT = 74.0, 24.0, 576.0, 58.0, 10.0


def section(analysis: Analysis) -> Markup:
    """Say what PAT made of each week, and draw the attention where it was asked for."""
    if analysis.weeks_absent is not None:
        why = analysis.weeks_absent
        return paragraph(f"PAT read no week: {why.reason.value}. {why.detail}", class_="absent")
    clock = Clock.of(analysis)
    drawn = [week for week in analysis.weeks if week.attention_received]
    return joined(
        [
            *_weeks(analysis.weeks, clock),
            *([_strips(drawn, clock)] if drawn else []),
            *_predictions(analysis.weeks, clock),
        ]
    )


def _weeks(weeks: tuple[WeekResult, ...], clock: Clock) -> Iterator[Markup]:
    rows = [_row(week, clock) for week in weeks[:MOST_WEEKS]]
    heads = ("Week from", "Minutes missing", "Clock change", "Scaled by", "Embedding")
    yield table("Weeks of seven local days, from midnight to midnight, as PAT read them.", heads, rows)
    if len(weeks) > MOST_WEEKS:
        yield paragraph(f"The first {MOST_WEEKS} of {len(weeks)} weeks are listed.")


def _row(week: WeekResult, clock: Clock) -> tuple[str, ...]:
    embedding = (
        f"{len(week.embedding)} numbers"
        if week.embedding is not None
        else f"absent: {week.absent.reason.value}"
        if week.absent
        else ""
    )
    return (
        _named(week, clock),
        f"{100 * week.missing_fraction:.1f} %",
        week.dst_transition or "none",
        week.calibration.replace("_", " "),
        embedding,
    )


def _named(week: WeekResult, clock: Clock) -> str:
    return clock.date(clock.local(week.start).date())


def _strips(weeks: list[WeekResult], clock: Clock) -> Markup:
    shown = weeks[:MOST_STRIPS]
    full = max(_excess(week).max() for week in shown)
    frame = Frame(
        "attention",
        "Attention received over the week",
        f"{len(shown)} strips, one a week: how much of the encoder's last attention each part of the week "
        "receives.",
        LEFT + WIDTH + RIGHT,
        TOP + len(shown) * (STRIP + 20),
    )
    parts = (part for place, week in enumerate(shown) for part in _strip(week, clock, place, full))
    return picture(frame, parts, _words(shown, len(weeks), full))


def _excess(week: WeekResult) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Share (T/P,) that each part receives, as a multiple of an even share."""
    received = np.array(week.attention_received, dtype=np.float64)
    return received * received.size


def _strip(week: WeekResult, clock: Clock, place: int, full: float) -> Iterator[Markup]:
    base = TOP + place * (STRIP + 20) + STRIP
    monday = clock.local(week.start).date()
    for day in range(8):
        x = LEFT + day * WIDTH / 7
        yield upright(x, base - STRIP, base, "grid")
        if day < 7:
            yield label(x + WIDTH / 14, base + 11, clock.day(monday + timedelta(days=day)), "middle")
    heights = _excess(week) / full * STRIP
    yield element("path", d=steps(heights, WIDTH / heights.size, LEFT, base), class_="bar")
    even = base - STRIP / full
    yield element("line", x1=LEFT, x2=LEFT + WIDTH, y1=f"{even:.1f}", y2=f"{even:.1f}", class_="even")
    yield label(LEFT - 6, even + 3, "even share", "end")


def _words(shown: list[WeekResult], total: int, full: float) -> str:
    minutes = shown[0].patch_minutes
    cut = f" The first {len(shown)} of {total} weeks are drawn." if total > len(shown) else ""
    parts = f"parts of {minutes} minutes" if minutes else "parts"
    return (
        f"The week in {parts}; the dashed line is an even share, and full height is {amount(full)} times "
        f"that. {MEANING}{cut}"
    )


def _predictions(weeks: tuple[WeekResult, ...], clock: Clock) -> Iterator[Markup]:
    rows = [_score(week, head, clock) for week in weeks[:MOST_WEEKS] for head in week.predictions]
    if rows:
        heads = ("Week from", "Head", "Score", "Threshold", "Calibrated", "Evidence", "Checkpoint")
        yield table(RESEARCH_SCORE, heads, rows)


def _score(week: WeekResult, head: Prediction, clock: Clock) -> tuple[str, ...]:
    return (
        _named(week, clock),
        head.head,
        f"{head.probability:.2f}",
        f"{head.threshold:.2f}",
        "yes" if head.calibrated else "no",
        head.evidence,
        head.checkpoint,
    )
