"""Ten thousand requests of every kind leave the server as large as two thousand did."""

import asyncio

import aiohttp
import numpy as np
import psutil
import pytest

from tests.e2e.server import home_with_demo_weights, serve

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

MOST_GROWTH_MB = 12
SETTINGS = {"PAT_CACHE_BYTES": "0", "PAT_MAX_REQUESTS": "8"}  # all is computed


def kinds(week):
    """Requests as a mixed clientele sends them, with the status each must get."""
    random = np.random.default_rng(0)
    short, whole = (random.normal(size=(1, minutes)).astype("<f4") for minutes in (1260, 10_080))
    bad = short.copy()
    bad[0, 0] = np.nan
    raw = {"X-PAT-Standardized": "true", "Accept": "application/octet-stream"}
    brief = {**raw, "X-PAT-Minutes": "1260"}
    many = [("/v1/embed", {"data": short.tobytes(), "headers": brief}, 200)] * 15
    return [
        *many,
        ("/v1/embed", {"data": short.tobytes(), "headers": {**brief, "X-PAT-Profile": "true"}}, 200),
        ("/v1/embed", {"data": whole.tobytes(), "headers": {**raw, "X-PAT-Profile": "true"}}, 200),
        ("/embed", {"json": {"weeks": short.tolist(), "standardized": True, "tokens": True}}, 200),
        ("/v1/embed", {"data": bad.tobytes(), "headers": brief}, 422),
        ("/analyze", {"json": {**week, "options": {"clinical": False}}}, 200),
    ]


async def send(url, requests, count):
    turn = asyncio.Semaphore(8)

    async def one(session, path, arguments, expected):
        async with turn, session.post(url + path, **arguments) as answer:
            await answer.read()
            assert answer.status == expected

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(one(session, *requests[i % len(requests)]) for i in range(count)))


def resident_mb(served):
    top = psutil.Process(served.process.pid)
    return {p.pid: p.memory_info().rss / 2**20 for p in [top, *top.children(recursive=True)]}


def test_10_000_requests_grow_no_memory(week):
    with home_with_demo_weights() as home, serve(home, SETTINGS) as running:
        requests = kinds(week)
        asyncio.run(send(running.url, requests, 2_000))
        before = resident_mb(running)
        asyncio.run(send(running.url, requests, 8_000))
        after = resident_mb(running)
    assert before.keys() == after.keys()
    growth = {pid: after[pid] - before[pid] for pid in before}
    assert max(growth.values()) < MOST_GROWTH_MB, growth
