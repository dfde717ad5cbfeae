"""Biobank time series: what biobankAccelerometerAnalysis (``accProcess``) writes, plain or as gzip.

Two forms, both in milli-g (Euclidean norm minus one, negative values set to zero, mean of an epoch):

    time,acc,...
        one row an epoch; times as ``2014-05-07 13:29:50.439000+0100 [Europe/London]``
    acceleration (mg) - start - end - sampleRate = 5 seconds,imputed
        older, as UK Biobank hands out; the header holds the clock, without a zone

Rows without a value, and rows that the software marks as imputed (filled from other days), were not recorded.
The software reads several devices and does not state which it was: a device hint says so.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from preprocessing.readers.assemble import Description, Series, recording_of
from preprocessing.readers.cells import columns_from
from preprocessing.readers.columns import columns_of, names_of, numbers_of, text_of
from preprocessing.readers.hints import Hints, settle
from preprocessing.readers.stamps import instants, parse, start_of
from preprocessing.readers.timeline import Samples, epoch_seconds_of, regular
from preprocessing.recording import Flag, FloatArray, Recording, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite

__all__ = ["FORMAT", "looks_like", "read"]

FORMAT = "biobank-timeseries"

_GZIP = b"\x1f\x8b"
_GZIP_FORM = 31  # zlib's number for a gzip header and trailer
_LARGEST_TEXT = 64 * 1024 * 1024  # bytes; 400,000 rows take some 36 MiB
_HEAD = 4096
_TIME, _VALUE, _IMPUTED = "time", "acc", "imputed"
_STAMP = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?[+-]\d\d)(\d\d) \[([A-Za-z0-9_+/-]{1,40})\]", re.ASCII
)
_CLOCK = r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)"
_OLDER = re.compile(
    rf'"?acceleration \(mg\) - {_CLOCK} - {_CLOCK} - sampleRate = (\d{{1,4}}) seconds"?(, ?imputed)?',
    re.ASCII,
)
_MARKS = {"": False, "0": False, "0.0": False, "1": True, "1.0": True}


def looks_like(head: str | bytes) -> bool:
    """Whether the first line, unpacked if gzip, is the header of one of the two forms."""
    if isinstance(head, bytes):
        head = _opening(head).decode("utf-8-sig", errors="replace")
    first = head.lstrip("\ufeff").partition("\n")[0].strip()
    return first.split(",")[:2] == [_TIME, _VALUE] or _OLDER.fullmatch(first) is not None


def _opening(head: bytes) -> bytes:
    if not head.startswith(_GZIP):
        return head
    try:
        return zlib.decompressobj(_GZIP_FORM).decompress(head, _HEAD)
    except zlib.error:
        return b""


def read(data: bytes, hints: Hints) -> Recording:
    """Read one time series; RecordingError says what is missing or wrong."""
    header, _, body = text_of(_unpacked(data)).partition("\n")
    header = header.strip()
    if (older := _OLDER.fullmatch(header)) is not None:
        return _read_older(older, body, hints)
    names = names_of(header)
    if names[:2] != (_TIME, _VALUE):
        raise RecordingError(
            Refusal.INVALID_FIELD, f"expected the columns {_TIME},{_VALUE} first", where="header"
        )
    return _read_timed(dict(zip(names, columns_of(body, len(names), hints.max_epochs), strict=True)), hints)


def _unpacked(data: bytes) -> bytes:
    """The text of a file that may be gzip, at most ``_LARGEST_TEXT`` bytes of it."""
    text = data
    if data.startswith(_GZIP):
        stream = zlib.decompressobj(_GZIP_FORM)
        try:
            text = stream.decompress(data, _LARGEST_TEXT + 1)
        except zlib.error:
            raise _damaged_gzip() from None
        if len(text) <= _LARGEST_TEXT and (not stream.eof or stream.unused_data):
            raise _damaged_gzip()
    if len(text) > _LARGEST_TEXT:
        raise RecordingError(
            Refusal.TOO_MANY_EPOCHS,
            f"expected at most {_LARGEST_TEXT // 2**20} MiB of unpacked text; send a shorter span",
        )
    return text


def _damaged_gzip() -> RecordingError:
    return RecordingError(
        Refusal.UNPARSABLE,
        "expected one whole gzip file, found it cut off or damaged; copy it again",
        where="file",
    )


def _read_timed(columns: dict[str, Sequence[str]], hints: Hints) -> Recording:
    texts, zone = _times(columns[_TIME], hints)
    micros = instants(parse(texts, _TIME), zone)
    description = _description(zone, epoch_seconds_of(micros, None, hints), hints)
    values = _values(columns[_VALUE], columns.get(_IMPUTED))
    return recording_of(
        description, regular(Samples(micros, values), description.epoch_seconds, zone, hints.max_epochs)
    )


def _times(cells: Sequence[str], hints: Hints) -> tuple[Sequence[str], str]:
    """ISO 8601 times with offset, and the one zone that all of them name."""
    zones: set[str] = set()
    stamps = columns_from(_stamps(cells, zones), 1)[0]
    if len(stamps) < len(cells) or len(zones) != 1:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected times such as 2024-03-31 01:59:00.000000+0100 [Europe/London], all of one zone; found "
            f"{len(cells) - len(stamps)} others and {len(zones)} zones",
            where=_TIME,
        )
    return stamps, str(settle("zone", zones.pop(), hints.zone))


def _stamps(cells: Sequence[str], zones: set[str]) -> Iterator[tuple[str]]:
    """ISO 8601 times of the cells that are times with a zone, which goes into ``zones``."""
    for match in map(_STAMP.fullmatch, cells):
        if match is not None:
            zones.add(match[3])
            yield (f"{match[1]}:{match[2]}",)


def _read_older(header: re.Match[str], body: str, hints: Hints) -> Recording:
    columns = columns_of(body, 2 if header[4] else 1, hints.max_epochs)
    values = _values(columns[0], columns[1] if header[4] else None)
    epoch_seconds = settle("epoch_seconds", int(header[3]), hints.epoch_seconds) or 0
    first, last = start_of(header[1], None), start_of(header[2], None)
    if (last - first).total_seconds() != (values.size - 1) * epoch_seconds:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected as many rows as fit between the two times of the header, found another number; the "
            "file may be cut off",
            where="header",
        )
    description = _description(hints.zone, epoch_seconds, hints, frozenset({Flag.UNVERIFIED_FORMAT}))
    return recording_of(description, Series(start_of(header[1], hints.zone), values))


def _description(
    zone: str | None, epoch_seconds: int, hints: Hints, flags: frozenset[Flag] = frozenset()
) -> Description:
    return Description(
        zone=zone,
        epoch_seconds=epoch_seconds,
        unit=settle("unit", Unit.ENMO_MG, hints.unit) or Unit.ENMO_MG,
        device=hints.device or Device.UNKNOWN,
        wear_site=hints.wear_site or WearSite.UNKNOWN,
        source_format=FORMAT,
        flags=flags,
    )


def _values(cells: Sequence[str], marks: Sequence[str] | None) -> FloatArray:
    """Milli-g (n,), NaN where nothing was recorded or the value was imputed."""
    values = numbers_of(cells, _VALUE)
    if marks is not None:
        if not set(marks) <= _MARKS.keys():
            raise RecordingError(Refusal.INVALID_FIELD, "expected imputed as 1, 0 or nothing", where=_IMPUTED)
        values[np.array([_MARKS[mark] for mark in marks], dtype=np.bool_)] = np.nan
    return values
