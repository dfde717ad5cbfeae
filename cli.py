"""The terminal face (`pat`): the same verbs as the service, over files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from commands import recordings, research, safeguards, serve, weights


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; exit status 0 done, 1 refused with the reason on standard error, 2 wrong usage.

    `pat cohort run` ends with 3 where it set recordings aside.
    """
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
    from cohorts.on_ray import WorkersLost
    from cohorts.recordings import CohortRunRefused
    from models.checkpoint import CheckpointError
    from pat_runner.engines import EngineError
    from pat_runner.gate import GoldenMismatch
    from pat_runner.pipeline import RunnerUnavailable
    from postprocessing.cohort import CohortRefused
    from postprocessing.fhir import BundleOptionsError, BundleTooLargeError
    from postprocessing.research import DocumentRefused
    from preprocessing.recording import RecordingError
    from serving.audit import AuditUnavailable
    from serving.keys import KeysUnusable, Unreadable
    from serving.redis_address import AddressUnusable
    from serving.settings import SettingsError
    from serving.store import StoreUnavailable

    weights = (CheckpointError, GoldenMismatch, EngineError)
    safeguards = (KeysUnusable, Unreadable, StoreUnavailable, SettingsError, AuditUnavailable)
    documents = (BundleOptionsError, BundleTooLargeError, DocumentRefused, CohortRefused)
    cohorts = (CohortRunRefused, WorkersLost, RunnerUnavailable)
    refusals = (RecordingError, *weights, *documents, *safeguards, *cohorts, AddressUnusable, OSError)
    return isinstance(error, refusals)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pat", description="Analyse wearable movement with PAT and published algorithms."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (recordings, weights, safeguards, research, serve):
        module.add(commands)
    return parser
