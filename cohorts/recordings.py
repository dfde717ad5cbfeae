"""What a cohort's input holds: the files of a folder, or the rows of one Parquet file, each one recording.

Errors:

    CohortRunRefused          the input, the output folder or what is asked for is such that no run can begin
                              or go on
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from preprocessing.readers import read
from preprocessing.readers.canonical import CanonicalFields, from_fields
from preprocessing.readers.hints import Hints
from preprocessing.recording import Recording, RecordingError, Refusal

__all__ = [
    "COLUMNS",
    "CohortRunRefused",
    "Folder",
    "Input",
    "Item",
    "ParquetFile",
    "coded",
    "digest_of",
    "input_of",
]

Reading = Callable[[], Recording]
COLUMNS = {  # of a Parquet file of recordings: the Arrow types it may have, and whether it must be there
    "id": (("string", "large_string"), True),
    "start": (("string", "large_string"), True),
    "zone": (("string", "large_string"), False),
    "clock": (("string", "large_string"), False),
    "epoch_seconds": (("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"), False),
    "unit": (("string", "large_string"), False),
    "device": (("string", "large_string"), False),
    "wear_site": (("string", "large_string"), False),
    "values": (("list<float>", "list<double>", "large_list<float>", "large_list<double>"), True),
    "wear": (("list<bool>", "large_list<bool>"), False),
}
FORMAT = "parquet"  # as ``Recording.source_format`` spells it


class CohortRunRefused(ValueError):  # noqa: N818  # it says what is the case, as KeyError does
    """A run cannot begin or go on; the message names no recording."""


@dataclass(frozen=True)
class Item:
    """One recording of the input: the name its rows carry, and the digest of what it is read from."""

    id: str
    digest: str


class Input(Protocol):
    """Where recordings come from."""

    @property
    def kind(self) -> str:
        """What it is, in a word."""
        ...

    @property
    def items(self) -> tuple[Item, ...]:
        """Its recordings, in the order in which they are written."""
        ...

    def readings(self, start: int, stop: int, hints: Hints) -> Iterator[Reading]:
        """Yield how to read each of ``items[start:stop]``; a reading raises RecordingError or OSError."""
        ...


def input_of(path: Path) -> Input:
    """Look through a folder or a Parquet file; raises CohortRunRefused, or OSError where there is none."""
    return Folder.of(path) if path.is_dir() else ParquetFile.of(path)


def coded(items: tuple[Item, ...], table: Path) -> tuple[Item, ...]:
    """Return ``items`` under the study codes of a CSV table with the columns file and code."""
    codes = _codes(table)
    if lacking := sum(item.id not in codes for item in items):
        raise CohortRunRefused(f"{table}: expected a line for every recording; {lacking} have none")
    return tuple(Item(codes[item.id], item.digest) for item in items)


def _codes(table: Path) -> dict[str, str]:
    try:
        rows = list(csv.DictReader(table.read_text("utf-8-sig").splitlines(), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise CohortRunRefused(f"{table}: expected a CSV table in UTF-8") from error
    if any(set(row) != {"file", "code"} or not all(row.values()) for row in rows):
        raise CohortRunRefused(f"{table}: expected the columns file,code, both filled in every row")
    for column in ("file", "code"):
        if len({row[column] for row in rows}) < len(rows):
            raise CohortRunRefused(f"{table}: expected each {column} once")
    return {row["file"]: row["code"] for row in rows}


@dataclass(frozen=True)
class Folder:
    """A folder of device files, those of its folders included; hidden ones are passed over."""

    root: Path
    items: tuple[Item, ...]
    files: tuple[Path, ...]
    stamps: tuple[tuple[int, int], ...] = field(repr=False)
    kind: str = "folder"

    @classmethod
    def of(cls, root: Path) -> Folder:
        """List and digest the files of ``root``, in the order of their names."""
        names = sorted(_names(root))
        if not names:
            raise CohortRunRefused(f"{root}: expected a folder of device files, found none in it")
        files = tuple(Path(name) for name in names)
        stamps = tuple(_stamp(root / file) for file in files)
        items = tuple(Item(name, digest_of(root / name)) for name in names)
        return cls(root, items, files, stamps)

    def readings(self, start: int, stop: int, hints: Hints) -> Iterator[Reading]:
        """Yield how to read each file."""
        for place in range(start, stop):
            path = self.root / self.files[place]
            if not path.is_file() or _stamp(path) != self.stamps[place]:
                raise CohortRunRefused("a file of the input changed while the run went on; start a new run")
            yield partial(read, path, hints)


def _names(root: Path) -> Iterator[str]:
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if not path.is_file() or any(part.startswith(".") for part in name.split("/")):
            continue
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise CohortRunRefused(
                f"{root}: expected names in UTF-8, found another; rename the file"
            ) from error
        yield name


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file with one recording a row (docs/cohorts.md names the columns)."""

    path: Path
    items: tuple[Item, ...]
    stamp: tuple[int, int]
    kind: str = "parquet"

    @classmethod
    def of(cls, path: Path) -> ParquetFile:
        """Check the columns and the ids; raises CohortRunRefused."""
        from pyarrow import ArrowInvalid, parquet  # noqa: PLC0415  # of the extra ``cohort``

        stamp = _stamp(path)
        try:
            with parquet.ParquetFile(path) as file:
                _check_columns(path, file.schema_arrow)
                ids = file.read(["id"]).column("id").to_pylist()
        except ArrowInvalid as error:
            raise CohortRunRefused(f"{path}: expected a folder or a Parquet file, found neither") from error
        _check_ids(path, ids)
        digest = digest_of(path)
        return cls(path, tuple(Item(name, f"{digest}:{row}") for row, name in enumerate(ids)), stamp)

    def readings(self, start: int, stop: int, hints: Hints) -> Iterator[Reading]:
        """Yield how to read each row; of the file only the row groups that hold them are opened."""
        if _stamp(self.path) != self.stamp:
            raise CohortRunRefused(f"{self.path}: it changed while the run went on; start a new run")
        for row in _rows(self.path, start, stop):
            yield partial(_recording, row, hints)


