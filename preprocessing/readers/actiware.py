"""Actiware: the CSV export of Philips Respironics' program for Actiwatch 2 and Actiwatch Spectrum.

States the collection's UTC offset, the epoch length, the serial number and, per epoch, local date and time,
counts, event marks, the vendor's interval status and (Spectrum) the off-wrist status. Person, statistics and
the vendor's sleep scores are not kept.

- English and German exports are checked against vendor files. Of French ones only the title and the columns
  Ligne, Date, Heure and Activité are known, from public descriptions: no more is used and a flag says so.
- The separator is a comma or a semicolon. A decimal comma is read where it cannot be a thousands separator:
  beside semicolons, or in the German and French export.
- Not recorded are ``NaN``, ``kZ`` (German) and empty cells, and every epoch that the scorer excluded.
- Whether 04/07/2015 is in April or in July is told by the course of the dates, or refused.
- The stated offset is the zone, since the recorder's clock runs on; a zone hint must have it at the start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from preprocessing.calendar import zone_of
from preprocessing.readers.assemble import Description, recording_of, serial_of
from preprocessing.readers.cells import distinct
from preprocessing.readers.columns import numbers_of
from preprocessing.readers.hints import Hints, settle, settle_device
from preprocessing.readers.stamps import in_file_order, parse, start_of
from preprocessing.readers.timeline import Samples, epoch_seconds_of, regular
from preprocessing.readers.vendor_table import (
    cells_of,
    date_order_of,
    head_text,
    labels_of,
    named_columns,
    presses_of,
    vendor_text,
)
from preprocessing.recording import BoolArray, Flag, FloatArray, Recording, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite

__all__ = ["FORMAT", "looks_like", "read"]

FORMAT = "actiware"
_TITLE = re.compile(r"\"?(?:Actiware Export File|Actiware-Exportdatei|Fichier d.exportation Actiware)\b")
_TABLE = re.compile(r"^\"?(?:Line|Zeile|Ligne)\"?[,;].*$", re.MULTILINE)
_OFFSET = re.compile(r"([+-]?)(\d{1,2}):(\d{2})", re.ASCII)
_MOST_TABLES = 8  # the vendor files have two
_MISSING = frozenset({"", "NaN", "kZ"})


@dataclass(frozen=True)
class _Words:
    """Names that one language of the program gives to what is read; None = not known."""

    date: str
    time: str
    activity: str
    off_wrist: str | None = None
    marker: str | None = None
    status: str | None = None
    excluded: str | None = None
    epoch: str | None = None
    seconds: str | None = None
    offset: str | None = None
    serial: str | None = None
    verified: bool = True

    @property
    def columns(self) -> frozenset[str]:
        """Names of the columns that are read."""
        names = (self.date, self.time, self.activity, self.off_wrist, self.marker, self.status)
        return frozenset(name for name in names if name is not None)


_LANGUAGES = {
    "Line": _Words(
        date="Date",
        time="Time",
        activity="Activity",
        off_wrist="Off-Wrist Status",
        marker="Marker",
        status="Interval Status",
        excluded="EXCLUDED",
        epoch="Epoch Length:",
        seconds="seconds",
        offset="Time Zone Offset:",
        serial="Actiwatch Serial Number:",
    ),
    "Zeile": _Words(
        date="Datum",
        time="Zeit",
        activity="Aktivität",
        off_wrist="Status „Nicht am Handgelenk“",
        marker="Markierung",
        status="Intervallstatus",
        excluded="AUSGESCHLOSSEN",
        epoch="Epochenlänge:",
        seconds="Sekunden",
        offset="Zeitzonenverschiebung:",
        serial="Actiwatch-Seriennummer:",
    ),
    "Ligne": _Words(date="Date", time="Heure", activity="Activité", verified=False),
}
_ENGLISH = _LANGUAGES["Line"]


@dataclass(frozen=True)
class _Export:
    """The parts of one file: its language, the cells of the header by their name, the table's columns."""

    words: _Words
    header: Mapping[str, tuple[str, ...]]
    columns: Mapping[str, Sequence[str]]
    decimal_comma: bool


def looks_like(head: str | bytes) -> bool:
    """Whether a file begins with the title of an Actiware export."""
    return _TITLE.match(head_text(head)) is not None


def read(data: bytes, hints: Hints) -> Recording:
    """Read one Actiware export; RecordingError says what is missing or wrong."""
    export = _parts(vendor_text(data), hints.max_epochs)
    words, columns = export.words, export.columns
    dates, times = columns[words.date], columns[words.time]
    labels = labels_of(dates, times, date_order_of(dates, words.date))
    zone = _zone(_stated_offset(export), hints.zone, labels[0])
    micros = in_file_order(parse(labels, words.time), zone)
    description = Description(
        zone=zone,
        epoch_seconds=epoch_seconds_of(micros, _stated_epoch(export), hints),
        unit=settle("unit", Unit.PHILIPS_ACTIWATCH_COUNTS, hints.unit) or Unit.PHILIPS_ACTIWATCH_COUNTS,
        device=settle_device(Device.PHILIPS_ACTIWATCH, hints),
        wear_site=hints.wear_site or WearSite.UNKNOWN,
        source_format=FORMAT,
        serial=serial_of(_first(export.header, words.serial)),
        markers=presses_of(_column(export, words.marker), _MISSING, words.marker or ""),
        flags=_flags(words, times),
    )
    samples = Samples(micros, _counts(export), _wear(export))
    return recording_of(description, regular(samples, description.epoch_seconds, zone, hints.max_epochs))


