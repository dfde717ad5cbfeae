"""The line above every table: date, processor, versions and the command that made it."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["machine"]


def machine(command: str, packages: tuple[str, ...]) -> str:
    """Describe this machine and the versions of those ``packages`` that are installed."""
    found = [f"{name} {found}" for name in packages if (found := _version(name))]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {_processor()}, {os.cpu_count()} cores, one used; "
        f"{', '.join([f'Python {platform.python_version()}', *found])}; `{command}`"
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """Name of the processor, where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
