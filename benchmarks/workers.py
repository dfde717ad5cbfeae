"""One contender in a process of its own, which runs when it is told to: so that contenders can take turns.

The program in the process may belong to another environment (Keras, LitServe); it speaks one JSON line per
answer. Times are the process's own: CPU seconds of all its threads, and wall seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Run", "Worker", "WorkerFailed"]

_THREADS = ("OMP", "OPENBLAS", "MKL")


class WorkerFailed(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """The contender could not start or did not answer; the message holds the end of what it said."""


@dataclass(frozen=True)
class Run:
    """One run of a whole batch, per week."""

    cpu_ms: float
    wall_ms: float


class Worker:
    """A started contender: loaded, warm, with its outputs known."""

    def __init__(self, command: Sequence[str], threads: int) -> None:
        env = {**os.environ, **{f"{library}_NUM_THREADS": str(threads) for library in _THREADS}}
        env |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        self._process = subprocess.Popen(
            command,
            env=env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.ready = self._said()

    def run(self) -> Run:
        """Run once and return CPU and wall milliseconds per week."""
        said = self._ask("run")
        return Run(said["cpu_ms"], said["wall_ms"])

    def peak_rss_mb(self) -> float:
        """Return the most memory the process has held."""
        return float(self._ask("rss")["peak_rss_mb"])

    def end(self) -> None:
        """End the process, if it has not ended."""
        if self._process.poll() is None:
            self._process.communicate("end\n", timeout=60)

    def _ask(self, word: str) -> dict[str, Any]:
        assert self._process.stdin  # noqa: S101  # made with a pipe
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return self._said()

    def _said(self) -> dict[str, Any]:
        assert self._process.stdout  # noqa: S101  # made with a pipe
        for line in self._process.stdout:
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        _, errors = self._process.communicate()
        raise WorkerFailed(errors[-600:])
