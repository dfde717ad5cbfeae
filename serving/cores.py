"""How many cores this process was given: by affinity, and by the quota of its control groups."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["cores"]

_ROOT = Path("/")


def cores(root: Path = _ROOT) -> int:
    """Return the whole cores that this process may use, at least 1.

    A quota of 1.5 cores counts as 2: the threads then wait now and then, but no core stands idle.
    """
    affine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([affine, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the limit in cores of every control group around this process that has one (v2, then v1)."""
    for group in _own_groups(root, "0::"):
        yield from _quota(group / "cpu.max")
    for group in (*_own_groups(root, ":cpu,cpuacct:", "cpu"), *_own_groups(root, ":cpu:", "cpu")):
        yield from _quota(group / "cpu.cfs_quota_us", group / "cpu.cfs_period_us")


def _own_groups(root: Path, mark: str, controller: str = "") -> list[Path]:
    """Return the folders from this process's control group up to the mounted root.

    Inside a container the path is often that of the host and cannot be seen; the mounted root always can.
    """
    mounted = root / "sys/fs/cgroup" / controller
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return [mounted]
    paths = [line.partition(mark)[2].strip("/") for line in lines if mark in line]
    return [mounted / part for path in paths for part in (path, *map(str, Path(path).parents))] or [mounted]


def _quota(*files: Path) -> Iterator[float]:
    """Yield quota / period of cpu.max, or of the two files of v1; nothing without a limit."""
    try:
        quota, period = " ".join(file.read_text() for file in files).split()
        if quota != "max" and int(quota) > 0:
            yield int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return
