"""AWD: the text export of Actiwatch recorders (Cambridge Neurotechnology, CamNtech, Mini Mitter).

Seven header lines (name, date, time, epoch code, age, serial number, sex), then one epoch a line:

    123          activity counts
    123 M        the wearer pressed the event button
    123 , 45     activity , light

The name, age and sex are personal and not needed: they are not kept. The file names no zone, so its times are
wall clock unless a hint says where the recorder was set.

Epoch codes: 4 = 60 s is verified against vendor files; the manual of the related Actical (AWC export) gives
1, 2, 4; the others are as in the public reader GGIRread (``readActiwatchCount``) and carry a flag.
"""

from __future__ import annotations

import re

import numpy as np

from preprocessing.readers.assemble import (
    Description,
    Series,
    recording_of,
    serial_of,
    too_many_epochs,
)
from preprocessing.readers.hints import Format, Hints, settle, settle_device
from preprocessing.readers.stamps import start_of
from preprocessing.recording import Flag, FloatArray, Recording, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite

__all__ = ["looks_like", "read"]

_HEADER_LINES = 7
_EPOCH_SECONDS = {"1": 15, "2": 30, "4": 60, "8": 120, "20": 300, "81": 2, "C1": 5, "C2": 10}
_VERIFIED_CODE = "4"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE = re.compile(r"(\d{1,2})-([A-Za-z]{3})-(\d{4})", re.ASCII)
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)
_EPOCH = re.compile(r"(\d{1,7}(?:\.\d{1,15})?) ?(M?)(?: ?, ?\d{1,7}(?:\.\d{1,6})? ?(M?))?", re.ASCII)
_LONGEST_LINE = 64


def looks_like(head: bytes) -> bool:
    """Whether the second and third line of ``head`` are the date and the time of an AWD header."""
    return _is_header(head.decode("latin-1").splitlines())


def _is_header(lines: list[str]) -> bool:
    return (
        len(lines) >= 3
        and _DATE.fullmatch(lines[1].strip()) is not None
        and _TIME.fullmatch(lines[2].strip()) is not None
    )


def read(data: bytes, hints: Hints) -> Recording:
    """Read one AWD file; RecordingError says what is missing or wrong."""
    lines = _lines(data, hints.max_epochs)
    values, markers = _epochs(lines[_HEADER_LINES:])
    epoch_seconds, flags = _epoch_length(lines[3].strip(), hints)
    description = Description(
        zone=hints.zone,
        epoch_seconds=epoch_seconds,
        unit=settle("unit", Unit.ACTIWATCH_COUNTS, hints.unit) or Unit.ACTIWATCH_COUNTS,
        device=settle_device(Device.ACTIWATCH, hints),
        wear_site=hints.wear_site or WearSite.UNKNOWN,
        source_format=Format.AWD,
        serial=serial_of(lines[5]),
        markers=markers,
        flags=flags,
    )
    return recording_of(description, Series(start_of(_start(lines), hints.zone), values))


def _lines(data: bytes, limit: int) -> list[str]:
    """Lines of the file without the empty ones at its end; names may be in any 8-bit code page."""
    if data.count(b"\n") > limit + 2 * _HEADER_LINES:
        raise too_many_epochs(limit)
    lines = data.decode("latin-1").rstrip().split("\n")
    if len(lines) <= 3 or not _is_header(lines):
        raise RecordingError(
            Refusal.UNPARSABLE,
            "expected an AWD file: name, date as 23-Jan-2018, time as 13:58 and epoch code in lines 1 to 4",
            where="header",
        )
    if len(lines) <= _HEADER_LINES:
        raise RecordingError(
            Refusal.NO_SAMPLES, "expected epochs after the seven header lines, found none; check the export"
        )
    return lines


def _start(lines: list[str]) -> str:
    """Date and time of the header as ISO 8601; the clock checks what they say."""
    date, time = _DATE.fullmatch(lines[1].strip()), _TIME.fullmatch(lines[2].strip())
    if date is None or time is None or date[2].lower() not in _MONTHS:
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected an English date such as 23-Jan-2018 and a time", where="header"
        )
    month = _MONTHS.index(date[2].lower()) + 1
    return f"{date[3]}-{month:02d}-{int(date[1]):02d}T{int(time[1]):02d}:{time[2]}:{time[3] or '00'}"


def _epoch_length(code: str, hints: Hints) -> tuple[int, frozenset[Flag]]:
    known = settle("epoch_seconds", _EPOCH_SECONDS.get(code.upper()), hints.epoch_seconds)
    if known is None:
        raise RecordingError(
            Refusal.NO_EPOCH_INFORMATION,
            f"expected one of the epoch codes {', '.join(_EPOCH_SECONDS)} in line 4, found another; "
            "give epoch_seconds as a hint",
            where="line 4",
        )
    return known, frozenset() if code == _VERIFIED_CODE else frozenset({Flag.UNVERIFIED_FORMAT})


def _epochs(lines: list[str]) -> tuple[FloatArray, int]:
    """Activity (n,) float64 of each line, and how many lines carry the event marker."""
    found = [_EPOCH.fullmatch(line.strip()) if len(line) <= _LONGEST_LINE else None for line in lines]
    values = [match[1] for match in found if match is not None]
    if len(values) < len(lines):
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected a count, a count with M, or count , light in each line after the header; found "
            f"{len(lines) - len(values)} others",
            where=f"line {_HEADER_LINES + 1 + found.index(None)}",
        )
    markers = sum(bool(match[2] or match[3]) for match in found if match is not None)
    return np.array(values, dtype=np.float64), markers
