"""A window that moves: exactly as many as allowed, each of their own, counted here or by all together."""

import asyncio
import logging
import subprocess
import sys
import time
from unittest.mock import AsyncMock

import pytest

from serving.breaker import Breaker
from serving.rates import CountUnavailable, Rates, TooOften
from serving.redis_address import RedisAddress
from serving.shared_rates import PREFIX, SharedWindows
from tests.e2e.server import free_port
from tests.redis_server import certificate, redis_server, tls
from tests.shared import ROOT

pytestmark = pytest.mark.security
SECRET = b"s" * 32


@pytest.fixture
def server():
    with redis_server("rates") as server:
        yield server


def shared(server, most, **breaker):
    return Rates(most, SharedWindows(server.address, SECRET, Breaker(**breaker)))


@pytest.fixture(params=["here", "together"])
def windows(request):
    """What makes Rates, counting in this process or on a Redis."""
    if request.param == "here":
        yield Rates
        return
    with redis_server("rates") as server:
        yield lambda most: shared(server, most)


async def test_exactly_as_many_as_allowed_and_each_kind_and_name_by_itself(windows):
    rates = windows({"caller": 3, "tenant": 5})
    verdicts = [await rates.hit("caller", "a") for _ in range(5)]
    assert [verdict.allowed for verdict in verdicts] == [True, True, True, False, False]
    assert [verdict.remaining for verdict in verdicts] == [2, 1, 0, 0, 0]
    assert (await rates.hit("caller", "b")).allowed
    assert [await rates.refusal("tenant", "a") for _ in range(6)].count(None) == 5


async def test_headers_say_what_is_left_and_when_to_come_again(windows):
    rates = windows({"caller": 1})
    first, second = [(await rates.hit("caller", "a")).headers() for _ in range(2)]
    assert first["RateLimit-Policy"] == '"caller";q=1;w=60'
    assert first["RateLimit"].startswith('"caller";r=0;t=')
    assert "Retry-After" not in first
    assert 1 <= int(second["Retry-After"]) <= 60


async def test_emergencies_are_counted_by_the_hour_and_named_so(windows):
    rates = windows({"emergency": 1})
    assert await rates.refusal("emergency", "a") is None
    verdict = await rates.refusal("emergency", "a")
    assert 3_000 < int(verdict.headers()["Retry-After"]) <= 3_600
    assert str(TooOften(verdict)) == "at most 1 emergencies an hour of one caller; try again later"


class Times:
    """Stands in for the module ``time``: a time of day that may be set, and a clock that is not."""

    def __init__(self):
        self.day, self.steady = 1_800_000_000.0, 1_000.0

    def time(self):
        return self.day

    def monotonic(self):
        return self.steady

    def passing(self, seconds):
        self.day += seconds
        self.steady += seconds


@pytest.fixture
def times(monkeypatch):
    times = Times()
    monkeypatch.setattr("serving.rates.time", times)
    return times


@pytest.mark.parametrize("jump", [-3_600, 3_600])
async def test_a_clock_that_is_set_neither_shuts_anybody_out_nor_lets_more_in(times, jump):
    rates = Rates({"caller": 3})
    assert [await rates.refusal("caller", "a") for _ in range(3)] == [None] * 3
    times.day += jump
    verdict = await rates.refusal("caller", "a")
    assert (verdict.allowed, verdict.seconds) == (False, 60)
    times.passing(61)
    assert [await rates.refusal("caller", "a") for _ in range(3)] == [None] * 3


async def test_the_window_moves_with_every_one_that_was_counted(times):
    rates = Rates({"caller": 2})
    for _ in range(2):
        assert (await rates.hit("caller", "a")).allowed
        times.passing(20)
    assert (await rates.hit("caller", "a")).seconds == 20
    times.passing(20)
    assert (await rates.hit("caller", "a")).allowed
    refused = await rates.hit("caller", "a")
    assert (refused.allowed, refused.remaining, refused.seconds) == (False, 0, 20)


async def test_who_was_counted_long_ago_is_forgotten_and_the_others_are_not(times):
    rates = Rates({"caller": 2})
    for number in range(1_000):
        await rates.hit("caller", f"n{number}")
    times.passing(50)
    await rates.hit("caller", "late")
    times.passing(11)
    assert (await rates.hit("caller", "late")).remaining == 0
    assert list(rates._here._kinds["caller"]) == ["late"]


