"""SAS transport files, version 5: tables of fixed-length rows, as public health surveys hand them out.

A library of 80-byte records holds one table (member) or several. The head of a table describes its columns;
its rows follow without separators and without a count, padded with blanks to whole records, so a table ends
where the next one's head or the end of the file is. Numbers are IBM System/360 doubles, of which leading
bytes only may be stored; missing ones are a letter, a point or an underscore followed by zeros.

Layout: SAS Institute, technical note TS-140. Version 8 files are another layout and are refused.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from preprocessing.recording import BoolArray, FloatArray, RecordingError, Refusal

__all__ = ["Block", "Column", "blocks", "columns_in"]

_RECORD = 80  # bytes
_BLANK = 0x20
_HEAD = b"HEADER RECORD*******"
_LIBRARY = b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!"
_MEMBER = b"HEADER RECORD*******MEMBER  HEADER RECORD!!!!!!!"
_DESCRIPTION = b"HEADER RECORD*******DSCRPTR HEADER RECORD!!!!!!!"
_NAMES = b"HEADER RECORD*******NAMESTR HEADER RECORD!!!!!!!"
_ROWS = b"HEADER RECORD*******OBS     HEADER RECORD!!!!!!!"
_LIBRARY_BYTES = 3 * _RECORD
_NAMES_AT = _LIBRARY_BYTES + 4 * _RECORD  # head of a table, its description (1) and two records of it
_COLUMN_SIZES = (136, 140)  # bytes of a column's description; 136 on VAX
_COLUMN = np.dtype(
    {
        "names": ["type", "width", "name", "offset"],
        "formats": [">i2", ">i2", "S8", ">i4"],
        "offsets": [0, 4, 8, 84],
        "itemsize": 140,
    }
)
_NUMBER, _TEXT = 1, 2
_WIDEST_NUMBER = 8  # bytes
_WIDEST_TEXT = 200  # bytes, as version 5 allows
_LONGEST_ROW = 65_536  # bytes; the widest survey table has some thousand
_MOST_TABLES = 100
_PIECE = 4 * 1024 * 1024  # bytes read at a time
_MARK = np.dtype([("begins", "V8"), ("rest", "V72")])
_FRACTION = np.uint64(0x00FF_FFFF_FFFF_FFFF)
_TOP = np.uint64(56)  # bits below the byte of sign and exponent
# IBM System/360 double: value = (-1) ** sign * fraction / 2 ** 56 * 16 ** (exponent - 64)
_SCALE = np.ldexp(np.where(np.arange(256) < 128, 1.0, -1.0), 4 * (np.arange(256) % 128) - 312)
_MISSING = np.isin(np.arange(256), list(b"._ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
_DIGITS = np.isin(np.arange(256), list(b" 0123456789.-"))


@dataclass(frozen=True)
class Column:
    """Where a column stands in a row."""

    is_text: bool
    offset: int
    width: int


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows (n, bytes) uint8 of one table, and its columns by name in capitals."""

    columns: Mapping[str, Column]
    rows: npt.NDArray[np.uint8]

    def numbers(self, name: str) -> FloatArray:
        """Column ``name`` (n,), NaN = missing; text must spell numbers.

        Raises RecordingError ``invalid_field`` for other text.
        """
        cells = self._cells(name)
        return _spelled(cells, name) if self.columns[name].is_text else _doubles(cells)

    def texts(self, name: str) -> set[str]:
        """Different texts in column ``name``, unpadded; RecordingError ``invalid_field`` for numbers."""
        if not self.columns[name].is_text:
            raise RecordingError(
                Refusal.INVALID_FIELD, f"expected text in column {name}, found numbers", where=name
            )
        found = np.unique(_joined(self._cells(name)))
        return {cell.decode("ascii", errors="replace").strip() for cell in found.tolist()}

    def chosen(self, mask: BoolArray, names: Collection[str]) -> Block:
        """A copy of the rows of ``mask`` (n,) with the columns ``names`` alone."""
        columns, offset = {}, 0
        for name in names:
            column = self.columns[name]
            columns[name] = replace(column, offset=offset)
            offset += column.width
        return Block(columns, np.concatenate([self._cells(name)[mask] for name in names], axis=1))

    def _cells(self, name: str) -> npt.NDArray[np.uint8]:
        column = self.columns[name]
        return self.rows[:, column.offset : column.offset + column.width]


