"""Finds the reference material that is not part of the repository, or skips with a reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("PAT_SHARED", ROOT.parent / "shared"))


def shared(relative: str) -> Path:
    """Return a file or folder of the shared reference material; skip where it is absent."""
    path = SHARED / relative
    if not path.exists():
        missing(f"reference material {relative} is not on this machine (set PAT_SHARED)")
    return path


def missing(reason: str) -> None:
    """Skip for want of something real; where PAT_NO_SKIP is set (CI), fail instead."""
    if os.environ.get("PAT_NO_SKIP") == "1":
        pytest.fail(f"PAT_NO_SKIP=1 and {reason}")
    pytest.skip(reason)