PROCESS = """
import asyncio, sys
from serving.rates import Rates
from serving.redis_address import RedisAddress
from serving.shared_rates import SharedWindows

async def main():
    rates = Rates({"caller": 50}, SharedWindows(RedisAddress(*sys.argv[1:3]), b"s" * 32))
    await rates.refusal("caller", "warm")
    print("ready", flush=True)
    sys.stdin.readline()
    refusals = await asyncio.gather(*(rates.refusal("caller", "a") for _ in range(150)))
    print(refusals.count(None), rates.alone)

asyncio.run(main())
"""


def test_of_300_at_a_time_in_two_processes_exactly_50_are_allowed(server):
    command = [sys.executable, "-c", PROCESS, server.url, str(server.credentials)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(2)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [alone for _, alone in said] == ["False"] * 2
    assert sum(int(allowed) for allowed, _ in said) == 50


async def test_nobody_s_name_stands_on_the_server_and_all_of_it_ends(server):
    rates = shared(server, {"caller": 5, "address": 5})
    await rates.hit("caller", "clinic/doctor-canary")
    await rates.hit("address", "192.0.2.77")
    with server.admin() as admin:
        keys = admin.keys()
        assert len(keys) == 2
        assert all(key.startswith(PREFIX.encode()) and 0 < admin.ttl(key) <= 60 for key in keys)
    assert not any(name in key for key in keys for name in (b"canary", b"clinic", b"192.0.2"))


async def test_without_the_server_each_counts_by_itself_says_so_once_and_returns(server, caplog):
    rates = shared(server, {"caller": 2}, failures=2, seconds=0.3)
    assert (await rates.hit("caller", "a")).remaining == 1
    server.kill()
    with caplog.at_level(logging.INFO):
        allowed = [(await rates.hit("caller", "a")).allowed for _ in range(5)]
        assert allowed == [True, True, False, False, False]
        assert rates.alone
        server.start()
        await asyncio.sleep(0.4)
        assert (await rates.hit("caller", "a")).remaining == 1
    assert not rates.alone
    said = [record.getMessage() for record in caplog.records if record.name == "pat.rates"]
    assert len(said) == 2
    assert "by each process alone" in said[0]
    assert "together again" in said[1]


@pytest.mark.parametrize("kind", ["failure", "emergency"])
async def test_what_must_not_be_tried_without_end_is_refused_while_it_cannot_be_counted(server, kind):
    rates = shared(server, {"caller": 2})
    assert await rates.refusal(kind, "a") is None
    server.kill()
    for _ in range(5):
        with pytest.raises(CountUnavailable):
            await rates.refusal(kind, "a")


async def test_a_hung_server_costs_a_moment_and_then_nothing(server):
    rates = shared(server, {"caller": 1_000})
    await rates.hit("caller", "a")
    with server.hung():
        began = time.monotonic()
        verdicts = await asyncio.gather(*(rates.hit("caller", "a") for _ in range(100)))
        assert time.monotonic() - began < 1
        assert all(verdict.allowed for verdict in verdicts)
        began = time.monotonic()
        assert (await rates.hit("caller", "a")).allowed
        assert time.monotonic() - began < 0.1


async def test_a_connection_that_was_cut_under_uvloop_is_one_that_does_not_answer(server, monkeypatch):
    windows = SharedWindows(server.address, SECRET, Breaker())
    cut = RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")
    monkeypatch.setattr(windows._limiter, "hit", AsyncMock(side_effect=cut))
    rates = Rates({"caller": 5}, windows)
    assert (await rates.hit("caller", "a")).allowed
    with pytest.raises(CountUnavailable):
        await rates.refusal("failure", "a")


async def test_over_tls_only_a_server_that_is_vouched_for_counts(tmp_path):
    trusted, other, port = certificate(tmp_path / "one"), certificate(tmp_path / "other"), free_port()
    with redis_server("rates", *tls(trusted, port)) as server:
        for authority, alone in ((trusted, False), (other, True)):
            address = RedisAddress(f"rediss://127.0.0.1:{port}", str(server.credentials), str(authority))
            rates = Rates({"caller": 5}, SharedWindows(address, SECRET, Breaker(1)))
            await rates.hit("caller", "a")
            assert rates.alone is alone


async def test_a_server_that_refuses_the_user_counts_nothing_and_is_said(server, caplog):
    address = RedisAddress(server.url)  # nobody in particular
    rates = Rates({"caller": 1}, SharedWindows(address, SECRET, Breaker(1)))
    assert (await rates.hit("caller", "a")).allowed
    assert rates.alone
    assert "by each process alone" in caplog.text
    assert server.url not in caplog.text
