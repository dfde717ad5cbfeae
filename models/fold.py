"""The exact fold: the same encoder with half the projections, and one set of keys and values for all heads.

Every head of PAT is as wide as the model (d = 96), so its projections can be multiplied out beforehand. With
the block's input x (N, d) and head h, rows times matrices:

    scores   (x Wq + bq)(x Wk + bk)^T / sqrt(d)  =  (x M + c) x^T + r 1^T
             M = Wq Wk^T / sqrt(d),  c = bq Wk^T / sqrt(d)

where r, all that the key bias contributes, is the same for every key of a row, and softmax over the keys does
not see it. The rows of the softmax A_h sum to 1, so the value bias passes through it unchanged:

    output   sum_h A_h (x Wv + bv) Wo + bo  =  sum_h (A_h x) N_h + b
             N_h = Wv Wo,  b = sum_h bv Wo + bo

Keys and values are x itself: the heads differ in M and N alone. What is lost is the separate q, k and v;
attention per head, and so the profile, stays. Sums are taken in float64 in one fixed order and rounded once,
so that the fold of given weights has the same bytes on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from models.config import PATConfig, Shapes

__all__ = ["fold", "folded_shapes"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


def folded_shapes(config: PATConfig) -> Shapes:
    """Return name and shape of every tensor of the folded encoder; matrices are (in, out), for ``x @ W``."""
    d, wide, ff = config.width, config.heads * config.width, config.feed_forward
    shapes: Shapes = {
        "embedding.weight": (d, 1, 3) if config.conv else (config.patch, d),
        "embedding.bias": (d,),
    }
    block = {"scores": (d, wide), "mix": (wide, d), "expand": (d, ff), "contract": (ff, d)}
    for i in range(config.layers):
        for name, (into, out) in block.items():
            shapes |= {f"blocks.{i}.{name}.weight": (into, out), f"blocks.{i}.{name}.bias": (out,)}
        for name in ("norm1", "norm2"):
            shapes |= {f"blocks.{i}.{name}.weight": (d,), f"blocks.{i}.{name}.bias": (d,)}
    return shapes


def fold(config: PATConfig, weights: Mapping[str, Floats]) -> dict[str, Floats]:
    """Fold the encoder ``weights`` (names and shapes of ``expected_shapes``) into those of ``folded_shapes``.

    ``scores`` is M and c of all heads side by side, ``mix`` is N of all heads one below the other and b.
    """
    embedding = weights["embedding.weight"]
    folded: dict[str, npt.NDArray[Any]] = {
        "embedding.weight": embedding if config.conv else embedding.T,
        "embedding.bias": weights["embedding.bias"],
    }
    for i in range(config.layers):
        block = {name.removeprefix(f"blocks.{i}."): array for name, array in weights.items()}
        folded |= {f"blocks.{i}.{name}": array for name, array in _block(config, block).items()}
    return {name: np.ascontiguousarray(array, np.float32) for name, array in folded.items()}


def _block(config: PATConfig, block: Mapping[str, Floats]) -> dict[str, npt.NDArray[Any]]:
    query, key, value = (_heads(config, block[f"{name}.weight"]) for name in ("query", "key", "value"))
    query_bias, value_bias = (_heads(config, block[f"{name}.bias"]) for name in ("query", "value"))
    output = _heads(config, block["output.weight"].T)  # (H, in, out), where the others are (H, out, in)
    root = np.sqrt(np.float64(config.width))
    scores = _product(query.transpose(0, 2, 1), key) / root  # (H, in, out)
    scores_bias = _product(query_bias, key) / root  # (H, 1, out)
    mix = _product(value.transpose(0, 2, 1), output)  # (H, in, out)
    through = _product(value_bias, output)  # (H, 1, out)
    return {
        "scores.weight": scores.transpose(1, 0, 2).reshape(config.width, -1),
        "scores.bias": scores_bias.reshape(-1),
        "mix.weight": mix.reshape(-1, config.width),
        "mix.bias": _sum([*through[:, 0], block["output.bias"].astype(np.float64)]),
        **{f"{name}.weight": block[f"{name}.weight"].T for name in ("expand", "contract")},
        **{f"{name}.bias": block[f"{name}.bias"] for name in ("expand", "contract")},
        **{name: block[name] for name in block if name.startswith("norm")},
    }


def _heads(config: PATConfig, array: Floats) -> Doubles:
    """View the first axis of ``array`` (H * 96, ...) as one matrix per head (H, 96 or 1, 96), in float64."""
    doubles = array.astype(np.float64)
    rows = config.width if array.ndim == 2 else 1
    return doubles.reshape(config.heads, rows, config.width)


def _product(left: Doubles, right: Doubles) -> Doubles:
    """Multiply (H, m, k) by (H, k, n), adding in the order of k: BLAS libraries differ in the last bit."""
    total = np.zeros((left.shape[0], left.shape[1], right.shape[2]))
    for j in range(left.shape[2]):
        total += left[:, :, j, None] * right[:, None, j, :]
    return total


def _sum(rows: list[Doubles]) -> Doubles:
    total = np.zeros_like(rows[0])
    for row in rows:
        total += row
    return total
