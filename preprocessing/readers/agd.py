"""AGD: the epoch file of ActiGraph's ActiLife, an SQLite database with the tables ``settings`` and ``data``.

It states the model, the serial number, the filter, the epoch length, the limb and, for each epoch, a time and
the counts of up to three axes; the vertical axis ``axis1`` is read. Times are .NET ticks (100 ns since
0001-01-01) of a local clock without zone that does not follow clock changes: a zone hint says where it hung
at the start.
Name, sex, birth date, height and mass of the wearer stand in ``settings`` too; they are never queried.

A database from elsewhere is a program of sorts (views, triggers, virtual tables). Only two plain tables are
read, by fixed queries, in memory, and an authorizer denies everything else.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from preprocessing.calendar import Instants
from preprocessing.readers.actigraph import family_of, unit_of_counts
from preprocessing.readers.assemble import (
    Description,
    Series,
    recording_of,
    serial_of,
    too_many_epochs,
)
from preprocessing.readers.hints import Hints, epoch_of, settle, settle_device
from preprocessing.readers.stamps import start_of
from preprocessing.readers.timeline import Samples, regular
from preprocessing.recording import EARLIEST_YEAR, LATEST_YEAR, Recording, RecordingError, Refusal
from preprocessing.units import WearSite

__all__ = ["FORMAT", "looks_like", "read"]

FORMAT = "agd"

_SIGNATURE = b"SQLite format 3\x00"
_SMALLEST_PAGE = 512  # bytes; https://www.sqlite.org/fileformat.html
_LARGEST = 256 * 1024 * 1024  # bytes; a row with all columns takes some 60
_ENTRIES = ("devicename", "deviceserial", "filter", "epochlength", "limb")
_SCHEMA = (
    "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND rootpage > 0 AND name IN (?, ?) LIMIT 3"
)
_SETTINGS = (
    "SELECT settingName, settingValue FROM settings NOT INDEXED WHERE settingName IN (?, ?, ?, ?, ?) LIMIT ?"
)
_DATA = "SELECT dataTimestamp, axis1 FROM data NOT INDEXED LIMIT ?"
_PLAIN_TABLE = re.compile(r"CREATE TABLE (?!.*\bAS\b)", re.IGNORECASE | re.DOTALL)  # no computed columns
_READABLE = ("settings", "data", "sqlite_master")
_LONGEST_CELL = 100_000  # bytes
_STEPS = 10_000  # virtual machine steps between two looks at the budget
_BUDGET = 1_000  # looks; 400,000 rows take a few hundred
_TICKS_PER_MICROSECOND = 10
_MICROSECONDS_TO_1970 = 62_135_596_800_000_000  # from 0001-01-01, as .NET counts
_SITES = {"wrist": WearSite.WRIST, "waist": WearSite.HIP}
_NOT_STATED = ("", "na")


def looks_like(head: str | bytes) -> bool:
    """Whether ``head`` opens an SQLite database; ``read`` finds out whether it holds the two tables."""
    return isinstance(head, bytes) and head.startswith(_SIGNATURE)


def read(data: bytes, hints: Hints) -> Recording:
    """Read one AGD file; RecordingError says what is missing or wrong."""
    _check_container(data)
    with _opened(data) as database:
        settings = _settings(database)
        samples = _samples(database, hints.max_epochs)
    family = family_of(settings.get("devicename", ""))
    description = Description(
        zone=hints.zone,
        epoch_seconds=_epoch_seconds(settings, hints),
        unit=unit_of_counts(family, settings.get("filter"), hints),
        device=settle_device(family, hints),
        wear_site=_wear_site(settings.get("limb", ""), hints),
        source_format=FORMAT,
        serial=serial_of(settings.get("deviceserial", "")),
    )
    return recording_of(description, _series(samples, description, hints.max_epochs))


def _check_container(data: bytes) -> None:
    if len(data) > _LARGEST:
        raise RecordingError(
            Refusal.TOO_MANY_EPOCHS,
            f"expected an AGD file of at most {_LARGEST // 2**20} MiB; send a shorter span",
        )
    if not data.startswith(_SIGNATURE) or len(data) < _SMALLEST_PAGE:
        raise _not_an_agd()


def _not_an_agd() -> RecordingError:
    return RecordingError(
        Refusal.UNPARSABLE,
        "expected an ActiLife AGD file, an SQLite database with the tables settings and data; found none or "
        "a damaged one; export it again",
        where="file",
    )


@contextmanager
def _opened(data: bytes) -> Iterator[sqlite3.Connection]:
    """The database in memory, locked down; whatever SQLite dislikes becomes a RecordingError."""
    database = sqlite3.connect(":memory:")
    try:
        database.deserialize(data)
        _lock_down(database)
        yield database
    except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeDecodeError):
        raise _not_an_agd() from None
    finally:
        database.close()


def _lock_down(database: sqlite3.Connection) -> None:
    """Follow SQLite's advice for untrusted files (https://www.sqlite.org/security.html)."""
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_CELL)
    for pragma in ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON"):
        database.execute(f"PRAGMA {pragma}")
    looks = iter(range(_BUDGET))
    database.set_progress_handler(lambda: next(looks, None) is None, _STEPS)
    database.set_authorizer(_permit)
    tables = dict(database.execute(_SCHEMA, ("settings", "data")).fetchall())
    if len(tables) != 2 or not all(_PLAIN_TABLE.match(str(sql)) for sql in tables.values()):
        raise _not_an_agd()


