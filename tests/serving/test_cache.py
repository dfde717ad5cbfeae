"""A place for the bytes of a cache, in memory and on a real Redis: the same promises."""

import asyncio
import contextlib

import pytest
import uvloop
from prometheus_client import CollectorRegistry

from serving.breaker import Breaker
from serving.cache import CacheUnavailable, Lock
from serving.memory_cache import MemoryCache
from serving.redis_address import RedisAddress
from serving.redis_cache import PREFIX, RedisCache
from serving.telemetry import CacheTelemetry
from tests.e2e.server import free_port
from tests.faults import fault_proxy
from tests.redis_server import certificate, redis_server, tls


@pytest.fixture(scope="module")
def server():
    with redis_server("cache") as server:
        yield server


@pytest.fixture
def telemetry():
    registry = CollectorRegistry()
    made = CacheTelemetry(registry)
    made.value = lambda name, **labels: registry.get_sample_value(name, labels)
    return made


@contextlib.asynccontextmanager
async def on_redis(address, **options):
    cache = RedisCache(address, **options)
    try:
        yield cache
    finally:
        await cache.close()


@pytest.fixture(params=["memory", "redis"])
async def cache(request, telemetry):
    if request.param == "memory":
        yield MemoryCache(1_000_000, telemetry)
        return
    server = request.getfixturevalue("server")
    server.admin().flushall()
    async with on_redis(server.address) as cache:
        yield cache


async def soon(ask):
    """Ask until the cache answers; a loaded machine is not always as fast as a call may take."""
    for _ in range(50):
        with contextlib.suppress(CacheUnavailable):
            return await ask()
        await asyncio.sleep(0.2)
    raise AssertionError("the cache did not answer")


async def each(asks):
    return await asyncio.gather(*asks, return_exceptions=True)


async def values(cache, *names):
    return list((await cache.look(names)).values)


async def test_what_was_put_is_found_in_the_order_of_the_names(cache):
    await cache.put({"a:1": b"one", "a:2": bytes(range(256))}, 60)
    assert await values(cache, "a:2", "a:3", "a:1") == [bytes(range(256)), None, b"one"]


async def test_what_is_put_again_is_what_was_put_last(cache):
    await cache.put({"a:1": b"one"}, 60)
    await cache.put({"a:1": b"two"}, 60)
    assert await values(cache, "a:1") == [b"two"]


async def test_what_is_removed_is_gone_and_nothing_else(cache):
    await cache.put({"a:1": b"one", "a:2": b"two"}, 60)
    await cache.remove("a:1")
    await cache.remove("a:3")
    assert await values(cache, "a:1", "a:2") == [None, b"two"]


async def test_all_of_one_owner_is_dropped_and_counted(cache):
    await cache.put({"a:1": b"one", "a:2": b"two", "b:1": b"three"}, 60)
    assert await asyncio.to_thread(cache.drop, "a") == 2
    assert await values(cache, "a:1", "a:2", "b:1") == [None, None, b"three"]
    assert await asyncio.to_thread(cache.drop, "a") == 0


async def test_what_has_had_its_time_is_gone(cache):
    await cache.put({"a:1": b"one", "a:2": b"two"}, 0.05)
    await asyncio.sleep(0.1)
    assert await values(cache, "a:1", "a:2") == [None, None]


async def test_a_value_too_large_for_the_cache_is_not_kept(cache):
    await cache.put({"a:1": bytes(5_000_000), "a:2": b"small"}, 60)
    assert await values(cache, "a:1", "a:2") == [None, b"small"]


async def test_nothing_put_is_no_error(cache):
    await cache.put({}, 60)
    assert await values(cache) == []


async def test_a_lock_is_not_taken_where_all_is_there(cache):
    await cache.put({"a:1": b"one"}, 60)
    first, second = Lock("a:lock"), Lock("a:lock")
    assert [(await cache.look(["a:1"], lock)).lead for lock in (first, second)] == [True, True]
    assert (await cache.look(["a:1", "a:2"], second)).lead


