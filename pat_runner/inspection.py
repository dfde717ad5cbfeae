"""What was understood of a recording, and what can be said about it: everything but the values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pat_runner.account import minutes_of_sources, quality_of
from pat_runner.pipeline import MAX_MISSING_FRACTION, no_weeks
from postprocessing import activity, circadian, sleep
from postprocessing.analysis import Metric, Quality
from postprocessing.metrics import METRICS
from preprocessing.calendar import transitions
from preprocessing.recording import Flag, Recording
from preprocessing.runs import runs
from preprocessing.wear import Wear, WearMode, assess
from preprocessing.week import Week, weeks_of

__all__ = ["inspect"]

_MOST_SPANS = 20


def inspect(recording: Recording, mode: WearMode = WearMode.DETECT) -> list[str]:
    """Describe ``recording`` line by line: device, clock and its changes, wear, gaps, and what it can carry.

    No recorded value and no identifier of the device or the person appears.
    """
    wear = assess(recording, mode)
    weeks = weeks_of(recording, wear.worn)
    return [
        *_source(recording),
        *_clock(recording),
        *_kept(quality_of(recording, wear)),
        *_pat(recording, weeks),
        *_metrics(recording, wear),
    ]


def _source(recording: Recording) -> Iterator[str]:
    yield f"format        {recording.source_format}"
    yield f"device        {recording.device}, worn at: {recording.wear_site}"
    yield f"unit          {recording.unit}, one value per {recording.epoch_seconds} s"
    for source, first, stop in _spans(recording)[:_MOST_SPANS]:
        yield f"source        {source}, epochs {first} to {stop - 1}"
    if minutes := minutes_of_sources(recording):
        yield "sources       " + ", ".join(f"{name} {count:.0f} min" for name, count in minutes.items())


def _spans(recording: Recording) -> list[tuple[str, int, int]]:
    """Unbroken stretches of epochs that one source gave, in order."""
    if recording.source is None:
        return []
    found = [
        (name, int(first), int(stop))
        for place, name in enumerate(recording.sources)
        for first, stop in zip(*runs(recording.source == place), strict=True)
    ]
    return sorted(found, key=lambda span: span[1])


def _clock(recording: Recording) -> Iterator[str]:
    yield f"start         {recording.start.isoformat()}"
    yield f"end           {recording.end.isoformat()}"
    yield f"zone          {recording.zone or _no_zone(recording)}"
    yield f"length        {recording.days:.2f} days, {recording.epochs} epochs"
    for moved in recording.travel:
        yield f"travel        clock of {moved.zone} from {moved.instant.isoformat()}"
    for change in transitions(recording.zone, recording.start, recording.end):
        yield f"clock change  {change.kind}, at {change.instant.isoformat()}"


def _no_zone(recording: Recording) -> str:
    dated = Flag.DATE_UNKNOWN not in recording.flags
    return "unknown (wall clock); give --zone" if dated else "unknown, and so is the date"


def _kept(quality: Quality) -> Iterator[str]:
    worn, off = quality.wear_minutes, quality.nonwear_minutes
    yield f"wear          {worn:.0f} min worn, {off:.0f} min not ({quality.wear_rule})"
    yield f"not recorded  {quality.not_recorded_minutes:.0f} min"
    yield f"valid days    {quality.valid_days}"
    repaired = {
        "unsorted samples": quality.unsorted_samples,
        "duplicate samples": quality.duplicate_samples,
        "inserted epochs": quality.inserted_epochs,
        "samples cut or dropped where another covers their time": quality.overlapping_samples,
        "samples set aside": quality.set_aside_samples,
    }
    yield from (f"repaired      {what}: {count}" for what, count in repaired.items() if count)
    yield from (f"flag          {flag}" for flag in quality.flags)


def _pat(recording: Recording, weeks: list[Week]) -> Iterator[str]:
    if absence := no_weeks(recording, weeks):
        yield f"PAT           no: {absence.reason}. {absence.detail}"
    for week in weeks:
        verdict = "yes" if week.missing_fraction <= MAX_MISSING_FRACTION else "no: too_much_missing"
        yield f"PAT           week from {week.start.date()}: {verdict} ({week.missing_fraction:.1%} missing)"


def _metrics(recording: Recording, wear: Wear) -> Iterator[str]:
    slept = sleep.summarise(recording, wear.worn)
    nights = f"{slept.valid_nights} valid nights of {len(slept.nights)}"
    yield f"sleep         {slept.scorer or 'no scorer'}, {nights}"
    rhythm = circadian.summarise(recording, wear.worn)
    moved = activity.summarise(recording, wear.worn)
    yield f"activity      {moved.valid_days} valid days, cut points: {moved.cut_points or 'none'}"
    yield from _possible([*slept.metrics, *rhythm.metrics, *moved.metrics])


def _possible(metrics: Iterable[Metric]) -> Iterator[str]:
    for metric in metrics:
        verdict = f"no: {metric.absent.reason}. {metric.absent.detail}" if metric.absent else "yes"
        yield f"{METRICS[metric.code].label:<48} {verdict}"