def _check_columns(path: Path, schema: Any) -> None:
    for name, (kinds, needed) in COLUMNS.items():
        if name not in schema.names:
            if needed:
                raise CohortRunRefused(f"{path}: expected a column {name}, found none")
        elif (kind := _kind(schema.field(name).type)) not in kinds:
            raise CohortRunRefused(f"{path}: expected {name} to be {' or '.join(kinds)}, found {kind}")
    if unknown := len(set(schema.names) - COLUMNS.keys()):
        raise CohortRunRefused(
            f"{path}: expected only the columns {', '.join(COLUMNS)}; found {unknown} other"
        )


def _kind(kind: Any) -> str:
    """Name an Arrow type; the name of a list's member does not matter."""
    text = str(kind)
    head, inner, member = text.partition("<")
    return f"{head}<{member.rpartition(': ')[2].replace(' not null', '')}" if inner else text


def _check_ids(path: Path, ids: list[str | None]) -> None:
    if not ids:
        raise CohortRunRefused(f"{path}: expected recordings, found no row")
    if not all(ids):
        raise CohortRunRefused(f"{path}: expected an id in every row, found one without")
    if repeated := sum(times > 1 for times in Counter(ids).values()):
        raise CohortRunRefused(f"{path}: expected each id once, found {repeated} more often")


def _rows(path: Path, start: int, stop: int) -> Iterator[Mapping[str, Any]]:
    """Yield the rows from ``start`` up to ``stop``, one at a time, as Arrow scalars by column."""
    from pyarrow import parquet  # noqa: PLC0415  # of the extra ``cohort``

    with parquet.ParquetFile(path) as file:
        first = 0
        for group in range(file.metadata.num_row_groups):
            n = file.metadata.row_group(group).num_rows
            lower, upper = max(start - first, 0), min(stop - first, n)
            if lower < upper:
                table = file.read_row_group(group).slice(lower, upper - lower)
                for row in range(table.num_rows):
                    yield {name: table.column(name)[row] for name in table.column_names}
            first += n


def _recording(row: Mapping[str, Any], hints: Hints) -> Recording:
    texts = ("start", "zone", "clock", "unit", "device", "wear_site", "epoch_seconds")
    given = {name: row[name].as_py() for name in texts if name in row}
    wear = row["wear"].values if "wear" in row and row["wear"].is_valid else None
    if not row["values"].is_valid:
        raise RecordingError(Refusal.NO_SAMPLES, "expected values, found none", where="values")
    values = row["values"].values.to_numpy(zero_copy_only=False).astype(np.float64)  # null = NaN
    worn = None if wear is None else wear.fill_null(False).to_numpy(zero_copy_only=False)
    fields = {"unit": None, "epoch_seconds": None, **given}
    return replace(
        from_fields(CanonicalFields(values=values, wear=worn, **fields), hints), source_format=FORMAT
    )
