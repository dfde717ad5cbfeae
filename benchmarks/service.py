"""The whole service under load, beside the same model behind other servers, burst by burst in turns.

Every server stands on this machine with all its cores; the client's CPU time is not counted. What is reported
of a burst: weeks per second, the median latency, CPU milliseconds of all server processes per week, and
which share of them the engine alone would have needed in the same turn.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.encoder import PEERS, prepared
from benchmarks.servers import Server, bento, program
from benchmarks.weights import seeded
from benchmarks.workers import Worker
from models.golden import panel_weeks
from pat_runner.engines import chosen
from serving.cores import cores

__all__ = ["ServiceMatrix", "measure"]

OCTETS = {"Accept": "application/octet-stream", "X-PAT-Standardized": "true"}
JSON = {"Content-Type": "application/json"}
OURS = f"pat {chosen('auto')}"  # the engine of every server but one
BURST = 300  # weeks at 16, before a lone request a second later


@dataclass(frozen=True)
class ServiceMatrix:
    """What is measured."""

    size: str = "PAT-M"
    concurrencies: tuple[int, ...] = (1, 4, 16)
    turns: int = 7
    weeks: int = 48  # in a burst


@dataclass(frozen=True)
class Door:
    """One server's way to take a week."""

    name: str
    kind: str
    server: Server
    path: str
    body: bytes
    headers: dict[str, str]


