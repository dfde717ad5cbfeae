"""The other end of a Worker, for any environment: the standard library and numpy, nothing of this project.

A contender is a function that encodes weeks (B, T) and returns the pooled embeddings (B, 96).
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["obey"]

LONG_SECONDS = 5.0  # a batch that takes longer needs no other to be warm
AT_LEAST_SECONDS = 0.3  # a run shorter than this is repeated; cold caches after others' turns weigh less


def obey(encode: Callable[[Any], Any], folder: Path, batch: int) -> None:
    """Warm up, say how far from the reference the panel comes out, then run whenever a line says so."""
    panel, reference = np.load(folder / "panel.npy"), np.load(folder / "reference.npy")
    whole = np.resize(panel, (-(-len(panel) // batch) * batch, panel.shape[1]))  # for one batch size
    found = np.concatenate([np.asarray(encode(whole[i : i + batch])) for i in range(0, len(whole), batch)])
    weeks = whole[:batch]
    began = time.perf_counter()
    encode(weeks)
    if time.perf_counter() - began < LONG_SECONDS:
        encode(weeks)
    _say(difference=float(np.abs(found[: len(panel)] - reference).max()))
    for line in sys.stdin:
        match line.strip():
            case "run":
                _say(**_timed(encode, weeks))
            case "rss":
                _say(peak_rss_mb=_peak_rss_mb())
            case _:
                return


def _timed(encode: Callable[[Any], Any], weeks: Any) -> dict[str, float]:
    cpu, wall, done = time.process_time(), time.perf_counter(), 0
    while not done or time.perf_counter() - wall < AT_LEAST_SECONDS:
        encode(weeks)
        done += len(weeks)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"cpu_ms": cpu / done * 1e3, "wall_ms": wall / done * 1e3}


def _peak_rss_mb() -> float:
    """The most memory held since this program began; getrusage would count the parent's as well."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _say(**what: float) -> None:
    print(json.dumps(what), flush=True)
