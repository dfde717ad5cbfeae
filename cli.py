"""The terminal face (`pat`): the same verbs as the service, over files."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.checkpoint import Checkpoint
    from pat_runner.pipeline import FloatWeeks, ModelCard
    from pat_runner.runner import Outcome, Runner, Want
    from postprocessing.analysis import Analysis
    from preprocessing.recording import Recording

Arguments = argparse.Namespace


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; exit status 0 done, 1 refused with the reason on standard error, 2 wrong usage."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments) or 0)
    except BrokenPipeError:
        return 1
    except Exception as error:
        if not _is_refusal(error):
            raise
        print(f"pat: {error}", file=sys.stderr)
        return 1


def _is_refusal(error: Exception) -> bool:
    from models.checkpoint import CheckpointError
    from pat_runner.runner import GoldenMismatch
    from preprocessing.recording import RecordingError
    from serving.settings import SettingsError

    return isinstance(error, (RecordingError, CheckpointError, GoldenMismatch, SettingsError, OSError))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pat", description="Analyse wearable movement with PAT and published algorithms.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_analyze(commands)
    _add_embed(commands)
    _add_weights(commands)
    return parser


def _command(commands: Any, name: str, run: Callable[[Arguments], int | None], text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def _add_analyze(commands: Any) -> None:
    parser = _command(commands, "analyze", _analyze, "Analyse one recording file (docs/inputs.md lists the formats).")
    parser.add_argument("file", type=Path)
    for name in ("unit", "device", "wear-site", "zone", "format"):
        parser.add_argument(f"--{name}", help=f"the recording's {name.replace('-', ' ')}, where the file does not say it")
    parser.add_argument("--epoch-seconds", type=int, help="the epoch length, where the file does not say it")
    parser.add_argument("--wear", choices=("detect", "as_recorded"), default="detect", help="how non-wear is found")
    parser.add_argument("--profile", action="store_true", help="add the attention each part of a week receives")
    parser.add_argument("--as", dest="form", choices=("json", "fhir", "summary"), default="summary", help="the answer's form")
    parser.add_argument("--return", dest="kind", choices=("collection", "transaction"), default="collection", help="FHIR: Bundle type")
    parser.add_argument("--subject", help="FHIR: reference such as Patient/123, passed through")
    parser.add_argument("--weights", help="checkpoint tag in the model store (default: PAT_CHECKPOINT or the demonstration)")
    parser.add_argument("--output", type=Path, help="write the answer here instead of standard output")


def _add_embed(commands: Any) -> None:
    parser = _command(commands, "embed", _embed, "Run an encoder on standardised weeks, float32 (N, T).")
    parser.add_argument("weeks", type=Path, help="a .npy file, float32 (N, T), T a multiple of the patch")
    parser.add_argument("--standardized", action="store_true", required=True, help="the rows are standardised already; required")
    parser.add_argument("--weights", help="checkpoint tag in the model store")
    parser.add_argument("--engine", default="auto", help="auto or torch")
    parser.add_argument("--tokens", action="store_true", help="write every patch's output as well")
    parser.add_argument("--output", type=Path, required=True, help="a .npz file: pooled, profile and, if asked, tokens")


def _add_weights(commands: Any) -> None:
    parser = commands.add_parser("weights", help="Checkpoints in the BentoML model store.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    source = _command(verbs, "import", _weights_import, "Import a Keras .h5 file, a checkpoint folder or an exported archive.")
    source.add_argument("path", type=Path)
    source.add_argument("--name", help="the name in the store (default: from the architecture)")
    source.add_argument("--sha256", help="refuse the file unless it has this SHA-256")
    source.add_argument("--licence", default="not stated", help="the licence of the weights, for the model card")
    _command(verbs, "list", _weights_list, "List the checkpoints of the store.")
    shown = _command(verbs, "show", _weights_show, "Show one checkpoint's card as JSON.")
    shown.add_argument("tag")
    export = _command(verbs, "export", _weights_export, "Export one checkpoint as an archive.")
    export.add_argument("tag")
    export.add_argument("path", type=Path)
    download = _command(verbs, "download", _weights_download, "Download official weights and import them.")
    download.add_argument("size", help="PAT-S, PAT-M or PAT-L")
    download.add_argument("--url", help="take the file from this HTTPS address instead")
    download.add_argument("--sha256", help="refuse the file unless it has this SHA-256")
