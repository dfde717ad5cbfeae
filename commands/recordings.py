"""`pat analyze`, `pat inspect` and `pat convert`: one recording file each."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.arguments import (
    Arguments,
    add_numbers,
    add_recording,
    add_wear,
    command,
    given_hints,
    options_of,
    write,
)
from commands.encoders import local

if TYPE_CHECKING:
    from postprocessing.analysis import Analysis
    from postprocessing.sleep_scored import LogEntry
    from preprocessing.recording import Recording

__all__ = ["add"]

MAX_EPOCHS = 20_000_000  # of a file on the command line: seven months of seconds, the longest span of minutes


def add(commands: Any) -> None:
    """Add the commands."""
    _add_analyze(commands)
    _add_inspect(commands)
    _add_convert(commands)


def _add_analyze(commands: Any) -> None:
    parser = command(
        commands, "analyze", _analyze, "Analyse one recording file (docs/inputs.md lists the formats)."
    )
    add_recording(parser)
    add_numbers(parser)
    parser.add_argument(
        "--sleep-log",
        type=Path,
        help="a CSV table with the columns in_bed,out_of_bed, local times or with offset",
    )
    parser.add_argument(
        "--profile", action="store_true", help="add the attention each part of a week receives"
    )
    parser.add_argument("--series", action="store_true", help="add the sleep and wear state of each epoch")
    parser.add_argument(
        "--format", choices=("json", "fhir", "html"), default="json", help="the answer's form"
    )
    parser.add_argument(
        "--return",
        dest="kind",
        choices=("collection", "transaction"),
        help="FHIR: Bundle type (default: collection)",
    )
    parser.add_argument("--subject", help="FHIR: reference such as Patient/123, passed through")
    parser.add_argument(
        "--weights", help="checkpoint tag in the model store (default: PAT_CHECKPOINT or the demonstration)"
    )
    parser.add_argument("--output", type=Path, help="write the answer here instead of standard output")


def _add_inspect(commands: Any) -> None:
    parser = command(
        commands, "inspect", _inspect, "Say what was understood of a recording and what it can carry."
    )
    add_recording(parser)
    add_wear(parser)


def _add_convert(commands: Any) -> None:
    parser = command(commands, "convert", _convert, "Write a recording in the canonical form.")
    add_recording(parser)
    parser.add_argument(
        "--resample", metavar="SECONDS", type=int, help="write longer epochs, such as 60 for minutes"
    )
    parser.add_argument("--to", choices=("json", "csv"), default="json", help="which canonical form")
    parser.add_argument("--output", type=Path, help="write it here instead of standard output")


def _analyze(arguments: Arguments) -> None:
    _refuse_ignored(arguments)
    recording = _recording(arguments)
    analysis = asyncio.run(_analysis(recording, arguments))
    write(_FORMS[arguments.format](analysis, recording, arguments), arguments.output)


def _as_json(analysis: Analysis, _: Recording, __: Arguments) -> str:
    return analysis.model_dump_json(indent=2)


def _as_fhir(analysis: Analysis, recording: Recording, arguments: Arguments) -> str:
    from postprocessing import fhir

    return json.dumps(fhir.bundle(analysis, recording, _bundle_options(arguments)), indent=2)


def _as_html(analysis: Analysis, recording: Recording, _: Arguments) -> str:
    from postprocessing import report

    return report.page(analysis, recording).rstrip("\n")


_FORMS = {"json": _as_json, "fhir": _as_fhir, "html": _as_html}


def _refuse_ignored(arguments: Arguments) -> None:
    from preprocessing.recording import RecordingError, Refusal

    if arguments.format != "fhir" and (arguments.subject or arguments.kind):
        raise RecordingError(Refusal.INVALID_FIELD, "--subject and --return need --format fhir")


def _inspect(arguments: Arguments) -> None:
    from pat_runner.inspection import inspect
    from preprocessing.wear import WearMode

    print("\n".join(inspect(_recording(arguments), WearMode(arguments.wear))))


def _convert(arguments: Arguments) -> None:
    from preprocessing.readers import canonical_csv, canonical_json
    from preprocessing.resampling import coarser

    recording = _recording(arguments)
    if arguments.resample is not None:
        recording = coarser(recording, arguments.resample)
    text = canonical_json.dumps(recording) if arguments.to == "json" else canonical_csv.dumps(recording)
    write(text.rstrip("\n"), arguments.output)


def _recording(arguments: Arguments) -> Recording:
    from preprocessing.readers import hints_of, read

    return read(arguments.file, hints_of(given_hints(arguments), MAX_EPOCHS))


async def _analysis(recording: Recording, arguments: Arguments) -> Analysis:
    from pat_runner.pipeline import analyze

    runner, card = local(arguments.weights)
    options = replace(
        options_of(arguments),
        profile=arguments.profile or arguments.format == "html",  # the report draws it
        sleep_log=_sleep_log(arguments, recording),
        series=arguments.series,
    )
    return await analyze(recording, options, runner, card)


def _sleep_log(arguments: Arguments, recording: Recording) -> tuple[LogEntry, ...]:
    from pat_runner.sleep_log import entries, pairs_in_table

    if arguments.sleep_log is None:
        return ()
    return entries(pairs_in_table(arguments.sleep_log.read_text(errors="replace")), recording.zone)


def _bundle_options(arguments: Arguments) -> Any:
    from datetime import UTC, datetime

    from postprocessing import fhir
    from serving.settings import Settings

    settings = Settings.from_environment()
    return fhir.BundleOptions(
        kind=arguments.kind or "collection",
        subject=arguments.subject,
        canonical_base=settings.fhir_canonical_base,
        organization=settings.organization,
        issued=datetime.now(UTC),
    )
