"""Reads thousands of damaged copies of every example: a Recording or a RecordingError, nothing else.

    python -m tests.fuzz.readers --copies 20000 --results docs/fuzz-results.md

A copy that raises anything else, takes more than two seconds or needs more memory than ten times its size
(above the reader's own footing) ends the run with exit status 1 and is printed.
"""

from __future__ import annotations

import argparse
import platform
import random
import signal
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from preprocessing.readers import Format, Hints, detect, read
from preprocessing.recording import RecordingError
from preprocessing.units import Unit
from tests.preprocessing.damage import damaged
from tests.preprocessing.examples import FILES
from tests.shared import ROOT

EXAMPLES = ROOT / "examples"
LONGEST_SECONDS = 2.0
MEMORY_FACTOR = 10
FOOTING_BYTES = 4_000_000  # regular expressions, arrays and the like, whatever the file's size
WEIGHED = 50  # every so many copies; weighing takes several times as long as reading
LARGEST_EXAMPLE_BYTES = 6_000  # of a week the first hours will do
SHORTENED = (Format.CANONICAL_JSON, Format.CANONICAL_CSV, Format.AWD, Format.COHORT_CSV)


@dataclass(frozen=True)
class Finding:
    """What came of one format."""

    form: Format
    copies: int
    read: int
    worst_seconds: float
    worst_factor: float  # peak memory over the size of the copy, weighed copies only


class Offence(Exception):  # noqa: N818  # a finding, not an error of this program
    """A copy did what no copy may do."""


@dataclass(frozen=True)
class Seed:
    """A whole small file, and the hints that let a reader read it."""

    form: Format
    content: bytes
    hints: Hints


def seeds() -> Iterator[Seed]:
    """One small file of every format."""
    for path in [*sorted(EXAMPLES.glob("week.*")), EXAMPLES / "public-cohort.csv"]:
        content = path.read_bytes()
        form = detect(content)
        unit = Unit.COUNTS if form is Format.COHORT_CSV else None
        yield Seed(form, shortened(form, content), Hints(format=form, unit=unit))
    for example in FILES.values():
        content = shortened(example.form, example.make())
        yield Seed(example.form, content, replace(example.hints, format=example.form))


def shortened(form: Format, content: bytes) -> bytes:
    """The first part of a long text file, still whole."""
    if len(content) <= LARGEST_EXAMPLE_BYTES or form not in SHORTENED:
        return content
    if form is Format.CANONICAL_JSON:
        return content[:LARGEST_EXAMPLE_BYTES].rpartition(b",")[0] + b"]}"
    return content[:LARGEST_EXAMPLE_BYTES].rpartition(b"\n")[0] + b"\n"


def fuzz(seed: Seed, copies: int) -> Finding:
    """Read ``copies`` damaged copies of ``seed``; raises Offence with the copy that misbehaved."""
    chance = random.Random(f"{seed.form}")
    whole, worst_seconds, worst_factor = 0, 0.0, 0.0
    for number in range(copies):
        copy = damaged(seed.content, chance)
        was_read, seconds = timed(copy, seed.hints)
        whole, worst_seconds = whole + was_read, max(worst_seconds, seconds)
        if number % WEIGHED == 0:
            worst_factor = max(worst_factor, weighed(copy, seed.hints))
    return Finding(seed.form, copies, whole, worst_seconds, worst_factor)


def timed(copy: bytes, hints: Hints) -> tuple[bool, float]:
    """Whether ``copy`` was read, and in how many seconds; Offence for another end or a longer time."""
    signal.setitimer(signal.ITIMER_REAL, LONGEST_SECONDS)
    begin = time.perf_counter()
    was_read = attempt(copy, lambda: read(copy, hints))
    signal.setitimer(signal.ITIMER_REAL, 0)
    return was_read, time.perf_counter() - begin


def attempt(copy: bytes, action: Callable[[], object]) -> bool:
    """Whether ``action`` gave a Recording rather than a RecordingError; Offence for anything else."""
    try:
        action()
    except RecordingError:
        return False
    except Exception as error:
        raise Offence(f"{type(error).__name__}: {copy!r}") from error
    return True


def weighed(copy: bytes, hints: Hints) -> float:
    """Peak memory of reading ``copy``, above the footing, over its size; Offence beyond the factor."""
    tracemalloc.start()
    attempt(copy, lambda: read(copy, hints))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    factor = max(0, peak - FOOTING_BYTES) / max(len(copy), 1)
    if factor > MEMORY_FACTOR:
        raise Offence(f"{peak} bytes of memory: {copy!r}")
    return factor


def page(findings: list[Finding]) -> str:
    """The results as a page of the documentation."""
    machine = f"{platform.machine()}, Python {platform.python_version()}, {datetime.now(UTC).date()}"
    rows = [f"| `{f.form}` | {f.copies} | {f.read} | {f.worst_seconds * 1000:.0f} |" for f in findings]
    return _PAGE.format(machine=machine, rows="\n".join(rows), factor=MEMORY_FACTOR, weighed=WEIGHED)


_PAGE = """# Damaged files

`make fuzz` on {machine}. Each copy of an example had up to four pieces replaced or was
cut off. No copy raised anything but a RecordingError, took 2 s, or needed more memory than 4 MB and {factor}
times its size (one copy in {weighed} was weighed).

| format | copies | still read | longest (ms) |
|---|---|---|---|
{rows}
"""


def main() -> int:
    """Fuzz every format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=20_000)
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    signal.signal(signal.SIGALRM, _too_long)
    findings = []
    for seed in seeds():
        try:
            findings.append(fuzz(seed, arguments.copies))
        except Offence as offence:
            print(f"{seed.form}: {offence}", file=sys.stderr)
            return 1
        print(findings[-1])
    if arguments.results:
        arguments.results.write_text(page(findings))
    return 0


def _too_long(*_: object) -> None:
    raise TimeoutError


if __name__ == "__main__":
    raise SystemExit(main())
