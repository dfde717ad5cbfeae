"""`pat deidentify` and `pat cohort`: what may leave for research, and tables over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from commands import cohort_run
from commands.arguments import Arguments, command, write

__all__ = ["add"]


def add(commands: Any) -> None:
    """Add the commands."""
    made = command(
        commands, "deidentify", _deidentify, "Make of analyses (JSON) what may leave for research."
    )
    made.add_argument("files", nargs="+", type=Path, help="documents that `pat analyze` wrote")
    made.add_argument("-o", "--output", type=Path, required=True, help="a new or empty folder")
    made.add_argument("--people", type=Path, help="a CSV table with the columns file,person,age,sex")
    table = command(
        commands,
        "cohort",
        _cohort,
        "Print a table over groups of de-identified documents; `pat cohort run --help`: analyse a cohort.",
    )
    cohort_run.add(table)
    table.add_argument("files", nargs="+", type=Path, help="documents that one run of `pat deidentify` wrote")
    table.add_argument("--by", default="", help="groups, beside the unit: sex,age_band,wear_site")
    table.add_argument("--k", type=int, default=11, help="fewest people of a cell (default: 11)")
    table.add_argument("--output", type=Path, help="write it here instead of standard output")


def _deidentify(arguments: Arguments) -> None:
    from postprocessing.research import DocumentRefused, deidentified_files

    documents = deidentified_files(arguments.files, arguments.people)
    arguments.output.mkdir(parents=True, exist_ok=True)
    if any(arguments.output.iterdir()):
        raise DocumentRefused(f"{arguments.output}: expected a new or empty folder, for codes are of one run")
    for name, text in documents.items():
        write(text, arguments.output / name)


def _cohort(arguments: Arguments) -> None:
    from postprocessing.research import table_of

    by = tuple(name for name in arguments.by.split(",") if name)
    write(table_of(arguments.files, by, arguments.k).model_dump_json(indent=1), arguments.output)
