"""The terminal face (`pat`): the same verbs as the service, over files."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.checkpoint import Checkpoint
    from pat_runner.account import ModelCard
    from pat_runner.engines import EngineOptions, Want
    from pat_runner.gate import Agreement
    from pat_runner.pipeline import FloatWeeks
    from pat_runner.runner import Outcome, Runner
    from postprocessing.analysis import Analysis
    from postprocessing.sleep_scored import LogEntry
    from preprocessing.recording import Recording
    from serving.audit import Actor, AuditEvent
    from serving.store import Vault

Arguments = argparse.Namespace
MAX_EPOCHS = 20_000_000  # of a file on the command line: seven months of seconds, the longest span of minutes
THRESHOLDS = ("low", "medium", "high", "automatic")  # postprocessing.sleep_scored.Threshold
ENGINES = ("native", "onnxruntime", "torch", "openvino")  # pat_runner.engines.ENGINES
WEAR_MODES = ("detect", "as_recorded", "choi2011", "troiano2008")  # preprocessing.wear.WearMode
SCORERS = ("oakley-actiware", "cole-kripke-actigraph", "sadeh-actigraph")  # preprocessing.units.SleepScorer


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
    from pat_runner.engines import EngineError
    from pat_runner.gate import GoldenMismatch
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
    refusals = (RecordingError, *weights, *documents, *safeguards, AddressUnusable, OSError)
    return isinstance(error, refusals)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pat", description="Analyse wearable movement with PAT and published algorithms."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_analyze(commands)
    _add_inspect(commands)
    _add_convert(commands)
    _add_embed(commands)
    _add_weights(commands)
    _add_keys(commands)
    _add_audit(commands)
    _add_outbox(commands)
    _add_research(commands)
    _add_serve(commands)
    return parser


def _command(
    commands: Any, name: str, run: Callable[[Arguments], int | None], text: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def _add_analyze(commands: Any) -> None:
    parser = _command(
        commands, "analyze", _analyze, "Analyse one recording file (docs/inputs.md lists the formats)."
    )
    _add_recording(parser)
    _add_wear(parser)
    parser.add_argument(
        "--stride-days", type=int, choices=range(1, 8), default=7, help="days from week to week"
    )
    parser.add_argument("--scorer", choices=SCORERS, help="sleep/wake scorer (default: by the unit)")
    _add_sleep(parser)
    parser.add_argument(
        "--no-clinical", action="store_true", help="leave out sleep, rhythm and activity: PAT's weeks only"
    )
    parser.add_argument(
        "--profile", action="store_true", help="add the attention each part of a week receives"
    )
    parser.add_argument(
        "--intervals", action="store_true", help="add bootstrap intervals over nights and days"
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


def _add_sleep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threshold", choices=THRESHOLDS, default="medium", help="wake threshold of Oakley's scorer"
    )
    parser.add_argument("--rescoring", choices=("none", "webster"), default="none", help="of sleep and wake")
    parser.add_argument("--rest", choices=("hlrb", "tudor-locke"), help="rule for rest periods without a log")
    parser.add_argument(
        "--sleep-log",
        type=Path,
        help="a CSV table with the columns in_bed,out_of_bed, local times or with offset",
    )


def _add_inspect(commands: Any) -> None:
    parser = _command(
        commands, "inspect", _inspect, "Say what was understood of a recording and what it can carry."
    )
    _add_recording(parser)
    _add_wear(parser)


def _add_convert(commands: Any) -> None:
    parser = _command(commands, "convert", _convert, "Write a recording in the canonical form.")
    _add_recording(parser)
    parser.add_argument(
        "--resample", metavar="SECONDS", type=int, help="write longer epochs, such as 60 for minutes"
    )
    parser.add_argument("--to", choices=("json", "csv"), default="json", help="which canonical form")
    parser.add_argument("--output", type=Path, help="write it here instead of standard output")


def _add_recording(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path)
    for name in ("unit", "device", "wear-site", "zone", "input-format", "epoch-seconds"):
        what = name.replace("-", " ")
        parser.add_argument(f"--{name}", help=f"the recording's {what}, where the file does not say it")
    parser.add_argument("--since", metavar="DATE", help="the first local day wanted, such as 2024-03-31")
    parser.add_argument("--until", metavar="DATE", help="the last local day wanted")
    parser.add_argument(
        "--source-priority", metavar="SOURCES", help="which source counts where several overlap: phone,watch"
    )
    parser.add_argument("--participant", help="which person of a file that holds several")
    parser.add_argument("--first-time", metavar="HH:MM:SS", help="NHANES 2011-14: PAXFTIME of the header")


def _add_wear(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wear", choices=WEAR_MODES, default="detect", help="how non-wear is found")


def _add_embed(commands: Any) -> None:
    parser = _command(commands, "embed", _embed, "Run an encoder on standardised weeks, float32 (N, T).")
    parser.add_argument("weeks", type=Path, help="a .npy file, float32 (N, T), T a multiple of the patch")
    parser.add_argument(
        "--standardized",
        action="store_true",
        required=True,
        help="the rows are standardised already; required",
    )
    parser.add_argument("--weights", help="checkpoint tag in the model store")
    _add_engine(parser)
    parser.add_argument("--tokens", action="store_true", help="write every patch's output as well")
    parser.add_argument(
        "--output", type=Path, required=True, help="a .npz file: pooled, profile and, if asked, tokens"
    )


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--engine", help=f"auto or {', '.join(ENGINES)} (default: PAT_ENGINE or auto)")
    parser.add_argument(
        "--precision", choices=("fp32", "bf16"), help="default: PAT_PRECISION or fp32; bf16 where it exists"
    )


def _add_weights(commands: Any) -> None:
    parser = commands.add_parser("weights", help="Checkpoints in the BentoML model store.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    source = _command(
        verbs,
        "import",
        _weights_import,
        "Import a Keras .h5 file, a checkpoint folder or an exported archive.",
    )
    source.add_argument("path", type=Path)
    source.add_argument("--name", help="Keras file: the name in the store (default: from the architecture)")
    source.add_argument("--sha256", help="Keras file: refuse it unless it has this SHA-256")
    source.add_argument("--licence", help="Keras file: the licence of the weights, for the model card")
    _command(verbs, "list", _weights_list, "List the checkpoints of the store.")
    shown = _command(verbs, "show", _weights_show, "Show one checkpoint's card as JSON.")
    shown.add_argument("tag")
    check = _command(
        verbs, "check", _weights_check, "Compare an engine with the float64 reference on the stored panel."
    )
    check.add_argument("tag")
    _add_engine(check)
    export = _command(verbs, "export", _weights_export, "Export one checkpoint as an archive.")
    export.add_argument("tag")
    export.add_argument("path", type=Path)
    download = _command(verbs, "download", _weights_download, "Download official weights and import them.")
    download.add_argument("size", help="PAT-S, PAT-M or PAT-L")
    download.add_argument(
        "--cohort",
        choices=("21k", "29k"),
        default="29k",
        help="what they were pretrained on (29k includes NHANES 2013-14)",
    )
    download.add_argument("--url", help="take the file from this HTTPS address instead")
    download.add_argument("--sha256", help="refuse the file unless it has this SHA-256")


def _add_keys(commands: Any) -> None:
    parser = commands.add_parser("keys", help="Master keys.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    made = _command(verbs, "new", _keys_new, "Print a line with a new key for the file of master keys.")
    made.add_argument("name", help="a-z, 0-9, -; such as 2026-11")
    rewrap = _command(
        verbs,
        "rewrap",
        _keys_rewrap,
        "Wrap every subject's key under the first master key of the file.",
    )
    _add_state(rewrap)


def _add_audit(commands: Any) -> None:
    parser = commands.add_parser("audit", help="The audit trail.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    verify = _command(verbs, "verify", _audit_verify, "Read the whole trail; say which line is wrong.")
    _add_state(verify)
    verify.add_argument("--checkpoints", type=Path, help="the service's log, or lines `file seq mac`")
    for name, run, text in (
        ("search", _audit_search, "Print events whose fields are as given, oldest first."),
        ("export", _audit_export, "Print the same as FHIR R4 AuditEvents, one a line."),
    ):
        found = _command(verbs, name, run, f"{text} Reading the trail is recorded in it.")
        _add_state(found)
        found.add_argument(
            "wanted", nargs="*", metavar="FIELD=VALUE", help="such as outcome=4 or actor.uid=u1"
        )
        found.add_argument("--subject", metavar="TENANT/ID", help="events about this subject")
        found.add_argument("--since", default="", help="ISO 8601 in UTC, or its beginning: 2026-11")
        found.add_argument("--until", default="~", help="same")


def _add_outbox(commands: Any) -> None:
    parser = commands.add_parser("outbox", help="Results that wait for the FHIR server, and dead letters.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _add_state(_command(verbs, "list", _outbox_list, "Print what waits and what are dead letters, as JSON."))
    replay = _command(
        verbs, "replay", _outbox_replay, "Let dead letters wait again, as if they were new; recorded."
    )
    _add_state(replay)
    replay.add_argument("names", nargs="*", metavar="DELIVERY", help="as `pat outbox list` calls it")
    replay.add_argument("--all", action="store_true", help="every dead letter")


def _add_research(commands: Any) -> None:
    made = _command(
        commands, "deidentify", _deidentify, "Make of analyses (JSON) what may leave for research."
    )
    made.add_argument("files", nargs="+", type=Path, help="documents that `pat analyze` wrote")
    made.add_argument("-o", "--output", type=Path, required=True, help="a new or empty folder")
    made.add_argument("--people", type=Path, help="a CSV table with the columns file,person,age,sex")
    table = _command(commands, "cohort", _cohort, "Print a table over groups of de-identified documents.")
    table.add_argument("files", nargs="+", type=Path, help="documents that one run of `pat deidentify` wrote")
    table.add_argument("--by", default="", help="groups, beside the unit: sex,age_band,wear_site")
    table.add_argument("--k", type=int, default=11, help="fewest people of a cell (default: 11)")
    table.add_argument("--output", type=Path, help="write it here instead of standard output")


def _add_serve(commands: Any) -> None:
    parser = _command(
        commands, "serve", _serve, "Start the service; PAT_ variables are its settings (docs/settings.md)."
    )
    parser.add_argument("--host", metavar="ADDRESS", help="to listen on (PAT_HOST)")
    parser.add_argument("--port", help="to listen on (PAT_PORT)")
    parser.add_argument(
        "--certificate", metavar="FILE", help="PEM, with the chain: speak TLS (PAT_TLS_CERTIFICATE_FILE)"
    )
    parser.add_argument("--key", metavar="FILE", help="the certificate's key, PEM (PAT_TLS_KEY_FILE)")
    parser.add_argument(
        "--client-ca",
        metavar="FILE",
        help="of the certificates that clients must have (PAT_TLS_CLIENT_CA_FILE)",
    )


def _add_state(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", type=Path, required=True, help="the service's PAT_STATE_FOLDER")
    parser.add_argument("--keys", type=Path, required=True, help="its PAT_MASTER_KEYS_FILE")


def _analyze(arguments: Arguments) -> None:
    _refuse_ignored(arguments)
    recording = _recording(arguments)
    analysis = asyncio.run(_analysis(recording, arguments))
    _write(_FORMS[arguments.format](analysis, recording, arguments), arguments.output)


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
    _write(text.rstrip("\n"), arguments.output)


def _recording(arguments: Arguments) -> Recording:
    from preprocessing.readers import hints_of, read

    return read(arguments.file, hints_of(_given_hints(arguments), MAX_EPOCHS))


def _given_hints(arguments: Arguments) -> dict[str, str]:
    from preprocessing.readers.hints import TEXT_HINTS

    flags = {name: name for name in TEXT_HINTS} | {"format": "input_format"}  # --format is the answer's
    return {hint: value for hint, flag in flags.items() if (value := getattr(arguments, flag)) is not None}


async def _analysis(recording: Recording, arguments: Arguments) -> Analysis:
    from pat_runner.account import AnalyzeOptions
    from pat_runner.pipeline import analyze
    from preprocessing.units import SleepScorer
    from preprocessing.wear import WearMode

    runner, card = _local(arguments.weights)
    scorer = None if arguments.scorer is None else SleepScorer(arguments.scorer)
    options = AnalyzeOptions(
        wear=WearMode(arguments.wear),
        clinical=not arguments.no_clinical,
        profile=arguments.profile or arguments.format == "html",  # the report draws it
        scorer=scorer,
        threshold=arguments.threshold,
        rescoring=arguments.rescoring,
        rest=arguments.rest,
        sleep_log=_sleep_log(arguments, recording),
        stride_days=arguments.stride_days,
        intervals=arguments.intervals,
        series=arguments.series,
    )
    return await analyze(recording, options, runner, card)


def _sleep_log(arguments: Arguments, recording: Recording) -> tuple[LogEntry, ...]:
    from pat_runner.sleep_log import entries, pairs_in_table

    if arguments.sleep_log is None:
        return ()
    return entries(pairs_in_table(arguments.sleep_log.read_text(errors="replace")), recording.zone)


class _LocalRunner:
    """A Runner in this process, as the pipeline's RunnerPort."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def run(self, weeks: FloatWeeks, want: Want) -> list[Outcome]:
        return await asyncio.to_thread(self._runner.run, weeks, [want] * len(weeks))


