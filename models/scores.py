"""What a head says of a pooled embedding, in numpy: the same as models/heads.py without torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.checkpoint import Checkpoint

__all__ = ["probabilities"]

Doubles = npt.NDArray[np.float64]


def probabilities(checkpoint: Checkpoint, pooled: npt.NDArray[np.floating]) -> dict[str, Doubles]:
    """Score ``pooled`` (N, 96) with every head, in float64: label -> (N,), calibrated where the head is.

    This judges engines; what an answer may carry is decided by ``HeadConfig.served``.
    """
    return {head.label: _sigmoid(_calibrated(checkpoint, head.label, pooled)) for head in checkpoint.heads}


def _calibrated(checkpoint: Checkpoint, label: str, pooled: npt.NDArray[np.floating]) -> Doubles:
    hidden, output = (_layer(checkpoint, f"heads.{label}.{name}") for name in ("hidden", "output"))
    activations = np.maximum(pooled.astype(np.float64) @ hidden[0].T + hidden[1], 0)  # (N, 128)
    logits: Doubles = (activations @ output[0].T + output[1])[:, 0]
    platt = next(head.calibration for head in checkpoint.heads if head.label == label)
    return logits if platt is None else platt.slope * logits + platt.intercept


def _layer(checkpoint: Checkpoint, name: str) -> tuple[Doubles, Doubles]:
    weight, bias = (checkpoint.weights[f"{name}.{part}"].astype(np.float64) for part in ("weight", "bias"))
    return weight, bias


def _sigmoid(logits: Doubles) -> Doubles:
    return 1 / (1 + np.exp(-np.clip(logits, -700, 700)))
