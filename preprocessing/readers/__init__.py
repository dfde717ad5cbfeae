"""Readers: one input format a module, each of which ends in a Recording.

``read`` chooses the format by content; ``Hints`` add what a file does not say; every refusal is a
RecordingError. A module offers ``looks_like(head)``, which judges the first bytes, and ``read(data, hints)``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from preprocessing.readers import (
    actilife_csv,
    actiware,
    acttrust,
    agd,
    awd,
    biobank_timeseries,
    canonical_csv,
    canonical_json,
    cohort_csv,
    epoch_csv,
    motionwatch,
    tempatilumi,
)
from preprocessing.readers.hints import NO_HINTS, Format, Hints, hints_of
from preprocessing.recording import Recording, RecordingError, Refusal

__all__ = ["Format", "Hints", "Reader", "detect", "hints_of", "read"]


class Reader(Protocol):
    """One format."""

    def looks_like(self, head: bytes) -> bool:
        """Whether the first bytes of a file are those of this format."""
        ...

    def read(self, data: bytes, hints: Hints) -> Recording:
        """Read one file; RecordingError for whatever cannot become a Recording."""
        ...


_READERS: dict[Format, Reader] = {  # in the order in which they are asked
    Format.AGD: agd,
    Format.CANONICAL_JSON: canonical_json,
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
_HEAD_BYTES = 4096


def read(data: bytes | Path, hints: Hints = NO_HINTS) -> Recording:
    """Read one recording; the format is that of ``hints``, or else found by content.

    Raises RecordingError for whatever cannot become a Recording, OSError for a path that cannot be read.
    The caller limits the number of bytes.
    """
    content = data.read_bytes() if isinstance(data, Path) else data
    return _READERS[hints.format or detect(content)].read(content, hints)


def detect(data: bytes) -> Format:
    """Tell the format from the first bytes; RecordingError ``unknown_format`` if it is none of ours."""
    head = data[:_HEAD_BYTES]
    for name, reader in _READERS.items():
        if reader.looks_like(head):
            return name
    raise RecordingError(
        Refusal.UNKNOWN_FORMAT,
        f"expected one of the formats {', '.join(Format)}, found none of them; see docs/inputs.md",
    )
