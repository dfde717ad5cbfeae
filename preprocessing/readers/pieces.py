"""Pieces of one series, as web formats send them: each with its start and its values, in any order.

Pieces of one unit, epoch, device and zone become one recording. Where they overlap and where they leave gaps
the rules of ``timeline`` hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from preprocessing.calendar import zone_of
from preprocessing.readers.assemble import Description, Series, recording_of, too_many_epochs
from preprocessing.readers.aware_times import Moments, moments
from preprocessing.readers.device_models import counts_of
from preprocessing.readers.events import zone_of_events
from preprocessing.readers.hints import Format, Hints, settle, settle_device, settle_wear_site
from preprocessing.readers.stamps import SECOND, datetime_of
from preprocessing.readers.timeline import Samples, regular
from preprocessing.recording import BoolArray, Flag, FloatArray, Recording, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite

__all__ = [
    "COUNT_UNITS",
    "UNVERIFIED",
    "Piece",
    "Reading",
    "Scale",
    "check_number",
    "check_person",
    "recording_of_pieces",
]

T = TypeVar("T")
_MINUTE = 60  # seconds
_MOST_PIECES = 20_160  # two weeks of single minutes, each at the price of a series
_TOLERANCE = 10  # an end may stand a tenth of an epoch off
UNVERIFIED = frozenset({Flag.UNVERIFIED_FORMAT})
COUNT_UNITS = frozenset(
    {
        Unit.COUNTS,
        Unit.ACTIWATCH_COUNTS,
        Unit.PHILIPS_ACTIWATCH_COUNTS,
        Unit.ACTIGRAPH_AXIS1_COUNTS,
        Unit.ACTIGRAPH_7164_COUNTS,
    }
)


@dataclass(frozen=True)
class Reading:
    """What a reader says of a whole document: its format, the hints of the caller, flags of its own."""

    source_format: Format
    hints: Hints
    flags: frozenset[Flag] = frozenset()


@dataclass(frozen=True)
class Scale:
    """What a written unit means: our unit, and whether an amount is given per minute instead of per epoch."""

    unit: Unit
    per_minute: bool = False

    def per_epoch(self, values: FloatArray, epoch_seconds: int) -> FloatArray:
        """Values (n,) of one epoch each: 30 counts/min over 30 s are 15 counts; levels stay what they are."""
        if not self.per_minute or self.unit.is_rate or epoch_seconds == _MINUTE:
            return values
        return values * (epoch_seconds / _MINUTE)


@dataclass(frozen=True, eq=False)
class Piece:
    """A stretch of a series: ``values`` (n,) per epoch, NaN = not recorded, from ``start`` (with UTC offset).

    ``zone`` as stated; ``end`` as stated, checked against the number of values; ``key``: copies of one piece
    share it; ``owner`` tells devices of unknown family apart. None = not stated.
    """

    start: str
    epoch_seconds: int
    unit: Unit
    values: FloatArray
    end: str | None = None
    zone: str | None = None
    wear: BoolArray | None = None
    device: Device = Device.UNKNOWN
    wear_site: WearSite = WearSite.UNKNOWN
    owner: str | None = None
    key: str | None = None


def check_number(pieces: int) -> None:
    """Refuse more series than a recording can sensibly be cut into, before any of them is read."""
    if pieces > _MOST_PIECES:
        raise RecordingError(
            Refusal.TOO_MANY_EPOCHS,
            f"expected at most {_MOST_PIECES:,} series, found more; send longer ones",
        )


def check_person(names: Iterable[str | None], where: str) -> None:
    """Refuse data of several people; None names nobody."""
    _one("person", set(names) - {None}, Refusal.INVALID_FIELD, where)


def recording_of_pieces(pieces: Sequence[Piece], set_aside: int, reading: Reading) -> Recording:
    """Join ``pieces`` (one at least) into one Recording; ``set_aside`` counts what else was in the input.

    Raises RecordingError ``mixed_quantities`` for several units, ``invalid_field`` for several epochs,
    devices, sites or zones, and as the readers of series do.
    """
    hints = reading.hints
    _check_size(pieces, hints.max_epochs)
    starts = moments([piece.start for piece in pieces], "start")
    _check_ends(pieces, starts)
    _check_copies(pieces, starts)
    about = _description(pieces, starts, reading)
    _check_offsets(starts, str(about.zone))
    series = _series(pieces, starts, about, hints.max_epochs)
    return recording_of(about, replace(series, tidying=replace(series.tidying, set_aside=set_aside)))


def _check_size(pieces: Sequence[Piece], limit: int) -> None:
    total = sum(piece.values.size for piece in pieces)
    if total > 2 * limit or max(piece.values.size for piece in pieces) > limit:
        raise too_many_epochs(limit)
    if any(piece.values.size == 0 for piece in pieces):
        raise RecordingError(Refusal.NO_SAMPLES, "expected values in each series, found none", where="values")


def _check_ends(pieces: Sequence[Piece], starts: Moments) -> None:
    """Refuse a stated end that is neither the start nor the end of the last epoch, nor between the two."""
    stated = [k for k, piece in enumerate(pieces) if piece.end is not None]
    if not stated:
        return
    ends = moments([pieces[k].end or "" for k in stated], "end").utc
    step = np.array([pieces[k].epoch_seconds for k in stated], dtype=np.int64) * SECOND
    sizes = np.array([pieces[k].values.size for k in stated], dtype=np.int64)
    missing = starts.utc[stated] + sizes * step - ends
    slack = step // _TOLERANCE
    if ((missing < -slack) | (missing > step + slack)).any():
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected as many values as epochs fit between start and end, found another number; correct the "
            "end or the epoch, or check that nothing was cut off",
            where="end",
        )


def _check_copies(pieces: Sequence[Piece], starts: Moments) -> None:
    seen: dict[str, int] = {}
    for piece, start in zip(pieces, starts.utc.tolist(), strict=True):
        if piece.key is not None and seen.setdefault(piece.key, start) != start:
            raise RecordingError(
                Refusal.INVALID_FIELD,
                "expected copies of one series (the same id) to start at the same time, found another start; "
                "give each series its own id",
                where="id",
            )


def _description(pieces: Sequence[Piece], starts: Moments, reading: Reading) -> Description:
    hints = reading.hints
    _one("device", {piece.owner for piece in pieces} - {None}, Refusal.INVALID_FIELD)
    device = _one("device", {piece.device for piece in pieces} - {Device.UNKNOWN}, Refusal.INVALID_FIELD)
    site = _one(
        "wear_site", {piece.wear_site for piece in pieces} - {WearSite.UNKNOWN}, Refusal.INVALID_FIELD
    )
    zone = _one("zone", {piece.zone for piece in pieces} - {None}, Refusal.INVALID_FIELD)
    epoch_seconds = _one("epoch_seconds", {piece.epoch_seconds for piece in pieces}, Refusal.INVALID_FIELD)
    stated = _one("unit", {piece.unit for piece in pieces}, Refusal.MIXED_QUANTITIES)
    settled = settle_device(device or Device.UNKNOWN, hints)
    return Description(
        zone=zone_of_events(zone, starts.clock_offset, hints),
        epoch_seconds=settle("epoch_seconds", epoch_seconds, hints.epoch_seconds) or 0,
        unit=_unit(stated or Unit.COUNTS, settled, hints),
        device=settled,
        wear_site=settle_wear_site(site or WearSite.UNKNOWN, hints),
        source_format=reading.source_format,
        flags=reading.flags,
    )


def _one(name: str, stated: set[T], refusal: Refusal, where: str | None = None) -> T | None:
    """The one thing that all state, None if none states it."""
    if len(stated) <= 1:
        return stated.pop() if stated else None
    raise RecordingError(
        refusal,
        f"expected data of one {name}, found {len(stated)}; send them one by one",
        where=where or name,
    )


def _unit(stated: Unit, device: Device, hints: Hints) -> Unit:
    """Which counts they are: those of the device, or those that the hint names; other units as stated."""
    if stated is not Unit.COUNTS:
        return settle("unit", stated, hints.unit) or stated
    known = counts_of(device)
    refined = known is Unit.COUNTS and hints.unit in COUNT_UNITS
    return settle("unit", None if refined else known, hints.unit) or known


def _check_offsets(starts: Moments, zone: str) -> None:
    """Refuse an offset of a clock that the zone has not at that time."""
    home = zone_of(zone)
    for micros, offset in zip(starts.utc[starts.clock], starts.offset[starts.clock], strict=True):
        shown = datetime_of(micros, "+00:00").astimezone(home).utcoffset()
        if shown is None or shown.total_seconds() != offset:
            raise RecordingError(
                Refusal.INVALID_FIELD,
                "expected the UTC offset that the zone has at the start, found another; correct one of them",
                where="start",
            )


def _series(pieces: Sequence[Piece], starts: Moments, about: Description, limit: int) -> Series:
    worn = [piece.wear for piece in pieces if piece.wear is not None]
    if len(worn) not in (0, len(pieces)):
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected wear in each series or in none; add or drop it", where="wear"
        )
    if len(pieces) == 1:
        start = datetime_of(starts.utc[0], about.zone)
        return Series(start, pieces[0].values, pieces[0].wear)
    step = about.epoch_seconds * SECOND
    micros = [
        start + step * np.arange(piece.values.size, dtype=np.int64)
        for piece, start in zip(pieces, starts.utc, strict=True)
    ]
    samples = Samples(
        np.concatenate(micros),
        np.concatenate([piece.values for piece in pieces]),
        np.concatenate(worn) if worn else None,
        average=about.unit.is_rate,
    )
    return regular(samples, about.epoch_seconds, about.zone, limit)
