"""In and out of the BentoML model store: checkpoints by name, pinned by the digest of their content.

A checkpoint's version *is* the beginning of its digest: the same content imported twice is one entry, and
other content can never stand under the same tag. Where the store lies is BentoML's setting (BENTOML_HOME).
"""

from __future__ import annotations

import io
import json
import lzma
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import checkpoint as files
from models.checkpoint import CARD, FILES, MAX_FILE_BYTES, Checkpoint, CheckpointError, CheckpointMissing
from models.keras_import import ImportOptions, import_keras

__all__ = [
    "ARCHIVE_SUFFIX",
    "Entry",
    "delete",
    "entries",
    "export",
    "import_archive",
    "import_path",
    "load",
    "manifest",
    "resolve",
    "save",
]

ARCHIVE_SUFFIX = ".bentomodel"
VERSION_LENGTH = 16
_LABELS = {"format": "pat-checkpoint"}
_XZ_SIGNATURE = b"\xfd7zXZ\x00"
_DECOMPRESSOR_BYTES = 256 * 1024 * 1024  # memory that an archive's dictionary may claim


@dataclass(frozen=True)
class Entry:
    """One checkpoint of the store, as a list shows it."""

    tag: str
    architecture: str
    sha256: str
    source: str


def save(checkpoint: Checkpoint) -> str:
    """Store ``checkpoint`` and return its tag; its golden and its folded form are made now if need be.

    Content that is already stored under this name is verified and keeps its first card.
    """
    import bentoml  # noqa: PLC0415  # heavy; only a store operation pays for it

    tag = f"{checkpoint.name}:{checkpoint.digest[:VERSION_LENGTH]}"
    if _stored(tag):
        load(tag, checkpoint.digest)
        return tag
    proven = checkpoint if checkpoint.golden else _with_golden(checkpoint)
    metadata = {
        "architecture": proven.config.name,
        "sha256": proven.digest,
        "source": proven.provenance.source,
        "licence": proven.provenance.licence,
    }
    with bentoml.models.create(tag, labels=_LABELS, metadata=metadata) as model:
        files.save_folded(proven, Path(model.path))
    return tag


def _with_golden(checkpoint: Checkpoint) -> Checkpoint:
    from models.pat import golden  # noqa: PLC0415  # torch, needed once, when a checkpoint enters the store

    return checkpoint.with_golden(golden(checkpoint))


def _stored(tag: str) -> bool:
    try:
        _model(tag)
    except CheckpointMissing:
        return False
    return True


def _model(tag: str) -> Any:
    import bentoml  # noqa: PLC0415  # heavy; only a store operation pays for it

    try:
        return bentoml.models.get(tag)
    except (bentoml.exceptions.BentoMLException, ValueError) as error:
        todo = "`pat weights list` shows what is there, `pat weights import` adds to it"
        raise CheckpointMissing(f"checkpoint {tag:.120}: not in the model store; {todo}") from error


def resolve(tag: str) -> str:
    """Return the full tag of ``name``, ``name:latest`` or ``name:version``; raises CheckpointMissing."""
    return str(_model(tag).tag)


def load(tag: str, expected_digest: str | None = None) -> Checkpoint:
    """Load and verify the checkpoint under ``tag``; ``expected_digest`` pins its content.

    Raises CheckpointMissing or CheckpointError.
    """
    model = _model(tag)
    checkpoint = files.load(Path(model.path), expected_digest)
    if not checkpoint.digest.startswith(str(model.tag.version)):
        raise CheckpointError(
            f"{model.tag}: the content is not that of its version; delete it and import again"
        )
    return checkpoint


def entries() -> list[Entry]:
    """List the checkpoints of the store, newest first."""
    import bentoml  # noqa: PLC0415  # heavy; only a store operation pays for it

    ours = [model for model in bentoml.models.list() if model.info.labels.get("format") == _LABELS["format"]]
    ours.sort(key=lambda model: model.info.creation_time, reverse=True)
    return [_entry(model) for model in ours]


def _entry(model: Any) -> Entry:
    known = model.info.metadata
    return Entry(str(model.tag), str(known["architecture"]), str(known["sha256"]), str(known["source"]))


def manifest(tag: str) -> dict[str, Any]:
    """Return the verified card of ``tag`` with the full tag; raises CheckpointMissing or CheckpointError."""
    full = resolve(tag)
    load(full)
    card: dict[str, Any] = json.loads((Path(_model(full).path) / CARD).read_text())
    return {"tag": full, **card}


def delete(tag: str) -> None:
    """Remove the checkpoint under ``tag``; raises CheckpointMissing."""
    import bentoml  # noqa: PLC0415  # heavy; only a store operation pays for it

    bentoml.models.delete(resolve(tag))


def export(tag: str, path: Path) -> Path:
    """Verify the checkpoint under ``tag`` and write it to ``path`` as a BentoML archive (.bentomodel)."""
    import bentoml  # noqa: PLC0415  # heavy; only a store operation pays for it

    if path.suffix != ARCHIVE_SUFFIX:
        raise CheckpointError(f"{path.name}: expected a file name that ends in {ARCHIVE_SUFFIX}")
    full = resolve(tag)
    load(full)
    bentoml.models.export_model(full, str(path.absolute()))
    return path


def import_path(path: Path, options: ImportOptions | None = None) -> str:
    """Store what ``path`` holds, a checkpoint folder, an archive or a Keras file, and return the tag.

    ``options`` are for a Keras file and refused with the others, which carry their own card. Raises
    CheckpointError.
    """
    if options is not None and (path.is_dir() or path.suffix == ARCHIVE_SUFFIX):
        raise CheckpointError(
            f"{path.name}: name, SHA-256 and licence are options for a Keras file; drop them"
        )
    if path.is_dir():
        return save(files.load(path))
    if path.suffix == ARCHIVE_SUFFIX:
        return import_archive(path)
    return save(import_keras(path, options or ImportOptions()))


def import_archive(path: Path) -> str:
    """Store the checkpoint of an archive that ``export`` wrote, and return the tag; raises CheckpointError.

    BentoML's own import would unpack first and trust later: here every member is judged, the content is
    verified in a scratch folder, and only then does it enter the store.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / path.name
        folder.mkdir()
        try:
            for name, content in _members(_unpacked(path)):
                (folder / name).write_bytes(content)
        except CheckpointError:
            raise
        except Exception as error:  # damage shows as many kinds of error
            raise CheckpointError(f"{path.name}: expected an archive of `pat weights export`") from error
        return save(files.load(folder))


def _unpacked(path: Path) -> bytes:
    packed = files.read_limited(path, MAX_FILE_BYTES)
    if not packed.startswith(_XZ_SIGNATURE):
        raise CheckpointError(f"{path.name}: expected an archive of `pat weights export`, found another file")
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_DECOMPRESSOR_BYTES)
    content = decompressor.decompress(packed, max_length=MAX_FILE_BYTES)
    if not decompressor.eof:
        raise CheckpointError(f"{path.name}: cut off, or larger than {MAX_FILE_BYTES} bytes; export it again")
    return content


def _members(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of our files; any other member, link or path is refused."""
    seen = set()
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if member.isdir() and name == ".":
                continue
            if not member.isreg() or name not in (CARD, "model.yaml", *FILES) or name in seen:
                raise CheckpointError(
                    f"archive member {member.name!r:.80}: not part of a checkpoint; refused"
                )
            seen.add(name)
            stream = archive.extractfile(member)
            if stream is not None and name != "model.yaml":
                yield name, stream.read()
