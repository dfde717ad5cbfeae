"""ActiGraph's names in its own files: which family a device belongs to, and what its counts are.

The counts of the vertical axis are those of published scorers only for the GT3X and later models with the
normal filter. With another filter they are other counts, so the unit has to come as a hint.
"""

from __future__ import annotations

from preprocessing.readers.hints import Hints, settle
from preprocessing.recording import RecordingError, Refusal
from preprocessing.units import Device, Unit

__all__ = ["family_of", "unit_of_counts"]

_GT3X_AND_LATER = ("gt3x", "gt9x", "link")  # GT3X, GT3XPlus, wGT3XBT; the GT9X is sold as Link
_NORMAL_FILTER = "normal"


def family_of(name: str) -> Device:
    """Device family of a model name such as ``wGT3XBT``; ``unknown`` for every other model."""
    known = any(model in name.lower() for model in _GT3X_AND_LATER)
    return Device.ACTIGRAPH_GT3X if known else Device.UNKNOWN


def unit_of_counts(family: Device, counts_filter: str | None, hints: Hints) -> Unit:
    """Unit of the vertical axis; RecordingError ``unknown_unit`` where neither file nor hint says it."""
    known = family is Device.ACTIGRAPH_GT3X and (counts_filter or _NORMAL_FILTER).lower() == _NORMAL_FILTER
    unit = settle("unit", Unit.ACTIGRAPH_AXIS1_COUNTS if known else None, hints.unit)
    if unit is None:
        raise RecordingError(
            Refusal.UNKNOWN_UNIT,
            "expected counts of a GT3X or later with the normal filter, found another or no model or filter; "
            f"give the hint unit, one of {', '.join(Unit)}",
            where="unit",
        )
    return unit