async def test_memory_lets_go_of_what_was_not_used_for_longest(telemetry):
    cache = MemoryCache(100_000, telemetry)
    for n in range(9):
        await cache.put({f"a:{n}": bytes(10_000)}, 60)
    assert await values(cache, "a:0") == [bytes(10_000)]  # used now
    await cache.put({"a:9": bytes(10_000)}, 60)
    assert [one is not None for one in await values(cache, "a:0", "a:1", "a:2")] == [True, False, True]
    assert cache.size <= 100_000
    assert telemetry.value("pat_cache_evictions_total") == 1
    assert telemetry.value("pat_cache_bytes") == cache.size


async def test_memory_stays_within_its_bound_whatever_comes(telemetry):
    cache = MemoryCache(50_000, telemetry)
    for n in range(500):
        await cache.put({f"a:{n}:{k}": bytes(n * 13 % 6_000) for k in range(3)}, 60)
        assert 0 <= cache.size <= 50_000
    cache.drop("")
    assert cache.size == 0


async def test_memory_gives_back_what_expired_without_being_asked_for_it(telemetry):
    now = [0.0]
    cache = MemoryCache(1_000_000, telemetry, lambda: now[0])
    await cache.put({"a:1": bytes(1_000)}, 10)
    now[0] = 100.0
    await cache.put({"a:2": b"two"}, 10)
    assert cache.size < 1_000


async def test_one_of_several_askers_gets_the_lock_until_it_is_given_back(server):
    server.admin().flushall()
    async with on_redis(server.address) as one, on_redis(server.address) as other:
        first, second = Lock("a:lock"), Lock("a:lock")
        assert (await one.look(["a:1"], first)).lead
        assert not (await other.look(["a:1"], second)).lead
        await other.unlock(second)  # not the other's to give
        assert not (await other.look(["a:1"], second)).lead
        await one.unlock(first)
        assert (await other.look(["a:1"], second)).lead


async def test_the_lock_of_a_process_that_died_ends_by_itself(server):
    admin = server.admin()
    admin.flushall()
    async with on_redis(server.address) as cache:
        assert (await cache.look(["a:1"], Lock("a:lock"))).lead
        assert 0 < admin.pttl(f"{PREFIX}a:lock") <= 10_000


async def test_values_have_their_time_on_redis_itself(server):
    async with on_redis(server.address) as cache:
        await cache.put({"a:1": b"one"}, 60)
    assert 50_000 < server.admin().pttl(f"{PREFIX}a:1") <= 60_000


async def test_the_documented_rights_suffice_and_reach_no_further(server):
    import redis  # only here

    from tests.redis_server import PASSWORD  # same

    client = redis.Redis(unix_socket_path=str(server.socket), username=server.user, password=PASSWORD)
    for command in (["get", "pat:rates:x"], ["config", "get", "*"], ["flushall"], ["keys", "*"], ["save"]):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command)
    with pytest.raises(redis.exceptions.AuthenticationError):
        redis.Redis(unix_socket_path=str(server.socket), username=server.user, password="no").ping()


async def test_the_server_writes_nothing_to_its_disk(server):
    async with on_redis(server.address) as cache:
        await cache.put({"a:1": b"a-canary-of-the-cache"}, 60)
    assert b"a-canary-of-the-cache" not in server.at_rest()


async def test_tls_is_verified(tmp_path):
    port, made = free_port(), certificate(tmp_path / "tls")
    with redis_server("cache", *tls(made, port)) as server:
        url = f"rediss://127.0.0.1:{port}"
        async with on_redis(RedisAddress(url, str(server.credentials), str(made))) as trusted:
            await trusted.put({"a:1": b"one"}, 60)
            assert await values(trusted, "a:1") == [b"one"]
        async with on_redis(RedisAddress(url, str(server.credentials))) as stranger:
            with pytest.raises(CacheUnavailable):
                await stranger.look(["a:1"])


@pytest.fixture
def behind_faults(server):
    port = free_port()
    with redis_server("cache", f"port {port}") as server, fault_proxy(f"redis://127.0.0.1:{port}") as faults:
        yield RedisAddress(faults.url, str(server.credentials)), faults