@dataclass
class Cell:
    """One door at one concurrency, turn by turn."""

    door: Door
    concurrency: int
    rates: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)  # of a turn, the median
    engine_cpu_ms: list[float] = field(default_factory=list)
    engine_wall_ms: list[float] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return it for the results file."""
        pairs = list(zip(self.cpu_ms, self.engine_cpu_ms, strict=True))
        over = [a - b for a, b in zip(self.latencies_ms, self.engine_wall_ms, strict=True)]
        return {
            "server": self.door.name,
            "body": self.door.kind,
            "concurrency": self.concurrency,
            "weeks_per_second": statistics.median(self.rates),
            "weeks_per_second_spread": [min(self.rates), max(self.rates)],
            "cpu_ms": statistics.median(self.cpu_ms),
            "cpu_ms_spread": [min(self.cpu_ms), max(self.cpu_ms)],
            "latency_ms": statistics.median(self.latencies_ms),
            "over_engine_ms": statistics.median(over),
            "engine_share": statistics.median(engine / cpu for cpu, engine in pairs),
        }


def measure(matrix: ServiceMatrix) -> dict[str, Any]:
    """Measure every door at every concurrency, then what a lone request pays after a burst."""
    with tempfile.TemporaryDirectory(prefix="pat-bench-") as scratch, ExitStack() as stack:
        folder = prepared(seeded(matrix.size), Path(scratch) / "stored")
        engine = {n: _engine(folder, n) for n in (1, 8)}
        for worker in engine.values():
            stack.callback(worker.end)
        doors = [door for servers in _servers(folder, Path(scratch)) for door in stack.enter_context(servers)]
        for door in doors:
            door.server.sleep()
        cells = [Cell(door, concurrency) for concurrency in matrix.concurrencies for door in doors]
        asyncio.run(_take_turns(cells, engine, matrix))
        found = [cell.document() for cell in cells]
        for made in found:
            print(
                f"  {made['server']:26} {made['body']:22} at {made['concurrency']:2}: "
                f"{made['weeks_per_second']:6.1f}/s {made['cpu_ms']:6.1f} cpu ms, engine "
                f"{made['engine_share']:.0%}; {made['latency_ms']:6.1f} ms, + {made['over_engine_ms']:.1f}"
            )
        with doors[0].server.awake():
            lone = asyncio.run(_lone_after_burst(doors[0]))
        print(f"  alone {lone['undisturbed_ms']:.1f} ms, after a burst + {lone['extra_ms']:.1f} ms")
        return {"size": matrix.size, "cells": found, "lone_after_burst": lone}


def _engine(folder: Path, batch: int) -> Worker:
    """The engine alone, with all cores: one week after the other, or eight at a time."""
    command = [sys.executable, "-m", "benchmarks.contenders", OURS, str(folder), str(batch), str(cores())]
    return Worker(command, cores())


def _servers(folder: Path, scratch: Path) -> Iterator[Any]:
    yield _ours(folder, scratch)
    for label, name in (("FastAPI, our engine", OURS), ("FastAPI, naive torch", "naive torch")):
        yield _fastapi(label, name, folder)
    if (PEERS / "litserve" / "bin" / "python").exists():
        yield _litserve(folder)


@contextmanager
def _ours(folder: Path, scratch: Path) -> Iterator[list[Door]]:
    home = scratch / "home"
    pat = [str(Path(sys.executable).with_name("pat")), "weights", "import", str(folder)]
    env = {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True", "PATH": "/usr/bin:/bin"}
    stored = subprocess.run(pat, env=env, check=True, capture_output=True, text=True)
    settings = {"PAT_CHECKPOINT": stored.stdout.split()[0], "PAT_MAX_REQUESTS": "16"}  # nobody is to wait
    with bento(home, settings) as server:
        week = json.loads(Path("examples/week.json").read_text())
        without = json.dumps({**week, "options": {"clinical": False}}).encode()
        yield [
            Door("PAT Service", "raw", server, "/v1/embed", _raw(), OCTETS),
            Door("PAT Service", "JSON", server, "/embed", _listed(standardized=True), JSON),
            Door("PAT Service", "analyze, PAT only", server, "/analyze", without, JSON),
            Door("PAT Service", "analyze, all", server, "/analyze", json.dumps(week).encode(), JSON),
        ]
    shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _fastapi(label: str, name: str, folder: Path) -> Iterator[list[Door]]:
    command = [sys.executable, "-m", "benchmarks.peers.fastapi_server", name, str(folder), str(cores())]
    with program(command, "/docs") as server:
        yield [
            Door(label, "raw", server, "/raw", _raw(), {}),
            Door(label, "JSON", server, "/json", _listed(), JSON),
        ]


@contextmanager
def _litserve(folder: Path) -> Iterator[list[Door]]:
    python = str(PEERS / "litserve" / "bin" / "python")
    command = [python, str(Path(__file__).parent / "peers" / "litserve_server.py"), str(folder), str(cores())]
    with program(command, "/health") as server:
        packed = json.dumps({"base64": base64.b64encode(_raw()).decode()}).encode()
        yield [
            Door("LitServe, our engine", "raw", server, "/predict", packed, JSON),
            Door("LitServe, our engine", "JSON", server, "/predict", _listed(), JSON),
        ]


def _raw() -> bytes:
    return panel_weeks()[:1].astype("<f4").tobytes()


def _listed(**more: Any) -> bytes:
    return json.dumps({"weeks": panel_weeks()[:1].tolist(), **more}).encode()


async def _take_turns(cells: Sequence[Cell], engine: dict[int, Worker], matrix: ServiceMatrix) -> None:
    for _ in range(matrix.turns):
        for concurrency in matrix.concurrencies:
            alone = await asyncio.to_thread(engine[1 if concurrency == 1 else 8].run)
            for cell in (cell for cell in cells if cell.concurrency == concurrency):
                with cell.door.server.awake():
                    await _turn(cell, matrix.weeks)
                cell.engine_cpu_ms.append(alone.cpu_ms)
                cell.engine_wall_ms.append(alone.wall_ms)


async def _turn(cell: Cell, weeks: int) -> None:
    """One burst over fresh connections, after a short one: while others ran, caches went cold."""
    async with aiohttp.ClientSession() as session:
        await _burst(session, cell.door, cell.concurrency, max(4, cell.concurrency))
        before, began = cell.door.server.cpu_seconds(), time.perf_counter()
        latencies = await _burst(session, cell.door, cell.concurrency, weeks)
        cell.rates.append(weeks / (time.perf_counter() - began))
        cell.cpu_ms.append((cell.door.server.cpu_seconds() - before) / weeks * 1e3)
        cell.latencies_ms.append(statistics.median(latencies) * 1e3)


async def _burst(session: aiohttp.ClientSession, door: Door, concurrency: int, weeks: int) -> list[float]:
    turn = asyncio.Semaphore(concurrency)

    async def one() -> float:
        async with turn:
            return await _once(session, door)

    return list(await asyncio.gather(*(one() for _ in range(weeks))))


async def _once(session: aiohttp.ClientSession, door: Door) -> float:
    began = time.perf_counter()
    async with session.post(door.server.url + door.path, data=door.body, headers=door.headers) as answer:
        said = await answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{door.name} {door.path}: {answer.status} {said[:200]!r}")
    return time.perf_counter() - began


async def _lone_after_burst(door: Door, times: int = 5) -> dict[str, Any]:
    """One request a second after ``BURST`` of them at 16, beside requests that nothing disturbed."""
    async with aiohttp.ClientSession() as session:
        await asyncio.sleep(2)
        undisturbed = []
        for _ in range(15):
            undisturbed.append(await _once(session, door) * 1e3)
            await asyncio.sleep(0.2)
        after = []
        for _ in range(times):
            await _burst(session, door, 16, BURST)
            await asyncio.sleep(1)
            after.append(await _once(session, door) * 1e3)
    middle = statistics.median(undisturbed)
    return {
        "undisturbed_ms": middle,
        "after_ms": after,
        "extra_ms": statistics.median(after) - middle,
    }
