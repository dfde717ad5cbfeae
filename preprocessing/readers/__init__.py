"""Readers: one input format a module, each of which ends in a Recording.

``read`` chooses the format by content; ``Hints`` add what a file does not say; every refusal is a
RecordingError. A module of a text or binary format offers ``looks_like(head)``, which judges the first bytes,
and ``read(data, hints)``; one of a JSON format offers both on the parsed document, so that it is parsed once;
one of a format of gigabytes offers ``read_file(path, hints)`` besides, which never holds the file.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from preprocessing.readers import (
    actigraphy_series,
    actilife_csv,
    actiware,
    acttrust,
    agd,
    apple_export,
    awd,
    biobank_timeseries,
    canonical_csv,
    canonical_json,
    cohort_csv,
    epoch_csv,
    fhir_json,
    fitbit,
    health_connect,
    healthkit_json,
    motionwatch,
    nhanes_counts,
    nhanes_mims,
    open_mhealth,
    tempatilumi,
)
from preprocessing.readers.assemble import clipped, too_many_epochs
from preprocessing.readers.hints import MAX_EPOCHS, NO_HINTS, Format, Hints, hints_of
from preprocessing.readers.json_document import document_of, looks_like_json
from preprocessing.recording import Recording, RecordingError, Refusal
from preprocessing.stations import station

__all__ = ["MAX_EPOCHS", "Format", "Hints", "Reader", "detect", "hints_of", "read", "read_fhir"]


class Reader(Protocol):
    """One text or binary format."""

    def looks_like(self, head: bytes) -> bool:
        """Whether the first bytes of a file are those of this format."""
        ...

    def read(self, data: bytes, hints: Hints) -> Recording:
        """Read one file; RecordingError for whatever cannot become a Recording."""
        ...


class JsonReader(Protocol):
    """One JSON format."""

    def looks_like(self, document: Any) -> bool:
        """Whether a parsed document is of this format."""
        ...

    def read(self, document: Any, hints: Hints) -> Recording:
        """Read one document; RecordingError for whatever cannot become a Recording."""
        ...


@runtime_checkable
class FileReader(Protocol):
    """A format whose files may be larger than memory."""

    def read_file(self, path: Path, hints: Hints) -> Recording:
        """Read one file in bounded memory; RecordingError, or OSError for a path that cannot be read."""
        ...


_READERS: dict[Format, Reader] = {  # in the order in which they are asked
    Format.AGD: agd,
    Format.APPLE_EXPORT: apple_export,
    Format.NHANES_2003: nhanes_counts,
    Format.NHANES_2011: nhanes_mims,
    Format.MOTIONWATCH: motionwatch,
    Format.ACTIWARE: actiware,
    Format.ACTILIFE_CSV: actilife_csv,
    Format.ACTTRUST: acttrust,
    Format.TEMPATILUMI: tempatilumi,
    Format.BIOBANK_TIMESERIES: biobank_timeseries,
    Format.AWD: awd,
    Format.COHORT_CSV: cohort_csv,
    Format.CANONICAL_CSV: canonical_csv,
    Format.EPOCH_CSV: epoch_csv,
}
_JSON_READERS: dict[Format, JsonReader] = {  # in the order in which they are asked
    Format.FHIR: fhir_json,
    Format.HEALTHKIT_JSON: healthkit_json,
    Format.HEALTH_CONNECT: health_connect,
    Format.FITBIT_STEPS: fitbit,
    Format.ACTIGRAPHY_SERIES: actigraphy_series,
    Format.OPEN_MHEALTH: open_mhealth,
    Format.CANONICAL_JSON: canonical_json,  # last: it takes any object with a field of a recording
}
_HEAD_BYTES = 4096
_SPECIAL = {  # hints that only some formats can use
    "source_priority": {
        Format.CANONICAL_JSON,
        Format.CANONICAL_CSV,
        Format.APPLE_EXPORT,
        Format.HEALTHKIT_JSON,
        Format.HEALTH_CONNECT,
        Format.OPEN_MHEALTH,
        Format.ACTIGRAPHY_SERIES,
        Format.FHIR,
    },
    "participant": {Format.NHANES_2003, Format.NHANES_2011},
    "first_time": {Format.NHANES_2011},
}


@station("pat.read")
def read(data: bytes | Path, hints: Hints = NO_HINTS) -> Recording:
    """Read one recording; the format is that of ``hints``, or else found by content.

    Raises RecordingError for whatever cannot become a Recording, OSError for a path that cannot be read.
    The caller limits the number of bytes.
    """
    return _bounded(_read(data, hints), hints)


@station("pat.read")
def read_fhir(document: Any, hints: Hints = NO_HINTS, options: Collection[str] = ()) -> fhir_json.Sent:
    """Read one recording, and whose it is, from parsed FHIR; ``options`` as in fhir_json.read_sent."""
    sent = fhir_json.read_sent(document, hints, options)
    return replace(sent, recording=_bounded(sent.recording, hints))


def _bounded(recording: Recording, hints: Hints) -> Recording:
    recording = clipped(recording, hints.since, hints.until)
    if recording.epochs > hints.max_epochs:
        raise too_many_epochs(hints.max_epochs)
    return recording


def _read(data: bytes | Path, hints: Hints) -> Recording:
    head = _head_of(data)
    if hints.format in _JSON_READERS or (hints.format is None and looks_like_json(head)):
        document = document_of(data.read_bytes() if isinstance(data, Path) else data)
        form = hints.format or _form_of(document)
        _check_special(form, hints)
        return _JSON_READERS[form].read(document, hints)
    form = hints.format or _form_of_head(head)
    _check_special(form, hints)
    reader = _READERS[form]
    if isinstance(data, Path) and isinstance(reader, FileReader):
        return reader.read_file(data, hints)
    return reader.read(data.read_bytes() if isinstance(data, Path) else data, hints)


def _head_of(data: bytes | Path) -> bytes:
    if isinstance(data, Path):
        with data.open("rb") as file:
            return file.read(_HEAD_BYTES)
    return data[:_HEAD_BYTES]


def _check_special(form: Format, hints: Hints) -> None:
    for name, forms in _SPECIAL.items():
        if getattr(hints, name) is not None and form not in forms:
            raise RecordingError(
                Refusal.INVALID_FIELD,
                f"expected the hint {name} only with the formats {', '.join(sorted(forms))}; drop it",
                where=name,
            )


def detect(data: bytes) -> Format:
    """Tell the format of a whole file; RecordingError ``unknown_format`` if it is none of ours."""
    head = data[:_HEAD_BYTES]
    return _form_of(document_of(data)) if looks_like_json(head) else _form_of_head(head)


def _form_of(document: Any) -> Format:
    for form, reader in _JSON_READERS.items():
        if reader.looks_like(document):
            return form
    raise _unknown_format()


def _form_of_head(head: bytes) -> Format:
    for form, reader in _READERS.items():
        if reader.looks_like(head):
            return form
    raise _unknown_format()


def _unknown_format() -> RecordingError:
    return RecordingError(
        Refusal.UNKNOWN_FORMAT,
        f"expected one of the formats {', '.join(Format)}, found none of them; see docs/inputs.md",
    )
