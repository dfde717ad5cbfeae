"""Sends load to a running service: requests at random moments, as strangers send them.

    python -m benchmarks.load URL [--rate 20] [--seconds 30] [--seed 0]

Open loop: a Poisson process of a stated seed says when each request is due, however long others take, and
its latency counts from then. ``together`` sends as many at a time instead, which tells what a service can do.
Either is done in a process of its own, whose CPU time is part of the result. Recordings are the real ones of
../shared where that is present, else the examples; every door is looked up in the service's own OpenAPI
document, and asked once, before any load.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import numpy as np
import numpy.typing as npt

__all__ = [
    "Arrivals",
    "Ask",
    "Driven",
    "Sent",
    "Together",
    "check",
    "drive",
    "files",
    "percentile",
    "recordings",
    "weeks",
]

_NICE = -10
LOST = 0  # the status of a request that got no answer
PATIENCE_SECONDS = 120
_ROOT = Path(__file__).parents[1]
_DEVICES = "data/devices"
_FILES = ("*.AWD", "*.agd", "*.mtn", "*.csv", "*.csv.gz", "*.txt")  # that are read without a hint
_EXAMPLES = ("week.awd", "week.csv")
_COHORT = "data/cohorts/depresjon.npz"
_WEEK, _EIGHT_DAYS = 7 * 1440, 8 * 1440
_JSON = {"Content-Type": "application/json"}
T = TypeVar("T")


@dataclass(frozen=True)
class Ask:
    """One request that is sent again and again."""

    name: str
    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Arrivals:
    """Requests due at random moments: ``rate`` a second on average, any of ``asks`` as likely as another."""

    url: str
    asks: Sequence[Ask]
    rate: float
    seconds: float
    seed: int = 0

    def drawn(self) -> list[tuple[float, int]]:
        """Return when each request is due, in seconds from the start, and which it is."""
        random = np.random.default_rng(self.seed)
        due = np.cumsum(random.exponential(1 / self.rate, int(self.rate * self.seconds * 1.5) + 50))
        which = random.integers(len(self.asks), size=len(due))
        return [(float(at), int(one)) for at, one in zip(due, which, strict=True) if at < self.seconds]


@dataclass(frozen=True)
class Together:
    """``count`` requests, ``at_once`` under way at a time: the next is sent when one is answered.

    Before each there is a pause of ``pause`` seconds on average, of random length.
    """

    url: str
    asks: Sequence[Ask]
    at_once: int
    count: int
    seed: int = 0
    pause: float = 0.0

    def drawn(self) -> list[tuple[float, int]]:
        """Return the pause before each request, and which it is: all of ``asks`` equally often, shuffled."""
        random = np.random.default_rng(self.seed)
        which = random.permutation(np.arange(self.count) % len(self.asks))
        pauses = random.exponential(self.pause, self.count) if self.pause else np.zeros(self.count)
        return [(float(pause), int(one)) for pause, one in zip(pauses, which, strict=True)]


@dataclass(frozen=True)
class Sent:
    """What became of a request; all in seconds from the start. ``status`` 0 is no answer."""

    ask: int
    due: float
    began: float
    ended: float
    status: int
    retry_after: str = ""

    @property
    def latency(self) -> float:
        """Seconds from when it was due."""
        return self.ended - self.due


@dataclass(frozen=True)
class Driven:
    """All that was sent, and what sending it cost this machine."""

    sent: Sequence[Sent]
    seconds: float
    cpu_seconds: float

    @property
    def statuses(self) -> dict[int, int]:
        """How many were answered with each status."""
        return dict(sorted(Counter(one.status for one in self.sent).items()))

    @property
    def late_seconds(self) -> float:
        """How late all but one of a hundred were sent: what the generator itself adds at most."""
        return percentile([one.began - one.due for one in self.sent], 99)

    def of(self, *statuses: int) -> list[Sent]:
        """Return what was answered with one of ``statuses``."""
        return [one for one in self.sent if one.status in statuses]

    def document(self) -> dict[str, Any]:
        """Return it in numbers."""
        answered = [one.latency for one in self.of(200)]
        return {
            "requests": len(self.sent),
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "seconds": self.seconds,
            "answered_per_second": len(answered) / self.seconds,
            "latency_ms": _quantiles(answered),
            "generator_cores": self.cpu_seconds / self.seconds,
            "generator_late_p99_ms": self.late_seconds * 1e3,
        }


def percentile(values: Sequence[float], share: float) -> float:
    """Return the percentile of ``values``; NaN of none."""
    return float(np.percentile(values, share)) if len(values) else float("nan")


def _quantiles(seconds: Sequence[float]) -> dict[str, float]:
    return {f"p{share}": percentile(seconds, share) * 1e3 for share in (50, 90, 99)} if seconds else {}


def recordings() -> tuple[list[Ask], str]:
    """Return real weeks of wrist actigraphy for ``/analyze``, and where they are from."""
    cohort = _shared(_COHORT)
    if not cohort.exists():
        week = (_ROOT / "examples" / "week.json").read_bytes()
        return [Ask("week.json", "/analyze", week, _JSON)], "the example week (../shared is not here)"
    with np.load(cohort) as held:
        made = [
            Ask(str(name), "/analyze", _week(start, counts), _JSON)
            for name, start, counts in zip(
                held["participants"],
                held["start"],
                np.split(held["activity"], held["offsets"][1:-1]),
                strict=True,
            )
            if len(counts) >= _EIGHT_DAYS
        ]
    return made, f"the first whole week of {len(made)} people (Depresjon, doi:10.1145/3204949.3208125)"


def _week(start: np.datetime64, counts: npt.NDArray[np.uint16]) -> bytes:
    """Return the week from the first midnight on, as a caller sends it."""
    midnight = start.astype("datetime64[D]") + np.timedelta64(1, "D")
    first = int((midnight - start) / np.timedelta64(1, "m"))
    return json.dumps(
        {
            "start": f"{midnight}T00:00:00",
            "clock": "wall",
            "epoch_seconds": 60,
            "unit": "actiwatch_counts",
            "device": "actiwatch",
            "wear_site": "wrist",
            "values": counts[first : first + _WEEK].tolist(),
        }
    ).encode()


def files() -> tuple[list[Ask], str]:
    """Return real device files, of a day to three weeks, for ``/v1/recordings:analyze``."""
    found = sorted(path for pattern in _FILES for path in _shared(_DEVICES).glob(pattern))
    origin = "real device files"
    if not found:
        found, origin = [_ROOT / "examples" / name for name in _EXAMPLES], "examples"
    made = [Ask(path.name, "/v1/recordings:analyze", path.read_bytes()) for path in found]
    return made, f"{len(made)} {origin}"


def _shared(relative: str) -> Path:
    return Path(os.environ.get("PAT_SHARED", _ROOT.parent / "shared")) / relative


def weeks() -> list[Ask]:
    """Return single weeks for ``/v1/embed``, small enough for many thousands of them."""
    made = np.random.default_rng(0).normal(size=(8, 10_080)).astype("<f4")
    headers = {"X-PAT-Standardized": "true", "Accept": "application/octet-stream"}
    return [Ask(f"week {number}", "/v1/embed", week.tobytes(), headers) for number, week in enumerate(made)]


def check(url: str, asks: Sequence[Ask], headers: Mapping[str, str] | None = None) -> None:
    """Raise RuntimeError unless the service describes every door that is asked, and answers each with 200."""
    request = urllib.request.Request(f"{url}/openapi.json", headers=dict(headers or {}))  # noqa: S310  # loopback
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # same
        described = json.load(answer)["paths"]
    if unknown := sorted({ask.path for ask in asks} - described.keys()):
        raise RuntimeError(f"the service describes no {unknown[0]}; expected one of {', '.join(described)}")
    for one in drive(Together(url, asks, 1, len(asks))).sent:
        if one.status != 200:
            name = asks[one.ask].name
            raise RuntimeError(f"{name}: expected 200 without load, found {one.status}; look at the service")


def drive(plan: Arrivals | Together) -> Driven:
    """Send what ``plan`` says, from a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_driven, plan).result()