@pytest.mark.parametrize("fault", [("refuse",), ("reset",), ("blackhole",), ("latency", 0.5), ("slow", 0.05)])
async def test_a_server_that_fails_is_left_alone_after_three_times_and_comes_back(behind_faults, fault):
    address, faults = behind_faults
    async with on_redis(address, breaker=Breaker(3, 0.3)) as cache:
        await soon(lambda: cache.put({"a:1": b"one"}, 60))
        faults.set(*fault)
        for _ in range(3):
            assert not cache.degraded
            with pytest.raises(CacheUnavailable):
                await cache.look(["a:1"], Lock("a:lock"))
        assert cache.degraded
        began = asyncio.get_running_loop().time()
        for _ in range(100):
            with pytest.raises(CacheUnavailable):
                await cache.look(["a:1"])
        assert asyncio.get_running_loop().time() - began < 0.3  # it was not asked
        faults.set("pass")
        assert await soon(lambda: values(cache, "a:1")) == [b"one"]
        assert not cache.degraded


async def test_a_server_that_is_down_drops_nothing_and_says_so(behind_faults):
    address, faults = behind_faults
    async with on_redis(address) as cache:
        faults.set("refuse")
        with pytest.raises(CacheUnavailable):
            await asyncio.to_thread(cache.drop, "a")


async def test_a_full_server_still_answers_and_is_degraded(telemetry):
    with redis_server("cache", "maxmemory-policy noeviction", "maxmemory 4mb") as server:
        async with on_redis(server.address, breaker=Breaker(3, 0.1)) as cache:
            await cache.put({"a:1": b"one"}, 60)
            puts = (cache.put({f"b:{n}": bytes(200_000)}, 60) for n in range(50))
            assert any(isinstance(one, CacheUnavailable) for one in await each(puts))
            assert cache.degraded
            looked = await soon(lambda: cache.look(["a:1"], Lock("a:lock")))
            assert (looked.values, looked.lead) == ([b"one"], True)
            assert (await cache.look(["a:2"], Lock("a:lock"))).lead  # no room for a lock: each computes
            assert cache.degraded  # that it answers does not mean that it takes anything
            server.admin().flushall()
            await cache.put({"a:2": b"two"}, 60)
            assert not cache.degraded


async def test_the_documented_server_makes_room_by_itself():
    with redis_server("cache", "maxmemory 6mb") as server:
        async with on_redis(server.address) as cache:
            for n in range(100):
                await cache.put({f"b:{n}": bytes(100_000)}, 60)
            assert await values(cache, "b:99") == [bytes(100_000)]
            assert 10 < server.admin().dbsize() < 70


async def test_more_askers_than_connections_wait_their_turn(server):
    async with on_redis(server.address) as cache:
        await cache.put({"a:1": b"one"}, 60)
        asked = await asyncio.gather(*(cache.look(["a:1"]) for _ in range(120)))
    assert [list(looked.values) for looked in asked] == [[b"one"]] * 120


async def test_who_leaves_in_the_middle_leaves_no_answer_for_the_next(server):
    async with on_redis(server.address) as cache:
        await cache.put({f"a:{n}": str(n).encode() for n in range(50)}, 60)
        for n in range(50):
            task = asyncio.create_task(cache.look([f"a:{n}"]))
            await asyncio.sleep(n * 2e-5)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert await values(cache, f"a:{49 - n}") == [str(49 - n).encode()]


def test_a_connection_that_was_closed_meanwhile_is_no_error_under_uvloop(behind_faults):
    """The service runs on uvloop, which raises RuntimeError for what is written to a closed connection."""
    address, faults = behind_faults

    async def work():
        async with on_redis(address) as cache:
            await soon(lambda: cache.put({"a:1": b"one"}, 60))
            await asyncio.to_thread(faults.set, "refuse")
            await asyncio.sleep(0.1)
            await asyncio.to_thread(faults.set, "pass")
            return await soon(lambda: values(cache, "a:1"))

    assert uvloop.run(work()) == [b"one"]
