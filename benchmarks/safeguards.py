"""What identity, policy, rates, the audit trail and the store cost: the same service with and without.

Two servers of the working tree stand on this machine and take turns, request by request, one at a time. The
guarded one gets real RS256 tokens: the same one again and again, as a client sends it, and one it has never
seen, which must be verified. A subject is one the caller cares for, so that the store is asked as well.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.servers import Server, bento
from models.golden import panel_weeks
from serving.care import Care
from serving.keys import MasterKeys, new_line
from serving.settings import Settings
from serving.state import open_vault
from tests.serving.signed import PROJECT, certificate_endpoint, token

__all__ = ["measure"]

REQUESTS = 200
WEIGHTS = Path("models/weights/pat-s-demo")
SUBJECT = "Patient/p1"
_JSON = {"Content-Type": "application/json"}
_OCTETS = {"Accept": "application/octet-stream", "X-PAT-Standardized": "true"}


@dataclass
class Way:
    """One way to ask: without safeguards, or with them and a token; its latencies in milliseconds."""

    name: str
    server: Server
    tokens: Iterator[str] | None
    latencies_ms: list[float] = field(default_factory=list)

    def headers(self) -> dict[str, str]:
        """Return the headers that say who asks."""
        return {} if self.tokens is None else {"Authorization": f"Bearer {next(self.tokens)}"}


@dataclass(frozen=True)
class Door:
    """What is asked."""

    name: str
    path: str
    body: bytes
    headers: dict[str, str]


def measure(requests: int = REQUESTS) -> list[dict[str, Any]]:
    """Measure every door; what the safeguards cost is the difference of the medians."""
    with (
        tempfile.TemporaryDirectory(prefix="pat-bench-") as scratch,
        _servers(Path(scratch)) as (bare, guarded),
    ):
        found = []
        for door in _doors():
            ways = [
                Way("without", bare, None),
                Way("known token", guarded, _same()),
                Way("new token", guarded, _new()),
            ]
            asyncio.run(_take_turns(door, ways, requests))
            found.append(_document(door, ways))
            print(f"  {found[-1]}")
        return found


def _document(door: Door, ways: list[Way]) -> dict[str, Any]:
    medians = {way.name: statistics.median(way.latencies_ms) for way in ways}
    costs = {name: median - medians["without"] for name, median in medians.items() if name != "without"}
    return {"door": door.name, "median_ms": medians, "cost_ms": costs}


def _doors() -> list[Door]:
    week = json.loads(Path("examples/week.json").read_text())
    raw = panel_weeks()[:1].astype("<f4").tobytes()
    return [
        Door("/v1/embed, one week", "/v1/embed", raw, _OCTETS),
        Door("/analyze", "/analyze", json.dumps(week).encode(), _JSON),
        Door(
            "/analyze_fhir of a subject",
            "/analyze_fhir",
            json.dumps({**week, "subject": SUBJECT}).encode(),
            _JSON,
        ),
    ]


def _same() -> Iterator[str]:
    sent = token(roles=["clinician"])
    while True:
        yield sent


def _new() -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield token(roles=["clinician"], number=number)


@contextmanager
def _servers(scratch: Path) -> Iterator[tuple[Server, Server]]:
    home = scratch / "home"
    pat = [str(Path(sys.executable).with_name("pat")), "weights", "import", str(WEIGHTS)]
    env = {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True", "PATH": "/usr/bin:/bin"}
    subprocess.run(pat, env=env, check=True, capture_output=True)
    shutil.copytree(home, second := scratch / "second")
    keys = scratch / "master.keys"
    keys.write_text(new_line("one"))
    keys.chmod(0o400)
    care = Care(open_vault(Settings(state_folder=str(scratch / "state")), MasterKeys.read(keys)))
    care.begin("clinic", "user-1", SUBJECT.removeprefix("Patient/"))
    with certificate_endpoint() as endpoint:
        settings = {
            "PAT_PROFILE": "test",
            "PAT_FIREBASE_PROJECT": PROJECT,
            "PAT_CERTIFICATES_URL": endpoint.url,
            "PAT_MASTER_KEYS_FILE": str(keys),
            "PAT_STATE_FOLDER": str(scratch / "state"),
            **{f"PAT_RATE_{kind}": "1000000" for kind in ("ADDRESS", "CALLER", "TENANT")},
        }
        with bento(home, {}) as bare, bento(second, settings) as guarded:
            yield bare, guarded


async def _take_turns(door: Door, ways: list[Way], requests: int) -> None:
    """Ask every way in turn, so that whatever else the machine does meets all of them."""
    async with aiohttp.ClientSession() as session:
        for warm in (True, False):
            for _ in range(10 if warm else requests):
                for way in ways:
                    taken = await _once(session, way, replace(door, headers=door.headers | way.headers()))
                    way.latencies_ms += [] if warm else [taken]


async def _once(session: aiohttp.ClientSession, way: Way, door: Door) -> float:
    began = time.perf_counter()
    async with session.post(way.server.url + door.path, data=door.body, headers=door.headers) as answer:
        said = await answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{way.name}, {door.name}: {answer.status} {said[:200]!r}")
    return (time.perf_counter() - began) * 1e3
