"""Device families by the words that manufacturers use for them, where those words leave no doubt."""

from __future__ import annotations

from preprocessing.units import Device, Unit

__all__ = ["counts_of", "family_in"]

_WORDS = (  # the family, and the words that must all be there
    (Device.MOTIONWATCH, ("motionwatch",)),
    (Device.ACTTRUST, ("acttrust",)),
    (Device.TEMPATILUMI, ("tempatilumi",)),
    (Device.AXIVITY, ("axivity",)),
    (Device.GENEACTIV, ("geneactiv",)),
    (Device.ACTIGRAPH_GT3X, ("gt3x",)),
    (Device.ACTIGRAPH_GT3X, ("gt9x",)),
    (Device.ACTIGRAPH_7164, ("actigraph", "7164")),
    (Device.ACTIGRAPH_7164, ("am-7164",)),
    (Device.ACTIWATCH, ("camntech", "actiwatch")),
    (Device.ACTIWATCH, ("cambridge neurotechnology", "actiwatch")),
    (Device.PHILIPS_ACTIWATCH, ("philips", "actiwatch")),
    (Device.PHILIPS_ACTIWATCH, ("actiwatch", "spectrum")),
    (Device.SYNTHETIC_DEMO, ("synthetic demonstration device",)),
    (Device.SYNTHETIC_DEMO, ("synthetic-demo",)),
)
_ONLY_COUNTS = {  # families with one channel of counts; a GT3X has three axes, so its counts need a name
    Device.ACTIWATCH: Unit.ACTIWATCH_COUNTS,
    Device.PHILIPS_ACTIWATCH: Unit.PHILIPS_ACTIWATCH_COUNTS,
    Device.ACTIGRAPH_7164: Unit.ACTIGRAPH_7164_COUNTS,
}


def family_in(text: str) -> Device:
    """Family that ``text`` (manufacturer and model) speaks of; ``unknown`` in doubt."""
    words = text.lower()
    named = {device for device, needed in _WORDS if all(word in words for word in needed)}
    return named.pop() if len(named) == 1 else Device.UNKNOWN


def counts_of(device: Device) -> Unit:
    """Unit of counts of which only the device is known; ``counts`` where it has several or none is known."""
    return _ONLY_COUNTS.get(device, Unit.COUNTS)
