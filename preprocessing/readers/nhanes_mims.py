"""NHANES 2011-14: minutes of MIMS of an ActiGraph GT3X+ on the non-dominant wrist (PAXMIN_G and PAXMIN_H).

A row is one minute of one participant: SEQN, PAXDAYWM (1 = Sunday), PAXSSNMP (number of the minute's first
sample of 80 a second since the device began), PAXMTSM (MIMS, sum of the axes), PAXPREDM (1 awake, 2 asleep,
3 not worn, 4 unknown) and PAXQFM (quality flags in the minute). PAXAISMM, which counts samples in idle sleep
mode, is no activity and not read. The clock stands in the header file (PAXHD): its PAXFTIME is the time of
the first sample, given as the hint ``first_time``; a column PAXFTIME in a merged file serves as well.

- minute = PAXSSNMP // 4,800, always a whole minute; clock = PAXFTIME + PAXSSNMP / 80 s. The weekday must
  change where this clock passes midnight, else the first time is another participant's.
- PAXQFM above 0: CDC calls the minute invalid after its quality review: not recorded.
- PAXMTSM -0.01: MIMS could not be computed: not recorded. Either may stand without the other.
- worn is PAXPREDM 1 or 2; 3, 4 and nothing are not.

Facts: CDC, NHANES 2013-2014 Data Documentation, Physical Activity Monitor. No published file has checked this
reader (flag).
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import numpy as np

from preprocessing.readers.assemble import Description, recording_of
from preprocessing.readers.hints import Format, Hints, settle, settle_device, settle_wear_site
from preprocessing.readers.nhanes import (
    EPOCH_SECONDS,
    WholeNumbers,
    check_hints,
    first_on_clock,
    numbers_of,
    rows_of_one,
    wall_micros,
    whole,
)
from preprocessing.readers.timeline import Samples, regular
from preprocessing.readers.xport import Block, columns_in
from preprocessing.recording import BoolArray, Flag, FloatArray, Recording, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite

__all__ = ["looks_like", "read", "read_file"]

_SUNDAY = datetime(2012, 1, 1)  # a placeholder: the file has no dates
_NEEDED = frozenset({"SEQN", "PAXDAYWM", "PAXSSNMP", "PAXMTSM", "PAXPREDM", "PAXQFM"})
_FIRST_TIME = "PAXFTIME"
_TIME = re.compile(r"(\d{1,2}):([0-5]\d):([0-5]\d)", re.ASCII)
_DAY_SECONDS = 86_400
_MINUTE_SAMPLES = 80 * 60
_MOST_SAMPLES = 9 * 1440 * _MINUTE_SAMPLES  # nine calendar days at most
_NOT_COMPUTED = -0.01
_WORN = (1, 2)
_STATES = (1, 2, 3, 4)


def looks_like(head: bytes) -> bool:
    """Whether ``head`` begins a SAS transport file whose first table has this cycle's columns."""
    return columns_in(head) >= {"SEQN", "PAXSSNMP", "PAXMTSM"}


def read(data: bytes, hints: Hints) -> Recording:
    """Read one participant of a file in memory; RecordingError says what is missing or wrong."""
    return _read(data, hints)


def read_file(path: Path, hints: Hints) -> Recording:
    """Read one participant of a file of any size in bounded memory; as ``read``."""
    return _read(path, hints)


def _read(source: bytes | Path, hints: Hints) -> Recording:
    check_hints(hints)
    description = Description(
        zone=None,
        epoch_seconds=settle("epoch_seconds", EPOCH_SECONDS, hints.epoch_seconds) or EPOCH_SECONDS,
        unit=settle("unit", Unit.MIMS, hints.unit) or Unit.MIMS,
        device=settle_device(Device.ACTIGRAPH_GT3X, hints),
        wear_site=settle_wear_site(WearSite.WRIST, hints),
        source_format=Format.NHANES_2011,
        flags=frozenset({Flag.DATE_UNKNOWN, Flag.UNVERIFIED_FORMAT}),
    )
    rows = rows_of_one(source, _NEEDED, hints, frozenset({_FIRST_TIME}))
    samples = _samples(rows, _first_second(rows, hints))
    return recording_of(description, regular(samples, EPOCH_SECONDS, None, hints.max_epochs))


def _samples(rows: list[Block], first_second: int) -> Samples:
    """MIMS and wear on the placeholder's wall clock, ``first_second`` of the day being the first sample's."""
    since_midnight = first_second + _minutes(rows) * 60
    weekday = first_on_clock(whole(rows, "PAXDAYWM", 1, 7) - 1, since_midnight // _DAY_SECONDS, 7, "PAXSSNMP")
    micros = wall_micros(_SUNDAY, weekday * _DAY_SECONDS + since_midnight)
    return Samples(micros, _values(rows), _worn(rows))


def _minutes(rows: list[Block]) -> WholeNumbers:
    """Minutes (n,) since the first sample."""
    samples = whole(rows, "PAXSSNMP", 0, _MOST_SAMPLES)
    off = int((samples % _MINUTE_SAMPLES != 0).sum())
    if off:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected PAXSSNMP in whole minutes of {_MINUTE_SAMPLES:,} samples, found {off} rows off them",
            where="PAXSSNMP",
        )
    return samples // _MINUTE_SAMPLES


def _values(rows: list[Block]) -> FloatArray:
    """MIMS (n,), NaN where flagged by the quality review or not computed."""
    values = numbers_of(rows, "PAXMTSM")
    values[(numbers_of(rows, "PAXQFM") != 0) | np.isclose(values, _NOT_COMPUTED, rtol=0, atol=1e-4)] = np.nan
    return values


def _worn(rows: list[Block]) -> BoolArray:
    """Mask (n,) of the minutes that the survey's algorithm took as worn, awake or asleep."""
    state = numbers_of(rows, "PAXPREDM")
    unknown = int((~np.isin(state, _STATES) & ~np.isnan(state)).sum())
    if unknown:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected PAXPREDM 1 to 4 or nothing, found {unknown} rows with others",
            where="PAXPREDM",
        )
    return np.isin(state, _WORN)


def _first_second(rows: list[Block], hints: Hints) -> int:
    """Second of the day of the first sample; RecordingError ``invalid_field`` where nothing says it."""
    hinted = None if hints.first_time is None else _second_of(hints.first_time, "first_time")
    second = settle("first_time", _stated_first_second(rows), hinted)
    if second is None:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected the hint first_time, because {_FIRST_TIME} of this participant stands in the header "
            "file (PAXHD); give it as HH:MM:SS",
            where="first_time",
        )
    return second


def _stated_first_second(rows: list[Block]) -> int | None:
    """What a column PAXFTIME says, if there is one that is filled."""
    tables = [block for block in rows if _FIRST_TIME in block.columns]
    texts = set[str]().union(*(block.texts(_FIRST_TIME) for block in tables)) - {""}
    if len(texts) > 1:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected one {_FIRST_TIME} for a participant, found {len(texts)}",
            where=_FIRST_TIME,
        )
    return _second_of(texts.pop(), _FIRST_TIME) if texts else None


def _second_of(text: str, where: str) -> int:
    match = _TIME.fullmatch(text.strip())
    if match is None or int(match[1]) >= 24:
        raise RecordingError(
            Refusal.INVALID_FIELD, f"expected {where} as a time of day, HH:MM:SS", where=where
        )
    hours, minutes, seconds = map(int, match.groups())
    return (hours * 60 + minutes) * 60 + seconds
