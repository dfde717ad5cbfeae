"""The last step of readers of phones and watches: samples with a start and an end become minutes.

Sources are merged (preprocessing/merging.py) and what is left is split among minutes by overlap. A minute
that no sample reaches is not recorded; a sample of zero says that nothing moved.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt

from preprocessing.calendar import Instants, midnight, wall_clock, zone_of
from preprocessing.merging import SOURCES, Events, Merged, Source, merged
from preprocessing.readers.assemble import Description, Series, recording_of, too_many_epochs
from preprocessing.readers.hints import Hints, settle
from preprocessing.readers.stamps import SECOND, datetime_of
from preprocessing.recording import Flag, Recording, RecordingError, Refusal, Tidying, ZoneChange
from preprocessing.resampling import Grid, Spans, grid_over, pieces_of, spread

__all__ = ["LONGEST_SPREAD_SECONDS", "kind_of_source", "offsets_in", "recording_of_events", "zone_of_events"]

LONGEST_SPREAD_SECONDS = 3600  # project choice: a longer sample says too little of when it moved
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_WATCH = re.compile(r"(?<![a-z])(watch|fitbit|garmin|oura|whoop)(?![a-z])")
_PHONE = re.compile(r"(?<![a-z])(iphone|phone)(?![a-z])")


def kind_of_source(*texts: str | None) -> Source:
    """What recorded, by the first of ``texts`` (model, name, bundle id) that speaks of a known kind."""
    for text in filter(None, texts):
        if _WATCH.search(lower := text.lower()):
            return Source.WATCH
        if _PHONE.search(lower):
            return Source.PHONE
    return Source.OTHER


def zone_of_events(stated: str | None, offsets: Instants | None, hints: Hints) -> str:
    """Settle the zone: the one stated, else the hint, else the one UTC offset (seconds, (n,)) of all samples.

    Raises RecordingError ``invalid_field`` where statement and hint differ, ``no_time_zone`` where none says
    it.
    """
    zone = settle("zone", stated, hints.zone)
    if zone is not None:
        zone_of(zone)
        return zone
    if offsets is not None and offsets.size and int(np.ptp(offsets)) == 0 and int(offsets[0]) % 60 == 0:
        return _offset_name(int(offsets[0]))
    raise RecordingError(
        Refusal.NO_TIME_ZONE,
        "expected one time zone or one UTC offset for all samples, found neither; name the zone in which the "
        "person lived as a hint",
        where="zone",
    )


def _offset_name(seconds: int) -> str:
    sign = "-" if seconds < 0 else "+"
    return f"{sign}{abs(seconds) // 3600:02d}:{abs(seconds) // 60 % 60:02d}"


def offsets_in(zone: str, seconds: Instants) -> Instants:
    """UTC offsets (n,) in seconds of ``zone`` at ``seconds`` (n,) since 1970."""
    return wall_clock(_UNIX, zone, seconds).astype(np.int64) - seconds


def recording_of_events(events: Events, about: Description, hints: Hints) -> Recording:
    """Merge ``events`` and spread them over the epochs of ``about``, whose zone is settled.

    Events longer than an hour are set aside. Raises RecordingError ``no_samples``, ``resolution_too_coarse``
    where all are that long, ``too_many_epochs`` beyond the limit of ``hints``, and as ``recording_of``.
    """
    usable = _usable(_between(events, about.zone, hints))
    average = about.unit.is_rate
    left = merged(usable, hints.source_priority or (), average=average)
    step = about.epoch_seconds * SECOND
    grid = grid_over(int(left.start[0]), int(left.end.max()), step)
    if grid.epochs > hints.max_epochs:
        raise too_many_epochs(hints.max_epochs)
    spans = Spans(left.start, left.end, left.values)
    travel = _travel(usable, about.zone)
    series = Series(
        datetime_of(grid.start, about.zone),
        spread(spans, grid, average=average),
        tidying=_tidying(events, usable, left, grid),
        flags=_flags(usable, step, travel),
        source=_source(spans, left.source, grid),
        sources=tuple(map(str, SOURCES)),
        travel=travel,
    )
    return recording_of(about, series)


def _between(events: Events, zone: str | None, hints: Hints) -> Events:
    """The events that begin on the days asked for."""
    if events.start.size == 0:
        raise RecordingError(Refusal.NO_SAMPLES, "expected samples of one quantity, found none; send data")
    begin = _micros(hints.since, zone) if hints.since else None
    end = _micros(hints.until + timedelta(days=1), zone) if hints.until else None
    inside = np.ones(events.start.size, dtype=np.bool_)
    inside &= events.start >= begin if begin is not None else inside
    inside &= events.start < end if end is not None else inside
    if not inside.any():
        raise RecordingError(
            Refusal.NO_SAMPLES, "expected samples from since to until, found none; choose other days"
        )
    return events.where(inside)


def _micros(day: date, zone: str | None) -> int:
    begin = midnight(day, zone)
    aware = begin if begin.tzinfo else begin.replace(tzinfo=UTC)
    return (aware - _UNIX) // timedelta(microseconds=1)


def _usable(events: Events) -> Events:
    """The events short enough to say when something moved."""
    if (events.end < events.start).any():
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected samples that end no earlier than they start", where="end"
        )
    short = events.end - events.start <= LONGEST_SPREAD_SECONDS * SECOND
    if not short.any():
        raise RecordingError(
            Refusal.RESOLUTION_TOO_COARSE,
            f"expected samples of at most {LONGEST_SPREAD_SECONDS} s, found longer ones only; a total of a "
            "day is not a minute, so send the samples that it was made of",
            where="end",
        )
    usable = events.where(short)
    return replace(usable, set_aside=events.set_aside + int((~short).sum()))


def _tidying(given: Events, usable: Events, left: Merged, grid: Grid) -> Tidying:
    covered = np.bincount(pieces_of(Spans(left.start, left.end, left.values), grid)[1], minlength=grid.epochs)
    return Tidying(
        unsorted=int((np.diff(given.start) < 0).sum()),
        duplicates=left.duplicates,
        conflicts=left.conflicts,
        gaps=int((covered == 0).sum()),
        overlaps=left.overlaps,
        set_aside=usable.set_aside,
    )


def _flags(events: Events, step: int, travel: tuple[ZoneChange, ...]) -> frozenset[Flag]:
    long = bool((events.end - events.start > step).any())
    seen = {Flag.SPREAD_SAMPLES: long, Flag.ZONE_CHANGED: bool(travel)}
    return frozenset(flag for flag, is_so in seen.items() if is_so)


def _source(spans: Spans, source: npt.NDArray[np.int8], grid: Grid) -> npt.NDArray[np.int8]:
    """Which source (epochs,) covers most of each epoch; -1 where none does."""
    which, epoch, overlap = pieces_of(spans, grid)
    kinds = source[which].astype(np.int64)
    held = np.bincount(epoch * len(SOURCES) + kinds, overlap, grid.epochs * len(SOURCES))
    shares = held.reshape(grid.epochs, len(SOURCES))
    most: npt.NDArray[np.int8] = shares.argmax(axis=1).astype(np.int8)
    most[shares.max(axis=1) == 0] = -1
    return most


def _travel(events: Events, zone: str | None) -> tuple[ZoneChange, ...]:
    """The stretches in which the wearer's clock was not that of ``zone``, and the returns to it."""
    if events.offset is None or zone is None:
        return ()
    order = np.lexsort((events.offset, events.start))
    seconds, seen = events.start[order] // SECOND, events.offset[order]
    away = seen != offsets_in(zone, seconds)
    shown = np.where(away, seen, 0)
    starts = np.flatnonzero(np.diff(away, prepend=False) | (away & (np.diff(shown, prepend=0) != 0)))
    return tuple(
        ZoneChange(
            datetime_of(int(events.start[order[k]]), "+00:00"),
            _offset_name(int(seen[k])) if away[k] else zone,
        )
        for k in starts.tolist()
    )
