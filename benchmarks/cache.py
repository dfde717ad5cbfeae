"""What the cache saves, through the whole guarded service: one request, a mix, and equal ones at a time.

Three guarded servers of the working tree stand on this machine, without a cache, with one in memory and with
one on a Redis, and take turns, request by request. What the client needs to build a body is not counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import numpy as np

from tests.e2e.guarded import bearer, guarded
from tests.e2e.server import free_port, home_with_demo_weights, wait
from tests.redis_server import RedisServer, redis_server

__all__ = ["measure"]

REQUESTS, EQUAL = 100, 200
TARGET_MS = 6.0
_RECORDINGS, _SEED = 60, 8  # of the mix
_IN_A_ROW = 50
_MINUTE = 5_000  # that makes a week another one; PAT reads it
_JSON = {"Content-Type": "application/json"}
_OCTETS = {"Accept": "application/octet-stream", "X-PAT-Standardized": "true"}
_ALL_AT_ONCE = {"PAT_MAX_REQUESTS": "200"}
_MANY = {f"PAT_RATE_{kind}": "1000000" for kind in ("ADDRESS", "CALLER", "TENANT")}


@dataclass(frozen=True)
class Ask:
    """One request."""

    path: str
    body: bytes
    headers: Mapping[str, str]


@dataclass
class Way:
    """One way to be answered: by which server, and whether it was asked the same before."""

    name: str
    url: str
    again: bool
    latencies_ms: list[float] = field(default_factory=list)


def measure(requests: int = REQUESTS) -> dict[str, Any]:
    """Measure doors, the mix and equal requests; the target is a hit within 6 ms in the median."""
    with redis_server("cache") as redis:
        with _servers(redis) as urls:
            doors = [asyncio.run(_door(urls, name, requests)) for name in _DOORS]
            mix = asyncio.run(_mix(urls, 3 * requests))
        equal = [_equal("memory", {}), _equal("Redis", _on(redis))]
    found = {"doors": doors, "mix": mix, "equal": equal, "target_ms": TARGET_MS, "requests": requests}
    print(f"  {found}")
    return found


def _on(redis: RedisServer) -> dict[str, str]:
    return {"PAT_CACHE_URL": redis.url, "PAT_CACHE_CREDENTIALS_FILE": str(redis.credentials)}


@contextlib.contextmanager
def _servers(redis: RedisServer) -> Iterator[dict[str, str]]:
    """Serve with each kind of cache; yields their addresses."""
    kinds = {"none": {"PAT_CACHE_BYTES": "0"}, "memory": {}, "Redis": _on(redis)}
    with contextlib.ExitStack() as stack:
        urls = {}
        for name, settings in kinds.items():
            home = stack.enter_context(home_with_demo_weights())
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pat-bench-")))
            urls[name] = stack.enter_context(guarded(home, folder, {**_MANY, **settings})).url
        yield urls


def _week(number: int) -> dict[str, Any]:
    """The example week with another minute for each ``number``."""
    week: dict[str, Any] = json.loads(Path("examples/week.json").read_text())
    week["values"][_MINUTE] = number
    return week


def _rows(number: int, weeks: int) -> bytes:
    made = np.random.default_rng(number).normal(size=(weeks, 10_080)).astype("<f4")
    return made.tobytes()


def _analyze(number: int) -> Ask:
    return Ask("/analyze", json.dumps(_week(number)).encode(), _JSON)


def _fhir(number: int) -> Ask:
    return Ask("/analyze_fhir", json.dumps(_week(number)).encode(), _JSON)


def _report(number: int) -> Ask:
    return Ask("/v1/recordings:report", json.dumps(_week(number)).encode(), _JSON)


def _embed(number: int) -> Ask:
    return Ask("/v1/embed", _rows(number, 1), _OCTETS)


def _bulk(number: int) -> Ask:
    return Ask("/v1/embed", _rows(number, 64), _OCTETS)


_DOORS = {
    "/analyze": _analyze,
    "/analyze_fhir": _fhir,
    "/v1/embed, one raw week": _embed,
    "/v1/embed, 64 raw weeks": _bulk,
}


async def _door(urls: Mapping[str, str], name: str, requests: int) -> dict[str, Any]:
    """Ask every way in turn, so that whatever else the machine does meets all of them."""
    ways = [
        Way("without", urls["none"], again=False),
        Way("memory, miss", urls["memory"], again=False),
        Way("memory, hit", urls["memory"], again=True),
        Way("Redis, miss", urls["Redis"], again=False),
        Way("Redis, hit", urls["Redis"], again=True),
    ]
    few = requests // 4 if "64" in name else requests
    first = 1_000 * (1 + list(_DOORS).index(name))  # no door's recordings are another's
    async with _session() as session:
        for number in range(-10, few):  # the first ten warm up
            ask = _DOORS[name](first + number)
            for way in ways:
                taken, use = await _once(session, way.url, ask)
                expected = "bypass" if way.name == "without" else "hit" if way.again else "miss"
                if use != expected:
                    raise RuntimeError(f"{name}, {way.name}: expected {expected}, found {use}")
                way.latencies_ms += [taken] if number >= 0 else []
    made = {"door": name, "median_ms": {way.name: statistics.median(way.latencies_ms) for way in ways}}
    print(f"  {made}", flush=True)
    return made


@contextlib.asynccontextmanager
async def _session() -> Any:
    connector = aiohttp.TCPConnector(limit=EQUAL)
    async with aiohttp.ClientSession(connector=connector, headers=bearer(roles=["clinician"])) as session:
        yield session


async def _once(session: aiohttp.ClientSession, url: str, ask: Ask) -> tuple[float, str]:
    """Ask; return milliseconds and what the cache was."""
    began = time.perf_counter()
    async with session.post(url + ask.path, data=ask.body, headers=ask.headers) as answer:
        said = await answer.read()
        taken = (time.perf_counter() - began) * 1e3
        if answer.status != 200:
            raise RuntimeError(f"{ask.path}: {answer.status} {said[:200]!r}")
        return taken, answer.headers["X-PAT-Cache"]


async def _mix(urls: Mapping[str, str], number: int) -> dict[str, Any]:
    """Ask for recordings as clinics do: few often, most seldom, now as JSON, now as FHIR, now as a page."""
    asks = _drawn(number)
    made: dict[str, Any] = {"requests": number, "recordings": _RECORDINGS, "seed": _SEED}
    async with _session() as session:
        taken: dict[str, list[float]] = {name: [] for name in urls}
        uses: dict[str, Counter[str]] = {name: Counter() for name in urls}
        for ask in asks:
            for name, url in urls.items():
                milliseconds, use = await _once(session, url, ask)
                taken[name].append(milliseconds)
                uses[name][use] += 1
    for name in urls:
        made[name] = {"seconds": sum(taken[name]) / 1e3, "hit_rate": uses[name]["hit"] / number}
        made[name]["median_ms"] = statistics.median(taken[name])
    return made


def _drawn(number: int) -> Sequence[Ask]:
    """Draw requests: recordings by Zipf's law, doors 6 to 2 to 2."""
    drawn = random.Random(_SEED)  # noqa: S311  # a mix, no secret
    weights = [1 / (place + 1) for place in range(_RECORDINGS)]
    chosen = drawn.choices(range(_RECORDINGS), weights, k=number)
    doors = drawn.choices([_analyze, _fhir, _report], [6, 2, 2], k=number)
    return [door(10_000 + recording) for door, recording in zip(doors, chosen, strict=True)]


