"""The canonical fields: the project's own description of a recording, whichever text carries it.

JSON and CSV write the same fields; this is their one meaning. See docs/inputs.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from preprocessing.calendar import zone_of
from preprocessing.readers.assemble import MAX_EPOCHS, Description, Series, recording_of, too_many_epochs
from preprocessing.readers.hints import (
    NO_HINTS,
    Format,
    Hints,
    device_of,
    settle,
    settle_device,
    settle_wear_site,
    unit_of,
    wear_site_of,
)
from preprocessing.readers.timeline import Samples, instants, parse, regular, start_of
from preprocessing.recording import BoolArray, FloatArray, Recording, RecordingError, Refusal
from preprocessing.units import Device, WearSite

__all__ = ["WALL", "CanonicalFields", "from_fields", "values_of"]

WALL = "wall"  # the value of ``clock`` for a wall clock without zone


@dataclass(frozen=True, eq=False)
class CanonicalFields:
    """What the sender wrote, typed but not yet checked; None = not written.

    ``values`` (n,) float64, NaN = null; ``wear`` (n,) bool, null counting as not worn. ``start`` or
    ``timestamps`` (n,), ``zone`` or ``clock``.
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
    description = _description(fields, hints, source_format)
    _check_lengths(fields)
    return recording_of(description, _series(fields, description))


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


def _check_lengths(fields: CanonicalFields) -> None:
    n = fields.values.size
    if n == 0:
        raise RecordingError(Refusal.NO_SAMPLES, "expected at least one value, found none", where="values")
    if n > MAX_EPOCHS:
        raise too_many_epochs()
    if (fields.start is None) == (fields.timestamps is None):
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected either start or timestamps, found {'neither' if fields.start is None else 'both'}",
            where="start",
        )
    for name, column in (("timestamps", fields.timestamps), ("wear", fields.wear)):
        if column is not None and len(column) != n:
            raise RecordingError(
                Refusal.INVALID_FIELD,
                f"expected as many {name} as values ({n}), found {len(column)}",
                where=name,
            )


def _series(fields: CanonicalFields, description: Description) -> Series:
    if fields.start is not None:
        return Series(start_of(fields.start, description.zone), fields.values, fields.wear)
    micros = instants(parse(fields.timestamps or (), "timestamps"), description.zone)
    samples = Samples(micros, fields.values, fields.wear)
    return regular(samples, description.epoch_seconds, description.zone)
