"""The checkpoint's own graph in ONNX Runtime on CPU, float32, each week in a call of its own.

Weeks in one call are no faster on one thread and slower on several, and take memory. So a week alone is
shared out among all threads, and of as many weeks as threads or more each is computed by one: then no
thread waits for another within a week, which under load is 5 % more weeks (docs/benchmarks.md).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache, partial

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
    """A session for lone weeks and one for many; threads sleep while there is nothing to do."""

    name = "onnxruntime"
    precision: Precision = "fp32"
    bound = FLOAT32
    at_once = 1

    def __init__(self, checkpoint: Checkpoint, threads: int) -> None:
        config = checkpoint.config
        self._patches = config.patches
        self._positions = lru_cache(maxsize=4)(lambda n: position_table(n, config.width))
        self._threads = threads
        self._alone = _session(checkpoint, threads)
        self._beside = _session(checkpoint, 1) if threads > 1 else self._alone
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="week")

    def run(self, weeks: Floats, want: Want) -> EngineOutput:
        """Encode standardised ``weeks`` (N, T)."""
        wanted = {"pooled": True, "profile": want.profile, "tokens": want.tokens}
        names = [name for name, asked in wanted.items() if asked]
        positions = self._positions(self._patches(weeks.shape[1]))
        shared = {"positions": positions, "profiled": np.array(want.profile)}

        def encode(session: onnxruntime.InferenceSession, week: Floats) -> EngineOutput:
            row = session.run(names, {"weeks": week[None], **shared})
            return EngineOutput(**dict(zip(names, row, strict=True)))

        if self._threads > 1 and len(weeks) >= self._threads:
            return joined(list(self._pool.map(partial(encode, self._beside), weeks)))
        return joined([encode(self._alone, week) for week in weeks])


@cache
def _share_memory() -> None:
    """Let all sessions of this process draw from one arena that grows by what is asked, not by doubling."""
    arena, default = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, onnxruntime.OrtMemType.DEFAULT
    where = onnxruntime.OrtMemoryInfo("Cpu", arena, 0, default)
    onnxruntime.create_and_register_allocator(where, onnxruntime.OrtArenaCfg({"arena_extend_strategy": 1}))


def _session(checkpoint: Checkpoint, threads: int) -> onnxruntime.InferenceSession:
    _share_memory()
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.enable_mem_pattern = False  # a pattern keeps the most that any branch needs, in every session
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
