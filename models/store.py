"""In and out of the BentoML model store: checkpoints by name, pinned by the digest of their content.

A checkpoint's version *is* the beginning of its digest, so the same content imported twice is one entry, and other
content can never stand under the same tag.
"""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.checkpoint import MANIFEST, MAX_FILE_BYTES, Checkpoint, CheckpointError, CheckpointMissing
from models.checkpoint import load as load_folder
from models.checkpoint import save as save_folder

__all__ = ["Entry", "delete", "entries", "export", "import_archive", "load", "resolve", "save"]

VERSION_LENGTH = 16
MAX_ARCHIVE_MEMBERS = 64
_LABELS = {"product": "pat-service"}


@dataclass(frozen=True)
class Entry:
    """One checkpoint of the store, as ``pat weights list`` shows it."""

    tag: str
    architecture: str
    sha256: str
    source: str


def save(checkpoint: Checkpoint) -> str:
    """Store ``checkpoint`` with its golden output, computed in float64 now if it has none; return the tag."""
    import bentoml  # noqa: PLC0415  # heavy; only a store operation pays for it

    tag = f"{checkpoint.name}:{checkpoint.digest[:VERSION_LENGTH]}"
    if _exists(tag):
        load(tag)
        return tag
    proven = checkpoint if checkpoint.golden else replace(checkpoint, golden=_golden(checkpoint))
    metadata = {
        "architecture": proven.config.name,
        "sha256": proven.digest,
        "source": proven.provenance.source,
        "licence": proven.provenance.licence,
    }
    with bentoml.models.create(tag, labels=_LABELS, metadata=metadata) as model:
        save_folder(proven, Path(model.path))
    return tag


def _golden(checkpoint: Checkpoint) -> Any:
    from models.pat import golden  # noqa: PLC0415  # torch, needed once, at import into the store

    return golden(checkpoint)


def _exists(tag: str) -> bool:
    try:
        resolve(tag)
    except CheckpointMissing:
        return False
    return True


def resolve(tag: str) -> str:
    """Return the full tag of ``tag`` (``name``, ``name:latest`` or ``name:version``); raises CheckpointMissing."""
    return str(_model(tag).tag)


def _model(tag: str) -> Any:
    import bentoml  # noqa: PLC0415  # heavy; only a store operation pays for it

    try:
        return bentoml.models.get(tag)
    except (bentoml.exceptions.BentoMLException, ValueError) as error:
        todo = "`pat weights list` shows what is there, `pat weights import` and `download` add to it"
        raise CheckpointMissing(f"no checkpoint {tag!r:.120} in the model store; {todo}") from error


def load(tag: str, expected_digest: str | None = None) -> Checkpoint:
    """Load and verify the checkpoint under ``tag``; raises CheckpointMissing or CheckpointError."""
    model = _model(tag)
    checkpoint = load_folder(Path(model.path), expected_digest)
    if not checkpoint.digest.startswith(str(model.tag.version)):
        raise CheckpointError(
            f"{model.tag}: the content does not have the digest its version names; import it again"
        )
    return checkpoint


def entries() -> list[Entry]:
    """List the checkpoints of the store, newest first."""
    import bentoml  # noqa: PLC0415  # heavy; only a store operation pays for it

    ours = [m for m in bentoml.models.list() if m.info.labels.get("product") == _LABELS["product"]]
    ours.sort(key=lambda model: model.info.creation_time, reverse=True)
    return [_entry(model) for model in ours]


def _entry(model: Any) -> Entry:
    known = model.info.metadata
    return Entry(str(model.tag), str(known["architecture"]), str(known["sha256"]), str(known["source"]))


def delete(tag: str) -> None:
    """Remove the checkpoint under ``tag``; raises CheckpointMissing."""
    import bentoml  # noqa: PLC0415  # heavy; only a store operation pays for it

    bentoml.models.delete(resolve(tag))


def export(tag: str, path: Path) -> Path:
    """Write the checkpoint under ``tag`` to ``path`` as a tar.gz of its verified folder; return the path."""
    checkpoint = load(tag)
    with tempfile.TemporaryDirectory() as scratch, tarfile.open(path, "w:gz") as archive:
        save_folder(checkpoint, Path(scratch))
        for file in sorted(Path(scratch).iterdir()):
            archive.add(file, arcname=file.name, recursive=False)
    return path


def import_archive(path: Path) -> str:
    """Store the checkpoint of an archive that ``export`` wrote; return the tag.

    Every member is judged before it is unpacked, and the content is verified before it is stored. Raises
    CheckpointError.
    """
    with _unpacked(path) as folder:
        return save(load_folder(folder))


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            with tarfile.open(path, "r:gz") as archive:
                for member in _plain_members(archive):
                    archive.extract(member, scratch, filter="data")
        except (tarfile.TarError, OSError, EOFError) as error:
            raise CheckpointError(f"{path.name}: expected an archive made by `pat weights export`") from error
        yield Path(scratch)


def _plain_members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for count, member in enumerate(archive, start=1):
        plain = member.isreg() and Path(member.name).name == member.name
        ours = member.name == MANIFEST or member.name.endswith(".safetensors")
        if not (plain and ours) or member.size > MAX_FILE_BYTES or count > MAX_ARCHIVE_MEMBERS:
            raise CheckpointError(
                "expected an archive made by `pat weights export`, found other members in it"
            )
        yield member
