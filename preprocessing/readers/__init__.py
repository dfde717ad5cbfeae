"""Readers: one input format a module, each of which ends in a Recording.

``read`` chooses the format by content; ``Hints`` add what a file does not say; every refusal is a
RecordingError.
"""

from __future__ import annotations

from pathlib import Path

from preprocessing.readers import awd, canonical_csv, canonical_json, cohort_csv
from preprocessing.readers.hints import NO_HINTS, Format, Hints, hints_of
from preprocessing.recording import Recording, RecordingError, Refusal

__all__ = ["Format", "Hints", "detect", "hints_of", "read"]

_READERS = {
    Format.CANONICAL_JSON: canonical_json.read,
    Format.CANONICAL_CSV: canonical_csv.read,
    Format.AWD: awd.read,
    Format.COHORT_CSV: cohort_csv.read,
}
_HEAD_BYTES = 4096


def read(data: bytes | Path, hints: Hints = NO_HINTS) -> Recording:
    """Read one recording; the format is that of ``hints``, or else found by content.

    Raises RecordingError for whatever cannot become a Recording, OSError for a path that cannot be read.
    The caller limits the number of bytes.
    """
    content = data.read_bytes() if isinstance(data, Path) else data
    return _READERS[hints.format or detect(content)](content, hints)


def detect(data: bytes) -> Format:
    """Tell the format from the first lines; RecordingError ``unknown_format`` if it is none of ours."""
    head = data[:_HEAD_BYTES].decode("utf-8-sig", errors="replace")
    if head.lstrip().startswith(("{", "[")):
        return Format.CANONICAL_JSON
    lines = head.splitlines()
    if awd.looks_like_awd(lines):
        return Format.AWD
    header = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    columns = tuple(name.strip().lower() for name in header.split(",", 3))
    if columns == cohort_csv.HEADER:
        return Format.COHORT_CSV
    if columns in canonical_csv.HEADERS:
        return Format.CANONICAL_CSV
    raise RecordingError(
        Refusal.UNKNOWN_FORMAT,
        f"expected one of the formats {', '.join(Format)}, found none of them; see docs/inputs.md",
    )