def _local(weights: str | None) -> tuple[_LocalRunner, ModelCard]:
    from pat_runner.account import ModelCard

    options = _engine_options(None, None)
    tag, checkpoint, runner = _proven(weights, options)
    return _LocalRunner(runner), ModelCard.of(tag, checkpoint, options)


def _engine_options(name: str | None, precision: str | None) -> EngineOptions:
    from pat_runner.engines import EngineOptions
    from serving.settings import Precision, Settings

    settings = Settings.from_environment()
    chosen = Precision(precision) if precision else settings.precision
    return EngineOptions(name or settings.engine, chosen.value, settings.runner_threads)


def _proven(weights: str | None, options: EngineOptions) -> tuple[str, Checkpoint, Runner]:
    from models import store
    from pat_runner.runner import Runner
    from serving.settings import Settings

    settings = Settings.from_environment()
    wanted = weights or settings.checkpoint
    checkpoint = store.load(wanted, None if weights else settings.checkpoint_sha256 or None)
    runner = Runner(checkpoint, options)
    runner.prove()
    return store.resolve(wanted), checkpoint, runner


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


def _write(text: str, output: Path | None) -> None:
    if output is None:
        print(text)
    else:
        output.write_text(text + "\n")


def _embed(arguments: Arguments) -> None:
    import numpy as np

    from pat_runner.embed import embed, read_weeks

    weeks = read_weeks(arguments.weeks)
    options = _engine_options(arguments.engine, arguments.precision)
    _, _, runner = _proven(arguments.weights, options)
    columns: dict[str, Any] = dict(embed(runner, weeks, tokens=arguments.tokens))
    with arguments.output.open("wb") as output:
        np.savez(output, **columns)


