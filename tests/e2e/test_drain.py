"""SIGTERM under load: what was begun is answered, the rest is refused before it is sent."""

import asyncio
import signal
import time

import httpx
import pytest

from tests.e2e.server import serve

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


async def one(url, week):
    """Ask over a connection of its own; return when, and the status or the error."""
    began = time.monotonic()
    try:
        async with httpx.AsyncClient(timeout=60) as client:
            return began, (await client.post(f"{url}/analyze", json=week)).status_code
    except httpx.HTTPError as error:
        return began, type(error).__name__


async def told_amid(served, week, requests=120):
    """Ask at a steady rate, send the signal in the middle; return when, and what came of each request."""
    asked = []
    for number in range(requests):
        if number == requests // 2:
            told = time.monotonic()
            served.process.send_signal(signal.SIGTERM)
        asked.append(asyncio.create_task(one(served.url, week)))
        await asyncio.sleep(0.025)
    return told, await asyncio.gather(*asked)


def test_no_request_is_cut_when_the_service_is_told_to_end(home, week):
    with serve(home) as served:
        told, asked = asyncio.run(told_amid(served, week))
        assert served.process.wait(timeout=60) == 0
        assert {status for began, status in asked if began < told - 0.1} == {200}
        statuses = [status for _, status in asked]
        assert statuses[-1] == "ConnectError"
        cut = [status for status in statuses if status not in (200, "ConnectError")]
        assert len(cut) <= 1  # who connects in the very moment


def test_it_is_unready_for_a_while_before_it_goes(home, week):
    with serve(home, {"PAT_DRAIN_SECONDS": "4"}) as served:
        served.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert httpx.get(f"{served.url}/livez", timeout=10).status_code == 200
        assert httpx.get(f"{served.url}/readyz", timeout=10).status_code == 503
        assert httpx.post(f"{served.url}/analyze", json=week, timeout=10).status_code == 200
        assert served.process.wait(timeout=60) == 0


def test_a_service_takes_no_connection_before_it_can_answer(home, week):
    with serve(home, wait_ready=False) as served:
        assert httpx.get(f"{served.url}/readyz", timeout=10).status_code == 200
        assert httpx.post(f"{served.url}/analyze", json=week, timeout=10).status_code == 200
