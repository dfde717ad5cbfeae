"""The service below, at and beyond what it can do, beside what a simulation of its queue expects.

A lone caller's requests are measured first, one at a time with a pause before each. What is answered while as
many wait as are under way is the capacity, of which arrivals then bring a half, four fifths and twice; it is
measured before each of them and after, as what a shared machine can do changes by the minute. The simulation
gets the same arrivals, as many servers as there are requests under way, and the service times that were
measured at capacity on both sides: the times between two answers, times the servers.
"""

from __future__ import annotations

import heapq
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.load import Arrivals, Ask, Driven, Together, check, drive, percentile, recordings, weeks
from benchmarks.servers import Server, bento
from serving.settings import Settings

__all__ = ["LoadStudy", "measure", "simulated"]

WEIGHTS = Path("models/weights/pat-s-demo")
PAUSE_SECONDS = 0.03  # on average, before each request of a lone caller
SHARES = (0.5, 0.8, 2.0)
ONSET_SECONDS = 1.0  # of an overload, which is reported by itself too


@dataclass(frozen=True)
class LoadStudy:
    """How much is measured."""

    alone: int = 220
    together: int = 600
    seconds: float = 25.0
    requests: int = 20_000  # over which memory is watched
    seed: int = 8


def measure(study: LoadStudy) -> dict[str, Any]:
    """Measure; every figure of the results is told from here."""
    asks, origin = recordings()
    with _served({}) as server:
        check(server.url, asks)
        found = _Measured(server, asks, study)
        document: dict[str, Any] = {"asked": origin, "seed": study.seed, "at_once": _at_once()}
        document |= {"alone": found.alone(), "capacity_per_second": found.capacity().rate}
        document["arrivals"] = [found.at(share) for share in SHARES]
        document["targets"] = _targets(document)
        print(f"  {document['targets']}")
    # BentoML keeps something of each request until its timeout has run out
    with _served({"PAT_TIMEOUT_SECONDS": "5"}) as server:
        document["memory"] = _memory(server, study)
    return document


