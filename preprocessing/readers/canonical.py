"""The canonical fields: the project's own description of a recording, whichever text carries it.

JSON and CSV write the same fields; this is their one meaning. See docs/inputs.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from preprocessing.calendar import Instants, zone_of
from preprocessing.merging import SOURCES, Events, Source
from preprocessing.readers.assemble import Description, Series, recording_of, too_many_epochs
from preprocessing.readers.events import recording_of_events
from preprocessing.readers.hints import (
    NO_HINTS,
    Format,
    Hints,
    device_of,
    settle,
    settle_device,
    settle_wear_site,
    source_of,
    unit_of,
    wear_site_of,
)
from preprocessing.readers.stamps import Stamps, datetime_of, instants, parse, start_of
from preprocessing.readers.timeline import Samples, irregular, regular
from preprocessing.recording import (
    BoolArray,
    Flag,
    FloatArray,
    Recording,
    RecordingError,
    Refusal,
    ZoneChange,
)
from preprocessing.units import Device, WearSite

__all__ = ["IRREGULAR", "WALL", "CanonicalFields", "from_fields", "values_of"]

WALL = "wall"  # the value of ``clock`` for a wall clock without zone
IRREGULAR = "irregular"  # the value of ``sampling`` for points in time off any grid


@dataclass(frozen=True, eq=False)
class CanonicalFields:
    """What the sender wrote, typed but not yet checked; None = not written.

    ``values`` (n,) float64, NaN = null; ``wear`` (n,) bool, null counting as not worn. ``start`` or
    ``timestamps`` (n,), ``zone`` or ``clock``. With ``ends`` (n,) each value is an amount over a span, which
    may have a source and an id; ``sampling`` "irregular" is for points in time off any grid.
    """

    values: FloatArray
    unit: str | None
    epoch_seconds: int | None
    start: str | None = None
    timestamps: Sequence[str] | None = None
    zone: str | None = None
    clock: str | None = None
    device: str | None = None
    wear_site: str | None = None
    wear: BoolArray | None = None
    sampling: str | None = None
    ends: Sequence[str] | None = None
    sources: Sequence[str] | None = None
    ids: Sequence[str] | None = None
    travel: Sequence[tuple[str, str]] = ()  # an instant, and the zone that holds from it on


def values_of(numbers: Sequence[float | None]) -> FloatArray:
    """Values (n,) float64 of JSON numbers, null = NaN; RecordingError for an integer beyond float64."""
    try:
        return np.array(numbers, dtype=np.float64)
    except OverflowError:
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected values from 0 to 1,000,000, found one beyond", where="values"
        ) from None


def from_fields(
    fields: CanonicalFields, hints: Hints = NO_HINTS, source_format: Format = Format.CANONICAL_JSON
) -> Recording:
    """Check ``fields`` and build the Recording; ``hints`` fill what is not written.

    Raises RecordingError with the code and field of the first thing wrong.
    """
    made = _recording(fields, _description(fields, hints, source_format), hints)
    travel = _travel(fields.travel, made.zone)
    flags = made.flags | ({Flag.ZONE_CHANGED} if travel else frozenset())
    return replace(made, travel=travel, flags=flags) if travel else made


def _recording(fields: CanonicalFields, description: Description, hints: Hints) -> Recording:
    _check_lengths(fields, hints.max_epochs)
    _check_sampling(fields)
    if fields.ends is not None:
        return recording_of_events(_events(fields, description.zone), description, hints)
    if hints.source_priority is not None:
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected source_priority with ends only; drop it", where="source_priority"
        )
    return recording_of(description, _series(fields, description, hints.max_epochs))


def _description(fields: CanonicalFields, hints: Hints, source_format: Format) -> Description:
    unit = settle("unit", None if fields.unit is None else unit_of(fields.unit), hints.unit)
    if unit is None:
        raise RecordingError(
            Refusal.UNKNOWN_UNIT, "expected a unit, found none; state what the values count", where="unit"
        )
    epoch_seconds = settle("epoch_seconds", fields.epoch_seconds, hints.epoch_seconds)
    if epoch_seconds is None:
        raise RecordingError(
            Refusal.NO_EPOCH_INFORMATION,
            "expected epoch_seconds, found none; state the length of one epoch in seconds",
            where="epoch_seconds",
        )
    device = device_of(fields.device or Device.UNKNOWN)
    site = wear_site_of(fields.wear_site or WearSite.UNKNOWN)
    return Description(
        zone=_zone(fields, hints),
        epoch_seconds=epoch_seconds,
        unit=unit,
        device=settle_device(device, hints),
        wear_site=settle_wear_site(site, hints),
        source_format=source_format,
    )


def _zone(fields: CanonicalFields, hints: Hints) -> str | None:
    """The zone, or None for a declared wall clock; refuses neither and both."""
    if fields.clock not in (None, WALL):
        raise RecordingError(
            Refusal.INVALID_FIELD, 'expected clock to be "wall"; a zone goes in the field zone', where="clock"
        )
    zone = settle("zone", fields.zone, hints.zone)
    if (zone is None) == (fields.clock is None):
        raise RecordingError(
            Refusal.NO_TIME_ZONE,
            'expected either zone (an IANA name such as Europe/Oslo) or clock "wall", '
            f"found {'neither' if zone is None else 'both'}",
            where="zone",
        )
    if zone is not None:
        zone_of(zone)
    return zone


def _check_lengths(fields: CanonicalFields, limit: int) -> None:
    n = fields.values.size
    if n == 0:
        raise RecordingError(Refusal.NO_SAMPLES, "expected at least one value, found none", where="values")
    if n > limit:
        raise too_many_epochs(limit)
    if (fields.start is None) == (fields.timestamps is None):
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected either start or timestamps, found {'neither' if fields.start is None else 'both'}",
            where="start",
        )
    for name in ("timestamps", "wear", "ends", "sources", "ids"):
        column = getattr(fields, name)
        if column is not None and len(column) != n:
            raise RecordingError(
                Refusal.INVALID_FIELD,
                f"expected as many {name} as values ({n}), found {len(column)}",
                where=name,
            )


def _check_sampling(fields: CanonicalFields) -> None:
    """Refuse what does not go together: spans need times, sources and ids need spans, neither knows wear."""
    irregular, spans = fields.sampling is not None, fields.ends is not None
    wrong = {
        f'sampling to be "{IRREGULAR}", or left out': fields.sampling not in (None, IRREGULAR),
        "timestamps with ends or irregular sampling": fields.timestamps is None and (irregular or spans),
        "either ends or irregular sampling": irregular and spans,
        "ends with sources or ids": not spans and (fields.sources is not None or fields.ids is not None),
        "no wear with ends": spans and fields.wear is not None,
    }
    for expected, is_so in wrong.items():
        if is_so:
            raise RecordingError(Refusal.INVALID_FIELD, f"expected {expected}", where="sampling")


def _events(fields: CanonicalFields, zone: str | None) -> Events:
    kept = ~np.isnan(fields.values)  # a span without a value says nothing
    start = _placed(parse(fields.timestamps or (), "timestamps"), zone)
    end = _placed(parse(fields.ends or (), "ends"), zone)
    names = fields.sources or [Source.OTHER] * fields.values.size
    source = np.array([SOURCES.index(source_of(name)) for name in names], dtype=np.int8)
    return Events(start, end, fields.values, source, fields.ids).where(kept)


def _placed(stamps: Stamps, zone: str | None) -> Instants:
    """Instants (n,); offsets need not be the zone's, because apps keep the times of samples in UTC."""
    if zone is None or stamps.offset is None:
        return instants(stamps, zone)
    return stamps.local - stamps.offset


