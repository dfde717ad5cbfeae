"""What FHIR costs beyond JSON: the same week to ``$analyze`` and to ``analyze``, in turns, one at a time.

Both doors of one served process get the same recording: SampledData in Parameters, and canonical JSON. Each
request is new to the service, so that no cache helps either. What ``$analyze`` costs beyond is the median of
the differences of neighbours.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.servers import Server, bento
from tests.e2e.fhir_inputs import parameters, week

__all__ = ["measure"]

REQUESTS = 200
TARGET_MS = 25
WEIGHTS = Path("models/weights/pat-s-demo")
_JSON = {"Content-Type": "application/json"}
_FHIR = {"Content-Type": "application/fhir+json"}


def measure(requests: int = REQUESTS) -> dict[str, Any]:
    """Measure both doors; the target is a median of less than 25 ms beyond JSON."""
    with _server() as server:
        pairs = asyncio.run(_take_turns(server, requests))
    plain, fhir = zip(*pairs, strict=True)
    found = {
        "analyze_ms": statistics.median(plain),
        "fhir_ms": statistics.median(fhir),
        "beyond_ms": statistics.median(after - before for before, after in pairs),
        "target_ms": TARGET_MS,
        "requests": requests,
    }
    print(f"  {found}")
    return found


@contextmanager
def _server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="pat-bench-") as scratch:
        home = Path(scratch) / "home"
        pat = [str(Path(sys.executable).with_name("pat")), "weights", "import", str(WEIGHTS)]
        env = {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True", "PATH": "/usr/bin:/bin"}
        subprocess.run(pat, env=env, check=True, capture_output=True)
        with bento(home, {}) as server:
            yield server


async def _take_turns(server: Server, requests: int) -> list[tuple[float, float]]:
    """Ask both doors in turn, so that whatever else the machine does meets both."""
    pairs = []
    async with aiohttp.ClientSession() as session:
        for number in range(-10, requests):  # the first ten warm up
            plain, fhir = _bodies(number)
            before = await _once(session, f"{server.url}/analyze", plain, _JSON)
            after = await _once(session, f"{server.url}/fhir/$analyze", fhir, _FHIR)
            pairs += [(before, after)] if number >= 0 else []
    return pairs


def _bodies(number: int) -> tuple[bytes, bytes]:
    """The example week with another first value for each ``number``, so that it was never seen before."""
    first = 100 + number
    plain = week()
    plain["values"][0] = first
    fhir = parameters({"name": "return", "valueCode": "transaction"})
    sampled = fhir["parameter"][0]["resource"]["valueSampledData"]
    sampled["data"] = f"{first} {sampled['data'].partition(' ')[2]}"
    return json.dumps(plain).encode(), json.dumps(fhir).encode()


async def _once(session: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> float:
    began = time.perf_counter()
    async with session.post(url, data=body, headers=headers) as answer:
        said = await answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{url}: {answer.status} {said[:200]!r}")
    return (time.perf_counter() - began) * 1e3
