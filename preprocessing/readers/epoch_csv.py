"""Epoch CSV: a table of ActiGraph epochs with named axes, as analysis packages write it from an AGD file.

The first column is ``timestamp`` (ISO 8601), another is ``axis1``, the vertical axis; other columns are not
read. The file states no model: only where the four inclinometer columns of an AGD file stand beside the axes
are the counts known to be those of a GT3X or later, else the unit must come as a hint. The epoch is the
commonest step. One UTC offset throughout is the zone (``Z`` is UTC); several need the zone as a hint; none is
wall clock.
"""

from __future__ import annotations

import numpy as np

from preprocessing.readers.actigraph import unit_of_counts
from preprocessing.readers.assemble import Description, recording_of
from preprocessing.readers.columns import columns_of, names_of, numbers_of, text_of
from preprocessing.readers.hints import Hints, settle_device
from preprocessing.readers.stamps import Stamps, in_file_order, parse
from preprocessing.readers.timeline import Samples, epoch_seconds_of, regular
from preprocessing.recording import Recording, RecordingError, Refusal
from preprocessing.units import Device, WearSite

__all__ = ["FORMAT", "looks_like", "read"]

FORMAT = "epoch-csv"

_TIME, _AXIS = "timestamp", "axis1"
_INCLINOMETER = frozenset({"inclineoff", "inclinestanding", "inclinesitting", "inclinelying"})
_MINUTE = 60_000_000  # microseconds


def looks_like(head: str | bytes) -> bool:
    """Whether the first line names ``timestamp`` first and ``axis1`` among the others."""
    text = head.decode("utf-8-sig", errors="replace") if isinstance(head, bytes) else head
    first = text.lstrip("\ufeff").partition("\n")[0]
    names = [name.strip().strip('"').lower() for name in first.split(",")]
    return names[0] == _TIME and _AXIS in names


def read(data: bytes, hints: Hints) -> Recording:
    """Read one epoch CSV; RecordingError says what is missing or wrong."""
    header, _, body = text_of(data).partition("\n")
    if not looks_like(header):
        raise RecordingError(
            Refusal.INVALID_FIELD, f"expected the columns {_TIME} first and {_AXIS}", where="header"
        )
    names = names_of(header)
    columns = dict(zip(names, columns_of(body, len(names), hints.max_epochs), strict=True))
    family = Device.ACTIGRAPH_GT3X if set(names) >= _INCLINOMETER else Device.UNKNOWN
    unit = unit_of_counts(family, None, hints)
    stamps = parse(columns[_TIME], _TIME)
    zone = _zone(stamps, hints)
    micros = in_file_order(stamps, zone)
    description = Description(
        zone=zone,
        epoch_seconds=epoch_seconds_of(micros, None, hints),
        unit=unit,
        device=settle_device(family, hints),
        wear_site=hints.wear_site or WearSite.UNKNOWN,
        source_format=FORMAT,
    )
    samples = Samples(micros, numbers_of(columns[_AXIS], _AXIS))
    return recording_of(description, regular(samples, description.epoch_seconds, zone, hints.max_epochs))


def _zone(stamps: Stamps, hints: Hints) -> str | None:
    """Zone of the hint, else the one UTC offset of all times, else None."""
    if hints.zone is not None or stamps.offset is None:
        return hints.zone
    offsets = np.unique(stamps.offset)
    if offsets.size > 1 or offsets[0] % _MINUTE:
        raise RecordingError(
            Refusal.NO_TIME_ZONE,
            f"expected one UTC offset in whole minutes, found {offsets.size} offsets; give the hint zone",
            where=_TIME,
        )
    minutes = int(offsets[0]) // _MINUTE
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}" if minutes else "UTC"
