"""What several suites share: one FHIR server, each kind of store, a collector, a clock that a test moves."""

import threading

import pytest

from serving.redis_store import RedisStore
from serving.store import SqliteStore
from tests.doubles.span_sink import span_sink
from tests.fhir_tools import fhir_server
from tests.redis_server import redis_server


@pytest.fixture(scope="session")
def real():
    """The base address of the real FHIR server of the tests."""
    with fhir_server() as base:
        yield base


@pytest.fixture(scope="module")
def redis_for_stores():
    with redis_server("store") as running:
        yield running


@pytest.fixture(params=["sqlite", "redis"])
def either_store(request, tmp_path):
    """A store in a file, then the same test on a Redis."""
    if request.param == "sqlite":
        return SqliteStore(tmp_path / "pat.sqlite")
    running = request.getfixturevalue("redis_for_stores")
    with running.admin() as client:
        client.flushall()
    return RedisStore(running.address)


class Clock:
    now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sink():
    """A collector that takes what it is sent."""
    with span_sink() as server:
        yield server


class Lost:
    """Counts what is lost, from whichever thread."""

    def __init__(self):
        self.spans, self._lock = 0, threading.Lock()

    def __call__(self, spans):
        with self._lock:
            self.spans += spans


@pytest.fixture
def lost():
    return Lost()
