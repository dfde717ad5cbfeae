"""The ZIP archive in which an iPhone shares its Health export: one member, whatever its name, and no bomb."""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO

from preprocessing.recording import RecordingError, Refusal

__all__ = ["LARGEST_IN_MEMORY", "is_archive", "member_of", "name_of_first", "pieces"]

_HEAD = 4096  # bytes
_PIECE = 256 * 1024  # bytes read at a time
_ZIP = b"PK\x03\x04"
_ZIP_NAME = slice(26, 28)  # where a member states the length of its name
_ZIP_NAME_START = 30
_ZIP_TAIL = struct.Struct("<4s 16x 4s 8x L 4x H")  # locator, end, bytes of directory, of comment
_LARGEST_DIRECTORY = 2 * 1024 * 1024  # bytes; some 15,000 members
_MOST_XML = 16  # members called .xml; exports have two
_HIGHEST_RATIO = 200  # of unpacked to packed size; exports reach some 40
LARGEST_IN_MEMORY = 128 * 1024 * 1024  # bytes, for an archive that comes as bytes
_ENCRYPTED = 1
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)


def is_archive(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is a ZIP archive."""
    return head.startswith(_ZIP)


def name_of_first(head: bytes) -> bytes:
    """Name of the archive's first member, as far as ``head`` holds it."""
    length = int.from_bytes(head[_ZIP_NAME], "little")
    return head[_ZIP_NAME_START : _ZIP_NAME_START + length]


def pieces(file: IO[bytes], most: float = math.inf) -> Iterator[bytes]:
    """What is left of ``file``, piece by piece; RecordingError ``too_many_epochs`` beyond ``most`` bytes."""
    given = 0
    while piece := file.read(_PIECE):
        given += len(piece)
        if given > most:
            raise RecordingError(
                Refusal.TOO_MANY_EPOCHS,
                f"expected at most {most / 1e6:,.0f} MB in the archive, found more; unpack it and read its "
                "export.xml with the pat command",
                where="file",
            )
        yield piece


def member_of(
    file: IO[bytes], is_export: Callable[[bytes], bool], largest: float = math.inf
) -> Iterator[bytes]:
    """The one member whose first bytes say that it ``is_export``, piece by piece.

    Raises RecordingError ``unparsable`` for a damaged archive or one without exactly one such member,
    ``too_many_epochs`` beyond ``largest`` bytes or 200 times the size of the archive.
    """
    most = min(largest, file.seek(0, io.SEEK_END) * _HIGHEST_RATIO)
    try:
        _check_directory(file)
        with zipfile.ZipFile(file) as archive, archive.open(_chosen(archive, is_export)) as export:
            yield from pieces(export, most)
    except RecordingError:
        raise
    except _ZIP_ERRORS:
        raise _no_archive() from None


def _check_directory(file: IO[bytes]) -> None:
    """Refuse an archive whose directory is large, before anything reads it into memory."""
    file.seek(-_ZIP_TAIL.size, io.SEEK_END)
    locator, end, size, comment = _ZIP_TAIL.unpack(file.read(_ZIP_TAIL.size))
    if locator == b"PK\x06\x07" or end != b"PK\x05\x06" or comment or size > _LARGEST_DIRECTORY:
        raise _no_archive()


def _no_archive() -> RecordingError:
    return RecordingError(
        Refusal.UNPARSABLE,
        "expected a whole ZIP archive as the Health app shares it, with one export in XML; share it again, "
        "or unpack it and read its export.xml",
        where="file",
    )


def _chosen(archive: zipfile.ZipFile, is_export: Callable[[bytes], bool]) -> zipfile.ZipInfo:
    """The one member that is an export; its name depends on the language of the phone and proves nothing."""
    named = [member for member in archive.infolist() if member.filename.lower().endswith(".xml")]
    if len(named) > _MOST_XML:
        raise _no_archive()
    found = [member for member in named if _opens_as(archive, member, is_export)]
    if len(found) != 1:
        raise _no_archive()
    return found[0]


def _opens_as(archive: zipfile.ZipFile, member: zipfile.ZipInfo, is_export: Callable[[bytes], bool]) -> bool:
    plain = member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if not plain or member.flag_bits & _ENCRYPTED:
        return False
    with archive.open(member) as content:
        return is_export(content.read(_HEAD))