def _weights_import(arguments: Arguments) -> None:
    from models import store
    from models.keras_import import ImportOptions

    given = {name: getattr(arguments, name) for name in ("name", "sha256", "licence")}
    options = {name: value for name, value in given.items() if value is not None}
    _print_stored(store.import_path(arguments.path, ImportOptions(**options) if options else None))


def _print_stored(tag: str) -> None:
    from models import store

    print(f"{tag}\nsha256 {store.load(tag).digest}")


def _weights_list(_: Arguments) -> None:
    from models import store

    entries = store.entries()
    if not entries:
        print("the store is empty; `pat weights import` or `download` adds to it", file=sys.stderr)
    for entry in entries:
        print(f"{entry.tag}  {entry.architecture}  sha256 {entry.sha256[:16]}  {entry.source}")


def _weights_show(arguments: Arguments) -> None:
    from models import store

    print(json.dumps(store.manifest(arguments.tag), indent=2))


def _weights_check(arguments: Arguments) -> int:
    from models import store
    from pat_runner.engines import engine
    from pat_runner.gate import compare

    checkpoint = store.load(arguments.tag)
    loaded = engine(checkpoint, _engine_options(arguments.engine, arguments.precision))
    found = compare(loaded, checkpoint)
    print(f"{store.resolve(arguments.tag)} on {loaded.name}, {loaded.precision}: difference from float64")
    print(_differences(found, vars(loaded.bound)))
    outside = found.outside(loaded.bound)
    print("outside its bound: it refuses to serve" if outside else "within its bound")
    return 1 if outside else 0


