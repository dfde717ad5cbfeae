"""A series of epochs as SampledData: numbers parted by spaces, ``E`` where nothing was recorded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from postprocessing.fhir.codes import UCUM, UCUM_LABELS
from preprocessing.calendar import after
from preprocessing.recording import Recording

__all__ = ["LIMIT", "SERIES_DECIMALS", "Part", "parts", "sampled_data", "tokens"]

LIMIT = 1_048_576  # characters of an R4 string
SERIES_DECIMALS = 4
_HOUR = 3600
_BLOCKS = (7 * 24 * _HOUR, 24 * _HOUR, _HOUR)  # seconds


@dataclass(frozen=True)
class Part:
    """A stretch of a recording short enough for one SampledData; ``first`` is its first epoch."""

    first: int
    start: datetime
    end: datetime
    data: str


def parts(recording: Recording) -> list[Part]:
    """Split ``recording`` into as few parts as fit an R4 string: whole, or by weeks, days or hours."""
    written = tokens(recording.values.tolist(), SERIES_DECIMALS)
    sizes = [len(written), *(max(1, seconds // recording.epoch_seconds) for seconds in _BLOCKS)]
    for size in sizes:
        texts = [" ".join(written[first : first + size]) for first in range(0, len(written), size)]
        if max(map(len, texts)) <= LIMIT:
            break
    return [_part(recording, index * size, text) for index, text in enumerate(texts)]


def _part(recording: Recording, first: int, text: str) -> Part:
    epoch = timedelta(seconds=recording.epoch_seconds)
    count = text.count(" ") + 1
    return Part(
        first, after(recording.start, first * epoch), after(recording.start, (first + count) * epoch), text
    )


def tokens(values: Sequence[float], decimals: int) -> list[str]:
    """Write each value with at most ``decimals`` decimals and no exponent; NaN is ``E``."""
    known = {value: _token(value, decimals) for value in set(values)}  # most counts occur many times
    return [known[value] for value in values]  # a NaN is found as the same object


def _token(value: float, decimals: int) -> str:
    if value.is_integer():
        return str(int(value))
    if math.isnan(value):
        return "E"
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".")


def sampled_data(data: str, ucum: str, period_milliseconds: int) -> dict[str, Any]:
    """Return SampledData of one dimension whose value is the number itself."""
    return {
        "origin": {"value": 0, "unit": UCUM_LABELS[ucum], "system": UCUM, "code": ucum},
        "period": period_milliseconds,
        "dimensions": 1,
        "data": data,
    }
