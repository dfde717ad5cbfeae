"""The forms in which a marker may be written down, and a search for them in everything that rests."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

Forms = Mapping[str, bytes]


def forms(marker: str) -> Forms:
    """Return ``marker`` as text, hex, URL, UTF-16, and in base64 wherever it may begin in what is encoded."""
    data = marker.encode()
    found = {
        "plain": data,
        "reversed": data[::-1],
        "hex": data.hex().encode(),
        "HEX": data.hex().upper().encode(),
        "url": quote(marker, safe="").encode(),
        "every byte of a url": "".join(f"%{byte:02X}" for byte in data).encode(),
        "utf-16": marker.encode("utf-16-le"),
    }
    for offset in range(3):
        found |= {f"base64+{offset}": _base64(data, offset)}
        found |= {f"base64url+{offset}": _base64(data, offset).replace(b"+", b"-").replace(b"/", b"_")}
    return found


def number_forms(value: float) -> Forms:
    """Return a number as JSON writes it, and two of them in a row as float64 and float32."""
    twice = {f"{code} twice": struct.pack(f"<2{code}", value, value) for code in "df"}
    return {**forms(repr(value)), **twice}


def _base64(data: bytes, offset: int) -> bytes:
    """Return what is the same in the base64 of everything that holds ``data`` at 3n + ``offset``."""
    encoded = base64.b64encode(bytes(offset) + data)
    begin = (0, 2, 3)[offset]
    end = len(encoded) - (0 if (offset + len(data)) % 3 == 0 else 4)
    return encoded[begin:end]


def hits(found: Forms, content: bytes) -> list[str]:
    """Return the names of the forms that ``content`` holds."""
    return [name for name, form in found.items() if form in content]


def rest(folders: Iterable[Path]) -> Iterator[tuple[Path, bytes]]:
    """Yield every regular file under ``folders``, and the names of all as one."""
    for folder in folders:
        paths = sorted(folder.rglob("*"))
        yield folder, "\n".join(map(str, paths)).encode()
        for path in paths:
            if path.is_file() and not path.is_symlink():
                yield path, path.read_bytes()
