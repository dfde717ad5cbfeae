"""What a PAT encoder and its heads look like: sizes, tensor shapes and positions, without loading a network.

Ruan et al., arXiv:2411.15240, and the official notebooks (njacobsonlab/Pretrained-Actigraphy-Transformer).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = [
    "CONFIGS",
    "ENCODER_PARAMETERS",
    "HEAD_HIDDEN",
    "Evidence",
    "HeadConfig",
    "PATConfig",
    "Platt",
    "Shapes",
    "expected_shapes",
    "head_shapes",
    "position_table",
]

HEAD_HIDDEN = 128  # units of the dense layer of a classification head
_LABEL = re.compile(r"[a-z][a-z0-9_]{0,39}")

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class PATConfig:
    """The architecture of one encoder.

    ``patch`` is in minutes. Queries, keys and values are ``width`` wide in *every* head, not width / heads.
    """

    name: str
    patch: int
    heads: int
    layers: int
    conv: bool = False
    width: int = 96
    feed_forward: int = 256
    layer_norm_eps: float = 1e-6

    def patches(self, minutes: int) -> int:
        """Return how many patches ``minutes`` make; ValueError unless a positive multiple of ``patch``."""
        if minutes < self.patch or minutes % self.patch:
            raise ValueError(
                f"expected a length that is a multiple of {self.patch} minutes ({self.name}), "
                f"found {minutes}; cut or pad the week"
            )
        return minutes // self.patch


CONFIGS: dict[str, PATConfig] = {
    config.name: config
    for config in (
        PATConfig("PAT-S", patch=18, heads=6, layers=1),
        PATConfig("PAT-M", patch=18, heads=12, layers=2),
        PATConfig("PAT-L", patch=9, heads=12, layers=4),
        PATConfig("PAT-Conv-S", patch=18, heads=6, layers=1, conv=True),
        PATConfig("PAT-Conv-M", patch=18, heads=12, layers=2, conv=True),
        PATConfig("PAT-Conv-L", patch=9, heads=12, layers=4, conv=True),
    )
}

# Parameters of the encoder alone, counted in models that the official notebooks built: proof of a size.
ENCODER_PARAMETERS: dict[str, int] = {
    "PAT-S": 274_720,
    "PAT-M": 993_440,
    "PAT-L": 1_984_192,
    "PAT-Conv-S": 273_280,
    "PAT-Conv-M": 992_000,
    "PAT-Conv-L": 1_983_616,
}


def expected_shapes(config: PATConfig) -> Shapes:
    """Return name and shape of every tensor of the encoder; matrices are (out, in)."""
    d = config.width
    shapes: Shapes = {
        "embedding.weight": (d, 1, 3) if config.conv else (d, config.patch),
        "embedding.bias": (d,),
    }
    for i in range(config.layers):
        shapes |= {f"blocks.{i}.{name}": shape for name, shape in _block_shapes(config).items()}
    return shapes


def _block_shapes(config: PATConfig) -> Shapes:
    d, wide, ff = config.width, config.heads * config.width, config.feed_forward
    matrices = {"query": (wide, d), "key": (wide, d), "value": (wide, d), "output": (d, wide)}
    matrices |= {"expand": (ff, d), "contract": (d, ff)}
    shapes: Shapes = {}
    for name, (out, into) in matrices.items():
        shapes |= {f"{name}.weight": (out, into), f"{name}.bias": (out,)}
    for name in ("norm1", "norm2"):
        shapes |= {f"{name}.weight": (d,), f"{name}.bias": (d,)}
    return shapes


def head_shapes(label: str, config: PATConfig) -> Shapes:
    """Return name and shape of every tensor of the head ``label``: dense 128, then dense 1."""
    return {
        f"heads.{label}.hidden.weight": (HEAD_HIDDEN, config.width),
        f"heads.{label}.hidden.bias": (HEAD_HIDDEN,),
        f"heads.{label}.output.weight": (1, HEAD_HIDDEN),
        f"heads.{label}.output.bias": (1,),
    }


def position_table(n: int, width: int = 96) -> npt.NDArray[np.float32]:
    """Return the positional table (n, width) float32: all sines, then all cosines (halves, not interleaved).

    w_k = exp(2k * -ln(10000) / width), k = 0 .. width/2 - 1. Evaluated in float64 and rounded once, so that
    every machine and engine has the same table; float32 exp would add an error growing with the position.
    """
    k = np.arange(width // 2)
    angles = np.arange(n)[:, None] * np.exp(2 * k * (-np.log(10_000.0) / width))  # (n, width / 2)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


@dataclass(frozen=True)
class Evidence:
    """What speaks for a head: held-out people, never those it was trained on or chosen by."""

    cohort: str
    n: int
    positives: int
    auc: float
    auc_low: float  # 95 % confidence interval
    auc_high: float


@dataclass(frozen=True)
class Platt:
    """Calibration on held-out data: p = sigmoid(slope * logit + intercept) (Platt 1999)."""

    slope: float
    intercept: float


@dataclass(frozen=True)
class HeadConfig:
    """One classification head on the pooled embedding.

    A head is served only with ``evidence`` and a ``threshold``. One imported from a fine-tuned file has
    neither: it is kept to check the import against its source, and no answer ever carries its output.
    """

    label: str
    task: str
    kind: Literal["binary"] = "binary"
    threshold: float | None = None
    calibration: Platt | None = None
    evidence: Evidence | None = None

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.label):
            raise ValueError("head label: expected up to 40 of a-z, 0-9 and _, beginning with a letter")

    @property
    def served(self) -> bool:
        """Whether answers may carry this head's output."""
        return self.evidence is not None and self.threshold is not None