def _permit(action: int, table: str | None, *_rest: str | None) -> int:
    """Allow selecting from the two tables and their schema; deny functions, recursion and everything else."""
    reads = action == sqlite3.SQLITE_READ and table in _READABLE
    return sqlite3.SQLITE_OK if reads or action == sqlite3.SQLITE_SELECT else sqlite3.SQLITE_DENY


def _settings(database: sqlite3.Connection) -> dict[str, str]:
    """The settings used here, by name."""
    rows = database.execute(_SETTINGS, (*_ENTRIES, len(_ENTRIES) + 1)).fetchall()
    settings = {name: value for name, value in rows if isinstance(value, str)}
    if len(settings) != len(rows):
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected each setting once and as text", where="settings"
        )
    return settings


def _samples(database: sqlite3.Connection, limit: int) -> Samples:
    """Local times and counts of all epochs, as the file orders them."""
    rows = database.execute(_DATA, (limit + 1,)).fetchall()
    if not rows:
        raise RecordingError(Refusal.NO_SAMPLES, "expected epochs in table data, found none", where="data")
    if len(rows) > limit:
        raise too_many_epochs(limit)
    ticks, counts = zip(*rows, strict=True)
    if not set(map(type, counts)) <= {int, float, type(None)}:
        raise RecordingError(Refusal.INVALID_FIELD, "expected numbers or nothing in axis1", where="axis1")
    return Samples(_micros(ticks), np.array(counts, dtype=np.float64))


def _micros(ticks: tuple[object, ...]) -> Instants:
    """Microseconds of local time since 1970 (n,)."""
    if set(map(type, ticks)) == {int}:
        micros = np.array(ticks, dtype=np.int64) // _TICKS_PER_MICROSECOND - _MICROSECONDS_TO_1970
        years = micros.astype("datetime64[us]").astype("datetime64[Y]").astype(np.int64) + 1970
        if years.min() >= EARLIEST_YEAR and years.max() <= LATEST_YEAR:
            return micros
    raise RecordingError(
        Refusal.INVALID_FIELD,
        f"expected dataTimestamp as .NET ticks of the years {EARLIEST_YEAR} to {LATEST_YEAR}",
        where="dataTimestamp",
    )


def _epoch_seconds(settings: dict[str, str], hints: Hints) -> int:
    stated = epoch_of(settings["epochlength"]) if "epochlength" in settings else None
    seconds = settle("epoch_seconds", stated, hints.epoch_seconds)
    if seconds is None:
        raise RecordingError(
            Refusal.NO_EPOCH_INFORMATION,
            "expected the setting epochlength, found none; give epoch_seconds as a hint",
            where="epochlength",
        )
    return seconds


def _wear_site(limb: str, hints: Hints) -> WearSite:
    """Site of the limb; another limb, such as the ankle, leaves ``unknown`` and contradicts a hint."""
    stated = None if limb.lower() in _NOT_STATED else _SITES.get(limb.lower(), WearSite.UNKNOWN)
    return settle("wear_site", stated, hints.wear_site) or WearSite.UNKNOWN


def _series(samples: Samples, description: Description, limit: int) -> Series:
    """Regular epochs of the device's own clock, which runs on through clock changes of the zone."""
    series = regular(samples, description.epoch_seconds, None, limit)
    if description.zone is None:
        return series
    start = start_of(series.start.isoformat(), description.zone)
    return replace(series, start=start, flags=frozenset())
