"""Seeded random weights for measuring speed and precision, with attention as lively as one asks for.

    python -m benchmarks.weights PAT-M stored/

Speed does not depend on the values of weights, precision does: the spread of the attention logits decides how
much rounding shows. Untrained weights from an initialiser have nearly none; these are scaled, layer after
layer, until their logits on the panel have the wanted standard deviation. Nobody's model: what comes out
means nothing.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.checkpoint import Checkpoint, CheckpointProvenance, save_folded
from models.config import CONFIGS, HeadConfig, PATConfig, expected_shapes, head_shapes
from models.golden import panel_weeks
from models.pat import PAT, Block

__all__ = ["LOGIT_SD", "seeded"]

LOGIT_SD = 0.75
HEAD = HeadConfig(label="test", task="none: seeded random numbers")


def seeded(size: str, seed: int = 0, logit_sd: float = LOGIT_SD) -> Checkpoint:
    """Return random weights of ``size`` with a random head, whose attention logits have SD ``logit_sd``."""
    config = CONFIGS[size]
    random = np.random.default_rng(seed)
    shapes = expected_shapes(config) | head_shapes(HEAD.label, config)
    weights = {name: _tensor(random, name, shape) for name, shape in shapes.items()}
    provenance = CheckpointProvenance(
        source=f"benchmarks.weights, seed {seed}", licence="CC0", created="2026-11-24", note="random numbers"
    )
    drawn = Checkpoint(f"{size.lower()}-seeded", config, weights, provenance, heads=(HEAD,))
    return replace(drawn, weights=_scaled(drawn, logit_sd))


def _tensor(random: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Gains near 1, biases of 0.1, matrices that keep the variance of what they multiply."""
    drawn = random.normal(size=shape)
    if name.endswith("bias"):
        return (0.1 * drawn).astype(np.float32)
    gain = 1 + 0.1 * drawn if len(shape) == 1 else drawn / np.sqrt(np.prod(shape[1:]))
    return np.asarray(gain, np.float32)


def _scaled(checkpoint: Checkpoint, logit_sd: float) -> dict[str, np.ndarray]:
    """Multiply query and key of every layer so that its logits on the panel have SD ``logit_sd``."""
    weights, model = dict(checkpoint.weights), PAT.from_checkpoint(checkpoint)
    with torch.inference_mode():
        x = model.embed(torch.tensor(panel_weeks()[:4]))
        for i, block in enumerate(model.blocks):
            assert isinstance(block, Block)  # noqa: S101  # nn.ModuleList forgets what it holds
            factor = float(np.sqrt(logit_sd / _spread(block, x, checkpoint.config)))
            for layer in (block.query, block.key):
                layer.weight *= factor
                layer.bias *= factor
            for name in ("query.weight", "query.bias", "key.weight", "key.bias"):
                weights[f"blocks.{i}.{name}"] = np.asarray(weights[f"blocks.{i}.{name}"] * np.float32(factor))
            x = block(x)
    return weights


def _spread(block: Block, x: Tensor, config: PATConfig) -> float:
    """Return the SD of a row's logits, over keys; a shift of a whole row changes no attention."""
    query, key = block.split(block.query(x)), block.split(block.key(x))
    logits = query[:1] @ key[:1].transpose(2, 3) * config.width**-0.5
    return float(logits.std(dim=-1).mean())


def main() -> None:
    """Write a seeded checkpoint into a folder."""
    size, folder = sys.argv[1:]
    save_folded(seeded(size), Path(folder))


if __name__ == "__main__":
    main()
