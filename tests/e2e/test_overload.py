"""Beyond what it can do the served process refuses early, goes on, and computes for nobody who left."""

import asyncio
import socket
import time
from contextlib import closing

import aiohttp
import httpx
import numpy as np
import pytest

from benchmarks.load import Arrivals, Ask, drive
from tests.e2e.guarded import bearer, guarded
from tests.e2e.server import home_with_demo_weights, serve
from tests.shared import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

WEEK = (ROOT / "examples" / "week.json").read_bytes()
JSON = {"Content-Type": "application/json"}
ANALYSIS = Ask("week", "/analyze", WEEK, JSON)
MANY = np.zeros((256, 10_080), "<f4").tobytes()
FHIR = {"Content-Type": "application/fhir+json"}
RAW = {"X-PAT-Standardized": "true", "Accept": "application/octet-stream"}


@pytest.fixture(scope="module")
def narrow(home):
    """A service that does one thing at a time."""
    with serve(home, {"PAT_MAX_REQUESTS": "1", "PAT_CACHE_BYTES": "0"}) as running:
        yield running


def metric(served, name):
    """What is counted under a name; nothing before it happens first."""
    lines = httpx.get(served.url + "/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{name} "))


def wait_until(true, seconds=60):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_under_far_too_much_load_everything_is_answered_or_refused_and_nothing_else_suffers(narrow):
    driven = drive(Arrivals(narrow.url, [ANALYSIS], rate=400, seconds=4))
    assert set(driven.statuses) == {200, 503}
    assert all(int(one.retry_after) >= 1 for one in driven.of(503))
    with narrow.client() as client:
        assert [client.get(path).status_code for path in ("/livez", "/readyz", "/v1/status")] == [200] * 3
        assert client.post("/analyze", content=WEEK, headers=JSON).status_code == 200  # with no restart
    refused = [
        metric(narrow, f'pat_refused_total{{reason="{reason}"}}') for reason in ("overload", "deadline")
    ]
    assert sum(refused) == len(driven.of(503))
    assert metric(narrow, "pat_admitted_requests") == 0


def test_the_probes_and_the_operator_are_answered_while_the_service_refuses_work(narrow):
    async def asked():
        async with httpx.AsyncClient(base_url=narrow.url, timeout=60) as client:
            flood = [client.post("/analyze", content=WEEK, headers=JSON) for _ in range(40)]
            others = [client.get(path) for path in ("/livez", "/readyz", "/v1/status", "/metrics") * 3]
            return await asyncio.gather(*flood), await asyncio.gather(*others)

    flood, others = asyncio.run(asked())
    assert {answer.status_code for answer in flood} <= {200, 503}
    assert {answer.status_code for answer in others} == {200}


def test_a_refusal_says_so_as_its_door_says_it(narrow):
    with narrow.client() as client, sender(narrow) as busy:
        busy.sendall(MANY)
        wait_until(lambda: metric(narrow, "pat_admitted_weeks") == 256)
        soon = {"Prefer": "wait=0"}
        raw = client.post("/v1/embed", content=MANY, headers={**RAW, **soon})
        fhir = client.post("/fhir/$analyze", content=b" " * 600_000, headers={**FHIR, **soon})
    wait_until(lambda: metric(narrow, "pat_admitted_requests") == 0)
    assert (raw.status_code, raw.json()["code"]) == (503, "deadline")
    assert raw.headers["content-type"] == "application/problem+json"
    assert fhir.status_code == 503
    assert (fhir.json()["resourceType"], fhir.json()["issue"][0]["code"]) == ("OperationOutcome", "transient")
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in (raw, fhir))


def sender(served):
    """A connection on which 256 weeks are announced."""
    host, port = served.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    headers = {**RAW, "Host": host, "Content-Length": str(len(MANY))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    connection.sendall(f"POST /v1/embed HTTP/1.1\r\n{head}\r\n".encode())
    return closing(connection)


def test_nothing_more_is_computed_for_a_caller_whose_connection_ends(home):
    with serve(home, {"PAT_MAX_REQUESTS": "1", "PAT_CACHE_BYTES": "0"}) as running:
        before = metric(running, "pat_batch_weeks_sum")
        abandoned = metric(running, "pat_abandoned_total")
        with sender(running) as first:
            first.sendall(MANY)
            wait_until(lambda: metric(running, "pat_admitted_weeks") == 256)
            with sender(running) as second:  # waits for its turn
                second.sendall(MANY)
            wait_until(lambda: metric(running, "pat_abandoned_total") == abandoned + 1)
        wait_until(lambda: metric(running, "pat_abandoned_total") == abandoned + 2)
        wait_until(lambda: metric(running, "pat_admitted_requests") == 0)
        time.sleep(0.2)  # what is in the runner's hands ends
        assert metric(running, "pat_batch_weeks_sum") - before < 256
        assert metric(running, "pat_admitted_weeks") == 0


def test_a_tenant_who_floods_does_not_keep_another_from_being_answered(tmp_path):
    settings = {f"PAT_RATE_{kind}": "1000000" for kind in ("CALLER", "TENANT")}

    async def asked(url):
        flooding = True

        async def flood(session):
            while flooding:
                async with session.post("/analyze", data=WEEK, headers=JSON | bearer(tenant="one")) as answer:
                    assert answer.status in (200, 503)

        async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as session:
            floods = [asyncio.create_task(flood(session)) for _ in range(40)]
            await asyncio.sleep(2)
            statuses = []
            for _ in range(10):
                mine = JSON | bearer(tenant="two", sub="somebody-else")
                async with session.post("/analyze", data=WEEK, headers=mine) as answer:
                    statuses.append(answer.status)
            flooding = False
            await asyncio.gather(*floods)
            return statuses

    with (
        home_with_demo_weights() as home,
        guarded(home, tmp_path, {"PAT_MAX_REQUESTS": "1", "PAT_CACHE_BYTES": "0", **settings}) as running,
    ):
        assert asyncio.run(asked(running.url)) == [200] * 10
