"""The folded encoder in OpenVINO on CPU: float32 by explicit hint, bf16 where the processor computes in it.

Left to itself OpenVINO picks bf16 on such a processor without a word. Needs the extra ``openvino``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
from openvino import opset13 as ops

from models.checkpoint import Checkpoint
from models.config import PATConfig, position_table
from pat_runner.engines import (
    BF16,
    FLOAT32,
    EngineOptions,
    EngineOutput,
    EngineUnavailable,
    Floats,
    Precision,
    Want,
    joined,
)

__all__ = ["OpenVinoEngine", "load"]

KEPT_LENGTHS = 4  # compiled models kept, by length and profile

Node = Any  # an openvino.Node: one operation of the graph under construction


class OpenVinoEngine:
    """Compiled models by length and profile; one week after the other, all threads within a week."""

    name = "openvino"
    at_once = 1

    def __init__(self, checkpoint: Checkpoint, options: EngineOptions) -> None:
        self.precision: Precision = options.precision
        self.bound = FLOAT32 if options.precision == "fp32" else BF16
        self._core = _core(options)
        self._properties = {
            "INFERENCE_PRECISION_HINT": "f32" if options.precision == "fp32" else "bf16",
            "INFERENCE_NUM_THREADS": options.threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # pinned, several processes would share one core
        }
        self._checkpoint = checkpoint
        self._requests = lru_cache(maxsize=KEPT_LENGTHS)(self._compiled)

    def _compiled(self, minutes: int, profile: bool) -> openvino.InferRequest:
        model = _Graph(self._checkpoint, minutes).model(profile=profile)
        return self._core.compile_model(model, "CPU", self._properties).create_infer_request()

    def run(self, weeks: Floats, want: Want) -> EngineOutput:
        """Encode standardised ``weeks`` (N, T)."""
        request = self._requests(weeks.shape[1], want.profile)
        return joined([self._week(request, week, want) for week in weeks])

    @staticmethod
    def _week(request: openvino.InferRequest, week: Floats, want: Want) -> EngineOutput:
        found = request.infer([week[None]])  # views of memory that the next week overwrites
        return EngineOutput(
            pooled=found[0].copy(),
            profile=found[2].copy() if want.profile else None,
            tokens=found[1].copy() if want.tokens else None,
        )


class _Graph:
    """The encoder for weeks of one length, as OpenVINO operations."""

    def __init__(self, checkpoint: Checkpoint, minutes: int) -> None:
        self._config: PATConfig = checkpoint.config
        self._tensors = checkpoint.folded
        self._minutes = minutes
        self._patches = checkpoint.config.patches(minutes)

    def model(self, *, profile: bool) -> openvino.Model:
        """Return weeks (1, T) -> pooled (1, 96), tokens (1, N, 96) and, if asked, profile (1, N)."""
        weeks = ops.parameter([1, self._minutes], openvino.Type.f32, name="weeks")
        x, received = self._embedded(weeks), None
        for i in range(self._config.layers):
            last = i == self._config.layers - 1
            x, received = self._block(f"blocks.{i}", x, profile=profile and last)
        outputs = [ops.reduce_mean(x, _integers(1), False), x]
        return openvino.Model([*outputs, *([] if received is None else [received])], [weeks], "pat")

    def _embedded(self, weeks: Node) -> Node:
        n, patch, d = self._patches, self._config.patch, self._config.width
        positions = _floats(position_table(n, d))
        if not self._config.conv:
            patches = ops.reshape(weeks, _integers(1, n, patch), False)
            return ops.add(self._linear("embedding", patches), positions)
        signals = ops.reshape(weeks, _integers(n, 1, patch), False)
        kernel = _floats(self._tensors["embedding.weight"])
        filtered = ops.convolution(signals, kernel, [1], [1], [1], [1])
        rectified = ops.relu(ops.add(filtered, _floats(self._tensors["embedding.bias"].reshape(1, d, 1))))
        means = ops.reduce_mean(rectified, _integers(2), False)  # (N, 96)
        return ops.add(ops.reshape(means, _integers(1, n, d), False), positions)

    def _block(self, name: str, x: Node, *, profile: bool) -> tuple[Node, Node | None]:
        d, n, heads = self._config.width, self._patches, self._config.heads
        queries = ops.reshape(self._linear(f"{name}.scores", x), _integers(1, n * heads, d), False)
        mixed, received = (self._attended_and_counted if profile else self._attended)(queries, x)
        merged = self._linear(f"{name}.mix", ops.reshape(mixed, _integers(1, n, heads * d), False))
        x = self._norm(f"{name}.norm1", ops.add(x, merged))
        fed = self._linear(f"{name}.contract", ops.relu(self._linear(f"{name}.expand", x)))
        return self._norm(f"{name}.norm2", ops.add(x, fed)), received

    @staticmethod
    def _attended(queries: Node, x: Node) -> tuple[Node, None]:
        one, no_mask, scale = _integers(1), _floats(np.zeros((1, 1, 1, 1))), _floats(np.array(1.0))
        keys = ops.unsqueeze(x, one)  # one head, as wide as the model
        attended = ops.scaled_dot_product_attention(
            ops.unsqueeze(queries, one), keys, keys, no_mask, scale, causal=False
        )
        return ops.squeeze(attended, one), None

    def _attended_and_counted(self, queries: Node, x: Node) -> tuple[Node, Node]:
        """Attend a head's worth of queries at a time; add up what each key (1, N) receives."""
        heads, n = self._config.heads, self._patches
        mixed, received = [], []
        for piece in ops.split(queries, _integers(1, scalar=True), heads).outputs():
            shares = ops.softmax(ops.matmul(piece, x, False, True), 2)  # (1, N, N)
            mixed.append(ops.matmul(shares, x, False, False))
            received.append(ops.reduce_sum(shares, _integers(1), True))
        total = ops.reduce_sum(ops.concat(received, 1), _integers(1), False)
        return ops.concat(mixed, 1), ops.multiply(total, _floats(np.array(1.0 / (n * heads))))

    def _linear(self, name: str, x: Node) -> Node:
        product = ops.matmul(x, _floats(self._tensors[f"{name}.weight"]), False, False)
        return ops.add(product, _floats(self._tensors[f"{name}.bias"]))

    def _norm(self, name: str, x: Node) -> Node:
        normal = ops.mvn(x, _integers(2), True, self._config.layer_norm_eps, "inside_sqrt")
        scaled = ops.multiply(normal, _floats(self._tensors[f"{name}.weight"]))
        return ops.add(scaled, _floats(self._tensors[f"{name}.bias"]))


def _floats(array: npt.NDArray[np.floating]) -> Node:
    return ops.constant(np.ascontiguousarray(array, np.float32))


def _integers(*values: int, scalar: bool = False) -> Node:
    return ops.constant(np.array(values[0] if scalar else values, np.int64))


def _core(options: EngineOptions) -> openvino.Core:
    core = openvino.Core()
    if options.precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise EngineUnavailable(
            "engine openvino: this processor does not compute in bf16 (avx512_bf16 or amx_bf16); choose fp32"
        )
    return core


def load(checkpoint: Checkpoint, options: EngineOptions) -> OpenVinoEngine:
    """Load the folded encoder; raises EngineUnavailable for bf16 on a processor without it."""
    return OpenVinoEngine(checkpoint, options)