def columns_in(head: bytes) -> frozenset[str]:
    """Names of the first table's columns as far as ``head`` holds them; none if it begins another file."""
    if not head.startswith(_LIBRARY) or head[_LIBRARY_BYTES:].find(_MEMBER) != 0:
        return frozenset()
    try:
        size = _column_size(head[_LIBRARY_BYTES : _LIBRARY_BYTES + _RECORD])
        count = _count(head[_NAMES_AT : _NAMES_AT + _RECORD])
    except RecordingError:
        return frozenset()
    table = head[_NAMES_AT + _RECORD :][: count * size]
    return frozenset(_name(table[at + 8 : at + 16]) for at in range(0, len(table) - size + 1, size))


def blocks(stream: BinaryIO) -> Iterator[Block]:
    """Read the tables of a seekable ``stream`` in order, some megabytes of rows at a time.

    A table without rows gives one block without rows. Raises RecordingError ``unparsable`` for what is no
    SAS transport file of version 5, is damaged or cut off.
    """
    begin = stream.read(_LIBRARY_BYTES)
    head = stream.read(_RECORD)
    if not begin.startswith(_LIBRARY) or not head:
        raise _damaged()
    for _ in range(_MOST_TABLES):
        columns = _columns(stream, _column_size(head))
        for piece, is_last in _pieces(stream, sum(column.width for column in columns.values())):
            yield Block(columns, _table(piece, columns, is_last=is_last))
        head = stream.read(_RECORD)
        if not head:
            return
    raise RecordingError(
        Refusal.UNPARSABLE,
        f"expected at most {_MOST_TABLES} tables; export the wanted one alone",
        where="file",
    )


def _damaged() -> RecordingError:
    return RecordingError(
        Refusal.UNPARSABLE,
        "expected a whole SAS transport file of version 5, found another one, or one damaged or cut off; "
        "download it again, or export it as version 5",
        where="file",
    )


def _digits(record: bytes, begin: int, stop: int) -> int:
    """The number in ``record``'s letters from ``begin`` to ``stop``, as its heads write counts and sizes."""
    text = record[begin:stop]
    if len(text) < stop - begin or not text.isdigit():
        raise _damaged()
    return int(text)


def _column_size(head: bytes) -> int:
    """Bytes that describe one column, as a table's head states them."""
    size = _digits(head, 74, 78)
    if not head.startswith(_MEMBER) or size not in _COLUMN_SIZES:
        raise _damaged()
    return size


def _count(record: bytes) -> int:
    """Number of columns, at least one."""
    count = _digits(record, 54, 58)
    if not record.startswith(_NAMES) or count == 0:
        raise _damaged()
    return count


def _name(cell: bytes) -> str:
    return cell.decode("ascii", errors="replace").strip().upper()


