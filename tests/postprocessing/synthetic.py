"""Recordings with known nights: still from bedtime to rising, moving otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from preprocessing.calendar import wall_clock_of
from preprocessing.recording import FloatArray, Recording
from preprocessing.units import Unit, WearSite

NOON = datetime(2024, 5, 1, 12)


def clock_hours(recording: Recording) -> FloatArray:
    """Local clock hours (n,) of each epoch's start."""
    return wall_clock_of(recording).astype(np.int64) % 86_400 / 3_600


def regular(
    days: float = 8,
    *,
    start: datetime = NOON,
    zone: str | None = None,
    epoch_seconds: int = 60,
    unit: Unit = Unit.ACTIWATCH_COUNTS,
    wear_site: WearSite = WearSite.WRIST,
    per_minute: float = 500.0,
    bed: float = 23,
    rise: float = 7,
) -> Recording:
    """``per_minute`` counts by day and none from ``bed`` to ``rise`` on the local clock."""
    epochs = max(1, round(days * 86_400 / epoch_seconds))
    begin = start.replace(tzinfo=ZoneInfo(zone)) if zone else start
    blank = Recording(begin, zone, epoch_seconds, np.zeros(epochs), unit, wear_site=wear_site)
    hours = clock_hours(blank)
    still = (hours >= bed) | (hours < rise) if bed > rise else (hours >= bed) & (hours < rise)
    return with_values(blank, np.where(still, 0.0, per_minute * epoch_seconds / 60))


def with_values(recording: Recording, values: FloatArray) -> Recording:
    return replace(recording, values=values)


def between(recording: Recording, first: str, end: str) -> np.ndarray:
    """Mask (n,) of the epochs whose local label lies in [first, end)."""
    clock = wall_clock_of(recording)
    return (clock >= np.datetime64(first)) & (clock < np.datetime64(end))


def changed(recording: Recording, first: str, end: str, value: float) -> Recording:
    """The recording with ``value`` in each epoch of [first, end)."""
    return with_values(recording, np.where(between(recording, first, end), value, recording.values))
