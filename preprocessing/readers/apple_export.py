"""Apple Health: the ``export.xml`` of an iPhone, or the ``export.zip`` around it, read for its step counts.

A stream of ``Record`` elements of every kind, of any size; it is read piece by piece, and only what became of
the step counts is held. They carry a start, an end, the name of their source and, often, its device, of which
only the kind is kept. A record with ``HKWasUserEntered`` was typed in by hand. Records in a ``Correlation``
stand at the top of the file again (its own DTD says so) and are counted there.

The UTC offsets are those of the phone at the time of the export: they place the instants and do not say where
the person was. ``HKTimeZone``, where a record has it, does.

XML from elsewhere can be a trap. Entities, external identifiers and parameter entities are refused. The
declarations of element and attribute types that Apple writes say nothing about the content, and some versions
of iOS write them broken: they are checked for anything else and passed over. A stray vertical tab, also
written by some versions, is read as a space. Other broken XML is refused.

Written from Apple's own DTD (HealthKit Export Version 14) and published exports.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import IO
from xml.parsers import expat

import numpy as np
import numpy.typing as npt

from preprocessing.calendar import Instants, zone_of
from preprocessing.merging import SOURCES, Events, Source
from preprocessing.readers.amounts import description_of_steps
from preprocessing.readers.apple_archive import (
    LARGEST_IN_MEMORY,
    is_archive,
    member_of,
    name_of_first,
    pieces,
)
from preprocessing.readers.assemble import too_many_epochs
from preprocessing.readers.events import (
    LONGEST_SPREAD_SECONDS,
    kind_of_source,
    offsets_in,
    recording_of_events,
    zone_of_events,
)
from preprocessing.readers.hints import Format, Hints
from preprocessing.readers.pieces import UNVERIFIED, Reading
from preprocessing.readers.stamps import SECOND
from preprocessing.recording import (
    EARLIEST_YEAR,
    LATEST_YEAR,
    LONGEST_DAYS,
    BoolArray,
    FloatArray,
    Recording,
    RecordingError,
    Refusal,
)

__all__ = ["FORMAT", "looks_like", "read", "read_file"]

FORMAT = Format.APPLE_EXPORT

_ROOT, _RECORD, _METADATA = "HealthData", "Record", "MetadataEntry"
_STEPS = "HKQuantityTypeIdentifierStepCount"
_BY_HAND, _ZONE = "HKWasUserEntered", "HKTimeZone"
_UNIT = "count"

_OPENING = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*+(?:<\?xml[^>]{0,200}\?>)?+\s*+<(?:!DOCTYPE\s++)?HealthData[\s>\[/]"
)
_DECLARATIONS = re.compile(
    rb"((?:\xef\xbb\xbf)?\s*+(?:<\?xml[^>]{0,200}\?>)?+\s*+)<!DOCTYPE\s++HealthData\s*+\["
)
_CLOSE = re.compile(rb"\]\s*+>")
_ALLOWED = re.compile(rb"<!(?:ELEMENT|ATTLIST)(?=\s)")
_FORBIDDEN = re.compile(rb"<!|<\?|[%&\"'\[\]]")  # entities, default values, nested sections

_HEAD = 4096  # bytes
_LONGEST_PROLOG = 64 * 1024  # bytes; Apple's DTD takes 8,000
_LONGEST_TAG = 1024 * 1024  # bytes; tags in exports stay far below 10,000
_MOST_NAMES = 10_000  # names of elements and attributes; exports have some 150
_DEEPEST = 16  # elements inside each other; exports have five
_PIECES = 16  # whose step counts are held as texts before they become numbers
_MOST_RECORDS = 16_000_000  # kept; ten sources that report each minute of three years
_BROKEN_SHARE = (
    0.01  # project choice: more unusable step records than this is another format, not an accident
)
_LONGEST_NUMBER = 32
_LONGEST_NAME = 200
_MOST_KINDS = 1024  # sources remembered
_MOST_ZONES = 64  # of one person in three years
_NUMBER = re.compile(r"[0-9.eE+-]{1,32}", re.ASCII)
_DIGITS = frozenset("0123456789.eE+-")
_NO_DATE = "0000-00-00 00:00:00 +0000"  # of the right length, in month 0
_WIDTH = len(_NO_DATE)
_LOWEST = np.frombuffer(b"0000-00-00 00:00:00 +0000", dtype=np.uint8)  # letter by letter
_HIGHEST = np.frombuffer(b"9999-99-99 99:99:99 -9999", dtype=np.uint8)
_SIGN = 20  # column of the sign of the offset
_FARTHEST_OFFSET = 18 * 3600  # seconds; zones reach 14 h
_DAY = 86_400  # seconds
_EPOCH_SECONDS = 60
_NO_ZONE = -1
_SOURCE = {kind: SOURCES.index(kind) for kind in Source}
_ROW = np.dtype(
    [
        ("start", "<i8"),
        ("end", "<i8"),
        ("value", "<f8"),
        ("offset", "<i4"),
        ("zone", "<i2"),
        ("source", "<i1"),
    ]
)
Rows = npt.NDArray[np.void]  # (n,) of _ROW: microseconds, microseconds, steps, seconds, index, index


def looks_like(head: str | bytes) -> bool:
    """Whether a file begins as an export does, or as a ZIP archive whose first member speaks of an export."""
    data = head.encode(errors="replace") if isinstance(head, str) else head
    if is_archive(data):
        return b"export" in name_of_first(data).lower()
    return _OPENING.match(data) is not None


def read(data: bytes, hints: Hints) -> Recording:
    """Read one export, XML or ZIP; RecordingError says what is missing or wrong."""
    return _read(io.BytesIO(data), hints, LARGEST_IN_MEMORY)


def read_file(path: Path, hints: Hints) -> Recording:
    """As ``read``, piece by piece: memory grows with the step counts wanted, not with the file."""
    with path.open("rb") as file:
        return _read(file, hints, math.inf)


def _read(file: IO[bytes], hints: Hints, largest_unpacked: float) -> Recording:
    packed = is_archive(file.read(_HEAD))
    file.seek(0)
    parts = member_of(file, looks_like, largest_unpacked) if packed else pieces(file)
    tags, steps = _Tags(), _Steps(hints)
    _parse(_without_declarations(parts), tags, steps)
    return _recording(steps, tags.others, hints)


def _without_declarations(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces without the document type, if that declares nothing but types of elements and attributes."""
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= _LONGEST_PROLOG:
            break
    if not looks_like(head) or is_archive(head):
        raise RecordingError(
            Refusal.UNPARSABLE,
            "expected an Apple Health export in XML, with the root HealthData",
            where="file",
        )
    begin = _DECLARATIONS.match(head)
    yield head if begin is None else begin[1] + _after_declarations(head, begin.end())
    yield from pieces


