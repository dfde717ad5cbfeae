"""Which code makes a value: digests of our own sources; other code never answers with what was kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pat_runner
import postprocessing
import preprocessing

__all__ = ["engines", "pipeline"]

_SOURCES = (".py", ".c", ".h", ".json")


@cache
def pipeline() -> str:
    """Return the digest of what makes an analysis of a recording."""
    return _digest(Path(room.__path__[0]) for room in (preprocessing, postprocessing, pat_runner))


@cache
def engines() -> str:
    """Return the digest of what computes PAT."""
    return _digest([Path(pat_runner.__path__[0]) / "engines"])


def _digest(folders: Iterable[Path]) -> str:
    digest = hashlib.sha256(f"numpy {version('numpy')} scipy {version('scipy')}".encode())
    for folder in folders:
        for path in sorted(found for found in folder.rglob("*") if found.suffix in _SOURCES):
            digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
