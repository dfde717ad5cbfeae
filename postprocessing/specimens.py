"""Made-up recordings of every unit, wear site, length and fault, to see what the metrics say of them.

They are no examples of people: still by night, busy by day, from one seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from preprocessing.recording import Flag, FloatArray, Recording, ZoneChange
from preprocessing.units import Device, Unit, WearSite

__all__ = ["faulty", "specimens"]

START = datetime(2024, 5, 6, 12)  # a Monday at noon
DEVICES = {Unit.ENMO_MG: Device.GENEACTIV}


def specimens() -> Iterator[Recording]:
    """Whole recordings of 15 days, one for each unit and wear site."""
    for unit in Unit:
        for site in (WearSite.WRIST, WearSite.HIP):
            yield _weeks(unit, site, 15)


def faulty() -> Iterator[Recording]:
    """Recordings that lack something: length, wear, movement, a fine epoch, a date, a place, zeros."""
    for unit in Unit:
        for site in (WearSite.WRIST, WearSite.HIP):
            whole = _weeks(unit, site, 8)
            yield _weeks(unit, site, 1.5)
            yield _weeks(unit, site, 4)
            yield replace(_weeks(unit, site, 5), epoch_seconds=45)
            yield _with(whole, np.where(np.arange(whole.epochs) % 3 == 0, whole.values, np.nan))
            yield _with(whole, np.where(_hours(whole) > 3, whole.values, np.nan))
            yield _with(whole, np.zeros(whole.epochs))
            yield _with(whole, np.full(whole.epochs, np.nan))
            yield _with(whole, np.where(_hours(whole) % 12 < 6, 3000.0, 0.0))  # two equal days in one
            yield replace(whole, flags=whole.flags | {Flag.CONSTANT_FLOOR})
            yield replace(whole, flags=whole.flags | {Flag.DATE_UNKNOWN})
            yield _travelled(whole)


def _weeks(unit: Unit, site: WearSite, days: float) -> Recording:
    epochs = round(days * 1_440)
    blank = Recording(
        START, None, 60, np.zeros(epochs), unit, device=DEVICES.get(unit, Device.UNKNOWN), wear_site=site
    )
    busy = (_hours(blank) >= 7) & (_hours(blank) < 23)
    drawn = np.random.default_rng(1).gamma(0.6, 900, epochs).round()
    drawn[~busy] = 0
    return _with(blank, drawn)


def _hours(recording: Recording) -> FloatArray:
    return (recording.start.hour + np.arange(recording.epochs) * recording.epoch_seconds / 3_600) % 24


def _with(recording: Recording, values: FloatArray) -> Recording:
    return replace(recording, values=values)


def _travelled(recording: Recording) -> Recording:
    start = recording.start.replace(tzinfo=ZoneInfo("Europe/Oslo"))
    away = ZoneChange(start + timedelta(days=3), "Asia/Tokyo")
    flags = recording.flags - {Flag.TIMEZONE_UNKNOWN}
    return replace(recording, start=start, zone="Europe/Oslo", travel=(away,), flags=flags)
