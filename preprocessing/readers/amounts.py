"""Amounts over spans, as apps and web formats send steps: one a sample, with a start and an end as text.

What a sample lacks (an offset, a span, a known unit) sets it aside; if nothing is left, the commonest lack of
what users can mend is the refusal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from preprocessing.calendar import Instants
from preprocessing.merging import SOURCES, Events, Source
from preprocessing.readers.assemble import Description
from preprocessing.readers.aware_times import Moments, is_naive, moments
from preprocessing.readers.events import offsets_in, recording_of_events, zone_of_events
from preprocessing.readers.hints import Hints, settle, settle_device, settle_wear_site
from preprocessing.readers.pieces import Reading
from preprocessing.readers.stamps import SECOND
from preprocessing.recording import BoolArray, Recording, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite

__all__ = ["Amount", "description_of_steps", "recording_of_amounts"]

_EPOCH_SECONDS = 60
_MOST_ZONES = 12  # more than a traveller crosses; each costs a search for its clock changes
_TOLERANCE = 10  # a length may be a tenth of itself off
_NOTHING_LEFT = {  # in the order in which a caller can mend them
    Refusal.RESOLUTION_TOO_COARSE: "expected samples of parts of a day, found totals of days or statistics "
    "only; send the samples that they were made of",
    Refusal.NAIVE_TIMESTAMP: "expected samples with a UTC offset, found none with one; write offsets",
    Refusal.NO_EPOCH_INFORMATION: "expected samples with a start and an end or a length, found none with "
    "both; state them",
    Refusal.UNKNOWN_UNIT: "expected samples in a known unit of activity, found none; see docs/inputs.md",
    Refusal.NO_SAMPLES: "expected activity or steps, found other things only; send data of one of them",
}


class Amount(NamedTuple):
    """Steps from ``start`` to ``end`` (text with UTC offset); two of start, end and ``length`` at least.

    ``place`` is where the sample stands in its document; ``length`` in microseconds; copies share ``key``;
    ``clock`` is what the sample says of the wearer's clock: an IANA zone, or a UTC offset in seconds.
    """

    place: str
    value: float
    start: str | None
    end: str | None
    length: int | None = None
    source: Source = Source.OTHER
    key: str | None = None
    clock: str | int | None = None


def recording_of_amounts(
    found: Iterable[Amount | Refusal], reading: Reading, home: str | None = None
) -> Recording:
    """Make steps per minute of what was ``found``: amounts, or what sets a sample aside.

    The zone is ``home``, which the document states; else the one zone that all amounts name, the hint, or the
    one UTC offset of all clocks. ``no_samples`` sets another quantity aside. Raises RecordingError as
    ``recording_of_events`` does, or what most lacks if no amount is left.
    """
    amounts, aside = _sorted_out(found)
    if not amounts:
        raise _nothing_left(aside)
    start, end, written = _spans(amounts)
    zone = _zone(amounts, written, home, reading.hints)
    events = Events(
        start=start,
        end=end,
        values=np.array([amount.value for amount in amounts], dtype=np.float64),
        source=np.array([SOURCES.index(amount.source) for amount in amounts], dtype=np.int8),
        ids=_ids(amounts),
        offset=_offsets(amounts, start, zone),
        set_aside=len(aside),
    )
    return recording_of_events(events, description_of_steps(zone, reading), reading.hints)


def _sorted_out(found: Iterable[Amount | Refusal]) -> tuple[list[Amount], list[Refusal]]:
    amounts, aside = [], []
    for one in found:
        if isinstance(one, Refusal):
            aside.append(one)
        elif any(text is not None and is_naive(text) for text in (one.start, one.end)):
            aside.append(Refusal.NAIVE_TIMESTAMP)
        else:
            amounts.append(one)
    return amounts, aside


def _nothing_left(aside: Collection[Refusal]) -> RecordingError:
    """The refusal of an input of which all samples were set aside."""
    reason = next((reason for reason in _NOTHING_LEFT if reason in aside), Refusal.NO_SAMPLES)
    return RecordingError(reason, _NOTHING_LEFT[reason])


def _spans(amounts: Sequence[Amount]) -> tuple[Instants, Instants, Moments]:
    """Starts and ends (n,) in microseconds since 1970, and the times as they were written."""
    first = moments([amount.start or amount.end or "" for amount in amounts], "start")
    last = moments([amount.end or amount.start or "" for amount in amounts], "end")
    length = np.array([amount.length or 0 for amount in amounts], dtype=np.int64)
    start = np.where([amount.start is None for amount in amounts], last.utc - length, first.utc)
    end = np.where([amount.end is None for amount in amounts], first.utc + length, last.utc)
    _check(amounts, end >= start, "to end no earlier than it starts")
    fits = np.abs(end - start - length) <= length // _TOLERANCE
    _check(amounts, (length <= 0) | fits, "to last as long as it states")
    return start, end, first


def _check(amounts: Sequence[Amount], fits: BoolArray, expected: str) -> None:
    if not fits.all():
        place = amounts[int(fits.argmin())].place
        raise RecordingError(
            Refusal.INVALID_FIELD, f"expected {place or 'the sample'} {expected}; correct it", where=place
        )


def _zone(amounts: Sequence[Amount], written: Moments, home: str | None, hints: Hints) -> str:
    named = {amount.clock for amount in amounts}
    only = named.pop() if len(named) == 1 else None
    told = [type(amount.clock) is int for amount in amounts]
    seen = [amount.clock if type(amount.clock) is int else 0 for amount in amounts]
    offsets = np.where(told, seen, written.offset).astype(np.int64)
    stated = only if home is None and isinstance(only, str) else home
    return zone_of_events(stated, offsets if (told | written.clock).all() else None, hints)


def _ids(amounts: Sequence[Amount]) -> list[str] | None:
    """What copies share (n,); an amount without key is a copy of no other."""
    if not any(amount.key for amount in amounts):
        return None
    return [f"={amount.key}" if amount.key else f"#{k}" for k, amount in enumerate(amounts)]


def _offsets(amounts: Sequence[Amount], start: Instants, zone: str) -> Instants | None:
    """UTC offset (n,) in seconds of the wearer's clock, that of ``zone`` unless an amount says another."""
    if all(amount.clock is None for amount in amounts):
        return None
    clocks = [zone if amount.clock is None else amount.clock for amount in amounts]
    named = dict.fromkeys(clock for clock in clocks if isinstance(clock, str))
    if len(named) > _MOST_ZONES:
        raise RecordingError(
            Refusal.INVALID_FIELD, f"expected at most {_MOST_ZONES} zones in one recording", where="zone"
        )
    offsets = np.array([0 if isinstance(clock, str) else clock for clock in clocks], dtype=np.int64)
    for name in named:
        there = np.array([clock == name for clock in clocks])
        offsets[there] = offsets_in(name, start[there] // SECOND)
    return offsets


def description_of_steps(zone: str, reading: Reading) -> Description:
    """Minutes of steps on the clock of ``zone``; RecordingError where a hint says something else."""
    hints = reading.hints
    return Description(
        zone=zone,
        epoch_seconds=settle("epoch_seconds", _EPOCH_SECONDS, hints.epoch_seconds) or _EPOCH_SECONDS,
        unit=settle("unit", Unit.STEPS, hints.unit) or Unit.STEPS,
        device=settle_device(Device.UNKNOWN, hints),
        wear_site=settle_wear_site(WearSite.UNKNOWN, hints),
        source_format=reading.source_format,
        flags=reading.flags,
    )