def _parts(text: str, limit: int) -> _Export:
    """Find the epoch table and split the file at it."""
    if not looks_like(text):
        raise RecordingError(
            Refusal.UNPARSABLE, "expected the title of an Actiware export in line 1", where="line 1"
        )
    for found in islice(_TABLE.finditer(text), _MOST_TABLES):
        separator = ";" if ";" in found[0] else ","
        names = cells_of(found[0], separator)
        words = _LANGUAGES.get(names[0]) if names else None
        if words is not None and words.activity in names:
            _check_names(names, words)
            header = _header(text[: found.start()], separator)
            columns = named_columns(text[found.end() :], separator, names, words.columns, limit)
            comma = separator == ";" or words is not _ENGLISH
            return _Export(words, header, columns, comma)
    raise RecordingError(
        Refusal.NO_SAMPLES,
        "expected the section of epoch-by-epoch data with a column of activity, found none; export it with "
        "the epochs",
        where="header",
    )


def _check_names(names: Sequence[str], words: _Words) -> None:
    if len(set(names)) < len(names) or words.date not in names or words.time not in names:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected a date and a time column beside the activity, and no column twice; export again",
            where="header",
        )


def _header(text: str, separator: str) -> dict[str, tuple[str, ...]]:
    """Cells after each name that a language knows; the first occurrence counts."""
    wanted = {name for words in _LANGUAGES.values() for name in (words.epoch, words.offset, words.serial)}
    found: dict[str, tuple[str, ...]] = {}
    for line in text.split("\n"):
        name, *cells = cells_of(line, separator) or ("",)
        if name in wanted:
            found.setdefault(name, tuple(cells))
    return found


def _first(header: Mapping[str, tuple[str, ...]], name: str | None) -> str | None:
    cells = header.get(name or "", ())
    return cells[0] if cells else None


def _column(export: _Export, name: str | None) -> Sequence[str]:
    return export.columns.get(name or "", ())


def _stated_epoch(export: _Export) -> int | None:
    """Epoch length of the header; RecordingError ``no_epoch_information`` if it is there but not seconds."""
    cells = export.header.get(export.words.epoch or "")
    if cells is None:
        return None
    if len(cells) == 2 and cells[1] == export.words.seconds and re.fullmatch(r"[0-9]{1,4}", cells[0]):
        return int(cells[0])
    raise RecordingError(
        Refusal.NO_EPOCH_INFORMATION,
        "expected the epoch length as a whole number of seconds; correct the header, or export again",
        where=export.words.epoch,
    )


def _stated_offset(export: _Export) -> str | None:
    """UTC offset of the header as ``+01:00``; None where the program writes that it has none."""
    text = _first(export.header, export.words.offset)
    if text is None or not any(letter.isdigit() for letter in text):
        return None
    if match := _OFFSET.fullmatch(text):
        return f"{match[1] or '+'}{match[2]:0>2}:{match[3]}"
    raise RecordingError(
        Refusal.INVALID_FIELD, "expected a UTC offset such as +01:00 in the header", where=export.words.offset
    )


def _zone(stated: str | None, hint: str | None, label: str) -> str | None:
    """The hinted zone if it shows the stated offset at the first label, else the stated offset."""
    if stated is None or hint is None:
        return stated if hint is None else hint
    start = start_of(label, stated)
    if start.astimezone(zone_of(hint)).utcoffset() != start.utcoffset():
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected the hinted zone to have the file's UTC offset at its start, found another; drop the "
            "hint, or name the zone that the recorder was set to",
            where="zone",
        )
    return hint


def _counts(export: _Export) -> FloatArray:
    """Counts (n,) float64, NaN where not recorded or excluded by the scorer."""
    written, which = distinct(export.columns[export.words.activity])
    cells = ["" if cell in _MISSING else cell for cell in written]
    if export.decimal_comma:
        cells = [cell.replace(",", ".", 1) for cell in cells]
    values = numbers_of(cells, export.words.activity)[which]
    status = _column(export, export.words.status)
    if status:
        values[np.array([cell == export.words.excluded for cell in status])] = np.nan
    return values


def _wear(export: _Export) -> BoolArray | None:
    """Worn (n,) bool by the off-wrist status, unknown = not worn; None without that column."""
    cells = _column(export, export.words.off_wrist)
    if not cells:
        return None
    if not set(cells) <= {"0", "1", *_MISSING}:
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected an off-wrist status of 0 or 1", where=export.words.off_wrist
        )
    return np.array([cell == "0" for cell in cells], dtype=np.bool_)


def _flags(words: _Words, times: Sequence[str]) -> frozenset[Flag]:
    """Flag what no vendor file has confirmed: the French names, and times with AM or PM."""
    halves = any(time[-1:] in "Mm" for time in times)
    return frozenset({Flag.UNVERIFIED_FORMAT} if halves or not words.verified else ())
