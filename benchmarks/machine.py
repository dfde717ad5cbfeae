"""The machine and the versions behind a measurement."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["features", "machine", "processor", "versions"]

_FEATURES = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16")  # those that decide speed here


def machine(command: str, packages: tuple[str, ...]) -> str:
    """The line above a table: date, processor, versions of those ``packages`` that are installed, command."""
    found = [f"{name} {number}" for name, number in versions(packages).items()]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {processor()}, {os.cpu_count()} cores, one used; "
        f"{', '.join(found)}; `{command}`"
    )


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of Python and of those ``packages`` that are installed."""
    found = {name: _version(name) for name in packages}
    installed = {name: number for name, number in found.items() if number is not None}
    return {"Python": platform.python_version(), **installed}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """Name of the processor with family and model, where the system tells them."""
    told = _cpuinfo()
    number = "/".join(told[name] for name in ("cpu family", "model") if name in told)
    return f"{told.get('model name', platform.machine())}{f' (family/model {number})' if number else ''}"


def features() -> list[str]:
    """Those of the processor's features that decide the speed of an engine."""
    flags = _cpuinfo().get("flags", "").split()
    return [name for name in _FEATURES if name in flags]


def _cpuinfo() -> dict[str, str]:
    """What the system says of its first processor."""
    info = Path("/proc/cpuinfo")
    first = info.read_text().split("\n\n")[0] if info.exists() else ""
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
