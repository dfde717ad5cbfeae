"""deploy/redis: the real server with these files takes what the service asks for, and nothing else."""

import re

import pytest
import redis
from redis.exceptions import NoPermissionError

from serving.rates import Rates
from serving.redis_store import RedisStore
from serving.shared_rates import SharedWindows
from tests.deploy.parts import DEPLOY, deployed_redis
from tests.shared import ROOT

pytestmark = [pytest.mark.security, pytest.mark.slow]
PAGE = (ROOT / "docs" / "operations.md").read_text()
DOCUMENTED = {"store": "store", "keys": "store", "rates": "rates", "cache": "cache"}


@pytest.fixture(scope="module", params=DOCUMENTED)
def running(request, secrets):
    with deployed_redis(request.param, secrets) as server:
        yield server


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_files_say_what_operations_says(name):
    said = re.search(rf"```redis-{DOCUMENTED[name]}\n(.*?)```", PAGE, re.DOTALL).group(1)
    users = (DEPLOY / "redis" / f"{name}.acl").read_text().splitlines()
    lines = {*(DEPLOY / "redis" / f"{name}.conf").read_text().splitlines(), *users}
    assert {line.replace(">PASSWORD", "#PASSWORD") for line in said.splitlines()} <= lines


def test_nobody_is_answered_in_the_clear_or_without_a_password(running):
    with pytest.raises(redis.RedisError), redis.Redis("127.0.0.1", running.port, socket_timeout=2) as plain:
        plain.ping()
    with pytest.raises(redis.AuthenticationError), running.client(username=None, password=None) as nobody:
        nobody.ping()
    with pytest.raises(redis.AuthenticationError), running.client(password="another") as wrong:
        wrong.ping()


@pytest.mark.parametrize(
    "command", [("config", "set", "save", "1 1"), ("flushall",), ("acl", "list"), ("keys", "*"), ("get", "x")]
)
def test_the_user_may_do_nothing_beside_its_work(running, command):
    with running.client() as client, pytest.raises(NoPermissionError):
        client.execute_command(*command)


@pytest.mark.parametrize("name", ["store", "keys"])
def test_the_service_takes_it_as_a_store_and_finds_everything_after_a_restart(secrets, name):
    with deployed_redis(name, secrets) as server:
        store = RedisStore(server.address)  # refuses a server that may lose or evict
        store.put("room", "name", b"kept")
        assert store.get("room", "name") == b"kept"
        assert (server.folder / "appendonlydir").is_dir()
        store.close()


async def test_the_service_counts_on_it_with_others(secrets):
    with deployed_redis("rates", secrets) as server:
        one, other = (Rates({"caller": 2}, SharedWindows(server.address, b"s" * 32)) for _ in range(2))
        allowed = [(await rates.hit("caller", "anna")).allowed for rates in (one, other, one)]
        assert allowed == [True, True, False]
        assert not one.alone
        assert not list(server.folder.glob("*.rdb"))


def test_the_cache_keeps_nothing_on_a_disk_and_makes_room(secrets):
    text = (DEPLOY / "redis" / "cache.conf").read_text()
    with deployed_redis("cache", secrets) as server, server.client() as client:
        assert "maxmemory-policy allkeys-lru" in text
        assert client.set("pat:cache:x", b"1", px=60_000)
        assert client.get("pat:cache:x") == b"1"
        assert not [path for path in server.folder.rglob("*") if path.suffix in (".rdb", ".aof")]
