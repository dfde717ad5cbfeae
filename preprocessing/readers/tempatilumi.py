"""Tempatilumi: the text export of the Brazilian Tempatilumi recorder, with Portuguese headers.

States the serial number and, per epoch, local date (year first), time, event mark, light (not read) and
activity. It states no epoch length (the commonest step of the rows is taken), no zone and no wear site. The
free comment of the first lines is not kept. What its counts mean beside "Mini-Mitter" is not stated, so the
unit is ``counts``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

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

FORMAT = "tempatilumi"
_TABLE = re.compile(r"^Data; ?Hora; ?.{0,200}$", re.MULTILINE)
_SERIAL = re.compile(r"^N° de Série:(.{0,80})$", re.MULTILINE)
_DATE, _TIME, _EVENT, _COUNTS = "Data", "Hora", "Evento", "Atividade"


def looks_like(head: str | bytes) -> bool:
    """Whether the first lines hold the Portuguese column names of a Tempatilumi export."""
    table = _TABLE.search(head_text(head))
    return table is not None and _COUNTS in cells_of(table[0], ";")


def read(data: bytes, hints: Hints) -> Recording:
    """Read one Tempatilumi export; RecordingError says what is missing or wrong."""
    head, columns = _parts(vendor_text(data), hints.max_epochs)
    labels = labels_of(columns[_DATE], columns[_TIME], DateOrder.YEAR_FIRST)
    micros = in_file_order(parse(labels, _TIME), hints.zone)
    serial = _SERIAL.search(head)
    description = Description(
        zone=hints.zone,
        epoch_seconds=epoch_seconds_of(micros, None, hints),
        unit=settle("unit", Unit.COUNTS, hints.unit) or Unit.COUNTS,
        device=settle_device(Device.TEMPATILUMI, hints),
        wear_site=hints.wear_site or WearSite.UNKNOWN,
        source_format=FORMAT,
        serial=serial_of(serial[1] if serial else None),
        markers=presses_of(columns.get(_EVENT, ()), frozenset(), _EVENT),
    )
    samples = Samples(micros, numbers_of(columns[_COUNTS], _COUNTS))
    return recording_of(
        description, regular(samples, description.epoch_seconds, hints.zone, hints.max_epochs)
    )


def _parts(text: str, limit: int) -> tuple[str, dict[str, Sequence[str]]]:
    """Split into the lines before the table and its columns by name."""
    table = _TABLE.search(text)
    names = () if table is None else cells_of(table[0], ";")
    if table is None or _COUNTS not in names or len(set(names)) < len(names):
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected a table with the columns Data, Hora and Atividade, none of them twice; export again",
            where="header",
        )
    columns = named_columns(text[table.end() :], ";", names, (_DATE, _TIME, _EVENT, _COUNTS), limit)
    return text[: table.start()], columns
