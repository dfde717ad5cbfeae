"""Where things are in the state folder of a service, and which keys they are under."""

from __future__ import annotations

from pathlib import Path

from serving.keys import MasterKeys

__all__ = ["audit_folder", "audit_keys", "store_file"]


def audit_folder(state: Path) -> Path:
    """Return the folder of the audit trail."""
    return state / "audit"


def store_file(state: Path) -> Path:
    """Return the file of the durable store."""
    return state / "store" / "pat.sqlite"


def audit_keys(keys: MasterKeys) -> dict[str, bytes]:
    """Return the keys of the audit trail by name, the current one first."""
    return keys.derived("audit")
