"""How a batch is computed: one module per backend, chosen by name; each imports its library only inside itself.

torch      the plain encoder of models/pat.py, float32 on CPU: the reference
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import numpy as np
import numpy.typing as npt

from models.checkpoint import Checkpoint

__all__ = ["AUTO", "ENGINES", "Bound", "Engine", "EngineOutput", "Floats", "UnknownEngine", "engine"]

Floats = npt.NDArray[np.float32]

AUTO = "torch"  # what "auto" means until measurement says otherwise
ENGINES = {"torch": "pat_runner.engines.torch"}


class UnknownEngine(ValueError):
    """There is no engine of that name."""


@dataclass(frozen=True)
class Bound:
    """Largest absolute differences from the float64 reference that an engine may show on a golden."""

    pooled: float
    profile: float


@dataclass(frozen=True, eq=False)
class EngineOutput:
    """pooled (N, width); profile (N, T/P) and tokens (N, T/P, width) where asked for."""

    pooled: Floats
    profile: Floats | None
    tokens: Floats | None


class Engine(Protocol):
    """One backend, loaded with one checkpoint."""

    name: str
    bound: Bound

    def run(self, weeks: Floats, *, profile: bool, tokens: bool) -> EngineOutput:
        """Encode standardised ``weeks`` (N, T) in one pass."""
        ...


def engine(name: str, checkpoint: Checkpoint, threads: int | None = None) -> Engine:
    """Load the engine ``name`` (or "auto") with ``checkpoint``; raises UnknownEngine listing the names."""
    chosen = AUTO if name == "auto" else name
    if chosen not in ENGINES:
        raise UnknownEngine(f"expected one of auto, {', '.join(ENGINES)}, found another engine name")
    loaded: Engine = import_module(ENGINES[chosen]).load(checkpoint, threads)
    return loaded