def _differences(found: Agreement, bound: dict[str, float]) -> str:
    """Lay out the differences row by row, then the worst beside the bound."""
    parts = ("pooled", "profile", "cosine", "centred", "probability")
    rows = [
        (name, *(f"{getattr(found, part)[i]:.1e}" for part in parts)) for i, name in enumerate(found.rows)
    ]
    rows.append(("worst", *(f"{found.worst(part):.1e}" for part in parts)))
    rows.append(("bound", *(f"{bound[part]:.0e}" if part in bound else "" for part in parts)))
    header = ("week", "pooled", "profile", "1-cosine", "1-centred", "probability")
    return "\n".join(
        f"{name:42}" + "".join(f"{text:>12}" for text in texts) for name, *texts in [header, *rows]
    )


def _weights_export(arguments: Arguments) -> None:
    from models import store

    print(store.export(arguments.tag, arguments.path))


def _weights_download(arguments: Arguments) -> None:
    import tempfile

    from models import store
    from models.download import DownloadOptions, download

    options = DownloadOptions(
        url=arguments.url, sha256=arguments.sha256, cohort=arguments.cohort, progress=_progress
    )
    with tempfile.TemporaryDirectory() as scratch:
        fetched = download(arguments.size, Path(scratch), options)
        print(f"\nfile sha256 {fetched.sha256} (pin it with --sha256 next time)", file=sys.stderr)
        _print_stored(store.save(fetched.checkpoint))


