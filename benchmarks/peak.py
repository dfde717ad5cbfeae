"""The floor: what the arithmetic of a week must cost on this processor, measured in its registers.

The probe is a page of C, compiled when the benchmark starts; without a C compiler there is no floor.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from models.config import PATConfig

__all__ = ["Probe", "flop"]

_SOURCE = Path(__file__).with_name("peak.c")


class Probe:
    """A compiled probe; ``gflops`` measures anew each time, for a shared machine's speed drifts."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="pat-peak-")
        self._program = Path(self._folder.name) / "peak"
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        self.available = compiler is not None and self._compiled(compiler)

    def _compiled(self, compiler: str) -> bool:
        command = [compiler, "-O3", "-o", str(self._program), str(_SOURCE)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def gflops(self) -> dict[str, float]:
        """Return GFLOP/s of one core by arithmetic: fp32 and, where the processor has it, bf16."""
        if not self.available:
            return {}
        done = subprocess.run([str(self._program)], capture_output=True, text=True, check=True)
        return {name: float(rate) for name, rate in (line.split() for line in done.stdout.splitlines())}


def flop(config: PATConfig, minutes: int = 10_080) -> float:
    """Multiply-adds of one week in the folded form, two FLOP each; softmax and LayerNorm not counted."""
    n, d, wide = config.patches(minutes), config.width, config.heads * config.width
    embedding = n * 3 * config.patch * d if config.conv else n * config.patch * d
    projections = 2 * n * d * wide
    attention = 2 * config.heads * n * n * d
    feed_forward = 2 * n * d * config.feed_forward
    return 2.0 * (embedding + config.layers * (projections + attention + feed_forward))
