"""Let every fault happen to every main door, and write what was expected and what was observed.

    python -m tests.chaos [--results PAGE] [FAULT ...]

Without a name all faults happen; ``--results`` writes the page, and the numbers beside those of the
benchmarks. Every fault happens once, and how it went is told at once. Sends traffic to this machine alone.
Ends with 1 where a row does not hold.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path

from benchmarks import results_file
from tests.chaos.ends import ENDS
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.matrix import Row, matrix
from tests.chaos.world import Kind, world
from tests.e2e.server import home_with_demo_weights

COMMAND = "python -m tests.chaos"


def in_one_world(home: Path, faults: Collection[Fault], kind: Kind) -> list[Row]:
    """Let ``faults`` happen one after the other to one service."""
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory(prefix="pc-", dir="/tmp") as folder,
        world(home, Path(folder), kind) as running,
    ):
        for fault in faults:
            rows += told(fault.name, lambda fault=fault: matrix(running, fault))  # type: ignore[misc]
    return rows


def told(name: str, happening: Callable[[], list[Row]]) -> list[Row]:
    """Let a fault happen; say on the terminal that it does, and how it went."""
    print(f"{name}: ", end="", flush=True)
    began = time.monotonic()
    rows = happening()
    wrong = [f"{one.door}: {one.observed}, expected {one.expected}" for one in rows if not one.holds]
    print(
        f"{time.monotonic() - began:.0f} s, of these recovery {rows[0].recovery_seconds:.1f} s; "
        f"{'; '.join(wrong) or 'as expected'}",
        flush=True,
    )
    return rows


def rows_of(names: Collection[str]) -> list[Row]:
    """Let the faults of these names happen, all without a name."""
    rows: list[Row] = []
    with home_with_demo_weights() as home:
        for kind in Kind:
            chosen = [one for one in FAULTS if one.kind is kind and (not names or one.name in names)]
            rows += in_one_world(home, chosen, kind) if chosen else []
        for name in [one for one in ENDS if not names or one in names]:
            with tempfile.TemporaryDirectory(prefix="pc-", dir="/tmp") as folder:
                rows += told(name, lambda name=name, at=folder: ENDS[name](home, Path(at)))  # type: ignore[misc]
    return rows


def page(rows: list[Row], written: dict[str, object]) -> str:
    """The results as a page of the documentation."""
    faults = {one.fault: one.recovery_seconds for one in rows}
    changed = [one for one in rows if set(one.observed) != {_plain(one)} or not one.holds]
    return _PAGE.format(
        date=written["date"],
        processor=written["processor"],
        cores=written["cores"],
        faults=len(faults),
        rows=len(rows),
        answers=sum(sum(one.observed.values()) for one in rows),
        held=sum(one.holds for one in rows),
        table="\n".join(_line(one) for one in changed),
        recovery="\n".join(f"| {name} | {seconds:.1f} |" for name, seconds in faults.items()),
    )


def _plain(one: Row) -> str:
    """What a door says when nothing fails."""
    from tests.chaos.faults import WELL

    return WELL.get(one.door, ("",))[0]


def _line(one: Row) -> str:
    observed = ", ".join(f"{word} ({count})" for word, count in sorted(one.observed.items()))
    verdict = "yes" if one.holds else "**no**"
    return (
        f"| {one.fault} | {one.door} | {' or '.join(one.expected)} | {observed} | "
        f"{one.slowest_seconds:.1f} | {verdict} |"
    )


_PAGE = """# Faults and answers

`make chaos`, {date}, {processor}, {cores} cores. The guarded service with everything it depends on behind a
proxy that fails: {faults} faults, {rows} pairs of fault and door, {answers} answers; {held} of {rows} pairs
were as expected. An answer of 200 is compared byte for byte with the one before anything failed (`same`), a
Bundle for the FHIR server with the one that is computed afterwards. After every fault each acknowledged job
and delivery was done once, with the right numbers, and the audit trail verified.

A door that is not in the table answered as if nothing had failed: `same`, 202, or accepted for delivery, 401
to who is a stranger. Every 503 but those of the probes had Retry-After and a problem body. Seconds are of the
slowest answer.

| fault | door | expected | observed | s | holds |
|---|---|---|---|---|---|
{table}

Seconds from the end of a fault until all doors answered as before, without a restart of the service (those
that start or stop one: until the next answered):

| fault | s |
|---|---|
{recovery}
"""


def main() -> int:
    """Read the command line and let faults happen."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("faults", nargs="*", help="names; all without one")
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    if unknown := set(arguments.faults) - {one.name for one in FAULTS} - ENDS.keys():
        parser.error(f"unknown fault {sorted(unknown)[0]}")
    rows = rows_of(arguments.faults)
    if arguments.results:
        results_file.write("chaos", "make chaos", [asdict(one) | {"holds": one.holds} for one in rows])
        written = results_file.read("chaos")
        assert written is not None
        arguments.results.write_text(page(rows, written))
    return 0 if all(one.holds for one in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
