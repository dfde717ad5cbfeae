"""The reference encoder on CPU in float32, as it stands in models/pat.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from models.checkpoint import Checkpoint
from models.pat import PAT
from pat_runner.engines import Bound, EngineOutput, Floats

__all__ = ["TorchEngine", "load"]

WEEKS_AT_ONCE = 4  # the score matrices of PAT-L take 60 MB a week and layer


@dataclass(frozen=True, eq=False)
class TorchEngine:
    """The plain forward pass; large batches are cut so that the score matrices stay bounded."""

    name: ClassVar[str] = "torch"
    bound: ClassVar[Bound] = Bound(pooled=2e-5, profile=1e-6)
    model: PAT

    def run(self, weeks: Floats, *, profile: bool, tokens: bool) -> EngineOutput:
        """Encode standardised ``weeks`` (N, T)."""
        parts = [self._part(weeks[i : i + WEEKS_AT_ONCE]) for i in range(0, len(weeks), WEEKS_AT_ONCE)]
        encoded, received = (np.concatenate(column) for column in zip(*parts, strict=True))
        return EngineOutput(encoded.mean(axis=1), received if profile else None, encoded if tokens else None)

    def _part(self, weeks: Floats) -> tuple[Floats, Floats]:
        with torch.inference_mode():
            encoded, received = self.model(torch.from_numpy(np.ascontiguousarray(weeks)))
        return encoded.numpy(), received.numpy()


def load(checkpoint: Checkpoint, threads: int | None) -> TorchEngine:
    """Build the encoder; ``threads`` bounds torch's threads in this process."""
    if threads is not None:
        torch.set_num_threads(threads)
    return TorchEngine(PAT.from_checkpoint(checkpoint))
