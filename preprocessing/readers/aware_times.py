"""Times as web formats write them: with a UTC offset, one for each sample.

An offset other than zero is that of a clock. ``Z`` and ``+00:00`` name the instant but not the clock that the
wearer saw, because programs and servers write instants so: a zone has to come from elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from preprocessing.calendar import Instants
from preprocessing.readers.json_document import Fields
from preprocessing.readers.stamps import SECOND, parse
from preprocessing.recording import BoolArray, RecordingError, Refusal

__all__ = ["Moments", "is_naive", "moments", "time_in"]

_TIME = re.compile(  # a date or a part of one, or a date and a time, which may have a UTC offset
    r"\d{4}(-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(?P<offset>Z|[+-]\d\d:\d\d(:\d\d)?)?)?)?)?", re.ASCII
)


@dataclass(frozen=True, eq=False)
class Moments:
    """Instants ``utc`` (n,) int64 microseconds since 1970; UTC ``offset`` (n,) seconds as written."""

    utc: Instants
    offset: Instants

    @property
    def clock(self) -> BoolArray:
        """Mask (n,) of the offsets that are those of a clock."""
        return np.asarray(self.offset != 0, dtype=np.bool_)

    @property
    def clock_offset(self) -> Instants | None:
        """The offsets (n,) in seconds if all of them are of clocks, else None."""
        return self.offset if self.clock.all() else None


def is_naive(text: str) -> bool:
    """Whether ``text`` is a date, or a date and a time without UTC offset."""
    match = None if text.endswith("Z") else _TIME.fullmatch(text)
    return match is not None and match["offset"] is None


def time_in(fields: Fields, name: str) -> str:
    """The time ``name`` as written; RecordingError ``invalid_field`` for anything else and for none."""
    value = fields.get(name)
    if isinstance(value, str) and _TIME.fullmatch(value):
        return value
    raise fields.wrong(name, "a time such as 2024-03-31T01:59:00Z")


def moments(texts: Sequence[str], where: str) -> Moments:
    """Read times with UTC offset.

    Raises RecordingError ``naive_timestamp`` for one without, ``invalid_field`` for what is no time.
    """
    if any(is_naive(text) for text in texts):
        raise RecordingError(
            Refusal.NAIVE_TIMESTAMP,
            "expected times of day with a UTC offset such as 2024-03-31T01:59:00+01:00, found some without; "
            "write offsets",
            where=where,
        )
    stamps = parse(texts, where)
    offset = np.zeros(len(texts), dtype=np.int64) if stamps.offset is None else stamps.offset
    return Moments(stamps.local - offset, offset // SECOND)