def _driven(plan: Arrivals | Together) -> Driven:
    with contextlib.suppress(PermissionError):  # what sends must not wait for what answers
        os.nice(_NICE)
    work = _arriving(plan) if isinstance(plan, Arrivals) else _together(plan)
    cpu = time.process_time()
    sent, seconds = _run(work)
    return Driven(sent, seconds, time.process_time() - cpu)


def _run(work: Awaitable[T]) -> T:
    """Run ``work`` on the event loop that costs least."""
    import uvloop  # the processes that only read plans need none

    async def whole() -> T:
        return await work

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(whole())


async def _arriving(plan: Arrivals) -> tuple[list[Sent], float]:
    async with _session(plan.url) as session:
        tasks: list[asyncio.Task[Sent]] = []
        start = time.perf_counter() + 0.1
        for due, which in plan.drawn():
            while (wait := start + due - time.perf_counter()) > 0:  # noqa: ASYNC110  # a loop may wake early
                await asyncio.sleep(wait)
            tasks.append(asyncio.create_task(_once(session, plan.asks, which, _Clock(start, due))))
        sent = await asyncio.gather(*tasks)
        return list(sent), max(plan.seconds, time.perf_counter() - start)


async def _together(plan: Together) -> tuple[list[Sent], float]:
    left = plan.drawn()[::-1]
    sent: list[Sent] = []
    async with _session(plan.url) as session:
        start = time.perf_counter()

        async def one_after_another() -> None:
            while left:
                pause, which = left.pop()
                await asyncio.sleep(pause)
                sent.append(
                    await _once(session, plan.asks, which, _Clock(start, time.perf_counter() - start))
                )

        await asyncio.gather(*(one_after_another() for _ in range(plan.at_once)))
        return sent, time.perf_counter() - start


@dataclass(frozen=True)
class _Clock:
    """When all began, and when this one is due."""

    start: float
    due: float

    def now(self) -> float:
        return time.perf_counter() - self.start


def _session(url: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        url,
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(PATIENCE_SECONDS),
    )


async def _once(session: aiohttp.ClientSession, asks: Sequence[Ask], which: int, clock: _Clock) -> Sent:
    ask, began = asks[which], clock.now()
    try:
        async with session.post(ask.path, data=ask.body, headers=ask.headers) as answer:
            await answer.read()
            status, later = answer.status, answer.headers.get("Retry-After", "")
    except (aiohttp.ClientError, TimeoutError):
        status, later = LOST, ""
    return Sent(which, clock.due, began, clock.now(), status, later)


def main() -> None:
    """Read the command line, send, and print the numbers as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second, on average")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    asks, origin = recordings()
    check(given.url, asks)
    driven = drive(Arrivals(given.url, asks, given.rate, given.seconds, given.seed))
    print(json.dumps({"asked": origin, **driven.document()}, indent=1))


if __name__ == "__main__":
    main()
