"""What commands have in common: how they are added, the arguments several take, where an answer goes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pat_runner.account import AnalyzeOptions

__all__ = [
    "Arguments",
    "add_engine",
    "add_hints",
    "add_numbers",
    "add_recording",
    "add_state",
    "add_wear",
    "command",
    "given_hints",
    "options_of",
    "write",
]

Arguments = argparse.Namespace
ENGINES = ("native", "onnxruntime", "torch", "openvino")  # pat_runner.engines.ENGINES
WEAR_MODES = ("detect", "as_recorded", "choi2011", "troiano2008")  # preprocessing.wear.WearMode
THRESHOLDS = ("low", "medium", "high", "automatic")  # postprocessing.sleep_scored.Threshold
SCORERS = ("oakley-actiware", "cole-kripke-actigraph", "sadeh-actigraph")  # preprocessing.units.SleepScorer


def command(
    commands: Any, name: str, run: Callable[[Arguments], int | None], text: str
) -> argparse.ArgumentParser:
    """Add a command or verb that ``run`` does, and return its parser."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def add_recording(parser: argparse.ArgumentParser) -> None:
    """Add the file of one recording, and what may be said of it."""
    parser.add_argument("file", type=Path)
    add_hints(parser)
    parser.add_argument("--participant", help="which person of a file that holds several")
    parser.add_argument("--first-time", metavar="HH:MM:SS", help="NHANES 2011-14: PAXFTIME of the header")


def add_hints(parser: argparse.ArgumentParser) -> None:
    """Add what may be said of one recording or of many."""
    for name in ("unit", "device", "wear-site", "zone", "input-format", "epoch-seconds"):
        what = name.replace("-", " ")
        parser.add_argument(f"--{name}", help=f"the recording's {what}, where the file does not say it")
    parser.add_argument("--since", metavar="DATE", help="the first local day wanted, such as 2024-03-31")
    parser.add_argument("--until", metavar="DATE", help="the last local day wanted")
    parser.add_argument(
        "--source-priority", metavar="SOURCES", help="which source counts where several overlap: phone,watch"
    )


def given_hints(arguments: Arguments) -> dict[str, str]:
    """Return the hints that were given, by their names."""
    from preprocessing.readers.hints import TEXT_HINTS

    flags = {name: name for name in TEXT_HINTS} | {"format": "input_format"}  # --format is the answer's
    told = {hint: getattr(arguments, flag, None) for hint, flag in flags.items()}
    return {hint: value for hint, value in told.items() if value is not None}


def add_numbers(parser: argparse.ArgumentParser) -> None:
    """Add which numbers are made, and how."""
    add_wear(parser)
    parser.add_argument(
        "--stride-days", type=int, choices=range(1, 8), default=7, help="days from week to week"
    )
    parser.add_argument("--scorer", choices=SCORERS, help="sleep/wake scorer (default: by the unit)")
    parser.add_argument(
        "--threshold", choices=THRESHOLDS, default="medium", help="wake threshold of Oakley's scorer"
    )
    parser.add_argument("--rescoring", choices=("none", "webster"), default="none", help="of sleep and wake")
    parser.add_argument("--rest", choices=("hlrb", "tudor-locke"), help="rule for rest periods without a log")
    parser.add_argument(
        "--no-clinical", action="store_true", help="leave out sleep, rhythm and activity: PAT's weeks only"
    )
    parser.add_argument(
        "--intervals", action="store_true", help="add bootstrap intervals over nights and days"
    )


def options_of(arguments: Arguments) -> AnalyzeOptions:
    """Return what ``add_numbers`` asked for."""
    from pat_runner.account import AnalyzeOptions
    from preprocessing.units import SleepScorer
    from preprocessing.wear import WearMode

    return AnalyzeOptions(
        wear=WearMode(arguments.wear),
        clinical=not arguments.no_clinical,
        scorer=None if arguments.scorer is None else SleepScorer(arguments.scorer),
        threshold=arguments.threshold,
        rescoring=arguments.rescoring,
        rest=arguments.rest,
        stride_days=arguments.stride_days,
        intervals=arguments.intervals,
    )


def add_wear(parser: argparse.ArgumentParser) -> None:
    """Add how non-wear is found."""
    parser.add_argument("--wear", choices=WEAR_MODES, default="detect", help="how non-wear is found")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add on which engine, and in which precision."""
    parser.add_argument("--engine", help=f"auto or {', '.join(ENGINES)} (default: PAT_ENGINE or auto)")
    parser.add_argument(
        "--precision", choices=("fp32", "bf16"), help="default: PAT_PRECISION or fp32; bf16 where it exists"
    )


def add_state(parser: argparse.ArgumentParser) -> None:
    """Add where the service keeps what it keeps."""
    parser.add_argument("--state", type=Path, required=True, help="the service's PAT_STATE_FOLDER")
    parser.add_argument("--keys", type=Path, required=True, help="its PAT_MASTER_KEYS_FILE")


def write(text: str, output: Path | None) -> None:
    """Write ``text`` to a file, or to standard output."""
    if output is None:
        print(text)
    else:
        output.write_text(text + "\n")
