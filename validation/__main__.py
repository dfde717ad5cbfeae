"""Compares every metric with every oracle present and writes the table: ``python -m validation``.

Ends with 0 where all hold, 1 where a tolerance is missed, 2 where the reference material is not on this
machine.
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from validation import activity, rhythm, sleep, wear
from validation.comparison import compared
from validation.oracles import Oracles
from validation.table import as_json, as_markdown

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("PAT_SHARED", ROOT.parent / "shared"))
CHECKS = (*sleep.CHECKS, *rhythm.CHECKS, *activity.CHECKS, *wear.CHECKS)


def main(arguments: list[str] | None = None) -> int:
    """Run all checks, print the table and write it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m validation", description=__doc__)
    parser.add_argument("--shared", type=Path, default=SHARED, help="folder of the reference material")
    parser.add_argument("--results", type=Path, default=ROOT / "validation" / "results")
    parser.add_argument("--date", default=datetime.now(UTC).date().isoformat())
    given = parser.parse_args(arguments)
    oracles = Oracles(given.shared / "data" / "clinical")
    if not oracles.root.is_dir():
        print(f"Nothing compared: no reference material at {oracles.root} (set PAT_SHARED).")
        return 2
    rows = [compared(check, oracles) for check in CHECKS]
    page = as_markdown(rows, given.date)
    given.results.mkdir(parents=True, exist_ok=True)
    (given.results / f"{given.date}.md").write_text(page, encoding="utf-8")
    (given.results / f"{given.date}.json").write_text(as_json(rows, given.date), encoding="utf-8")
    print(page)
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
