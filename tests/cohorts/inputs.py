"""Cohorts of synthetic people, as a folder of device files and as one Parquet file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import parquet

from preprocessing.readers import canonical_csv, canonical_json
from preprocessing.recording import Recording
from training import examples
from training.synthetic import recording

START = datetime(2024, 5, 13, 16, 20)  # a Monday


def people(n: int, days: float = 8.25) -> list[Recording]:
    """``n`` recordings with a zone, each of one week and a little more; the same every time."""
    return [recording(seed, days=days, start=START, zone="Europe/Berlin") for seed in range(n)]


def folder(root: Path, n: int) -> Path:
    """A folder of ``n`` device files of three formats."""
    root.mkdir()
    for number, made in enumerate(people(n)):
        forms = {
            "json": canonical_json.dumps(made),
            "csv": canonical_csv.dumps(made),
            "awd": examples.awd(recording(number, days=8.25, start=START)),
        }
        kind = list(forms)[number % 3]
        (root / f"canary-{number:03d}.{kind}").write_text(forms[kind], newline="\n")
    return root


def table(recordings: list[Recording]) -> pyarrow.Table:
    """The documented columns of ``recordings``."""
    values = [[None if np.isnan(v) else v for v in one.values.tolist()] for one in recordings]
    return pyarrow.table(
        {
            "id": [f"canary-{number:03d}" for number in range(len(recordings))],
            "start": [one.start.isoformat() for one in recordings],
            "zone": [one.zone for one in recordings],
            "epoch_seconds": pyarrow.array([one.epoch_seconds for one in recordings], pyarrow.int32()),
            "unit": [one.unit.value for one in recordings],
            "device": [one.device.value for one in recordings],
            "wear_site": [one.wear_site.value for one in recordings],
            "values": pyarrow.array(values, pyarrow.list_(pyarrow.float32())),
        }
    )


def written(path: Path, made: pyarrow.Table, rows: int = 2) -> Path:
    """A Parquet file with ``rows`` recordings in a row group."""
    parquet.write_table(made, path, row_group_size=rows)
    return path


def rows_of(output: Path, kind: str) -> list[dict[str, object]]:
    """All rows of one of a run's tables, in the order of its parts."""
    files = sorted(output.glob(f"{kind}-*.parquet"))
    return [row for file in files for row in parquet.read_table(file).to_pylist()]


def contents(output: Path) -> dict[str, bytes]:
    """The bytes of every file of a run's folder by name."""
    return {path.name: path.read_bytes() for path in sorted(output.iterdir())}
