"""A test double: SAS transport files of version 5, written from SAS Institute's technical note TS-140."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence

Cell = (
    float | str | None
)  # a text in a text column; in a number column a missing code such as ".A", or None = "."


def library(*tables: bytes) -> bytes:
    """A file of these tables."""
    return (
        _head("LIBRARY")
        + b"SAS     SAS     SASLIB  9.4     X64".ljust(64)
        + _MADE
        + _MADE.ljust(80)
        + b"".join(tables)
    )


def table(name: str, columns: Mapping[str, Sequence[Cell]], widths: Mapping[str, int] | None = None) -> bytes:
    """A table of columns of numbers (8 bytes, or as ``widths`` say) or of text (as wide as the longest)."""
    kinds = {key: any(_is_text(cell) for cell in cells) for key, cells in columns.items()}
    wide = {
        key: max((len(str(cell)) for cell in cells), default=1) if kinds[key] else 8
        for key, cells in columns.items()
    } | dict(widths or {})
    rows = b"".join(
        b"".join(
            str(cell).encode().ljust(wide[key]) if kinds[key] else number(cell)[: wide[key]]
            for key, cell in zip(columns, row, strict=True)
        )
        for row in zip(*columns.values(), strict=True)
    )
    return table_head(name, {key: (kinds[key], wide[key]) for key in columns}) + padded(rows)


def table_head(name: str, columns: Mapping[str, tuple[bool, int]]) -> bytes:
    """Everything of a table before its rows, for columns of (is text, width)."""
    described, offset = b"", 0
    for order, (key, (is_text, width)) in enumerate(columns.items(), start=1):
        described += struct.pack(
            ">hhhh8s40s8shhh2s8shhl52s",
            *(2 if is_text else 1, 0, width, order, key.encode().ljust(8), b"made up".ljust(40), b" " * 8),
            *(0, 0, 0, b"\0\0", b" " * 8, 0, 0, offset, b"\0" * 52),
        )
        offset += width
    return (
        _head("MEMBER", "000000000000000001600000000140")
        + _head("DSCRPTR")
        + b"SAS     " + name.encode().ljust(8) + b"SASDATA 9.4     X64".ljust(48) + _MADE
        + (_MADE + b" " * 56).ljust(80)
        + _head("NAMESTR", f"000000{len(columns):04d}".ljust(30, "0"))
        + padded(described)
        + _head("OBS")
    )  # fmt: skip


def padded(data: bytes) -> bytes:
    """``data`` filled with blanks to whole records of 80 bytes."""
    return data.ljust(-(-len(data) // 80) * 80)


def number(cell: Cell) -> bytes:
    """An IBM System/360 double; ``.A`` and the like, and None, are missing."""
    if cell is None or isinstance(cell, str):
        return (cell or ".")[-1].encode() + b"\0" * 7
    if cell == 0:
        return b"\0" * 8
    mantissa, power = math.frexp(abs(cell))
    sixteens = -(-power // 4)
    fraction = int(math.ldexp(mantissa, power - 4 * sixteens + 56))
    return ((math.copysign(1, cell) < 0) << 63 | (sixteens + 64) << 56 | fraction).to_bytes(8, "big")


def _is_text(cell: Cell) -> bool:
    return isinstance(cell, str) and not (len(cell) in (1, 2) and cell[0] == "." and cell[1:] in _CODES)


_CODES = ("", "_", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_MADE = b"22NOV26:00:00:00"


def _head(kind: str, numbers: str = "0" * 30) -> bytes:
    return f"HEADER RECORD*******{kind:<8}HEADER RECORD!!!!!!!{numbers}".encode().ljust(80)
