"""NHANES 2003-06: minutes of counts of an ActiGraph AM-7164 on the right hip (files PAXRAW_C and PAXRAW_D).

A row is one minute of one participant: SEQN, PAXDAY (1 = Sunday), PAXN (minute 1 to 10,080), PAXHOUR and
PAXMINUT (start of the minute on the device's clock) and PAXINTEN (counts). Steps (PAXSTEP) are not read. The
belt was taken off for the night; the files hold no wear flags.

PAXSTAT 2 marks data of questionable reliability, PAXCAL 2 a monitor out of calibration on return, 9 one of
which that is not known. CDC says that such data may be less reliable, and published analyses leave them
out (Leroux 2019, Stat Biosci 11:262): they are refused.

Facts: CDC, NHANES 2005-2006 Data Documentation, PAXRAW_D. No published file has checked this reader (flag).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from preprocessing.readers.assemble import Description, recording_of
from preprocessing.readers.hints import Format, Hints, settle, settle_device, settle_wear_site
from preprocessing.readers.nhanes import (
    EPOCH_SECONDS,
    check_hints,
    first_on_clock,
    numbers_of,
    rows_of_one,
    wall_micros,
    whole,
)
from preprocessing.readers.timeline import Samples, regular
from preprocessing.readers.xport import Block, columns_in
from preprocessing.recording import Flag, Recording, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite

__all__ = ["looks_like", "read", "read_file"]

_SUNDAY = datetime(2004, 1, 4)  # a placeholder: the file has no dates
_NEEDED = frozenset({"SEQN", "PAXSTAT", "PAXCAL", "PAXDAY", "PAXN", "PAXHOUR", "PAXMINUT", "PAXINTEN"})
_WEEK = 7 * 1440  # minutes


def looks_like(head: bytes) -> bool:
    """Whether ``head`` begins a SAS transport file whose first table has this cycle's columns."""
    return columns_in(head) >= {"SEQN", "PAXN", "PAXINTEN"}


def read(data: bytes, hints: Hints) -> Recording:
    """Read one participant of a file in memory; RecordingError says what is missing or wrong."""
    return _read(data, hints)


def read_file(path: Path, hints: Hints) -> Recording:
    """Read one participant of a file of any size in bounded memory; as ``read``."""
    return _read(path, hints)


def _read(source: bytes | Path, hints: Hints) -> Recording:
    check_hints(hints)
    description = Description(
        zone=None,
        epoch_seconds=settle("epoch_seconds", EPOCH_SECONDS, hints.epoch_seconds) or EPOCH_SECONDS,
        unit=settle("unit", Unit.ACTIGRAPH_7164_COUNTS, hints.unit) or Unit.ACTIGRAPH_7164_COUNTS,
        device=settle_device(Device.ACTIGRAPH_7164, hints),
        wear_site=settle_wear_site(WearSite.HIP, hints),
        source_format=Format.NHANES_2003,
        flags=frozenset({Flag.DATE_UNKNOWN, Flag.UNVERIFIED_FORMAT}),
    )
    samples = _samples(rows_of_one(source, _NEEDED, hints))
    return recording_of(description, regular(samples, EPOCH_SECONDS, None, hints.max_epochs))


def _samples(rows: list[Block]) -> Samples:
    """Counts on the placeholder's wall clock, once the device was reliable and its clock ran."""
    for name in ("PAXSTAT", "PAXCAL"):
        _check_reliable(rows, name)
    elapsed = whole(rows, "PAXN", 1, _WEEK) - 1
    days = whole(rows, "PAXDAY", 1, 7) - 1
    in_week = (days * 24 + whole(rows, "PAXHOUR", 0, 23)) * 60 + whole(rows, "PAXMINUT", 0, 59)
    minutes = first_on_clock(in_week, elapsed, _WEEK, "PAXN") + elapsed
    return Samples(wall_micros(_SUNDAY, minutes * 60), numbers_of(rows, "PAXINTEN"))


def _check_reliable(rows: list[Block], name: str) -> None:
    doubtful = int((numbers_of(rows, name) != 1).sum())
    if doubtful:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected {name} 1, found {doubtful} minutes that the survey does not mark as reliable and from "
            "a calibrated monitor; choose another participant",
            where=name,
        )
