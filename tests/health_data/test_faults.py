"""A network between the two that delays, cuts and refuses."""

from __future__ import annotations

import time

import pytest

from tests.health_data.asking import SECONDS, found, numbers, refused
from tests.health_data.metrics import (
    days,
    recording,
)

pytestmark = [pytest.mark.e2e, pytest.mark.fhir, pytest.mark.slow]


def degraded(service) -> list[str]:
    with service.client() as client:
        return client.get("/v1/status").json()["degraded"]


@pytest.fixture
def closed(ask, double, proxy, service):
    """After the test: nothing is wrong any more, and the breaker lets through again."""
    yield
    proxy.set("pass")
    double.become()
    double.keep(*days())
    ends = time.monotonic() + 30
    while ask().status_code != 200:
        assert time.monotonic() < ends
        time.sleep(0.5)
    assert degraded(service) == []


def test_a_little_latency_changes_nothing(double, ask, direct, proxy, closed):
    double.become()
    double.keep(*days())
    proxy.set("latency", 0.2)
    assert numbers(found(ask())["analysis"]) == direct(recording())


@pytest.mark.parametrize(("mode", "seconds"), [("blackhole", 0), ("slow", 0.5), ("latency", 30)])
def test_who_does_not_answer_in_time_is_waited_for_until_the_deadline(
    double, ask, proxy, closed, mode, seconds
):
    double.become()
    double.keep(*days())
    proxy.set(mode, seconds)
    begun = time.monotonic()
    answer = ask()
    assert refused(answer) == (503, "upstream_unavailable")
    assert time.monotonic() - begun < SECONDS + 3
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("mode", ["reset", "refuse"])
def test_the_breaker_opens_says_so_and_closes_again(double, ask, direct, proxy, service, closed, mode):
    double.become()
    double.keep(*days())
    assert found(ask())["source"]["used"] == 9
    assert degraded(service) == []
    proxy.set(mode)
    for _ in range(3):
        assert refused(ask()) == (503, "upstream_unavailable")
    assert degraded(service) == ["health_data"]
    proxy.set("pass")
    begun = time.monotonic()
    answer = ask()  # it is not tried while the breaker is open
    assert refused(answer) == (503, "upstream_unavailable")
    assert time.monotonic() - begun < 2
    time.sleep(int(answer.headers["retry-after"]) + 0.5)
    assert numbers(found(ask())["analysis"]) == direct(recording())
    assert degraded(service) == []


def test_an_analysis_that_cannot_be_delivered_is_answered_in_time(double, ask, proxy, closed):
    double.become(hang_on_save=True)
    double.keep(*days())
    begun = time.monotonic()
    answer = found(ask(write_back=True))
    assert answer["written_back"]["status"] == "failed"
    assert answer["written_back"]["reason"] == "upstream_unavailable"
    assert time.monotonic() - begun < 2 * SECONDS + 3
