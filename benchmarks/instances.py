"""Two instances behind nginx under a closed load: what callers notice when one is killed or both renewed.

Everything is real and of deploy/ (tests/e2e/instances.py): nginx, both instances guarded and over TLS, the
Redis servers they share. Callers, nginx and instances share the cores of this machine, so the rates say
how they compare with each other, not how fast two machines are.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.instances import Deployed, Instance, Load, deployed, load

__all__ = ["measure"]

WEEK = Path(__file__).parent.parent / "examples" / "week.json"
CALLERS = 8
FULL = 0.9  # of the rate before, over two seconds, is full throughput again


@dataclass(frozen=True)
class Happened:
    """When an instance went, and when it was ready again."""

    gone: float
    ready: float


def measure(steady_seconds: float = 10) -> list[dict[str, Any]]:
    """Return a row for each thing that happens to an instance."""
    body = json.dumps(json.loads(WEEK.read_text())).encode()
    with tempfile.TemporaryDirectory() as folder, deployed(Path(folder)) as at:
        rows = []
        for what, doing in (("one killed", _killed), ("both renewed", _renewed)):
            asking, happened = asyncio.run(_amid(at, body, doing, steady_seconds))
            rows.append(_row(what, asking, happened, steady_seconds))
            print(rows[-1], flush=True)
        return rows


async def _amid(
    at: Deployed, body: bytes, doing: Callable[[Deployed], Happened], steady_seconds: float
) -> tuple[Load, Happened]:
    """Do it in the midst of the load."""
    asking = load(at, body, CALLERS)
    task = asyncio.create_task(asking.run())
    try:
        await asyncio.sleep(steady_seconds + 2)  # two for connections and caches
        happened = await asyncio.to_thread(doing, at)
        await asyncio.sleep(steady_seconds)
    finally:
        asking.running = False
        await task
    return asking, happened


def _killed(at: Deployed) -> Happened:
    """SIGKILL to all of an instance; it is started again at once, as a supervisor does."""
    gone, instance = time.monotonic(), at.instances[0]
    instance.kill()
    return _started(instance, gone)


def _renewed(at: Deployed) -> Happened:
    """The rollout of docs/deployment.md: SIGTERM and a start, of one and then of the other."""
    gone = time.monotonic()
    for instance in at.instances:
        instance.stop()
        instance.start()
        instance.wait()
    return Happened(gone, time.monotonic())


def _started(instance: Instance, gone: float) -> Happened:
    instance.start()
    instance.wait()
    return Happened(gone, time.monotonic())


def _row(what: str, asking: Load, happened: Happened, steady_seconds: float) -> dict[str, Any]:
    before = asking.rate(happened.gone - steady_seconds, happened.gone)
    waits = sorted(told - began for began, told, _ in asking.told if told >= happened.gone)
    return {
        "what": what,
        "answers": len(asking.told),
        "failures": len(asking.failures()),
        "rate_before": before,
        "rate_meanwhile": asking.rate(happened.gone, happened.ready),
        "rate_after": asking.rate(happened.ready + 1, happened.ready + steady_seconds),
        "ready_again_seconds": happened.ready - happened.gone,
        "full_again_seconds": _full_again(asking, happened.gone, before),
        "longest_answer_seconds": waits[-1],
    }


def _full_again(asking: Load, gone: float, before: float) -> float | None:
    """Return after how long the next two seconds have the rate of before; None if that was never so."""
    last = max(told for _, told, _ in asking.told)
    moment = gone
    while moment + 2 <= last:
        if asking.rate(moment, moment + 2) >= FULL * before:
            return moment - gone
        moment += 0.1
    return None