@contextmanager
def _served(settings: Mapping[str, str]) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="pat-bench-") as scratch:
        home = Path(scratch) / "home"
        pat = [str(Path(sys.executable).with_name("pat")), "weights", "import", str(WEIGHTS)]
        env = {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True", "PATH": "/usr/bin:/bin"}
        subprocess.run(pat, env=env, check=True, capture_output=True)
        with bento(home, settings) as server:
            yield server
        shutil.rmtree(home, ignore_errors=True)


def _at_once() -> int:
    return Settings.from_environment({}).max_requests


@dataclass(frozen=True)
class _Capacity:
    """How many a second are answered, and the seconds that each takes of a place."""

    rate: float
    service: Sequence[float]


class _Measured:
    """One service, and what was found of it so far."""

    def __init__(self, server: Server, asks: Sequence[Ask], study: LoadStudy) -> None:
        self._server, self._url, self._asks, self._study = server, server.url, asks, study
        self._at_once = _at_once()
        self._last = _Capacity(0.0, ())

    def alone(self) -> dict[str, Any]:
        """Measure what a lone caller waits, who pauses before each request."""
        plan = Together(self._url, self._asks, 1, self._study.alone, self._study.seed, PAUSE_SECONDS)
        return _said("alone", drive(plan))

    def capacity(self) -> _Capacity:
        """Measure how many a second are answered while the place of each is taken at once."""
        callers = 2 * self._at_once
        driven = drive(Together(self._url, self._asks, callers, self._study.together, self._study.seed))
        ends = sorted(one.ended for one in driven.of(200))
        self._last = _Capacity(
            len(ends) / driven.seconds, tuple(gap * self._at_once for gap in np.diff(ends))
        )
        print(f"  {self._last.rate:.1f}/s", flush=True)
        return self._last

    def at(self, share: float) -> dict[str, Any]:
        """Measure arrivals at ``share`` of the capacity as measured last, and simulate them."""
        capacity = self._last
        rate = share * capacity.rate
        plan = Arrivals(self._url, self._asks, rate, self._study.seconds, self._study.seed)
        before = self._cpu()
        driven = drive(plan)
        server, machine = (after - at for after, at in zip(self._cpu(), before, strict=True))
        document = {"share": share, "rate": rate, **_said(f"{share:.0%}", driven)}
        after = self.capacity()
        document["capacities_per_second"] = [capacity.rate, after.rate]
        document["server_cores"] = server / driven.seconds
        document["others_cores"] = (machine - server - driven.cpu_seconds) / driven.seconds
        print(f"    server {document['server_cores']:.2f} cores, others {document['others_cores']:.2f}")
        if share < 1:
            due = [at for at, _ in plan.drawn()]
            service = (*capacity.service, *after.service)
            return document | {"simulated_ms": simulated(due, service, self._at_once)}
        return document | _refusals(driven)

    def _cpu(self) -> tuple[float, float]:
        """Return the CPU seconds of the service, and of everything on this machine."""
        every = psutil.cpu_times()
        return self._server.cpu_seconds(), every.user + every.nice + every.system


def _said(name: str, driven: Driven) -> dict[str, Any]:
    document = driven.document()
    latency = ", ".join(f"{key} {value:.1f}" for key, value in document["latency_ms"].items())
    print(
        f"  {name:6} {document['statuses']} {document['answered_per_second']:.1f}/s, ms: {latency}",
        flush=True,
    )
    return document


def _refusals(driven: Driven) -> dict[str, Any]:
    """Return how long the refused waited for that, and the admitted while the overload came on."""
    refused = [one.latency for one in driven.of(503)]
    onset = [one.latency for one in driven.of(200) if one.due < ONSET_SECONDS]
    return {
        "refused_ms": {f"p{share}": percentile(refused, share) * 1e3 for share in (50, 99)},
        "onset_admitted_p99_ms": percentile(onset, 99) * 1e3,
    }


def simulated(due: Sequence[float], service: Sequence[float], servers: int) -> dict[str, float]:
    """Return the milliseconds that requests ``due`` then take, first come, first served.

    Each keeps one of ``servers`` for one of the ``service`` times, in seconds, drawn at random.
    """
    random = np.random.default_rng(0)
    free = [0.0] * servers
    waits = []
    for at, takes in zip(due, random.choice(np.asarray(service), len(due)), strict=True):
        ends = max(at, heapq.heappop(free)) + float(takes)
        heapq.heappush(free, ends)
        waits.append(ends - at)
    return {f"p{share}": percentile(waits, share) * 1e3 for share in (50, 90, 99)}


def _memory(server: Server, study: LoadStudy) -> dict[str, Any]:
    """Watch the memory of all processes over many small requests."""
    asks, part = weeks(), max(1, study.requests // 10)
    check(server.url, asks)
    sizes = []
    for turn in range(10):
        driven = drive(Together(server.url, asks, 4, part, turn))
        if set(driven.statuses) != {200}:
            raise RuntimeError(f"expected 200 alone, found {driven.statuses}")
        sizes.append(sum(process.memory_info().rss for process in server.processes()) / 1e6)
    counts = part * np.arange(1, 11)
    slope = float(np.polyfit(counts[5:], sizes[5:], 1)[0])
    print(f"  memory {sizes[0]:.0f} to {sizes[-1]:.0f} MB", flush=True)
    return {"requests": int(counts[-1]), "rss_mb": sizes, "late_slope_mb_per_10000": slope * 10_000}


def _targets(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each target beside what was found."""
    alone = found["alone"]["latency_ms"]
    half, most, twice = found["arrivals"]
    rows = [
        ("at 50 %: p99 over the lone median", half["latency_ms"]["p99"] / alone["p50"], 5.0),
        ("at 80 %: p99 over the simulated p99", most["latency_ms"]["p99"] / most["simulated_ms"]["p99"], 1.3),
        (
            "at 200 %: p99 of the admitted over the lone p99",
            twice["latency_ms"]["p99"] / alone["p99"],
            3.0,
        ),
        ("at 200 %: p99 of refusals, ms", twice["refused_ms"]["p99"], 100.0),
        ("answers that are neither 200 nor a refusal", float(_others(found)), 0.0),
    ]
    return [
        {"target": name, "found": value, "most": limit, "held": value <= limit} for name, value, limit in rows
    ]


def _others(found: dict[str, Any]) -> int:
    each = [found["alone"], *found["arrivals"]]
    return sum(
        count for one in each for status, count in one["statuses"].items() if status not in ("200", "503")
    )