def _columns(stream: BinaryIO, size: int) -> dict[str, Column]:
    """Columns of the table whose head was read; the stream then stands at its rows."""
    if not stream.read(3 * _RECORD).startswith(_DESCRIPTION):
        raise _damaged()
    count = _count(stream.read(_RECORD))
    described = stream.read(-(-count * size // _RECORD) * _RECORD)
    if len(described) < count * size or not stream.read(_RECORD).startswith(_ROWS):
        raise _damaged()
    fields = [
        np.frombuffer(described[at : at + size].ljust(_COLUMN.itemsize), dtype=_COLUMN)[0]
        for at in range(0, count * size, size)
    ]
    columns = {
        _name(bytes(one["name"])): Column(int(one["type"]) == _TEXT, int(one["offset"]), int(one["width"]))
        for one in fields
    }
    kinds_known = all(int(one["type"]) in (_NUMBER, _TEXT) for one in fields)
    if len(columns) < count or not kinds_known or not _fill_rows(columns):
        raise _damaged()
    return columns


def _fill_rows(columns: Mapping[str, Column]) -> bool:
    """Whether the columns follow each other without a gap, each as wide as its kind may be."""
    end = 0
    for column in sorted(columns.values(), key=lambda one: one.offset):
        narrowest, widest = (1, _WIDEST_TEXT) if column.is_text else (2, _WIDEST_NUMBER)
        if column.offset != end or not narrowest <= column.width <= widest:
            return False
        end += column.width
    return end <= _LONGEST_ROW


def _pieces(stream: BinaryIO, row: int) -> Iterator[tuple[bytes, bool]]:
    """Bytes of one table's rows in whole rows and records, each with whether it is the last.

    The stream is left at the next table or at the end.
    """
    whole = math.lcm(_RECORD, row)
    size = max(_PIECE // whole, 1) * whole
    piece, ends = _piece(stream, size)
    while not ends:
        following, ends = _piece(stream, size)
        if not following:
            break
        yield piece, False
        piece = following
    yield piece, True


def _piece(stream: BinaryIO, size: int) -> tuple[bytes, bool]:
    """The next ``size`` bytes, or fewer before the next table or the end, which the second value tells."""
    begin = stream.tell()
    piece = stream.read(size)
    if len(piece) % _RECORD:
        raise _damaged()
    records = np.frombuffer(piece, dtype=_MARK)
    for record in np.flatnonzero(records["begins"] == np.void(_HEAD[:8])).tolist():
        at = record * _RECORD
        if piece.startswith(_HEAD, at):
            stream.seek(begin + at)
            return piece[:at], True
    return piece, len(piece) < size


def _table(piece: bytes, columns: Mapping[str, Column], *, is_last: bool) -> npt.NDArray[np.uint8]:
    """Rows (n, bytes) of ``piece``, without the blanks that fill the last record of a table."""
    width = sum(column.width for column in columns.values())
    letters = np.frombuffer(piece, dtype=np.uint8)
    rows = letters[: letters.size // width * width].reshape(-1, width)
    if (letters[rows.size :] != _BLANK).any():
        raise _damaged()
    if not is_last:
        return rows
    kept, fewest = len(rows), (letters.size - _RECORD) // width  # rows that begin before the last record
    while kept > max(fewest + 1, 0) and (rows[kept - 1] == _BLANK).all():
        kept -= 1
    return rows[:kept]


def _doubles(cells: npt.NDArray[np.uint8]) -> FloatArray:
    """Numbers (n,) of IBM System/360 doubles (n, 2 to 8) whose last bytes may be left out."""
    whole = np.zeros((len(cells), _WIDEST_NUMBER), dtype=np.uint8)
    whole[:, : cells.shape[1]] = cells
    bits = whole.view(">u8")[:, 0].astype(np.uint64)
    top, fraction = (bits >> _TOP).astype(np.intp), bits & _FRACTION
    values: FloatArray = fraction.astype(np.float64) * _SCALE[top]
    values[(fraction == 0) & _MISSING[top]] = np.nan
    return values


def _joined(cells: npt.NDArray[np.uint8]) -> npt.NDArray[np.bytes_]:
    """Cells (n,) of their letters (n, width)."""
    return np.ascontiguousarray(cells).view(f"S{cells.shape[1]}")[:, 0]


def _spelled(cells: npt.NDArray[np.uint8], name: str) -> FloatArray:
    """Numbers (n,) that ``cells`` (n, width) spell, NaN where they are blank."""
    if _DIGITS[cells].all():
        filled = (cells != _BLANK).any(axis=1)
        values = np.full(len(cells), np.nan)
        try:
            values[filled] = _joined(cells[filled]).astype(np.float64)
        except ValueError:
            pass
        else:
            return values
    raise RecordingError(
        Refusal.INVALID_FIELD, f"expected numbers in column {name}, found other text", where=name
    )
