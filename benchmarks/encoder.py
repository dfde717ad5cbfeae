"""The encoder against all that a user could pick instead, and against the floor of this processor.

Contenders live in processes of their own and take turns, run after run, so that a drift of the machine's
speed meets all of them; where they do not fit into memory together, each starts anew for its turn. The floor
is measured before every run. Ratios are of one run and the floor before
it, and the median of the turns is what is reported.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.contenders import CONTENDERS
from benchmarks.peak import Probe, flop
from benchmarks.weights import seeded
from benchmarks.workers import Run, Worker, WorkerFailed
from models.checkpoint import Checkpoint, save_folded
from models.config import CONFIGS
from models.golden import PANEL, panel_weeks
from models.pat import reference

__all__ = ["BATCHES", "PEERS", "SIZES", "Contender", "Matrix", "measure", "prepared", "report", "take_turns"]

PEERS = Path(".venv-peers")
SIZES = ("PAT-S", "PAT-M", "PAT-L")
BATCHES = (1, 8, 32)
TURNS = {1: 9, 8: 5, 32: 3}  # by the weeks in a batch: some batches of 32 take a minute
_FLOAT_BYTES, _SCORES_BYTES = 4, 1_000_000_000  # of one layer's scores: beyond it processes do not stay
_KERAS = Path(__file__).parent / "peers" / "keras_peer.py"
_TORCH = Path(__file__).parent / "peers" / "torch_peer.py"
_OF_PEERS = {
    "Keras tf.function": ("keras", _KERAS, "function"),
    "Keras predict": ("keras", _KERAS, "predict"),
    "torch.compile": ("torch", _TORCH, "compile"),
    "ONNX Runtime, plain export": ("torch", _TORCH, "export"),
}


@dataclass(frozen=True)
class Matrix:
    """What is measured; a quick run takes a corner of it."""

    batch: int
    sizes: tuple[str, ...] = SIZES
    threads: tuple[int, ...] = (1, 2)
    turns: int | None = None

    @property
    def turns_taken(self) -> int:
        """How often every contender runs."""
        return self.turns or TURNS[self.batch]


@dataclass
class Contender:
    """One contender in one cell: its runs turn by turn."""

    name: str
    size: str
    batch: int
    threads: int
    minutes: int = 10_080
    runs: list[Run] = field(default_factory=list)
    floors_ms: list[float] = field(default_factory=list)  # of the same turns, by CPU time, in its precision
    difference: float | None = None  # of pooled from float64, largest
    peak_rss_mb: float | None = None
    failed: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it for the results file, with medians and spread."""
        made = {**asdict(self), "runs": [asdict(run) for run in self.runs]}
        if self.runs:
            cpu, wall = [run.cpu_ms for run in self.runs], [run.wall_ms for run in self.runs]
            made |= {"cpu_ms": median(cpu), "cpu_ms_spread": [min(cpu), max(cpu)]}
            made |= {"wall_ms": median(wall), "wall_ms_spread": [min(wall), max(wall)]}
        if self.floors_ms:
            ratios = [run.cpu_ms / floor for run, floor in zip(self.runs, self.floors_ms, strict=True)]
            made["times_floor"] = median(ratios)
        return made


def measure(matrix: Matrix) -> list[dict[str, Any]]:
    """Measure every cell of ``matrix`` and return one document per contender and cell."""
    probe, found = Probe(), []
    with tempfile.TemporaryDirectory(prefix="pat-bench-") as scratch:
        for size in matrix.sizes:
            folder = prepared(seeded(size), Path(scratch) / size)
            for threads in matrix.threads:
                cell = _cell(size, matrix.batch, threads)
                take_turns(cell, folder, probe, matrix.turns_taken)
                found += [contender.document() for contender in cell]
                report(cell)
    return found