def _series(fields: CanonicalFields, description: Description, limit: int) -> Series:
    if fields.start is not None:
        return Series(start_of(fields.start, description.zone), fields.values, fields.wear)
    micros = instants(parse(fields.timestamps or (), "timestamps"), description.zone)
    samples = Samples(micros, fields.values, fields.wear, average=description.unit.is_rate)
    place = irregular if fields.sampling else regular
    return place(samples, description.epoch_seconds, description.zone, limit)


def _travel(changes: Sequence[tuple[str, str]], zone: str | None) -> tuple[ZoneChange, ...]:
    """The zones that the wearer's clock showed later, each from an instant on."""
    if changes and zone is None:
        raise RecordingError(
            Refusal.NO_TIME_ZONE, "expected a zone with travel, found a wall clock; name it", where="travel"
        )
    for _, shown in changes:
        zone_of(shown)
    stamps = [parse([text], "travel") for text, _ in changes]
    if any(stamp.offset is None for stamp in stamps):
        raise RecordingError(
            Refusal.NAIVE_TIMESTAMP, "expected the times of travel with a UTC offset", where="travel"
        )
    micros = [int(stamp.local[0] - stamp.offset[0]) for stamp in stamps if stamp.offset is not None]
    moved = sorted(zip(micros, (shown for _, shown in changes), strict=True))
    return tuple(ZoneChange(datetime_of(at, "+00:00"), shown) for at, shown in moved)
