"""The report: one Analysis as one HTML page with pictures, complete in itself, for a screen and for paper.

The page asks no host for anything and runs no script; its content policy says so to the browser. The same
Analysis and Recording give the same bytes. Neither serial nor subject stands in it.
"""

from __future__ import annotations

from postprocessing.analysis import Analysis
from postprocessing.html import actogram, attention, closing, day, tables
from postprocessing.html.markup import Markup, bullets, element, joined, paragraph
from postprocessing.html.style import STYLE
from postprocessing.html.words import Clock, device_words, duration, hours, quantity_words
from postprocessing.wording import LIMITS
from preprocessing.recording import BoolArray, Recording
from preprocessing.wear import WearMode, assess

__all__ = ["CONTENT_POLICY", "page"]

CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(analysis: Analysis, recording: Recording) -> str:
    """Return the report of ``analysis``, whose pictures are drawn from ``recording``.

    Raises ValueError where the Analysis is of another recording.
    """
    _check(analysis, recording)
    worn = assess(recording, WearMode(str(analysis.provenance.options["wear"]))).worn
    body = element("body", element("main", *_sections(analysis, recording, worn)))
    return f"<!DOCTYPE html>\n{element('html', _head(analysis), body, lang='en')}\n"


def _check(analysis: Analysis, recording: Recording) -> None:
    said = (analysis.recording.start, analysis.recording.epochs, analysis.recording.epoch_seconds)
    if said != (recording.start, recording.epochs, recording.epoch_seconds):
        raise ValueError(
            "expected the recording that the Analysis was made of, found another; pass both of one"
        )


def _head(analysis: Analysis) -> Markup:
    return element(
        "head",
        element("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_POLICY}"/>'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"Actigraphy report, {_range(analysis)}"),
        element("style", Markup(STYLE)),
    )


def _sections(analysis: Analysis, recording: Recording, worn: BoolArray) -> list[Markup]:
    sleep, rhythm, activity = analysis.sleep, analysis.rhythm, analysis.activity
    return [
        element("h1", "Actigraphy report"),
        *_measured(analysis),
        paragraph(analysis.statement, class_="statement"),
        *_section("Headline numbers", tables.headline(analysis)),
        *_section("Actogram", actogram.drawn(analysis, recording, actogram.Days.of(recording, worn))),
        *_section("Mean day", day.drawn(analysis, recording, worn)),
        tables.numbers("Rest-activity rhythm", rhythm.metrics),
        *_section("Nights", _how_sleep(analysis), tables.nights(analysis)),
        tables.numbers("Sleep: medians over valid nights, and numbers of the whole recording", sleep.metrics),
        *_section("PAT", attention.section(analysis)),
        *_section("Activity", _how_activity(analysis), tables.numbers("Activity", activity.metrics)),
        *_section("What is absent, and why", closing.absences(analysis)),
        *_section("Quality", closing.quality(analysis)),
        *_section("Provenance", closing.provenance(analysis)),
        *_section("Limits", bullets(LIMITS)),
    ]


def _section(title: str, *parts: Markup) -> list[Markup]:
    return [element("h2", title), *parts]


def _range(analysis: Analysis) -> str:
    clock, made = Clock.of(analysis), analysis.recording
    return f"{clock.date(clock.local(made.start).date())} to {clock.date(clock.local(made.end).date())}"


def _measured(analysis: Analysis) -> list[Markup]:
    clock, made, quality = Clock.of(analysis), analysis.recording, analysis.quality
    length = made.epochs * made.epoch_seconds / 60
    return [
        paragraph(f"{_range(analysis)}, {clock.named}"),
        paragraph(
            f"{device_words(made.device, made.wear_site)} recorded {quantity_words(made.unit)} from "
            f"{clock.moment(made.start)} to {clock.moment(made.end)}: {_days(length)} in epochs of "
            f"{made.epoch_seconds} s. Of this it was worn for {hours(quality.wear_minutes)}, not worn for "
            f"{hours(quality.nonwear_minutes)}, and {hours(quality.not_recorded_minutes)} were not recorded."
        ),
    ]


def _days(minutes: float) -> str:
    if minutes < 2 * 1440:
        return duration(minutes)
    return f"{minutes / 1440:.1f} days".replace(".0 ", " ")


def _how_sleep(analysis: Analysis) -> Markup:
    sleep = analysis.sleep
    if sleep.scorer is None:
        why = [joined([" ", tables.because(sleep.absent)])] if sleep.absent else []
        return paragraph("Sleep was not scored.", *why)
    rule = f" Rest interval: {sleep.rest_period}." if sleep.rest_period else ""
    nights = f"{sleep.valid_nights} of {len(sleep.nights)} nights are valid."
    return paragraph(f"Sleep and wake were told by the scorer {sleep.scorer}.{rule} {nights}")


def _how_activity(analysis: Analysis) -> Markup:
    activity = analysis.activity
    points = (
        f"Cut points: {activity.cut_points}."
        if activity.cut_points
        else "No cut points fit this unit and site."
    )
    return paragraph(f"Means over {activity.valid_days} valid days. {points}")