def prepared(checkpoint: Checkpoint, folder: Path, minutes: int = 10_080) -> Path:
    """Write what contenders need: weights in both forms, the panel, and the reference's outputs for it."""
    save_folded(checkpoint, folder)
    panel = np.resize(panel_weeks(), (len(PANEL), minutes))
    np.save(folder / "panel.npy", panel)
    np.save(folder / "reference.npy", reference(checkpoint, panel).pooled)
    (folder / "config.json").write_text(json.dumps(asdict(checkpoint.config)))
    return folder


def _cell(size: str, batch: int, threads: int) -> list[Contender]:
    return [Contender(name, size, batch, threads) for name in (*CONTENDERS, *_present_peers())]


def _present_peers() -> Iterator[str]:
    for name, (environment, _, _) in _OF_PEERS.items():
        if (PEERS / environment / "bin" / "python").exists():
            yield name


def _command(contender: Contender, folder: Path) -> list[str]:
    tail = [str(folder), str(contender.batch), str(contender.threads)]
    if contender.name in CONTENDERS:
        return [sys.executable, "-m", "benchmarks.contenders", contender.name, *tail]
    environment, program, how = _OF_PEERS[contender.name]
    return [str(PEERS / environment / "bin" / "python"), str(program), how, *tail]


def take_turns(cell: list[Contender], folder: Path, probe: Probe, turns: int) -> None:
    """Run every contender of ``cell`` in turns, and note what they say."""
    with _Workers(folder, keep=_fit_together(cell[0])) as workers:
        for _ in range(turns):
            for contender in cell:
                if contender.failed is None:
                    _take_turn(contender, workers, probe)


def _take_turn(contender: Contender, workers: _Workers, probe: Probe) -> None:
    try:
        with workers.lend(contender) as worker:
            contender.difference = worker.ready["difference"]
            peaks = probe.gflops()  # each time: others on the machine come and go within a turn
            contender.runs.append(worker.run())
            arithmetic = "bf16" if "bf16" in contender.name else "fp32"
            if arithmetic in peaks:
                work = flop(CONFIGS[contender.size], contender.minutes)
                contender.floors_ms.append(work / peaks[arithmetic] / 1e6)
            contender.peak_rss_mb = worker.peak_rss_mb()
    except WorkerFailed as error:
        contender.failed = str(error).strip().splitlines()[-1] if str(error).strip() else "no word"


def _fit_together(contender: Contender) -> bool:
    """Whether the processes of a cell fit into memory side by side; some hold the scores of all heads."""
    config = CONFIGS[contender.size]
    tokens = contender.minutes // config.patch
    return contender.batch * config.heads * tokens**2 * _FLOAT_BYTES < _SCORES_BYTES


class _Workers(ExitStack):
    """The processes of a cell: kept from turn to turn, or started anew for each."""

    def __init__(self, folder: Path, *, keep: bool) -> None:
        super().__init__()
        self._folder, self._keep = folder, keep
        self._kept: dict[str, Worker] = {}

    @contextmanager
    def lend(self, contender: Contender) -> Iterator[Worker]:
        """Yield the process of ``contender``, loaded and warm; raises WorkerFailed."""
        worker = self._kept.get(contender.name)
        if worker is None:
            worker = Worker(_command(contender, self._folder), contender.threads)
            self.callback(worker.end)
        if self._keep:
            self._kept[contender.name] = worker
        yield worker
        if not self._keep:
            worker.end()


def report(cell: list[Contender]) -> None:
    """Print one cell."""
    first = cell[0]
    print(f"\n{first.size}, batch {first.batch}, {first.threads} threads")
    for contender in cell:
        made = contender.document()
        if contender.failed:
            print(f"  {contender.name:28} not run: {contender.failed[:90]}")
            continue
        ratio = f"{made['times_floor']:.2f}x floor" if "times_floor" in made else ""
        print(
            f"  {contender.name:28} {made['cpu_ms']:8.1f} cpu ms {made['wall_ms']:8.1f} wall ms {ratio:>12} "
            f"  {contender.peak_rss_mb:6.0f} MB  {contender.difference:.1e}"
        )
