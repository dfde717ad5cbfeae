"""A sleep log as people and programs write it becomes the windows that sleep is measured in."""

from __future__ import annotations

from collections.abc import Sequence

from postprocessing.sleep_scored import LogEntry
from preprocessing.readers.stamps import datetime_of, instants, parse
from preprocessing.recording import RecordingError, Refusal

__all__ = ["MOST_WINDOWS", "entries", "pairs_in_intervals", "pairs_in_table"]

MOST_WINDOWS = 4000  # three years of nights and naps
_HEADER = "in_bed,out_of_bed"


def entries(pairs: Sequence[tuple[str, str]], zone: str | None) -> tuple[LogEntry, ...]:
    """Read ISO 8601 times in and out of bed; local times, or with the UTC offset that ``zone`` has then.

    Raises RecordingError as the timestamps of a recording do.
    """
    if len(pairs) > MOST_WINDOWS:
        raise _wrong(f"expected at most {MOST_WINDOWS} windows, found more")
    if not pairs:
        return ()
    into, out = (instants(parse(times, "sleep_log"), zone) for times in zip(*pairs, strict=True))
    return tuple(
        LogEntry(datetime_of(begin, zone), datetime_of(end, zone))
        for begin, end in zip(into.tolist(), out.tolist(), strict=True)
    )


def pairs_in_table(text: str) -> list[tuple[str, str]]:
    """Read a CSV table with the columns ``in_bed,out_of_bed``; RecordingError for another one."""
    header, *rows = [line.strip() for line in text.strip().splitlines()] or [""]
    if header.replace(" ", "").lower() != _HEADER:
        raise _wrong(f"expected the header {_HEADER} and a window in each row")
    return [_pair(row, ",") for row in rows if row]


def pairs_in_intervals(text: str) -> list[tuple[str, str]]:
    """Read ISO 8601 intervals parted by commas: ``2026-03-02T23:10/2026-03-03T07:00,...``."""
    return [_pair(part, "/") for part in text.split(",")]


def _pair(text: str, separator: str) -> tuple[str, str]:
    parts = [part.strip() for part in text.split(separator)]
    if len(parts) != 2:
        raise _wrong("expected each window as two times, into bed and out of it")
    return parts[0], parts[1]


def _wrong(message: str) -> RecordingError:
    return RecordingError(Refusal.INVALID_FIELD, message, where="sleep_log")