def _progress(received_bytes: int, total_bytes: int | None) -> None:
    width = 30
    done = int(width * received_bytes / total_bytes) if total_bytes else 0
    total = f" of {total_bytes / 1e6:.1f}" if total_bytes else ""
    bar = "#" * done + "." * (width - done)
    print(f"\r[{bar}] {received_bytes / 1e6:.1f}{total} MB", end="", file=sys.stderr, flush=True)


def _keys_new(arguments: Arguments) -> None:
    from serving.keys import new_line

    print(new_line(arguments.name))


def _keys_rewrap(arguments: Arguments) -> None:
    from serving.audit import Action, AuditEvent, Outcome, Purpose

    vault = _vault(arguments)
    event = AuditEvent(
        Action.UPDATE, "rewrap_keys", Outcome.DONE, "command", _operator(), detail=vault.current
    )
    _record(arguments, replace(event, purpose=Purpose.SYSTEM))
    print(f"{vault.rewrap()} keys are now under the first master key")


def _vault(arguments: Arguments) -> Vault:
    from serving.keys import KeysUnusable, MasterKeys
    from serving.settings import Settings
    from serving.state import audit_folder, open_vault, store_file

    settings = replace(Settings.from_environment(), state_folder=str(arguments.state))
    there = (audit_folder if settings.store_url else store_file)(arguments.state)
    if not there.exists():
        expected = f"expected a state folder with {there.relative_to(arguments.state)}"
        raise KeysUnusable(f"{arguments.state}: {expected}; for a store on Redis set PAT_STORE_URL as well")
    return open_vault(settings, MasterKeys.read(arguments.keys))


SERVE_SETTINGS = {
    "host": "PAT_HOST",
    "port": "PAT_PORT",
    "certificate": "PAT_TLS_CERTIFICATE_FILE",
    "key": "PAT_TLS_KEY_FILE",
    "client_ca": "PAT_TLS_CLIENT_CA_FILE",
}


def _serve(arguments: Arguments) -> None:
    import os

    from serving import start

    flags = {setting: getattr(arguments, name) for name, setting in SERVE_SETTINGS.items()}
    start.serve({setting: value for setting, value in flags.items() if value is not None}, os.environ)


def _audit_verify(arguments: Arguments) -> int:
    from serving.audit_check import checkpoints, verify
    from serving.keys import MasterKeys
    from serving.state import audit_folder, audit_keys

    text = arguments.checkpoints.read_text(errors="replace") if arguments.checkpoints else ""
    keys = audit_keys(MasterKeys.read(arguments.keys))
    report = verify(audit_folder(arguments.state), keys, checkpoints(text))
    for fault in report.faults:
        print(f"{fault.file} line {fault.line}: {fault.what}")
    print(f"{report.records} records in {report.files} files, {len(report.faults)} faults")
    return 1 if report.faults else 0