def _after_declarations(head: bytes, begin: int) -> bytes:
    """What follows the document type whose declarations start at ``begin``; lines keep their numbers."""
    close = _CLOSE.search(head, begin, begin + _LONGEST_PROLOG)
    if close is None:
        raise _attack()
    *commented, last = head[begin : close.start()].split(b"-->")
    declared = b" ".join(part.partition(b"<!--")[0] for part in commented) + b" " + last
    if _FORBIDDEN.search(_ALLOWED.sub(b"", declared)):
        raise _attack()
    return b"\n" * head.count(b"\n", begin, close.end()) + head[close.end() :]


def _attack() -> RecordingError:
    return RecordingError(
        Refusal.UNPARSABLE,
        "expected an export that declares types of elements and attributes only, found entities, default "
        "values or external references; export it again from the Health app",
        where="DOCTYPE",
    )


def _parse(pieces: Iterator[bytes], tags: _Tags, steps: _Steps) -> None:
    """Read all pieces; RecordingError ``unparsable`` for XML that is broken or a trap."""
    parser = _parser(tags)
    given = 0
    try:
        for number, piece in enumerate(pieces, start=1):
            parser.Parse(piece.replace(b"\x0b", b" "), False)
            given += len(piece)
            if given - parser.CurrentByteIndex > _LONGEST_TAG or len(parser.intern) > _MOST_NAMES:
                raise _damaged(parser.CurrentLineNumber)
            if number % _PIECES == 0:
                steps.add(tags.taken())
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise _damaged(error.lineno) from None
    steps.add(tags.tags)


