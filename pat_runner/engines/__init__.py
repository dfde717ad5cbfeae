"""How a batch is computed: one module per backend, chosen by name; each loads its library only inside itself.

native       the folded encoder in C on CPU, float32: the default where it was built and there is no GPU
onnxruntime  the folded graph of the checkpoint in ONNX Runtime on CPU, float32: the default elsewhere
torch        the folded encoder in PyTorch: on CPU float32, on CUDA float32 or bf16; the default with a GPU
openvino     the folded encoder in OpenVINO (extra ``openvino``): float32, or bf16 where the processor has it

Errors:

    EngineError               an engine cannot be had; the message says what to do
      UnknownEngine           there is no engine of that name
      EngineUnavailable       its library is not installed, or it cannot compute so on this machine
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from models.checkpoint import Checkpoint

__all__ = [
    "BF16",
    "DEFAULTS",
    "ENGINES",
    "FLOAT32",
    "PRECISIONS",
    "Bound",
    "Engine",
    "EngineError",
    "EngineOptions",
    "EngineOutput",
    "EngineUnavailable",
    "Floats",
    "Precision",
    "UnknownEngine",
    "Want",
    "chosen",
    "engine",
    "joined",
]

Floats = npt.NDArray[np.float32]
Precision = Literal["fp32", "bf16"]

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
ENGINES = {name: f"pat_runner.engines.{name}" for name in ("native", "onnxruntime", "torch", "openvino")}
_GPUS = Path("/proc/driver/nvidia/gpus")  # a folder per GPU that NVIDIA's driver shows to this process


class EngineError(ValueError):
    """An engine cannot be had."""


class UnknownEngine(EngineError):  # noqa: N818  # it says what is the case, as KeyError does
    """There is no engine of that name."""


class EngineUnavailable(EngineError):  # noqa: N818  # same
    """The engine's library is not installed, or it cannot compute as asked on this machine."""


@dataclass(frozen=True)
class Want:
    """What is wanted of a week beside its embedding."""

    profile: bool = False
    tokens: bool = False


@dataclass(frozen=True)
class Bound:
    """How far from the float64 reference an engine may be on a golden, at most; see pat_runner/gate.py."""

    pooled: float  # absolute, of any of the 96 numbers
    profile: float  # absolute, of any patch's share
    centred: float  # 1 - cosine of pooled, the panel's mean taken off
    probability: float  # absolute, of any head


FLOAT32 = Bound(pooled=2e-5, profile=1e-6, centred=1e-8, probability=1e-5)
BF16 = Bound(pooled=0.1, profile=5e-3, centred=1e-3, probability=0.01)


@dataclass(frozen=True, eq=False)
class EngineOutput:
    """``pooled`` (N, 96); ``profile`` (N, T/P) and ``tokens`` (N, T/P, 96) where asked for."""

    pooled: Floats
    profile: Floats | None = None
    tokens: Floats | None = None


def joined(parts: Sequence[EngineOutput]) -> EngineOutput:
    """Put the outputs of consecutive weeks together."""
    return EngineOutput(
        pooled=np.concatenate([part.pooled for part in parts]),
        profile=_together([part.profile for part in parts]),
        tokens=_together([part.tokens for part in parts]),
    )


def _together(arrays: Sequence[Floats | None]) -> Floats | None:
    present = [array for array in arrays if array is not None]
    return np.concatenate(present) if present else None


@dataclass(frozen=True)
class EngineOptions:
    """Which engine, in which precision, on how many threads (on a GPU the threads hardly matter)."""

    name: str = "auto"
    precision: Precision = "fp32"
    threads: int = 1


DEFAULTS = EngineOptions()


class Engine(Protocol):
    """One backend, loaded with one checkpoint; ``bound`` is what it promises of its ``precision``.

    Used from one thread at a time.
    """

    name: str
    precision: Precision
    bound: Bound
    at_once: int  # weeks that one pass takes; 1 where a batch is computed week after week

    def run(self, weeks: Floats, want: Want) -> EngineOutput:
        """Encode standardised ``weeks`` (N, T), finite, N at least 1, T a multiple of the patch."""
        ...


def engine(checkpoint: Checkpoint, options: EngineOptions = DEFAULTS) -> Engine:
    """Load an engine with ``checkpoint``; raises UnknownEngine or EngineUnavailable."""
    name = chosen(options.name)
    try:
        load: Callable[[Checkpoint, EngineOptions], Engine] = import_module(ENGINES[name]).load
    except ImportError as error:
        todo = "install it, or choose another engine"
        raise EngineUnavailable(
            f"engine {name}: its library is not installed ({error.name}); {todo}"
        ) from error
    return load(checkpoint, options)


def chosen(name: str) -> str:
    """Return the engine that ``name`` or "auto" stands for here, loading none; raises UnknownEngine."""
    engine_name = _automatic() if name == "auto" else name
    if engine_name not in ENGINES:
        raise UnknownEngine(f"engine {name:.40}: expected one of auto, {', '.join(ENGINES)}")
    return engine_name


def _automatic() -> str:
    """PyTorch where there is a GPU and a build for it, else what is fastest here (docs/benchmarks.md)."""
    if _has_gpu() and _torch_knows_cuda():
        return "torch"
    return "native" if _native_is_fast() else "onnxruntime"


def _native_is_fast() -> bool:
    from pat_runner.engines import native  # noqa: PLC0415  # which imports this module

    return native.is_fast_here()


def _has_gpu() -> bool:
    return _GPUS.is_dir() and any(_GPUS.iterdir())


def _torch_knows_cuda() -> bool:
    """Whether the installed PyTorch is a CUDA build, by its version file: importing it takes a second."""
    found = find_spec("torch")
    file = Path(found.origin).with_name("version.py") if found and found.origin else None
    text = file.read_text() if file and file.exists() else ""
    return re.search(r"^cuda\b.*= *['\"]", text, re.MULTILINE) is not None
