"""How time grows with the length of a recording's weeks: PAT-L, one week, one thread, by tokens."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.encoder import Contender, prepared, report, take_turns
from benchmarks.peak import Probe
from benchmarks.weights import seeded
from models.config import CONFIGS

__all__ = ["measure"]

SIZE = "PAT-L"
TOKENS = (160, 320, 640, 1120, 2240)
NAMES = ("naive torch", "torch SDPA", "pat native", "pat torch", "pat onnxruntime", "pat openvino")


def measure(tokens: tuple[int, ...] = TOKENS, turns: int = 5) -> list[dict[str, Any]]:
    """Measure every length and return one document per contender and length."""
    checkpoint, probe, found = seeded(SIZE), Probe(), []
    with tempfile.TemporaryDirectory(prefix="pat-bench-") as scratch:
        for n in tokens:
            minutes = n * CONFIGS[SIZE].patch
            folder = prepared(checkpoint, Path(scratch) / str(n), minutes)
            cell = [Contender(name, SIZE, 1, 1, minutes) for name in NAMES]
            take_turns(cell, folder, probe, turns)
            print(f"{n} tokens", end="")
            report(cell)
            found += [{**contender.document(), "tokens": n} for contender in cell]
    return found
