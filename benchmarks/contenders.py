"""Contenders of this environment: our engines, and PyTorch as a careful reader would port the notebooks.

    python -m benchmarks.contenders NAME FOLDER BATCH THREADS

Started by benchmarks.workers; FOLDER holds a checkpoint, a panel and the reference's outputs for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.obedient import obey
from models.checkpoint import load
from models.config import position_table
from pat_runner.engines import EngineOptions, Want, engine

__all__ = ["CONTENDERS"]

Encode = Callable[[Any], Any]


def _engine(name: str, *, profile: bool = False, precision: str = "fp32") -> Callable[[Path, int], Encode]:
    def made(folder: Path, threads: int) -> Encode:
        options = EngineOptions(name, precision, threads)  # type: ignore[arg-type]  # one of Precision
        loaded = engine(load(folder), options)
        return lambda weeks: loaded.run(weeks, Want(profile=profile)).pooled

    return made


def _naive(folder: Path, threads: int) -> Encode:
    """Every head's scores written out, einsum by einsum, as most ports do it."""
    import torch
    from torch.nn import functional as F  # noqa: N812

    torch.set_num_threads(threads)
    checkpoint = load(folder)
    config = checkpoint.config
    w = {name: torch.tensor(array) for name, array in checkpoint.weights.items()}

    def layer(name: str, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, (config.width,), w[f"{name}.weight"], w[f"{name}.bias"], config.layer_norm_eps)

    def encode(weeks: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            n = config.patches(weeks.shape[1])
            patches = torch.from_numpy(weeks).view(len(weeks), n, config.patch)
            x = layer("embedding", patches) + torch.tensor(position_table(n))
            for i in range(config.layers):
                q, k, v = (
                    layer(f"blocks.{i}.{name}", x).view(len(x), n, config.heads, config.width)
                    for name in ("query", "key", "value")
                )
                scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / config.width**0.5
                mixed = torch.einsum("bhqk,bkhd->bqhd", torch.softmax(scores, dim=-1), v)
                x = norm(f"blocks.{i}.norm1", x + layer(f"blocks.{i}.output", mixed.flatten(2)))
                fed = layer(f"blocks.{i}.contract", F.relu(layer(f"blocks.{i}.expand", x)))
                x = norm(f"blocks.{i}.norm2", x + fed)
            return x.mean(dim=1).numpy()

    return encode


def _sdpa(folder: Path, threads: int) -> Encode:
    """models/pat.py, the readable reference: unfolded, with PyTorch's fused attention."""
    import torch

    from models.pat import PAT

    torch.set_num_threads(threads)
    model = PAT.from_checkpoint(load(folder))

    def encode(weeks: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            pooled: np.ndarray = model(torch.from_numpy(weeks)).pooled.numpy()
            return pooled

    return encode


CONTENDERS: dict[str, Callable[[Path, int], Encode]] = {
    "naive torch": _naive,
    "torch SDPA": _sdpa,
    "pat native": _engine("native"),
    "pat native, profile": _engine("native", profile=True),
    "pat torch": _engine("torch"),
    "pat onnxruntime": _engine("onnxruntime"),
    "pat onnxruntime, profile": _engine("onnxruntime", profile=True),
    "pat openvino": _engine("openvino"),
    "pat openvino, profile": _engine("openvino", profile=True),
    "pat openvino bf16": _engine("openvino", precision="bf16"),
}


def main() -> None:
    """Load one contender and obey."""
    name, folder, batch, threads = sys.argv[1:]
    obey(CONTENDERS[name](Path(folder), int(threads)), Path(folder), int(batch))


if __name__ == "__main__":
    main()
