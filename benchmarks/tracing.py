"""What it costs to trace every request: the same service with a collector and without, in turns.

Two servers of the working tree stand on this machine; one sleeps while the other is asked by four clients at
a time. The collector is a program of its own on the same machine, which takes a little of it as well.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.servers import Server, bento
from models.golden import panel_weeks

__all__ = ["Plan", "measure"]

WEIGHTS = Path("models/weights/pat-s-demo")
CLIENTS = 4
_COLLECTOR = """
from tests.doubles.span_sink import SpanSink
sink = SpanSink()
print(sink.url, flush=True)
sink.serve_forever()
"""
_JSON = {"Content-Type": "application/json"}
_OCTETS = {"Accept": "application/octet-stream", "X-PAT-Standardized": "true"}


@dataclass(frozen=True)
class Plan:
    """How long each server is asked in a turn, and how many turns there are."""

    seconds: float = 4.0
    turns: int = 7


@dataclass(frozen=True)
class Turn:
    """What one server did in one turn."""

    rate: float  # requests per second
    cpu_ms: float  # per request, of all its processes


def measure(plan: Plan | None = None) -> list[dict[str, Any]]:
    """Measure both doors; ratios are of one turn, medians of all."""
    found = []
    with _servers() as (without, traced):
        for name, path, body, headers in _doors():
            asked = _Asked(path, body, headers)
            pairs = [_pair(asked, without, traced, plan or Plan()) for _ in range((plan or Plan()).turns)]
            found.append(_document(name, pairs))
            print(f"  {found[-1]}")
    return found


def _document(name: str, pairs: list[tuple[Turn, Turn]]) -> dict[str, Any]:
    return {
        "door": name,
        "rate": statistics.median(off.rate for off, _ in pairs),
        "rate_traced": statistics.median(on.rate for _, on in pairs),
        "rate_ratio": statistics.median(on.rate / off.rate for off, on in pairs),
        "cpu_ms": statistics.median(off.cpu_ms for off, _ in pairs),
        "cpu_ms_traced": statistics.median(on.cpu_ms for _, on in pairs),
    }


def _doors() -> Iterator[tuple[str, str, bytes, dict[str, str]]]:
    yield "/v1/embed, one week", "/v1/embed", panel_weeks()[:1].astype("<f4").tobytes(), _OCTETS
    week = json.loads(Path("examples/week.json").read_text())
    yield "/analyze", "/analyze", json.dumps(week).encode(), _JSON


@contextmanager
def _servers() -> Iterator[tuple[Server, Server]]:
    """Yield a server without a collector and one with, both asleep."""
    with tempfile.TemporaryDirectory(prefix="pat-bench-") as scratch, ExitStack() as stack:
        home, second = Path(scratch) / "home", Path(scratch) / "second"
        pat = [str(Path(sys.executable).with_name("pat")), "weights", "import", str(WEIGHTS)]
        env = {**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
        subprocess.run(pat, env=env, check=True, capture_output=True)
        shutil.copytree(home, second)
        traced = {"PAT_OTLP_ENDPOINT": stack.enter_context(_collector()), "PAT_OTLP_SAMPLE": "1.0"}
        traced |= {"PAT_OTLP_SIGNALS": "traces"}
        servers = [stack.enter_context(bento(*given)) for given in ((home, {}), (second, traced))]
        for server in servers:
            server.sleep()
        yield servers[0], servers[1]


@contextmanager
def _collector() -> Iterator[str]:
    """Yield the address of a collector in a process of its own."""
    started = subprocess.Popen([sys.executable, "-c", _COLLECTOR], stdout=subprocess.PIPE, text=True)
    try:
        assert started.stdout is not None  # noqa: S101  # it was asked for
        yield started.stdout.readline().strip()
    finally:
        started.kill()
        started.wait()


@dataclass(frozen=True)
class _Asked:
    """What is asked, again and again."""

    path: str
    body: bytes
    headers: dict[str, str]


def _pair(asked: _Asked, without: Server, traced: Server, plan: Plan) -> tuple[Turn, Turn]:
    return _turn(asked, without, plan.seconds), _turn(asked, traced, plan.seconds)


def _turn(asked: _Asked, server: Server, seconds: float) -> Turn:
    with server.awake():
        asyncio.run(_load(asked, server, 0.5))  # awake, and warm
        spent, began = server.cpu_seconds(), time.perf_counter()
        answered = asyncio.run(_load(asked, server, seconds))
        wall, spent = time.perf_counter() - began, server.cpu_seconds() - spent
    return Turn(answered / wall, 1e3 * spent / answered)


async def _load(asked: _Asked, server: Server, seconds: float) -> int:
    """Return how many requests of four clients were answered in ``seconds``."""
    until = time.perf_counter() + seconds

    async def client(session: aiohttp.ClientSession) -> int:
        answered = 0
        while time.perf_counter() < until:
            url = server.url + asked.path
            async with session.post(url, data=asked.body, headers=asked.headers) as answer:
                said = await answer.read()
                if answer.status != 200:
                    raise RuntimeError(f"{asked.path}: {answer.status} {said[:200]!r}")
            answered += 1
        return answered

    async with aiohttp.ClientSession() as session:
        return sum(await asyncio.gather(*(client(session) for _ in range(CLIENTS))))
