"""`pat embed` and `pat weights`: the encoder on weeks, and checkpoints in the model store."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.arguments import Arguments, add_engine, command
from commands.encoders import engine_options, proven

if TYPE_CHECKING:
    from pat_runner.gate import Agreement

__all__ = ["add"]


def add(commands: Any) -> None:
    """Add the commands."""
    _add_embed(commands)
    _add_weights(commands)


def _add_embed(commands: Any) -> None:
    parser = command(commands, "embed", _embed, "Run an encoder on standardised weeks, float32 (N, T).")
    parser.add_argument("weeks", type=Path, help="a .npy file, float32 (N, T), T a multiple of the patch")
    parser.add_argument(
        "--standardized",
        action="store_true",
        required=True,
        help="the rows are standardised already; required",
    )
    parser.add_argument("--weights", help="checkpoint tag in the model store")
    add_engine(parser)
    parser.add_argument("--tokens", action="store_true", help="write every patch's output as well")
    parser.add_argument(
        "--output", type=Path, required=True, help="a .npz file: pooled, profile and, if asked, tokens"
    )


def _add_weights(commands: Any) -> None:
    parser = commands.add_parser("weights", help="Checkpoints in the BentoML model store.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    source = command(
        verbs,
        "import",
        _weights_import,
        "Import a Keras .h5 file, a checkpoint folder or an exported archive.",
    )
    source.add_argument("path", type=Path)
    source.add_argument("--name", help="Keras file: the name in the store (default: from the architecture)")
    source.add_argument("--sha256", help="Keras file: refuse it unless it has this SHA-256")
    source.add_argument("--licence", help="Keras file: the licence of the weights, for the model card")
    command(verbs, "list", _weights_list, "List the checkpoints of the store.")
    shown = command(verbs, "show", _weights_show, "Show one checkpoint's card as JSON.")
    shown.add_argument("tag")
    check = command(
        verbs, "check", _weights_check, "Compare an engine with the float64 reference on the stored panel."
    )
    check.add_argument("tag")
    add_engine(check)
    export = command(verbs, "export", _weights_export, "Export one checkpoint as an archive.")
    export.add_argument("tag")
    export.add_argument("path", type=Path)
    download = command(verbs, "download", _weights_download, "Download official weights and import them.")
    download.add_argument("size", help="PAT-S, PAT-M or PAT-L")
    download.add_argument(
        "--cohort",
        choices=("21k", "29k"),
        default="29k",
        help="what they were pretrained on (29k includes NHANES 2013-14)",
    )
    download.add_argument("--url", help="take the file from this HTTPS address instead")
    download.add_argument("--sha256", help="refuse the file unless it has this SHA-256")


def _embed(arguments: Arguments) -> None:
    import numpy as np

    from pat_runner.embed import embed, read_weeks

    weeks = read_weeks(arguments.weeks)
    options = engine_options(arguments.engine, arguments.precision)
    _, _, runner = proven(arguments.weights, options)
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
    loaded = engine(checkpoint, engine_options(arguments.engine, arguments.precision))
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
