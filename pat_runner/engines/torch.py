"""The reference encoder of models/pat.py on CPU, in float32."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from models.checkpoint import Checkpoint
from models.pat import PAT, Encoding
from pat_runner.engines import Bound, EngineOutput, Floats

__all__ = ["FLOAT32_BOUND", "TorchEngine", "load"]

# Measured against float64 on the goldens of S, M, L and Conv-S: pooled 6e-7, profile 7e-7.
FLOAT32_BOUND = Bound(pooled=2e-5, profile=5e-6)
MINUTES_AT_ONCE = 4 * 10_080  # four weeks: PAT-L's last scores then take 240 MB


class TorchEngine:
    """The plain forward pass; a large batch is cut so that memory stays bounded."""

    name = "torch"
    bound = FLOAT32_BOUND

    def __init__(self, model: PAT) -> None:
        self._model = model

    def run(self, weeks: Floats, *, profile: bool, tokens: bool) -> EngineOutput:
        """Encode standardised ``weeks`` (N, T)."""
        step = max(1, MINUTES_AT_ONCE // weeks.shape[1])
        with torch.inference_mode():
            parts = [self._encode(weeks[i : i + step], profile) for i in range(0, len(weeks), step)]
            return EngineOutput(
                pooled=_joined(part.pooled for part in parts),
                profile=_joined(part.profile for part in parts) if profile else None,
                tokens=_joined(part.tokens for part in parts) if tokens else None,
            )

    def _encode(self, weeks: Floats, profile: bool) -> Encoding:
        encoding: Encoding = self._model(torch.tensor(weeks), profile=profile)
        return encoding


def _joined(parts: Iterable[torch.Tensor | None]) -> Floats:
    joined: Floats = np.concatenate([part.numpy() for part in parts if part is not None])
    return joined


def load(checkpoint: Checkpoint, threads: int | None) -> TorchEngine:
    """Build the encoder; ``threads`` sets how many torch uses in this process."""
    if threads is not None:
        torch.set_num_threads(threads)
    return TorchEngine(PAT.from_checkpoint(checkpoint))
