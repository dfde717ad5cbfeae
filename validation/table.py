"""The table of a run: what agrees with what, as Markdown for people and as JSON for programs."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Sequence
from importlib.metadata import version

from pat_runner.account import PIPELINE
from validation.comparison import Agreement, Row

__all__ = ["as_json", "as_markdown", "versions"]

HEAD = (
    "metric",
    "oracle",
    "n",
    "exact",
    "within",
    "largest difference",
    "tolerance",
    "with default masking: within, absent",
    "strength",
)


def versions() -> dict[str, str]:
    """What made the numbers."""
    return {
        "pipeline": PIPELINE,
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "scipy": version("scipy"),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def as_markdown(rows: Sequence[Row], date: str) -> str:
    """Return the page of a run."""
    made = ", ".join(f"{name} {number}" for name, number in versions().items())
    failed = [row.check.metric for row in rows if not row.holds]
    verdict = f"Missed: {', '.join(failed)}." if failed else f"All {len(rows)} hold."
    table = [HEAD, ("---",) * len(HEAD), *map(_cells, rows)]
    return "\n".join(
        [
            f"# Agreement with vendors and publications, {date}",
            "",
            f"{verdict} Made by `make validate` with {made}.",
            "",
            '"Within" counts the values within the tolerance when every recorded epoch is taken as worn',
            '(`wear="as_recorded"`), as the oracles do; the column beside it what the service gives by',
            "default, where non-wear is masked. A dash: wear plays no part. PAT itself is compared with its",
            "reference implementation by `tests/models/test_parity.py`.",
            "",
            *("| " + " | ".join(cells) + " |" for cells in table),
            "",
            "This shows that the definitions are the vendors' and the papers'. Nothing was compared with",
            "polysomnography.",
            "",
        ]
    )


def _cells(row: Row) -> tuple[str, ...]:
    check, recorded, masked = row.check, row.recorded, row.masked
    allowed = f"; {check.misses} may miss" if check.misses else ""
    return (
        check.metric,
        check.oracle,
        f"{recorded.n:,}",
        f"{recorded.exact:,}",
        f"{recorded.within:,}",
        _short(recorded.largest),
        f"{check.tolerance:g}{' relative' if check.relative else ''}{allowed}",
        "-" if masked is None else f"{masked.within:,} of {masked.n:,}, {masked.absent:,}",
        check.strength,
    )


def _short(number: float) -> str:
    return "-" if math.isnan(number) else f"{number:.1e}" if number else "0"


def as_json(rows: Sequence[Row], date: str) -> str:
    """Return the run for programs; a difference that does not exist is null."""
    document = {
        "date": date,
        "versions": versions(),
        "holds": all(row.holds for row in rows),
        "rows": [
            {
                "metric": row.check.metric,
                "oracle": row.check.oracle,
                "strength": row.check.strength,
                "tolerance": row.check.tolerance,
                "relative": row.check.relative,
                "may_miss": row.check.misses,
                "holds": row.holds,
                "as_recorded": _numbers(row.recorded),
                "default_masking": None if row.masked is None else _numbers(row.masked),
            }
            for row in rows
        ],
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _numbers(agreement: Agreement) -> dict[str, float | int | None]:
    largest = None if math.isnan(agreement.largest) else agreement.largest
    return {
        "n": agreement.n,
        "exact": agreement.exact,
        "within": agreement.within,
        "absent": agreement.absent,
        "largest_difference": largest,
    }
