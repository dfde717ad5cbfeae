"""An Analysis as rows of Parquet tables, and files that are whole or not there.

What is written follows from the rows alone: no time, no name of a machine, the same bytes for the same rows.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from postprocessing.absence import Absence
from postprocessing.analysis import Analysis, Metric, Quality, WeekResult
from postprocessing.metrics import Section

__all__ = [
    "TABLES",
    "WIDTH",
    "WRITING",
    "SetAside",
    "Tables",
    "file_of",
    "is_whole",
    "schemas",
    "write_whole",
]

TABLES = ("recordings", "metrics", "weeks", "set-aside")
WIDTH = 96  # numbers of an embedding
WRITING = ".writing-"  # how files begin that are not whole yet
_PRIVATE_FILE = 0o600
_COUNTS = tuple(name for name, info in Quality.model_fields.items() if info.annotation is int)
Row = dict[str, Any]


@dataclass(frozen=True)
class SetAside:
    """Why a recording has no analysis; ``message`` holds no recorded value."""

    code: str
    message: str
    where: str | None = None


@dataclass(frozen=True)
class Tables:
    """The rows of one part, table by table, in the order of its recordings."""

    rows: dict[str, list[Row]] = field(default_factory=lambda: {table: [] for table in TABLES})

    def add(self, name: str, result: Analysis | SetAside) -> None:
        """Add what came of the recording called ``name``."""
        if isinstance(result, SetAside):
            row = {"id": name, "code": result.code, "where": result.where, "message": result.message}
            self.rows["set-aside"].append(row)
            return
        self.rows["recordings"].append({"id": name, **_recording(result)})
        self.rows["metrics"] += ({"id": name, **row} for row in _metrics(result))
        self.rows["weeks"] += ({"id": name, **_week(week)} for week in result.weeks)

    def write(self, folder: Path, part: str) -> None:
        """Write a file for every table, one that holds no row included."""
        for table, rows in self.rows.items():
            write_whole(file_of(folder, table, part), _parquet(table, rows))


def file_of(folder: Path, table: str, part: str) -> Path:
    """Return where the rows of ``table`` for one part are."""
    return folder / f"{table}-{part}.parquet"


def is_whole(path: Path) -> bool:
    """Whether a Parquet file is there, to its end."""
    from pyarrow import ArrowException, parquet  # noqa: PLC0415  # of the extra ``cohort``

    try:
        parquet.read_metadata(path)
    except (OSError, ArrowException):
        return False
    return True


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` so that, whenever this process ends, ``path`` is as before or whole on the disk."""
    writing = path.with_name(f"{WRITING}{secrets.token_hex(8)}")
    opened = os.open(writing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE)
    with os.fdopen(opened, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    writing.replace(path)
    _keep(path.parent)


def _keep(folder: Path) -> None:
    """Let the names in ``folder`` survive a loss of power."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _parquet(table: str, rows: list[Row]) -> bytes:
    import pyarrow  # noqa: PLC0415  # of the extra ``cohort``
    from pyarrow import parquet  # noqa: PLC0415  # same

    sink = pyarrow.BufferOutputStream()
    made = pyarrow.Table.from_pylist(rows, schema=schemas()[table])
    parquet.write_table(made, sink, compression="zstd", version="2.6", data_page_version="1.0")
    return bytes(sink.getvalue())


@cache
def schemas() -> dict[str, Any]:
    """Return the Arrow schema of each table; docs/cohorts.md says what the columns mean."""
    import pyarrow  # noqa: PLC0415  # of the extra ``cohort``

    text, whole, number = pyarrow.string(), pyarrow.int64(), pyarrow.float64()
    name = pyarrow.field("id", text, nullable=False)
    columns: dict[str, dict[str, Any]] = {
        "recordings": {
            **dict.fromkeys(("source_format", "start", "end", "zone"), text),
            **dict.fromkeys(("epoch_seconds", "epochs"), whole),
            **dict.fromkeys(("unit", "device", "wear_site", "input_sha256", "wear_rule"), text),
            **dict.fromkeys(("wear_minutes", "nonwear_minutes", "not_recorded_minutes"), number),
            **dict.fromkeys(_COUNTS, whole),
            "flags": pyarrow.list_(text),
            **dict.fromkeys(("sleep_scorer", "rest_period"), text),
            "valid_nights": whole,
            **dict.fromkeys(("sleep_absent", "cut_points"), text),
            "weeks": whole,
            **dict.fromkeys(("weeks_absent", "weeks_absent_detail"), text),
        },
        "metrics": {
            **dict.fromkeys(("section", "code", "kind"), text),
            "value": number,
            **dict.fromkeys(("unit", "algorithm"), text),
            "epochs_used": whole,
            **dict.fromkeys(("wear_minutes", "low", "high"), number),
            **dict.fromkeys(("absent", "absent_detail"), text),
        },
        "weeks": {
            **dict.fromkeys(("start", "end", "dst_transition"), text),
            "dropped_repeated_minutes": whole,
            "missing_fraction": number,
            "calibration": text,
            "embedding": pyarrow.list_(pyarrow.float32(), WIDTH),
            **dict.fromkeys(("absent", "absent_detail"), text),
        },
        "set-aside": dict.fromkeys(("code", "where", "message"), text),
    }
    return {
        table: pyarrow.schema([name, *(pyarrow.field(column, kind) for column, kind in of.items())])
        for table, of in columns.items()
    }


def _recording(analysis: Analysis) -> Row:
    summary, quality, sleep = analysis.recording, analysis.quality, analysis.sleep
    told = ("source_format", "zone", "epoch_seconds", "epochs", "unit", "device", "wear_site")
    measured = ("wear_rule", "wear_minutes", "nonwear_minutes", "not_recorded_minutes", *_COUNTS)
    return {
        **{name: getattr(summary, name) for name in told},
        **{name: getattr(quality, name) for name in measured},
        "start": summary.start.isoformat(),
        "end": summary.end.isoformat(),
        "input_sha256": analysis.provenance.input_sha256,
        "flags": list(quality.flags),
        "sleep_scorer": sleep.scorer,
        "rest_period": sleep.rest_period,
        "valid_nights": sleep.valid_nights,
        "sleep_absent": _absent(sleep.absent, "")["absent"],
        "cut_points": analysis.activity.cut_points,
        "weeks": len(analysis.weeks),
        **_absent(analysis.weeks_absent, "weeks_"),
    }


def _metrics(analysis: Analysis) -> Iterator[Row]:
    sections: tuple[tuple[Section, tuple[Metric, ...]], ...] = (
        ("sleep", analysis.sleep.metrics),
        ("rhythm", analysis.rhythm.metrics),
        ("activity", analysis.activity.metrics),
    )
    told = ("code", "kind", "value", "unit", "algorithm", "epochs_used", "wear_minutes")
    for section, metrics in sections:
        for metric in metrics:
            yield {
                "section": section,
                **{name: getattr(metric, name) for name in told},
                "low": metric.interval.low if metric.interval else None,
                "high": metric.interval.high if metric.interval else None,
                **_absent(metric.absent, ""),
            }


def _week(week: WeekResult) -> Row:
    told = ("dst_transition", "dropped_repeated_minutes", "missing_fraction", "calibration", "embedding")
    return {
        "start": week.start.isoformat(),
        "end": week.end.isoformat(),
        **{name: getattr(week, name) for name in told},
        **_absent(week.absent, ""),
    }


def _absent(absence: Absence | None, prefix: str) -> Row:
    reason, detail = (absence.reason.value, absence.detail) if absence else (None, None)
    return {f"{prefix}absent": reason, f"{prefix}absent_detail": detail}
