"""Amounts over spans, as web formats send steps: one a sample, with a start and an end as text.

What a sample lacks (an offset, a span, a known unit) sets it aside; if nothing is left, the commonest lack of
what users can mend is the refusal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from preprocessing.calendar import Instants, wall_clock
from preprocessing.merging import SOURCES, Events, Source
from preprocessing.readers.assemble import Description
from preprocessing.readers.aware_times import is_naive, moments
from preprocessing.readers.events import recording_of_events, zone_of_events
from preprocessing.readers.hints import Hints, settle, settle_device, settle_wear_site
from preprocessing.readers.pieces import Reading
from preprocessing.readers.stamps import SECOND
from preprocessing.recording import Recording, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite

__all__ = ["Amount", "Aside", "nothing_left", "recording_of_amounts"]

_EPOCH_SECONDS = 60
_MOST_ZONES = 12  # more than a traveller crosses; each costs a search for its clock changes
_TOLERANCE = 10  # a length may be a tenth of itself off
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING_LEFT = {  # in the order in which a caller can mend them
    Refusal.RESOLUTION_TOO_COARSE: "expected samples of parts of a day, found totals of days or statistics "
    "only; send the samples that they were made of",
    Refusal.NAIVE_TIMESTAMP: "expected samples with a UTC offset, found none with one; write offsets",
    Refusal.NO_EPOCH_INFORMATION: "expected samples with a start and an end or a length, found none with "
    "both; state them",
    Refusal.UNKNOWN_UNIT: "expected samples in a known unit of activity, found none; see docs/inputs.md",
    Refusal.NO_SAMPLES: "expected activity or steps, found other things only; send data of one of them",
}

Aside = Counter[Refusal]  # how many samples were set aside, by what they lack; NO_SAMPLES: another quantity


@dataclass(frozen=True)
class Amount:
    """Steps from ``start`` to ``end`` (text with UTC offset); two of start, end and ``length`` at least.

    ``length`` in microseconds; ``zone`` is where the wearer was, an IANA name; ``key``: copies share it.
    """

    start: str | None
    end: str | None
    value: float
    source: Source = Source.OTHER
    length: int | None = None
    key: str | None = None
    zone: str | None = None


def recording_of_amounts(amounts: Sequence[Amount], aside: Aside, reading: Reading) -> Recording:
    """Make steps per minute of ``amounts``; ``aside`` says what else there was.

    Raises RecordingError as ``recording_of_events`` does, or what most lacks if no amount is left.
    """
    aside, hints = aside.copy(), reading.hints
    usable = [amount for amount in amounts if not any(map(is_naive, _times(amount)))]
    aside[Refusal.NAIVE_TIMESTAMP] += len(amounts) - len(usable)
    if not usable:
        raise nothing_left(aside)
    events, zone = _events(usable, aside, hints)
    about = Description(
        zone=zone,
        epoch_seconds=settle("epoch_seconds", _EPOCH_SECONDS, hints.epoch_seconds) or _EPOCH_SECONDS,
        unit=settle("unit", Unit.STEPS, hints.unit) or Unit.STEPS,
        device=settle_device(Device.UNKNOWN, hints),
        wear_site=settle_wear_site(WearSite.UNKNOWN, hints),
        source_format=reading.source_format,
        flags=reading.flags,
    )
    return recording_of_events(events, about, hints)


def _times(amount: Amount) -> list[str]:
    return [text for text in (amount.start, amount.end) if text is not None]


def nothing_left(aside: Aside) -> RecordingError:
    """The refusal of an input of which all samples were set aside."""
    reason = next((reason for reason in _NOTHING_LEFT if aside[reason]), Refusal.NO_SAMPLES)
    return RecordingError(reason, _NOTHING_LEFT[reason])


def _events(amounts: Sequence[Amount], aside: Aside, hints: Hints) -> tuple[Events, str]:
    """The amounts as events, and the zone of the whole."""
    first = moments([amount.start or amount.end or "" for amount in amounts], "start")
    last = moments([amount.end or amount.start or "" for amount in amounts], "end")
    length = np.array([amount.length or 0 for amount in amounts], dtype=np.int64)
    start = np.where([amount.start is None for amount in amounts], last.utc - length, first.utc)
    end = np.where([amount.end is None for amount in amounts], first.utc + length, last.utc)
    _check_lengths(start, end, length)
    named = {amount.zone for amount in amounts} - {None}
    zone = zone_of_events(named.pop() if len(named) == 1 else None, first.clock_offset, hints)
    values = np.array([amount.value for amount in amounts], dtype=np.float64)
    if not np.isfinite(values).all() or (values < 0).any():
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected amounts of at least 0, found others; correct them", where="value"
        )
    events = Events(
        start=start,
        end=end,
        values=values,
        source=np.array([SOURCES.index(amount.source) for amount in amounts], dtype=np.int8),
        ids=[f"={amount.key}" if amount.key else f"#{k}" for k, amount in enumerate(amounts)],
        offset=_offsets(amounts, start),
        set_aside=aside.total(),
    )
    return events, zone


def _check_lengths(start: Instants, end: Instants, length: Instants) -> None:
    """Refuse a stated length that is not that between start and end, where all three are given."""
    if ((length > 0) & (np.abs(end - start - length) > length // _TOLERANCE)).any():
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected the stated length between start and end, found another; correct one of the three",
            where="epoch_seconds",
        )


def _offsets(amounts: Sequence[Amount], start: Instants) -> Instants | None:
    """UTC offsets (n,) in seconds of the zones where the wearer was; None unless each amount names one."""
    names = [amount.zone for amount in amounts if amount.zone is not None]
    if len(names) < len(amounts):
        return None
    zones = {name: code for code, name in enumerate(dict.fromkeys(names))}
    if len(zones) > _MOST_ZONES:
        raise RecordingError(
            Refusal.INVALID_FIELD, f"expected at most {_MOST_ZONES} zones in one recording", where="zone"
        )
    at = np.array([zones[name] for name in names])
    seconds = start // SECOND
    offsets = np.zeros(seconds.size, dtype=np.int64)
    for name, code in zones.items():
        here = at == code
        offsets[here] = wall_clock(_UNIX, name, seconds[here]).astype(np.int64) - seconds[here]
    return offsets
