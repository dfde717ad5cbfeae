"""Cells of a table as ranges of its text, so that a column of a million rows costs a few bytes a cell."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, overload

import numpy as np
import numpy.typing as npt

__all__ = ["Column", "Letters", "Places", "column", "columns_from", "distinct", "places_in", "tables"]

Letters = npt.NDArray[np.uint8]  # (width, n): row j holds letter j of every cell, NUL behind its end
Places = npt.NDArray[np.signedinteger[Any]]
_CHUNK = 32_768  # cells at a time, so that their numbers stay in a processor's cache
_ROWS = 1_024  # rows held as Python texts at a time


@dataclass(frozen=True, eq=False)
class Column(Sequence[str]):
    """Texts (n,): cell i is ``text[begin[i]:end[i]]`` in UTF-8, and later cells stand further on."""

    text: bytes
    begin: Places
    end: Places

    def __len__(self) -> int:
        return int(self.begin.size)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Column: ...

    def __getitem__(self, index: int | slice) -> str | Column:
        if isinstance(index, slice):
            return Column(self.text, self.begin[index], self.end[index])
        return self.text[self.begin[index] : self.end[index]].decode()

    def __iter__(self) -> Iterator[str]:
        for part in self.parts():
            for begin, end in zip(part.begin.tolist(), part.end.tolist(), strict=True):
                yield self.text[begin:end].decode()

    @property
    def lengths(self) -> Places:
        """Bytes of each cell (n,)."""
        return self.end - self.begin

    def parts(self) -> Iterator[Column]:
        """The column in pieces of some thousand cells."""
        for first in range(0, len(self), _CHUNK):
            yield self[first : first + _CHUNK]


def column(cells: Sequence[str]) -> Column:
    """Texts (n,) as a Column; lone surrogates and NUL, for which it has no place, become question marks."""
    return cells if isinstance(cells, Column) else columns_from(zip(cells, strict=True), 1)[0]


def columns_from(rows: Iterable[Sequence[str]], width: int) -> list[Column]:
    """Columns of ``rows`` of ``width`` texts, of which only some are held as Python texts at a time."""
    left = iter(rows)
    texts, lengths = ([bytearray() for _ in range(width)] for _ in range(2))
    while chunk := list(islice(left, _ROWS)):
        for text, length, cells in zip(texts, lengths, zip(*chunk, strict=True), strict=True):
            encoded = [cell.encode(errors="replace") for cell in cells]
            text.extend(b"".join(encoded))
            length.extend(array("i", map(len, encoded)).tobytes())
    return [
        _packed(text, np.frombuffer(length, np.intc)) for text, length in zip(texts, lengths, strict=True)
    ]


def _packed(text: bytearray, lengths: npt.NDArray[np.intc]) -> Column:
    kind = places_in(text)
    end = np.cumsum(lengths, dtype=kind)
    return Column(bytes(text.replace(b"\0", b"?")), end - lengths.astype(kind), end)


def places_in(text: bytes | bytearray) -> np.dtype[np.signedinteger[Any]]:
    """The smaller integer that can count the letters of ``text``."""
    return np.dtype(np.int32 if len(text) <= np.iinfo(np.int32).max else np.int64)


def tables(cells: Column, longest: int) -> Iterator[Letters]:
    """Letters of the cells, a table (up to ``longest``, k) for each of the column's parts."""
    for part in cells.parts():
        lengths = part.lengths
        width = max(1, min(int(lengths.max()), longest))
        fits = int(part.begin[-1]) + width <= len(cells.text)
        low = 0 if fits else int(part.begin[0])
        stretch = cells.text if fits else cells.text[low:] + bytes(width)
        windows = np.ndarray(len(stretch) - width + 1, f"S{width}", stretch, strides=(1,))
        table = np.ascontiguousarray(windows[part.begin - low].view(np.uint8).reshape(-1, width).T)
        for place in range(int(lengths.min()), width):
            table[place] *= lengths > place
        yield table


def distinct(cells: Sequence[str]) -> tuple[list[str], npt.NDArray[np.int32]]:
    """Different texts in order of appearance, and the place of each cell's text among them (n,)."""
    known: dict[str, int] = {}
    which = np.fromiter((known.setdefault(cell, len(known)) for cell in cells), np.int32, len(cells))
    return list(known), which
