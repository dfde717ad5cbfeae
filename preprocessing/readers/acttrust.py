"""ActTrust: the text report of Condor Instruments' ActStudio for ActTrust recorders.

States the epoch length, the device's id, local date (day first) and time of each epoch and its counts in up
to three modes: proportional integration (PIM), time above threshold (TAT) and zero crossings (ZCM). The
column PIM is read (project choice: it alone grades how strong a movement was, the others say how long or how
often); the same per second (PIMn), light, temperature and orientation are not. Nor is STATE: the vendor file
shows no other state than 0. The report states no zone and no wear site. The person's lines are not kept.

A press of the button does not open a row: it marks the row of its epoch and puts its own second into the
time. The vendor file shows so (one row an epoch, PIM = 60 PIMn also there), and such a row is put back on
the grid. No scorer is published for ActTrust's PIM, so the unit is ``counts``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from preprocessing.calendar import Instants
from preprocessing.readers.assemble import Description, recording_of, serial_of
from preprocessing.readers.columns import numbers_of
from preprocessing.readers.hints import Hints, settle, settle_device
from preprocessing.readers.stamps import in_file_order, parse
from preprocessing.readers.timeline import Samples, epoch_seconds_of, regular
from preprocessing.readers.vendor_table import (
    DateOrder,
    cells_of,
    head_text,
    labels_of,
    named_columns,
    presses_of,
    vendor_text,
)
from preprocessing.recording import Recording, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite

__all__ = ["FORMAT", "looks_like", "read"]

FORMAT = "acttrust"
_TITLE = re.compile(r"^\+-{1,80}\+ Condor Instruments Report \+-{1,80}\+", re.MULTILINE)
_TABLE = re.compile(r"^DATE/TIME;.*$", re.MULTILINE)
_TIME, _COUNTS, _EVENT = "DATE/TIME", "PIM", "EVENT"
_SECOND = 1_000_000  # microseconds
_NAMES = ("INTERVAL", "DEVICE_ID")  # of the header; the others are personal or not needed


def looks_like(head: str | bytes) -> bool:
    """Whether the first lines hold the title of a Condor Instruments report."""
    return _TITLE.search(head_text(head)) is not None


def read(data: bytes, hints: Hints) -> Recording:
    """Read one ActTrust report; RecordingError says what is missing or wrong."""
    header, columns = _parts(vendor_text(data), hints.max_epochs)
    stated, presses = _interval(header), columns.get(_EVENT, ())
    markers = presses_of(presses, frozenset(), _EVENT)
    micros = in_file_order(parse(_labels(columns[_TIME]), _TIME), hints.zone)
    micros = _on_grid(micros, presses, stated, hints)
    description = Description(
        zone=hints.zone,
        epoch_seconds=epoch_seconds_of(micros, stated, hints),
        unit=settle("unit", Unit.COUNTS, hints.unit) or Unit.COUNTS,
        device=settle_device(Device.ACTTRUST, hints),
        wear_site=hints.wear_site or WearSite.UNKNOWN,
        source_format=FORMAT,
        serial=serial_of(header.get("DEVICE_ID")),
        markers=markers,
    )
    samples = Samples(micros, numbers_of(columns[_COUNTS], _COUNTS))
    return recording_of(
        description, regular(samples, description.epoch_seconds, hints.zone, hints.max_epochs)
    )


def _parts(text: str, limit: int) -> tuple[dict[str, str], dict[str, Sequence[str]]]:
    """Split into the needed lines of the header and the columns of the table by name."""
    table = _TABLE.search(text)
    if not looks_like(text) or table is None:
        raise RecordingError(
            Refusal.UNPARSABLE,
            "expected the title of a Condor Instruments report and a table that begins with DATE/TIME",
            where="header",
        )
    names = cells_of(table[0], ";")
    if _COUNTS not in names or len(set(names)) < len(names):
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected a column PIM beside DATE/TIME, and no column twice; record or export in mode PIM",
            where="header",
        )
    columns = named_columns(text[table.end() :], ";", names, (_TIME, _EVENT, _COUNTS), limit)
    return _header(text[: table.start()]), columns


def _header(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.split("\n"))
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip() in _NAMES}


def _labels(stamps: Sequence[str]) -> Sequence[str]:
    """ISO 8601 labels of ``05/01/2024 08:59:00``: the fifth of January."""
    parts = [stamp.partition(" ") for stamp in stamps]
    return labels_of([day for day, _, _ in parts], [time for _, _, time in parts], DateOrder.DAY_FIRST)


def _on_grid(micros: Instants, presses: Sequence[str], stated: int | None, hints: Hints) -> Instants:
    """``micros`` (n,) with the rows of presses at the start of their epoch; other rows as they are."""
    pressed = np.array([press == "1" for press in presses], dtype=np.bool_)
    if not pressed.any():
        return micros
    seconds = epoch_seconds_of(micros[~pressed], None, hints) if stated is None else stated
    anchor = micros[np.argmin(pressed)]  # the first row without a press
    into = (micros - anchor) % max(seconds * _SECOND, 1)
    return micros - np.where(pressed, into, 0)


def _interval(header: Mapping[str, str]) -> int | None:
    text = header.get("INTERVAL")
    if text is None:
        return None
    if re.fullmatch(r"[0-9]{1,4}", text):
        return int(text)
    raise RecordingError(
        Refusal.NO_EPOCH_INFORMATION,
        "expected INTERVAL as a whole number of seconds; correct the header, or export again",
        where="INTERVAL",
    )
