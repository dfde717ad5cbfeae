"""The folded encoder in C (native.c), float32 on CPU: attention whose scores never leave the caches.

The library is built when this package is installed where there is a C compiler; without it the engine is
unavailable and nothing else is missing. Which instruction set it uses is decided on the processor it runs on.
Each thread computes weeks of its own while there are as many as threads; what remains is shared out among all
of them, layer by layer, and so is a week alone.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from models.checkpoint import Checkpoint
from models.config import PATConfig, position_table
from pat_runner.engines import (
    FLOAT32,
    EngineOptions,
    EngineOutput,
    EngineUnavailable,
    Floats,
    Precision,
    Want,
    joined,
)

__all__ = ["NativeEngine", "instruction_sets", "is_fast_here", "library_file", "load"]

ROWS = 6  # as in native.c: row counts of left matrices are multiples of it
AGREEMENT_PATCHES, AGREEMENT = 37, 1e-3  # the patches fill no panel of any instruction set
KEPT_SPACES = 4  # work spaces kept per thread, by the length of a week
_LOG2_E = np.float64(1.4426950408889634)  # exponentials are powers of two

_Pointer = ctypes.c_void_p
_MATRICES = ("scores", "mix", "expand", "contract")


class _Layer(ctypes.Structure):
    _fields_ = [
        ("heads", ctypes.c_long),
        ("epsilon", ctypes.c_float),
        *(
            (f"{name}{part}", _Pointer)
            for name in ("scores", "mix", "expand", "contract")
            for part in ("", "_bias")
        ),
        *((f"{name}{i}", _Pointer) for i in (1, 2) for name in ("gain", "shift")),
    ]


class _Keys(ctypes.Structure):
    _fields_ = [("n", ctypes.c_long), ("np", ctypes.c_long), ("transposed", _Pointer), ("plain", _Pointer)]


def library_file() -> Path | None:
    """Return the built library, or None where none was built."""
    folder = Path(__file__).parent
    return next((file for kind in ("so", "dylib") for file in sorted(folder.glob(f"_native*.{kind}"))), None)


@cache
def _library() -> Any:
    file, todo = library_file(), "install again where there is a C compiler, or choose onnxruntime"
    if file is None:
        raise EngineUnavailable(f"engine native: its library was not built; {todo}")
    try:
        library = ctypes.CDLL(str(file))
    except OSError as error:
        raise EngineUnavailable(f"engine native: its library is for another machine; {todo}") from error
    integer, number, pointer = ctypes.c_int, ctypes.c_long, _Pointer
    library.pat_set.restype = ctypes.c_char_p
    library.pat_panel.restype = library.pat_work.restype = number
    library.pat_work.argtypes = [number, number]
    linear: list[Any] = [integer, pointer, number, number, pointer, pointer, number, integer, pointer]
    library.pat_linear.argtypes = linear
    library.pat_keys.argtypes = [integer, pointer, pointer]
    library.pat_block.argtypes = [integer, *[pointer] * 3, number, number, *[pointer] * 3]
    return library


def instruction_sets() -> dict[str, int]:
    """Return the instruction sets of the library that this processor has, by name, the fastest first.

    Raises EngineUnavailable where the library was not built.
    """
    found, number = {}, 0
    while (name := _library().pat_set(number)) is not None:
        if name:
            found[name.decode()] = number
        number += 1
    return found


@dataclass(frozen=True)
class _Kernel:
    """The library bound to one instruction set."""

    number: int
    panel: int

    def in_panels(self, matrix: Floats) -> Floats:
        """Lay ``matrix`` (k, n) out in panels of columns: (n / panel, k, panel), zeros after the last."""
        k, n = matrix.shape
        whole = np.zeros((k, _up(n, self.panel)), np.float32)
        whole[:, :n] = matrix
        return np.ascontiguousarray(whole.reshape(k, -1, self.panel).transpose(1, 0, 2))


def _up(n: int, step: int) -> int:
    return -(-n // step) * step


def _at(array: Floats) -> int:
    return array.ctypes.data


class _Weights:
    """The folded tensors as the kernel reads them; holds the arrays that the structures point to."""

    def __init__(self, config: PATConfig, folded: Mapping[str, Floats], kernel: _Kernel) -> None:
        self._held: list[Floats] = []
        conv = config.conv
        embedding = folded["embedding.weight"]
        self.embedding = kernel.in_panels(embedding[:, 0].T if conv else embedding)  # conv: (3, 96)
        self.embedding_bias = np.array(folded["embedding.bias"])
        self.layers = [self._layer(config, folded, f"blocks.{i}", kernel) for i in range(config.layers)]

    def _layer(self, config: PATConfig, folded: Mapping[str, Floats], name: str, kernel: _Kernel) -> _Layer:
        layer = _Layer(heads=config.heads, epsilon=config.layer_norm_eps)
        for matrix in _MATRICES:
            factor = _LOG2_E if matrix == "scores" else 1
            weight, bias = (
                (folded[f"{name}.{matrix}.{part}"] * factor).astype(np.float32) for part in ("weight", "bias")
            )
            setattr(layer, matrix, self._hold(kernel.in_panels(weight)))
            setattr(layer, f"{matrix}_bias", self._hold(bias))
        for i in (1, 2):
            setattr(layer, f"gain{i}", self._hold(np.array(folded[f"{name}.norm{i}.weight"])))
            setattr(layer, f"shift{i}", self._hold(np.array(folded[f"{name}.norm{i}.bias"])))
        return layer

    def _hold(self, array: Floats) -> int:
        self._held.append(array)
        return _at(array)


class _Space:
    """Memory for weeks of ``n`` patches: a layer's input, output and keys, and work space per part."""

    def __init__(self, config: PATConfig, kernel: _Kernel, n: int, parts: int) -> None:
        rows, keys = _up(n, ROWS), _up(n, kernel.panel)
        self.n, self.positions = n, position_table(n, config.width)
        self.x, self.out = (np.zeros((rows, config.width), np.float32) for _ in range(2))
        self._transposed, self._plain = (np.zeros((keys, config.width), np.float32) for _ in range(2))
        self.keys = _Keys(n, keys, _at(self._transposed), _at(self._plain))
        size = _library().pat_work(config.heads, keys)
        self.work = [np.zeros(size, np.float32) for _ in range(parts)]
        self.received = [np.zeros(keys, np.float32) for _ in range(parts)]
        step = _up(-(-n // parts), ROWS)
        self.ranges = [(min(i * step, n), min((i + 1) * step, n)) for i in range(parts)]


class NativeEngine:
    """One checkpoint in the kernel's layout, and threads to compute with."""

    name = "native"
    precision: Precision = "fp32"
    bound = FLOAT32
    at_once = 1

    def __init__(self, checkpoint: Checkpoint, threads: int, instruction_set: str | None = None) -> None:
        sets = instruction_sets()
        self.instruction_set = instruction_set or next(iter(sets))
        number = sets[self.instruction_set]
        self._kernel = _Kernel(number, _library().pat_panel(number))
        self._config = checkpoint.config
        self.patch = checkpoint.config.patch
        self._weights = _Weights(checkpoint.config, checkpoint.folded, self._kernel)
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="week")
        self._own = threading.local()

    def run(self, weeks: Floats, want: Want) -> EngineOutput:
        """Encode standardised ``weeks`` (N, T)."""
        weeks = np.ascontiguousarray(weeks, np.float32)
        even = len(weeks) - len(weeks) % self._threads if self._threads > 1 else 0
        found = list(self._pool.map(partial(self._week, parts=1, want=want), weeks[:even]))
        return joined(found + [self._week(week, parts=self._threads, want=want) for week in weeks[even:]])

    def _week(self, week: Floats, *, parts: int, want: Want) -> EngineOutput:
        space = self._space(self._config.patches(len(week)), parts)
        self._embed(week, space)
        last = len(self._weights.layers) - 1
        for i, layer in enumerate(self._weights.layers):
            _library().pat_keys(self._kernel.number, _at(space.x), ctypes.byref(space.keys))
            self._block(layer, space, profile=want.profile and i == last)
            space.x, space.out = space.out, space.x
        tokens = space.x[: space.n]
        return EngineOutput(
            pooled=tokens.mean(axis=0, dtype=np.float64).astype(np.float32)[None],
            profile=self._profile(space)[None] if want.profile else None,
            tokens=tokens[None].copy() if want.tokens else None,
        )

    def _space(self, n: int, parts: int) -> _Space:
        """Return memory that belongs to this thread."""
        if not hasattr(self._own, "spaces"):
            make = partial(_Space, self._config, self._kernel)
            self._own.spaces = lru_cache(maxsize=KEPT_SPACES)(make)
        space: _Space = self._own.spaces(n, parts)
        return space

    def _embed(self, week: Floats, space: _Space) -> None:
        """Write patches, embedded and at their positions, into ``space.x``."""
        config = self._config
        if config.conv:
            embedded = self._convolved(week.reshape(space.n, config.patch))
        else:
            embedded = self._linear(week.reshape(space.n, config.patch), positive=False)
        np.add(embedded, space.positions, out=space.x[: space.n])

    def _convolved(self, patches: Floats) -> Floats:
        """PAT-Conv: three taps within the patch, ReLU, mean over its minutes: (n, P) -> (n, 96)."""
        padded = np.pad(patches, ((0, 0), (1, 1)))
        taps = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=1).reshape(-1, 3)  # (n * P, 3)
        filtered = self._linear(taps, positive=True).reshape(*patches.shape, -1)  # (n, P, 96)
        mean: Floats = filtered.mean(axis=1)
        return mean

    def _linear(self, rows: Floats, *, positive: bool) -> Floats:
        """Multiply ``rows`` (m, k) by the embedding and add its bias: (m, 96)."""
        m, k = rows.shape
        filled = np.zeros((_up(m, ROWS), k), np.float32)
        filled[:m] = rows
        made = np.empty((len(filled), self._config.width), np.float32)
        weight, bias = _at(self._weights.embedding), _at(self._weights.embedding_bias)
        number, width = self._kernel.number, self._config.width
        _library().pat_linear(number, _at(filled), len(filled), k, weight, bias, width, positive, _at(made))
        return made[:m]

    def _block(self, layer: _Layer, space: _Space, *, profile: bool) -> None:
        def part(i: int) -> None:
            space.received[i][:] = 0
            _library().pat_block(
                self._kernel.number,
                ctypes.byref(layer),
                ctypes.byref(space.keys),
                _at(space.x),
                *space.ranges[i],
                _at(space.work[i]),
                _at(space.received[i]) if profile else None,
                _at(space.out),
            )

        parts = range(len(space.ranges))
        if len(parts) == 1:
            part(0)
        else:
            list(self._pool.map(part, parts))

    def _profile(self, space: _Space) -> Floats:
        """The share of attention that each patch received in the last layer, (n,)."""
        received = np.stack(space.received).sum(axis=0, dtype=np.float64)[: space.n]
        profile: Floats = (received / received.sum()).astype(np.float32)
        return profile


