"""A results file: what was measured, on which machine, when, at which commit and by which command."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import features, processor, versions
from serving.cores import cores

__all__ = ["FOLDER", "read", "write"]

FOLDER = Path(__file__).parent / "results"
_PACKAGES = ("numpy", "torch", "onnxruntime", "openvino", "bentoml", "pandas", "pyarrow", "ray")


def write(part: str, command: str, measured: Any) -> Path:
    """Write what ``part`` measured beside its circumstances."""
    document = {
        "part": part,
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": _commit(),
        "command": command,
        "processor": processor(),
        "features": features(),
        "cores": cores(),
        "versions": versions(_PACKAGES),
        "measured": measured,
    }
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{part}.json"
    path.write_text(json.dumps(_rounded(document), indent=1) + "\n")
    return path


def _rounded(value: Any) -> Any:
    """Four digits are more than a shared machine repeats."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value


def read(part: str) -> dict[str, Any] | None:
    """Return the last results of ``part``, or None where it was never measured."""
    path = FOLDER / f"{part}.json"
    return json.loads(path.read_text()) if path.exists() else None


def _commit() -> str:
    """The commit that was measured; ``+`` where the working tree held more."""
    git = ["git", "-C", str(FOLDER.parent)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        )
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--", "*.py", "*.c"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")
