"""The main doors: how each is asked, and what its answer was before anything failed."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from tests.e2e.fhir_inputs import series
from tests.health_data.asking import ANNA
from tests.health_data.metrics import PERIOD, WEEK
from tests.serving.signed import token

__all__ = ["DOORS", "Asked", "Doors", "bearer"]

SECONDS = 70  # more than the service takes for any answer
SERVICE = {"roles": ["service"], "sub": "backend"}
PATIENT = {"roles": ["patient"], "sub": ANNA, "sid": ANNA}
CARED = "p-cared"
DELIVERED = {
    "Accept": "application/fhir+json",
    "X-PAT-Return": "transaction",
    "X-PAT-Subject": "Patient/p-delivered",
}
Request = dict[str, Any]  # options of httpx


def bearer(**changes: object) -> dict[str, str]:
    """The header of a caller whose claims are changed so."""
    return {"Authorization": f"Bearer {token(**changes)}"}


def week(number: int) -> bytes:
    """The example week, or as many minutes less: a result of its own."""
    return json.dumps({**WEEK, "values": WEEK["values"][number:]}).encode()


@dataclass(frozen=True)
class Door:
    """One door and a good request to it; ``who`` are the claims of a caller who may."""

    method: str
    path: str
    who: Mapping[str, object] | None = field(default_factory=dict)
    sent: Callable[[int], Request] = lambda _: {}

    def request(self, number: int) -> Request:
        made = self.sent(number)
        own = {} if self.who is None else bearer(**self.who)
        return {**made, "headers": {**made.get("headers", {}), **own}}


def _embedded(_: int) -> Request:
    weeks = np.random.default_rng(8).standard_normal((2, 10_080)).astype("<f4")
    headers = {"X-PAT-Standardized": "true", "Accept": "application/octet-stream"}
    return {"content": weeks.tobytes(), "headers": headers}


DOORS: Mapping[str, Door] = {
    "analyze": Door("POST", "/analyze", sent=lambda _: {"json": WEEK}),
    "raw": Door("POST", "/v1/recordings:analyze", sent=lambda _: {"content": week(0)}),
    "embed": Door("POST", "/v1/embed", {"roles": ["service"]}, _embedded),
    "fhir": Door(
        "POST",
        "/fhir/$analyze",
        SERVICE,
        lambda _: {"json": series("Patient/p-fhir"), "headers": {"Content-Type": "application/fhir+json"}},
    ),
    "care": Door("POST", "/analyze_fhir", sent=lambda _: {"json": {**WEEK, "subject": f"Patient/{CARED}"}}),
    "pull": Door("POST", "/v1/subjects:analyze", PATIENT, lambda _: {"json": {"subject": ANNA, **PERIOD}}),
    "jobs": Door(
        "POST",
        "/v1/jobs",
        SERVICE,
        lambda _: {"content": week(0) + b"\n", "headers": {"Content-Type": "application/x-ndjson"}},
    ),
    "deliver": Door(
        "POST",
        "/v1/recordings:analyze",
        SERVICE,
        lambda number: {"content": week(number), "headers": {**DELIVERED, "X-PAT-Deliver": "true"}},
    ),
    "stranger": Door("POST", "/analyze", {"signed_by": "other"}, lambda _: {"json": WEEK}),
    "readyz": Door("GET", "/readyz", None),
    "livez": Door("GET", "/livez", None),
    "status": Door("GET", "/v1/status", {"roles": ["researcher"]}),
}


@dataclass(frozen=True)
class Asked:
    """One answer in a few words: ``same`` as before anything failed, ``202``, ``503 code``, ``no answer``."""

    door: str
    word: str
    seconds: float


class Doors:
    """The doors of one running service; remembers what was acknowledged."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._good: dict[str, bytes] = {}
        self._numbers = itertools.count(1)
        self.jobs: set[str] = set()  # acknowledged, and not yet seen to be done
        self.deliveries: dict[str, tuple[int, bytes]] = {}  # the same, with the week and the Bundle
        self.ended = 0  # acknowledged, and seen to be done rightly, once
        self.hits: Counter[str] = Counter()  # answers from the cache, by door

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=SECONDS)

    def learn(self) -> None:
        """Keep what every door answers while nothing fails."""
        with self.client() as client:
            whom = {"subject": CARED, "uid": "user-1"}
            begun = client.post("/v1/care:begin", json=whom, headers=bearer(roles=["admin"], sub="boss"))
            assert begun.status_code == 200, begun.text
        for name in ("analyze", "raw", "embed", "fhir", "care", "pull"):
            answer = self._answer(name, 0)
            assert answer.status_code == 200, (name, answer.text)
            self._good[name] = answer.content

    def ask(self, name: str) -> Asked:
        """Ask one door once, over a connection of its own."""
        began, number = time.monotonic(), next(self._numbers)
        try:
            answer = self._answer(name, number)
        except httpx.TransportError as error:
            word = "not let in" if isinstance(error, httpx.ConnectError) else "no answer"
            return Asked(name, word, time.monotonic() - began)
        return Asked(name, self._word(name, answer, number), time.monotonic() - began)

    def _answer(self, name: str, number: int) -> httpx.Response:
        door = DOORS[name]
        with self.client() as client:
            return client.request(door.method, door.path, **door.request(number))

    def _word(self, name: str, answer: httpx.Response, number: int) -> str:
        if name in ("readyz", "livez"):
            return str(answer.status_code)
        if answer.headers.get("x-pat-cache") == "hit":
            self.hits[name] += 1
        if answer.status_code == 202:
            self.jobs.add(answer.json()["id"])
            return "202"
        if answer.status_code != 200:
            return _refusal(answer)
        if name == "status":
            return _status(answer.json())
        if name == "deliver":
            self.deliveries[answer.headers["x-pat-delivery"]] = (number, answer.content)
            return "accepted"
        return "same" if answer.content == self._good[name] else "ANOTHER ANSWER"

    @property
    def owed(self) -> list[str]:
        """What was acknowledged and is not done yet."""
        return [*sorted(self.jobs), *sorted(self.deliveries)]

    def settled(self) -> bool:
        """Look after what was acknowledged; say whether all of it is done."""
        with self.client() as client:
            for job in sorted(self.jobs):
                if (state := self._told(client, f"/v1/jobs/{job}")) == "done":
                    self._has_result(client, job)
                    self.jobs.remove(job)
                    self.ended += 1
                assert state in ("done", "waiting", "running", ""), f"a job that was acknowledged is {state}"
            for delivery, (number, bundle) in sorted(self.deliveries.items()):
                if (state := self._told(client, f"/v1/deliveries/{delivery}")) == "delivered":
                    self._is_right(client, number, bundle)
                    del self.deliveries[delivery]
                    self.ended += 1
                assert state in ("delivered", "waiting", ""), f"a result that was acknowledged is {state}"
        return not (self.jobs or self.deliveries)

    def _told(self, client: httpx.Client, path: str) -> str:
        answer = client.get(path, headers=bearer(**SERVICE))
        assert answer.status_code in (200, 503), f"{path} of what was acknowledged: {answer.status_code}"
        return str(answer.json().get("state", ""))

    def _has_result(self, client: httpx.Client, job: str) -> None:
        """The result has the item once, with the numbers that the analysis had before anything failed."""
        lines = client.get(f"/v1/jobs/{job}/result", headers=bearer(**SERVICE)).text.splitlines()
        found = [(said := json.loads(line)).get("analysis", said) for line in lines]
        assert found == [json.loads(self._good["analyze"])]

    def _is_right(self, client: httpx.Client, number: int, bundle: bytes) -> None:
        """The Bundle that was answered is what is answered when nothing fails."""
        headers = {**DELIVERED, **bearer(**SERVICE)}
        again = client.post("/v1/recordings:analyze", content=week(number), headers=headers)
        assert again.content == bundle, "a result that was delivered differs from what is computed now"


def _refusal(answer: httpx.Response) -> str:
    """``503 code``; says so where a body is no problem, or Retry-After is missing."""
    try:
        said = answer.json()
    except ValueError:
        return f"{answer.status_code}, NO PROBLEM BODY"
    if said.get("resourceType") == "OperationOutcome":
        code = (
            said["issue"][0].get("details", {}).get("coding", [{}])[0].get("code") or said["issue"][0]["code"]
        )
    else:
        code = said["code"]
    later = answer.headers.get("retry-after", "")
    lacking = answer.status_code in (429, 503) and not (later.isdigit() and int(later) > 0)
    return f"{answer.status_code} {code}{', NO RETRY-AFTER' if lacking else ''}"


def _status(said: dict[str, Any]) -> str:
    """``all is well``, or what is degraded."""
    found = [*said["degraded"], *(["audit"] if said["audit"] == "failing" else [])]
    return f"degraded: {', '.join(found)}" if found else "all is well"
