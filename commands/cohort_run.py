"""`pat cohort run`: many recordings through the service's own way, into Parquet files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.arguments import Arguments, add_hints, add_numbers, given_hints, options_of
from commands.encoders import local

if TYPE_CHECKING:
    from cohorts.plan import Plan
    from cohorts.run import Engine

__all__ = ["INTERRUPTED", "SET_ASIDE", "add"]

SET_ASIDE = 3  # the exit status where a recording has no analysis
INTERRUPTED = 130  # as shells have it
VERB = "run"
PER_FILE = 50
MAX_EPOCHS = 20_000_000  # of one recording, as `pat analyze` takes them
_TEXT = (
    "Analyse every recording of a folder or of a Parquet file, into Parquet files (docs/cohorts.md). "
    "Run again after an interruption, it goes on. Exit status 0 all analysed, 3 some set aside with their "
    "reasons, 1 refused, 2 wrong usage."
)


def add(cohort: argparse.ArgumentParser) -> None:
    """Let the command `pat cohort`, which takes files, take the verb `run` in their place."""
    parser = argparse.ArgumentParser(prog=f"{cohort.prog} {VERB}", description=_TEXT)
    _add_arguments(parser)
    files = cohort.parse_known_args

    def parse_known_args(args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        if args and args[0] == VERB:
            return parser.parse_known_args(args[1:], namespace)
        return files(args, namespace)

    cohort.parse_known_args = parse_known_args  # type: ignore[method-assign,assignment]  # argparse knows either files or verbs


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_run)
    parser.add_argument(
        "--input",
        type=Path,
        required=True,
        metavar="DIR|PARQUET",
        help="a folder of device files, or a Parquet file with one recording a row",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="a new folder, or that of an earlier run"
    )
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="this process, or several processes of Ray",
    )
    parser.add_argument("--workers", type=_positive, help="processes of Ray (default: one a core)")
    parser.add_argument(
        "--codes", type=Path, help="a CSV table with the columns file,code: write codes instead of names"
    )
    parser.add_argument(
        "--per-file",
        type=_positive,
        default=PER_FILE,
        metavar="N",
        help=f"recordings whose rows share a file (default: {PER_FILE})",
    )
    parser.add_argument(
        "--weights", help="checkpoint tag in the model store (default: PAT_CHECKPOINT or the demonstration)"
    )
    add_hints(parser)
    add_numbers(parser)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10_000):
        raise argparse.ArgumentTypeError("expected a whole number from 1 to 9999")
    return int(text)


def _run(arguments: Arguments) -> int:
    _check_installed()
    from cohorts.progress import Progress
    from cohorts.run import run

    engine, plan = _engine(arguments), _plan(arguments)
    try:
        counts = run(plan, engine, Progress(len(plan.items), sys.stderr))
    except KeyboardInterrupt:
        print("pat: interrupted; what was written is whole, run again to go on", file=sys.stderr)
        return INTERRUPTED
    _tell(counts)
    return SET_ASIDE if counts["set_aside"] else 0


def _check_installed() -> None:
    import importlib.util

    from cohorts.recordings import CohortRunRefused

    if importlib.util.find_spec("pyarrow") is None:
        raise CohortRunRefused("pat cohort run needs pyarrow, for Parquet; pip install 'pat-service[cohort]'")


def _engine(arguments: Arguments) -> Engine:
    from cohorts import on_ray
    from cohorts.recordings import CohortRunRefused
    from cohorts.run import in_this_process
    from serving.cores import cores

    if arguments.engine == "ray":
        on_ray.check()
        return partial(on_ray.on_ray, workers=arguments.workers or cores())
    if arguments.workers not in (None, 1):
        raise CohortRunRefused("--engine local is one process; for several workers choose --engine ray")
    return in_this_process


def _plan(arguments: Arguments) -> Plan:
    from cohorts.plan import Choices, plan_of
    from cohorts.recordings import input_of
    from preprocessing.readers.hints import hints_of

    _check_apart(arguments.input.resolve(), arguments.output.resolve())
    texts = given_hints(arguments)
    choices = Choices(
        options=options_of(arguments),
        hints=hints_of(texts, MAX_EPOCHS),
        hint_texts=texts,
        per_file=arguments.per_file,
        codes=arguments.codes,
    )
    _, card = local(arguments.weights)
    return plan_of(input_of(arguments.input.absolute()), choices, card, arguments.output.absolute())


def _check_apart(read: Path, written: Path) -> None:
    from cohorts.recordings import CohortRunRefused

    if written.is_relative_to(read) or read.is_relative_to(written):
        raise CohortRunRefused("expected an output folder apart from the input; choose another")


def _tell(counts: dict[str, Any]) -> None:
    print(
        f"{counts['analysed']} recordings analysed, {counts['embedded']} of {counts['weeks']} weeks embedded"
    )
    for code, times in sorted(counts["set_aside"].items()):
        print(f"{times} set aside: {code}")
