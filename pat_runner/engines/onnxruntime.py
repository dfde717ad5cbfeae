"""The checkpoint's own graph in ONNX Runtime on CPU, float32, one week after the other.

A week alone is the fastest way to compute many on a CPU: in one call they are no faster on one thread, slower
on several, and take memory (docs/benchmarks.md). Within a week all threads work together.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import onnxruntime

from models.checkpoint import Checkpoint
from models.config import position_table
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

__all__ = ["OnnxRuntimeEngine", "load"]


class OnnxRuntimeEngine:
    """One session; its threads sleep while there is nothing to do."""

    name = "onnxruntime"
    precision: Precision = "fp32"
    bound = FLOAT32
    at_once = 1

    def __init__(self, checkpoint: Checkpoint, threads: int) -> None:
        config = checkpoint.config
        self._patches = config.patches
        self._positions = lru_cache(maxsize=4)(lambda n: position_table(n, config.width))
        self._session = _session(checkpoint, threads)

    def run(self, weeks: Floats, want: Want) -> EngineOutput:
        """Encode standardised ``weeks`` (N, T)."""
        wanted = {"pooled": True, "profile": want.profile, "tokens": want.tokens}
        names = [name for name, asked in wanted.items() if asked]
        shared = {
            "positions": self._positions(self._patches(weeks.shape[1])),
            "profiled": np.array(want.profile),
        }
        rows = [self._session.run(names, {"weeks": week[None], **shared}) for week in weeks]
        return joined([EngineOutput(**dict(zip(names, row, strict=True))) for row in rows])


def _session(checkpoint: Checkpoint, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads burn no CPU
    folded = checkpoint.folded
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in folded.values()]
    options.add_external_initializers(list(folded), values)
    return onnxruntime.InferenceSession(checkpoint.graph, options, providers=["CPUExecutionProvider"])


def load(checkpoint: Checkpoint, options: EngineOptions) -> OnnxRuntimeEngine:
    """Load the graph of ``checkpoint``; raises EngineUnavailable for another precision than fp32."""
    if options.precision != "fp32":
        raise EngineUnavailable(
            "engine onnxruntime: computes in fp32 only; choose openvino or torch for bf16"
        )
    return OnnxRuntimeEngine(checkpoint, options.threads)
