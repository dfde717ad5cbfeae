"""From nothing to the first answer, and the memory it takes: engines alone, and the runner of the service."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

from benchmarks.encoder import prepared
from benchmarks.servers import Server, bento
from benchmarks.weights import seeded
from models.golden import panel_weeks

__all__ = ["measure"]

ENGINES = ("native", "onnxruntime", "torch", "openvino")
TIMES = 5
_FIRST_ANSWER = """
import sys
from pathlib import Path
import numpy as np
from models.checkpoint import load
from pat_runner.engines import EngineOptions, Want, engine
loaded = engine(load(Path(sys.argv[2])), EngineOptions(sys.argv[1]))
loaded.run(np.zeros((1, 10_080), np.float32), Want())
status = Path("/proc/self/status").read_text().splitlines()
print(next(line for line in status if line.startswith("VmHWM")).split()[1])
"""


def measure(times: int = TIMES) -> dict[str, Any]:
    """Measure engines in processes of their own, then the served runner."""
    engines: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="pat-bench-") as scratch:
        for size in ("PAT-M", "PAT-L"):
            folder = prepared(seeded(size), Path(scratch) / size)
            runs: dict[str, list[tuple[float, float]]] = {name: [] for name in ENGINES}
            for _ in range(times):
                for name, taken in runs.items():
                    taken.append(_first_answer(name, folder))
            for name, taken in runs.items():
                cpu, rss = (statistics.median(column) for column in zip(*taken, strict=True))
                engines.append({"engine": name, "size": size, "cpu_seconds": cpu, "peak_rss_mb": rss})
                print(f"  {size} {name:12} {cpu:.2f} CPU s, {rss:.0f} MB to the first answer")
        return {
            "engines": engines,
            "runner": _served_runner(Path(scratch) / "PAT-M", Path(scratch) / "home", times),
            "memory": _memory(Path(scratch) / "PAT-L", Path(scratch) / "home"),
        }


def _first_answer(name: str, folder: Path) -> tuple[float, float]:
    """CPU seconds and peak MB of a process that answers once."""
    command = [sys.executable, "-c", _FIRST_ANSWER, name, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout  # noqa: S101  # made with a pipe
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{name} did not answer")
    return usage.ru_utime + usage.ru_stime, int(said) / 1024


def _stored(folder: Path, home: Path) -> str:
    pat = str(Path(sys.executable).with_name("pat"))
    env = {**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    done = subprocess.run(
        [pat, "weights", "import", str(folder)], env=env, check=True, capture_output=True, text=True
    )
    return done.stdout.split()[0]


def _asked(server: Server, weeks: int, **headers: str) -> None:
    body = panel_weeks()[:1].repeat(weeks, axis=0).astype("<f4").tobytes()
    told = {"X-PAT-Standardized": "true", "Accept": "application/octet-stream", **headers}
    httpx.post(f"{server.url}/v1/embed", content=body, headers=told, timeout=120).raise_for_status()


def _served_runner(folder: Path, home: Path, times: int) -> dict[str, Any]:
    """CPU seconds of the runner process until the service has answered its first week: the median start."""
    starts = []
    for _ in range(times):
        with bento(home, {"PAT_CHECKPOINT": _stored(folder, home)}) as server:
            _asked(server, 1)
            starts.append(sum(server.runner().cpu_times()[:2]))
    cpu = statistics.median(starts)
    print(f"  the runner of PAT-M: {cpu:.2f} CPU s to the first answer")
    return {"size": "PAT-M", "cpu_seconds": cpu, "starts": starts}


def _memory(folder: Path, home: Path) -> dict[str, Any]:
    """Peak memory of the runner after batches of 16 weeks of PAT-L, with and without the profile."""
    settings = {"PAT_CHECKPOINT": _stored(folder, home), "PAT_MAX_BATCH_SIZE": "16"}
    with bento(home, settings) as server:
        for _ in range(3):
            _asked(server, 16)
            _asked(server, 16, **{"X-PAT-Profile": "true"})
        status = Path(f"/proc/{server.runner().pid}/status").read_text().splitlines()
        peak = int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024
    print(f"  the runner of PAT-L at batch 16: {peak:.0f} MB at most")
    return {"size": "PAT-L", "batch": 16, "peak_rss_mb": peak}
