"""`pat cohort run` over one folder: in one process, on Ray with one and two workers, and with one killed."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from preprocessing.readers import canonical_csv, canonical_json
from preprocessing.recording import Recording
from training import examples
from training.synthetic import recording

__all__ = ["measure", "measure_killed"]

RECORDINGS, PEOPLE = 2000, 100  # a person's days are turned by some minutes for the next recording
DAYS, START = 8.25, datetime(2024, 5, 13, 16, 20)
PER_FILE = 50
PAT = [sys.executable, "-c", "import sys, cli; sys.exit(cli.main())"]
WEIGHTS = Path(__file__).parents[1] / "models" / "weights" / "pat-s-demo"


@dataclass(frozen=True)
class Way:
    """One way to run; ``kills``: workers that die when half is written."""

    name: str
    arguments: tuple[str, ...]
    kills: int = 0


_RAY = ("--engine", "ray", "--workers")
WAYS = (
    Way("local, one process", ("--engine", "local")),
    Way("Ray, 1 worker", (*_RAY, "1")),
    Way("Ray, 2 workers", (*_RAY, "2")),
)
KILLED = Way("Ray, 2 workers, one killed", (*_RAY, "2"), kills=1)


def measure(recordings: int = RECORDINGS, per_file: int = PER_FILE) -> dict[str, Any]:
    """Run every way over the same files, and compare what was written."""
    size, cells = _measure(recordings, per_file, WAYS)
    _, one, two = cells
    return {
        "recordings": recordings,
        "megabytes": size / 1e6,
        "days": DAYS,
        "per_file": per_file,
        "cells": cells,
        "same_bytes": len({cell["written_sha256"] for cell in cells}) == 1,
        "efficiency": two["working_per_second"] / one["working_per_second"] / 2,
        "efficiency_with_start": two["per_second"] / one["per_second"] / 2,
    }


def measure_killed(recordings: int = RECORDINGS, per_file: int = PER_FILE) -> dict[str, Any]:
    """Run with a worker killed; the digest is to be that of the other ways, on whichever day they ran."""
    _, (cell,) = _measure(recordings, per_file, (KILLED,))
    return cell


def _measure(recordings: int, per_file: int, ways: Sequence[Way]) -> tuple[int, list[dict[str, Any]]]:
    """Return the bytes of the input, and a cell for each way."""
    with tempfile.TemporaryDirectory(prefix="pat-bench-") as scratch:
        source, env = Path(scratch) / "in", {**os.environ, "BENTOML_HOME": f"{scratch}/bentoml"}
        size = _write(source, recordings)
        subprocess.run([*PAT, "weights", "import", str(WEIGHTS)], env=env, check=True, capture_output=True)
        command = [*PAT, "cohort", "run", "--input", str(source), "--per-file", str(per_file), "--output"]
        cells = [_measured(way, command, Path(scratch) / f"out-{n}", env) for n, way in enumerate(ways)]
    _report(cells)
    return size, cells


def _write(folder: Path, recordings: int) -> int:
    """Write device files of three formats in turn; return their bytes."""
    folder.mkdir()
    people = [recording(seed, days=DAYS, start=START, zone="Europe/Berlin") for seed in range(PEOPLE)]
    for number in range(recordings):
        turned = np.roll(people[number % PEOPLE].values, 7 * (number // PEOPLE))
        kind, text = _file(replace(people[number % PEOPLE], values=turned), number)
        (folder / f"{number:05d}.{kind}").write_text(text, newline="\n")
    return sum(path.stat().st_size for path in folder.iterdir())


def _file(made: Recording, number: int) -> tuple[str, str]:
    kind = ("json", "csv", "awd")[number % 3]
    if kind == "awd":  # which knows no zone
        return kind, examples.awd(replace(made, start=START, zone=None))
    return kind, canonical_json.dumps(made) if kind == "json" else canonical_csv.dumps(made)


def _measured(way: Way, command: list[str], output: Path, env: Mapping[str, str]) -> dict[str, Any]:
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, str(output), *way.arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    first_seconds, first_files, killed = 0.0, 0, 0
    total = len(list(Path(command[command.index("--input") + 1]).iterdir()))
    parts = -(-total // int(command[command.index("--per-file") + 1]))
    while process.poll() is None:
        written = len(list(output.glob("set-aside-*"))) if output.is_dir() else 0
        if written and not first_files:
            first_seconds, first_files = time.perf_counter() - began, written
        if killed < way.kills and written >= parts / 2:
            killed += _killed(process.pid)
        time.sleep(0.02)
    seconds = time.perf_counter() - began
    said = process.communicate()
    if process.returncode != 0 or killed < way.kills:
        raise RuntimeError(f"{way.name}: {process.returncode}, {killed} killed, {said[1][-600:]!r}")
    working = (parts - first_files) / parts * total / (seconds - first_seconds)
    return {
        "way": way.name,
        "seconds": seconds,
        "first_part_seconds": first_seconds,
        "per_second": total / seconds,
        "working_per_second": working,
        "killed": killed,
        "written_sha256": _digest(output),
    }


def _killed(pid: int) -> int:
    """Kill one worker of Ray; return how many were."""
    for child in psutil.Process(pid).children(recursive=True):
        if " ".join(child.cmdline()).startswith("ray::_Actor"):
            child.send_signal(signal.SIGKILL)
            return 1
    return 0


def _digest(output: Path) -> str:
    """Digest the names and bytes of everything written."""
    found = hashlib.sha256()
    for path in sorted(output.iterdir()):
        found.update(f"{path.name} {path.stat().st_size} ".encode() + path.read_bytes())
    return found.hexdigest()


def _report(cells: list[dict[str, Any]]) -> None:
    for cell in cells:
        rates = f"{cell['per_second']:.1f}/s, at work {cell['working_per_second']:.1f}/s"
        print(f"{cell['way']:28s} {cell['seconds']:6.1f} s  {rates}  {cell['written_sha256'][:12]}")
