"""Step samples as apps write them in JSON: one checked field by field, all of them turned into events.

An app's document holds many quantities. Those other than steps, and samples whose times carry no UTC offset,
are set aside and counted; nothing is merged with the steps. Errors name the place of a sample, never its
content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from preprocessing.calendar import Instants
from preprocessing.merging import SOURCES, Events, Source
from preprocessing.readers.assemble import Description
from preprocessing.readers.events import kind_of_source
from preprocessing.readers.hints import Format, Hints, settle
from preprocessing.readers.json_document import is_list_of, typed
from preprocessing.readers.stamps import SECOND, parse
from preprocessing.recording import Flag, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite

__all__ = ["Gathered", "Sample", "Step", "description_of_steps", "events_of", "kind_of", "samples_of"]

_EPOCH_SECONDS = 60
_LARGEST = 1e9  # what float64 adds up exactly; a minute of more than 1,000,000 is refused later
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(Z|[+-]\d\d:\d\d(?::\d\d)?)?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One object of a list in the document, and where it stands."""

    fields: Mapping[str, Any]
    place: str

    def wrong(self, name: str, expected: str) -> RecordingError:
        """The refusal of this sample's field ``name``."""
        place = f"{self.place}.{name}"
        return RecordingError(
            Refusal.INVALID_FIELD, f"expected {expected} in {place}; correct it", where=place
        )

    def text(self, name: str) -> str | None:
        """The text in ``name``, None if null or not written."""
        value = self.fields.get(name)
        if value is None or isinstance(value, str):
            return value
        raise self.wrong(name, "a text")

    def whole(self, name: str) -> int | None:
        """The whole number in ``name``, None if null or not written; true is no number."""
        value = self.fields.get(name)
        if value is None or type(value) is int:
            return value
        raise self.wrong(name, "a whole number")

    def amount(self, name: str) -> float:
        """The number of at least 0 in ``name``, which must be written; true is no number."""
        value: Any = self.fields.get(name)
        if type(value) in (int, float) and 0 <= value <= _LARGEST:
            return float(value)
        raise self.wrong(name, "a number from 0 to 1,000,000,000")

    def part(self, name: str) -> Sample:
        """The object in ``name``, empty if null or not written."""
        value = self.fields.get(name)
        if value is None or isinstance(value, dict):
            return Sample(value or {}, f"{self.place}.{name}")
        raise self.wrong(name, "an object")

    def span(self, start: str, end: str) -> tuple[str, str] | None:
        """Both times as written, None where one of them carries no UTC offset."""
        first, offset = self._time(start)
        last, other = self._time(end)
        return (first, last) if offset and other else None

    def _time(self, name: str) -> tuple[str, str | None]:
        value = self.fields.get(name)
        match = _TIME.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise self.wrong(name, "a time such as 2024-03-31T01:59:00Z")
        return match[0], match[1]


class Step(NamedTuple):
    """One sample of steps; ``clock`` is what it says about the clock that the person saw."""

    place: str
    span: tuple[str, str]
    value: float
    source: Source
    id: str | None
    clock: str | int | None


@dataclass
class Gathered:
    """The samples of steps so far, and how many samples were set aside for which reason."""

    steps: list[Step] = field(default_factory=list)
    naive: int = 0
    other_unit: int = 0
    other: int = 0

    def refusal(self) -> RecordingError:
        """Why nothing is left: naive times before foreign units before no steps at all."""
        if self.naive:
            return RecordingError(
                Refusal.NAIVE_TIMESTAMP,
                f"expected times with a UTC offset or Z, found {self.naive} samples without; write it",
            )
        if self.other_unit:
            return RecordingError(
                Refusal.UNKNOWN_UNIT,
                f"expected steps in the unit count, found {self.other_unit} samples in others; send counts",
            )
        return RecordingError(
            Refusal.NO_SAMPLES,
            f"expected samples of steps, found none among {self.other} samples; send steps",
        )


def samples_of(owner: Mapping[str, Any], name: str, path: str = "") -> Iterator[Sample]:
    """The objects of the list ``name``; RecordingError ``invalid_field`` for anything else in it."""
    listed = typed(owner, name, "a list of objects", is_list_of(dict)) or []
    return (Sample(fields, f"{path}{name}[{k}]") for k, fields in enumerate(listed))


def kind_of(*texts: str | None) -> Source:
    """What recorded a sample, by the first of ``texts`` that speaks of a known kind of device."""
    kinds = (kind_of_source(text) for text in texts if text)
    return next((kind for kind in kinds if kind is not Source.OTHER), Source.OTHER)


def events_of(gathered: Gathered) -> tuple[Events, Instants]:
    """The steps as events, and the UTC offsets (n,) in seconds that their start times are written with.

    Raises RecordingError for a sample that ends before it starts, for times that no calendar has, and
    ``naive_timestamp``, ``unknown_unit`` or ``no_samples`` where nothing is left.
    """
    steps = gathered.steps
    if not steps:
        raise gathered.refusal()
    start, written = _instants([step.span[0] for step in steps], "start")
    end, _ = _instants([step.span[1] for step in steps], "end")
    if (backward := np.flatnonzero(end < start)).size:
        place = steps[int(backward[0])].place
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected {place} to end no earlier than it starts; correct it",
            where=place,
        )
    events = Events(
        start=start,
        end=end,
        values=np.array([step.value for step in steps], dtype=np.float64),
        source=np.array([SOURCES.index(step.source) for step in steps], dtype=np.int8),
        ids=_ids(steps),
        set_aside=gathered.naive + gathered.other_unit + gathered.other,
    )
    return events, written


def _instants(texts: list[str], where: str) -> tuple[Instants, Instants]:
    stamps = parse(texts, where)
    offset = np.zeros_like(stamps.local) if stamps.offset is None else stamps.offset
    return stamps.local - offset, offset // SECOND


def _ids(steps: list[Step]) -> list[str] | None:
    """Dedup keys (n,); a sample without one is a copy of no other."""
    if all(step.id is None for step in steps):
        return None
    return [f"#{k}" if step.id is None else f"={step.id}" for k, step in enumerate(steps)]


def description_of_steps(source_format: Format, zone: str, hints: Hints) -> Description:
    """Minutes of steps on the clock of ``zone``; RecordingError where a hint says something else."""
    return Description(
        zone=zone,
        epoch_seconds=settle("epoch_seconds", _EPOCH_SECONDS, hints.epoch_seconds) or _EPOCH_SECONDS,
        unit=settle("unit", Unit.STEPS, hints.unit) or Unit.STEPS,
        device=hints.device or Device.UNKNOWN,
        wear_site=hints.wear_site or WearSite.UNKNOWN,
        source_format=source_format,
        flags=frozenset({Flag.UNVERIFIED_FORMAT}),
    )