def _parser(tags: _Tags) -> expat.XMLParserType:
    """A parser that reads UTF-8 whatever the file declares, and refuses what could expand or fetch."""
    parser = expat.ParserCreate("UTF-8")
    parser.ordered_attributes = True
    parser.StartElementHandler, parser.EndElementHandler = tags.start, tags.end
    parser.StartDoctypeDeclHandler = _refuse_unless_empty
    parser.EntityDeclHandler = parser.ExternalEntityRefHandler = _refuse
    return parser


def _refuse_unless_empty(_name: str, system: str | None, public: str | None, has_declarations: bool) -> None:
    if has_declarations or system is not None or public is not None:
        raise _attack()


def _refuse(*_: object) -> int:
    raise _attack()


def _damaged(line: int) -> RecordingError:
    return RecordingError(
        Refusal.UNPARSABLE,
        f"expected a whole Apple Health export in XML, found it cut off or broken near line {line}; export "
        "it again, or correct that line",
        where=f"line {line}",
    )


class _Tags:
    """The step counts among the elements, each as its flat list of names and values; others are counted."""

    def __init__(self) -> None:
        self.tags: list[list[str]] = []
        self.others = 0  # records of other quantities
        self._depth = 0
        self._is_open = False  # whether the element below the root is the last of the tags

    def start(self, tag: str, attributes: list[str]) -> None:
        self._depth += 1
        if tag == _RECORD and self._depth == 2:
            self._is_open = _STEPS in attributes
            if self._is_open:
                self.tags.append(attributes)
            else:
                self.others += 1
        elif self._depth == 3:
            if self._is_open and tag == _METADATA:
                self._note(attributes)
        else:
            self._pass_over(tag)

    def end(self, _tag: str) -> None:
        self._depth -= 1

    def _note(self, entry: list[str]) -> None:
        """Add to a step count what its metadata say, once."""
        key = entry[1] if entry[:1] == ["key"] and entry[2:3] == ["value"] else ""
        if key in (_BY_HAND, _ZONE) and key not in self.tags[-1]:
            self.tags[-1] += entry[1::2]

    def _pass_over(self, tag: str) -> None:
        self._is_open = self._is_open and self._depth > 2
        if self._depth > _DEEPEST or (self._depth == 1 and tag != _ROOT):
            raise RecordingError(
                Refusal.UNPARSABLE, f"expected the root {_ROOT} and at most {_DEEPEST} levels", where=_ROOT
            )

    def taken(self) -> list[list[str]]:
        """Hand over the tags, but keep the last, to which metadata may come."""
        taken, self.tags = self.tags[:-1], self.tags[-1:]
        return taken


