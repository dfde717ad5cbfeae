"""What several suites share: one FHIR server, each kind of store, a clock that a test moves."""

import pytest

from serving.redis_store import RedisStore
from serving.store import SqliteStore
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