def _equal(name: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """Send equal requests at a time to two API workers; count the weeks that were computed."""
    metrics = f"127.0.0.1:{free_port()}"
    more = {**_MANY, **settings, "PAT_API_WORKERS": "2", "PAT_METRICS_ADDRESS": metrics, **_ALL_AT_ONCE}
    with (
        home_with_demo_weights() as home,
        tempfile.TemporaryDirectory(prefix="pat-bench-") as folder,
        guarded(home, Path(folder), more) as served,
    ):
        wait(served.process, f"http://{metrics}", "/metrics", served.log)
        _until_every_worker_answers(served.url)
        before, began = _weeks(metrics), time.perf_counter()
        uses = asyncio.run(_at_once(served.url))
        seconds, computed = time.perf_counter() - began, _weeks(metrics) - before
    return {
        "cache": name,
        "workers": 2,
        "requests": EQUAL,
        "computed": computed,
        "seconds": seconds,
        **Counter(uses),
    }


def _until_every_worker_answers(url: str) -> None:
    """Wait until so many new connections in a row were answered that no worker was left out."""
    answered = 0
    while answered < _IN_A_ROW:
        status = httpx.get(f"{url}/readyz", headers={"Connection": "close"}).status_code
        answered = answered + 1 if status == httpx.codes.OK else 0


async def _at_once(url: str) -> list[str]:
    ask = _analyze(1)
    async with _session() as session:
        answers = await asyncio.gather(*(_once(session, url, ask) for _ in range(EQUAL)))
    return [use for _, use in answers]


def _weeks(metrics: str) -> float:
    """Return the weeks that the runner has computed."""
    text = httpx.get(f"http://{metrics}/metrics").text
    return sum(map(float, re.findall(r"^pat_batch_weeks_sum(?:\{.*\})? (\S+)$", text, re.MULTILINE)))