class _Steps:
    """Step counts as rows of numbers, converted block by block."""

    def __init__(self, hints: Hints) -> None:
        self.found = 0
        self.broken = 0  # of those found: without usable times or number
        self.misnamed = 0  # tags of other quantities that name the steps elsewhere
        self.zones: dict[str, int] = {}  # that records state, and their indices in rows
        self.span: tuple[int, int] | None = None  # first and last second at which a short record starts
        self._blocks: list[Rows] = []
        self._kept = 0
        self._limit = min(hints.max_epochs, LONGEST_DAYS * _DAY // _EPOCH_SECONDS)
        self._first = _day_margin(hints.since, -1, np.iinfo(np.int64).min)
        self._stop = _day_margin(hints.until, 2, np.iinfo(np.int64).max)
        self._kinds: dict[tuple[str, str], int] = {}

    def add(self, tags: list[list[str]]) -> None:
        """Convert ``tags``; RecordingError ``too_many_epochs`` as soon as they span too much."""
        records = [dict(zip(tag[::2], tag[1::2], strict=True)) for tag in tags]
        records = [record for record in records if record.get("type") == _STEPS]
        self.misnamed += len(tags) - len(records)
        start = _moments([record.get("startDate", "") for record in records])
        end = _moments([record.get("endDate", "") for record in records])
        values = _numbers([_steps_in(record) for record in records])
        usable = start.is_valid & end.is_valid & np.isfinite(values) & (values >= 0) & (end.utc >= start.utc)
        kept = usable & (start.utc >= self._first) & (start.utc < self._stop)
        rows = np.empty(int(kept.sum()), dtype=_ROW)
        rows["start"], rows["end"] = start.utc[kept] * SECOND, end.utc[kept] * SECOND
        rows["value"], rows["offset"] = values[kept], start.offset[kept]
        rows["source"] = np.array([self._kind(record) for record in records], dtype=np.int8)[kept]
        rows["zone"] = np.array([self._zone(record.get(_ZONE)) for record in records], dtype=np.int16)[kept]
        self._blocks.append(rows)
        self._kept += rows.size
        self.found += usable.size
        self.broken += usable.size - int(usable.sum())
        self._check_span(start.utc[kept & (end.utc - start.utc <= LONGEST_SPREAD_SECONDS)])

    def _kind(self, record: Mapping[str, str]) -> int:
        """Kind of source: by the device, which Apple writes, else by the name, which people choose."""
        if record.get(_BY_HAND) == "1":
            return _SOURCE[Source.MANUAL]
        name = record.get("sourceName", "")[:_LONGEST_NAME]
        model = record.get("device", "")[:_LONGEST_NAME].partition(", ")[2]  # without an address that differs
        kind = self._kinds.get((name, model))
        if kind is None:
            of_device = kind_of_source(model)
            kind = _SOURCE[kind_of_source(name) if of_device is Source.OTHER else of_device]
            if len(self._kinds) == _MOST_KINDS:
                self._kinds.clear()
            self._kinds[name, model] = kind
        return kind

    def _zone(self, name: str | None) -> int:
        """Index of a zone; one that the database does not know is as good as none."""
        if name is None:
            return _NO_ZONE
        if name not in self.zones:
            try:
                zone_of(name)
            except RecordingError:
                return _NO_ZONE
            if len(self.zones) == _MOST_ZONES:
                raise RecordingError(
                    Refusal.INVALID_FIELD, f"expected at most {_MOST_ZONES} time zones", where=_ZONE
                )
            self.zones[name] = len(self.zones)
        return self.zones[name]

    def _check_span(self, seconds: Instants) -> None:
        """Refuse as the last step would, before the memory is spent."""
        if seconds.size:
            low, high = self.span or (int(seconds[0]), int(seconds[0]))
            self.span = min(low, int(seconds.min())), max(high, int(seconds.max()))
        is_long = self.span and self.span[1] - self.span[0] > self._limit * _EPOCH_SECONDS + 3 * _DAY
        if is_long or self._kept > _MOST_RECORDS:
            raise too_many_epochs(self._limit)

    def rows(self) -> Rows:
        """Rows (n,) of all usable step counts on the days asked for, a day of margin around them."""
        rows = np.concatenate(self._blocks)
        self._blocks = []
        return rows


def _steps_in(record: Mapping[str, str]) -> str:
    """The number as written; nothing where it is none of steps."""
    value = record.get("value", "")
    return value if len(value) <= _LONGEST_NUMBER and record.get("unit", _UNIT) == _UNIT else ""


def _day_margin(day: date | None, days: int, otherwise: int) -> int:
    """Seconds since 1970 of midnight UTC ``days`` after ``day``; zones lie within a day of it."""
    return (
        otherwise
        if day is None
        else ((day - date(1970, 1, 1)) + timedelta(days=days)) // timedelta(seconds=1)
    )


@dataclass(frozen=True, eq=False)
class _Moments:
    """Dates as written: ``utc`` (n,) and ``offset`` (n,) int64 seconds, true where ``is_valid`` (n,)."""

    utc: Instants
    offset: Instants
    is_valid: BoolArray


def _moments(texts: list[str]) -> _Moments:
    """Read dates such as ``2021-12-01 08:38:00 -0500``."""
    sized = [text if len(text) == _WIDTH and text.isascii() else _NO_DATE for text in texts]
    letters = np.frombuffer("".join(sized).encode("ascii"), dtype=np.uint8).reshape(-1, _WIDTH)  # (n, 25)
    is_valid = ((letters >= _LOWEST) & (letters <= _HIGHEST)).all(axis=1) & (letters[:, _SIGN] != ord(","))
    digits = np.where(is_valid[:, None], letters, _LOWEST).astype(np.int64) - ord("0")

    def number(column: int, width: int = 2) -> Instants:
        return digits[:, column : column + width] @ 10 ** np.arange(width - 1, -1, -1)

    year, day, time = number(0, 4), number(8), (number(11), number(14), number(17))
    months = ((year - 1970) * 12 + number(5) - 1).astype("datetime64[M]")
    first, following = (month.astype("datetime64[D]").astype(np.int64) for month in (months, months + 1))
    is_valid &= (number(5) >= 1) & (number(5) <= 12) & (day >= 1) & (day <= following - first)
    is_valid &= (year >= EARLIEST_YEAR) & (year <= LATEST_YEAR)
    is_valid &= (time[0] < 24) & (time[1] < 60) & (time[2] < 60)
    size = number(21) * 3600 + number(23) * 60
    is_valid &= (size <= _FARTHEST_OFFSET) & (number(23) < 60)
    offset = np.where(letters[:, _SIGN] == ord("-"), -size, size)
    local = (first + day - 1) * _DAY + time[0] * 3600 + time[1] * 60 + time[2]
    return _Moments(local - offset, offset, is_valid)


def _numbers(texts: list[str]) -> FloatArray:
    """Numbers (n,) float64 of ``texts``, NaN where a text is none."""
    if set().union(*texts) <= _DIGITS:
        try:
            return np.array([float(text) for text in texts], dtype=np.float64)
        except ValueError:
            pass
    return np.array([_number(text) for text in texts], dtype=np.float64)


def _number(text: str) -> float:
    try:
        return float(text) if _NUMBER.fullmatch(text) else math.nan
    except ValueError:
        return math.nan


def _recording(steps: _Steps, others: int, hints: Hints) -> Recording:
    events, zone = _events(steps, others, hints)
    about = description_of_steps(zone, Reading(FORMAT, hints, UNVERIFIED))
    return recording_of_events(events, about, hints)


def _events(steps: _Steps, others: int, hints: Hints) -> tuple[Events, str]:
    """The step counts and the zone of their days."""
    rows = steps.rows()
    _check(steps, rows)
    zone = zone_of_events(_stated_zone(steps, rows), rows["offset"].astype(np.int64), hints)
    events = Events(
        start=rows["start"].copy(),
        end=rows["end"].copy(),
        values=rows["value"].copy(),
        source=rows["source"].copy(),
        offset=_offsets(steps, rows, zone),
        set_aside=others + steps.misnamed + steps.broken,
    )
    return events, zone


def _check(steps: _Steps, rows: Rows) -> None:
    """Refuse an export without step counts, or with too many that cannot be read."""
    if steps.found == 0:
        raise RecordingError(
            Refusal.NO_SAMPLES, "expected step counts in the export, found none; share them in the Health app"
        )
    if steps.broken > _BROKEN_SHARE * steps.found:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected step counts with a number of at least 0, the unit count and two times in order such as "
            f"2021-12-01 08:38:00 -0500, found {steps.broken} of {steps.found} without; export again",
            where=_RECORD,
        )
    if rows.size == 0:
        raise RecordingError(
            Refusal.NO_SAMPLES, "expected step counts from since to until, found none; choose other days"
        )


def _stated_zone(steps: _Steps, rows: Rows) -> str | None:
    """The one zone that every step count states, else None."""
    stated = np.unique(rows["zone"])
    return list(steps.zones)[stated[0]] if stated.size == 1 and stated[0] != _NO_ZONE else None


def _offsets(steps: _Steps, rows: Rows, zone: str) -> Instants | None:
    """UTC offset (n,) seconds of the stated zone, else of ``zone``; None if no record states one."""
    if not steps.zones or steps.span is None:
        return None
    seconds = (rows["start"] // SECOND).clip(*steps.span)  # outside are records too long to be used
    offsets = offsets_in(zone, seconds)
    for name, index in steps.zones.items():
        there = rows["zone"] == index
        if there.any():
            offsets[there] = offsets_in(name, seconds[there])
    return offsets