def _audit_search(arguments: Arguments) -> None:
    for record in _events(arguments):
        print(json.dumps({"at": record["at"], **record["event"]}))


def _audit_export(arguments: Arguments) -> None:
    from postprocessing.fhir import audit_event

    for record in _events(arguments):
        print(json.dumps(audit_event(record, "PAT Service")))


def _events(arguments: Arguments) -> list[dict[str, Any]]:
    """Find the events asked for, and record that they were before any is shown."""
    from serving.audit import Action, AuditEvent, Outcome, Purpose
    from serving.audit_check import events
    from serving.keys import KeysUnusable
    from serving.state import audit_folder

    wanted = dict(pair.split("=", 1) for pair in arguments.wanted if "=" in pair)
    if len(wanted) < len(arguments.wanted):
        raise KeysUnusable("expected FIELD=VALUE, such as outcome=4")
    if arguments.subject:
        tenant, _, subject = arguments.subject.partition("/")
        wanted["subject"] = _vault(arguments).subject(tenant, subject).pseudonym
    found = list(events(audit_folder(arguments.state), wanted, arguments.since, arguments.until))
    about = {"subject": wanted.get("subject", ""), "purpose": Purpose.OPERATIONS, "records": len(found)}
    _record(arguments, AuditEvent(Action.READ, "search_audit", Outcome.DONE, "command", _operator(), **about))
    return found


def _operator() -> Actor:
    """Return who runs the command, as the operating system knows them."""
    import getpass

    from serving.audit import Actor

    return Actor(f"os:{getpass.getuser()}", roles=("operator",))


def _record(arguments: Arguments, event: AuditEvent) -> None:
    """Write ``event`` to the trail of the state folder, in a file of its own."""
    from serving.audit import AuditTrail
    from serving.audit_file import MacKey
    from serving.keys import MasterKeys
    from serving.state import audit_folder, audit_keys

    name, secret = next(iter(audit_keys(MasterKeys.read(arguments.keys)).items()))
    trail = AuditTrail(audit_folder(arguments.state), MacKey(name, secret), lambda _: None)
    trail.start()
    try:
        trail.record_now(event)
    finally:
        trail.close()


def _outbox_list(arguments: Arguments) -> None:
    from serving.outbox import Outbox, State

    outbox = Outbox(_vault(arguments))
    for state in (State.WAITING, State.DEAD):
        for ticket in sorted(outbox.tickets(state), key=lambda ticket: ticket.accepted):
            print(json.dumps(ticket.told()))


def _outbox_replay(arguments: Arguments) -> int:
    from serving.audit import Action, AuditEvent, Outcome, Purpose
    from serving.keys import KeysUnusable
    from serving.outbox import Outbox

    if bool(arguments.names) == arguments.all:
        raise KeysUnusable("expected the names of dead letters (pat outbox list prints them), or --all")
    outbox = Outbox(_vault(arguments))
    letters = outbox.dead_letters(arguments.names)
    event = AuditEvent(
        Action.UPDATE,
        "replay_deliveries",
        Outcome.DONE,
        "command",
        _operator(),
        purpose=Purpose.OPERATIONS,
        records=len(letters),
        detail=" ".join(letters),
    )
    _record(arguments, event)
    done = sum(map(outbox.replayed, letters))
    print(f"{done} results wait for the FHIR server again")
    return 0 if done >= len(arguments.names) else 1


def _deidentify(arguments: Arguments) -> None:
    from postprocessing.research import DocumentRefused, deidentified_files

    documents = deidentified_files(arguments.files, arguments.people)
    arguments.output.mkdir(parents=True, exist_ok=True)
    if any(arguments.output.iterdir()):
        raise DocumentRefused(f"{arguments.output}: expected a new or empty folder, for codes are of one run")
    for name, text in documents.items():
        _write(text, arguments.output / name)


def _cohort(arguments: Arguments) -> None:
    from postprocessing.research import table_of

    by = tuple(name for name in arguments.by.split(",") if name)
    _write(table_of(arguments.files, by, arguments.k).model_dump_json(indent=1), arguments.output)
