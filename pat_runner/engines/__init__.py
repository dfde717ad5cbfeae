"""How a batch is computed: one module per backend, chosen by name; each loads its library only inside itself.

torch      the plain encoder of models/pat.py, float32 on CPU: the reference
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import numpy as np
import numpy.typing as npt

from models.checkpoint import Checkpoint

__all__ = [
    "AUTO",
    "ENGINES",
    "Bound",
    "Engine",
    "EngineOutput",
    "Floats",
    "UnknownEngine",
    "chosen",
    "engine",
]

Floats = npt.NDArray[np.float32]

AUTO = "torch"  # what "auto" stands for
ENGINES = {"torch": "pat_runner.engines.torch"}


class UnknownEngine(ValueError):  # noqa: N818  # it says what is the case, as KeyError does
    """There is no engine of that name."""


@dataclass(frozen=True)
class Bound:
    """Largest absolute differences from the float64 reference that an engine may show on a golden."""

    pooled: float
    profile: float


@dataclass(frozen=True, eq=False)
class EngineOutput:
    """``pooled`` (N, 96); ``profile`` (N, T/P) and ``tokens`` (N, T/P, 96) where asked for."""

    pooled: Floats
    profile: Floats | None = None
    tokens: Floats | None = None


class Engine(Protocol):
    """One backend, loaded with one checkpoint; ``bound`` is its distance from the reference, as measured."""

    name: str
    bound: Bound

    def run(self, weeks: Floats, *, profile: bool, tokens: bool) -> EngineOutput:
        """Encode standardised ``weeks`` (N, T), finite, T a multiple of the patch."""
        ...


def engine(name: str, checkpoint: Checkpoint, threads: int | None = None) -> Engine:
    """Load the engine ``name`` (or "auto") with ``checkpoint``; raises UnknownEngine listing the names."""
    loaded: Engine = import_module(ENGINES[chosen(name)]).load(checkpoint, threads)
    return loaded


def chosen(name: str) -> str:
    """Return the engine that ``name`` stands for, without loading it; raises UnknownEngine."""
    engine_name = AUTO if name == "auto" else name
    if engine_name not in ENGINES:
        raise UnknownEngine(f"engine {name:.40}: expected one of auto, {', '.join(ENGINES)}")
    return engine_name