def is_fast_here() -> bool:
    """Whether the library was built and has an instruction set beyond the plainest for this processor."""
    try:
        return len(instruction_sets()) > 1
    except EngineUnavailable:
        return False


def load(checkpoint: Checkpoint, options: EngineOptions) -> NativeEngine:
    """Load the kernel with ``checkpoint``, in the fastest instruction set that agrees with the plainest.

    Raises EngineUnavailable without the library, and for bf16.
    """
    if options.precision != "fp32":
        raise EngineUnavailable("engine native: computes in fp32 only; bf16 needs openvino or torch")
    *faster, plainest = instruction_sets()
    plain = NativeEngine(checkpoint, options.threads, plainest)
    tried = (NativeEngine(checkpoint, options.threads, name) for name in faster)
    return next((made for made in tried if _agrees(made, plain)), plain)


def _agrees(fast: NativeEngine, plain: NativeEngine) -> bool:
    """Compare two instruction sets on a short seeded week: a fault of compiler or processor would show."""
    minutes = AGREEMENT_PATCHES * fast.patch
    week = np.random.default_rng(0).normal(size=(1, minutes)).astype(np.float32)
    found, right = (made.run(week, Want(profile=True)) for made in (fast, plain))
    assert found.profile is not None and right.profile is not None  # noqa: S101, PT018  # asked for
    pairs = ((found.pooled, right.pooled), (found.profile, right.profile))
    return all(float(np.abs(a - b).max()) < AGREEMENT for a, b in pairs)
