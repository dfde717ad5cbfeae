"""The circuit breaker: closed, open, one try."""

import asyncio

import pytest

from serving.breaker import Breaker, BreakerOpen


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def fail(breaker, error=OSError):
    with pytest.raises(error), breaker.call():
        raise error


def test_it_opens_after_failures_in_a_row_and_closes_when_one_try_succeeds(clock):
    breaker = Breaker(3, 10, clock)
    fail(breaker)
    fail(breaker)
    with breaker.call():
        pass  # a success between them
    for _ in range(3):
        assert not breaker.is_open
        fail(breaker)
    assert breaker.is_open
    with pytest.raises(BreakerOpen) as refused, breaker.call():
        pytest.fail("it was let through")
    assert refused.value.seconds == 10
    clock.now = 10
    with breaker.call():
        pass
    assert not breaker.is_open
    fail(breaker)
    assert not breaker.is_open


def test_only_one_tries_and_its_failure_opens_again(clock):
    breaker = Breaker(1, 10, clock)
    fail(breaker)
    clock.now = 11
    with pytest.raises(OSError), breaker.call():  # noqa: PT011, PT012  # which error does not matter
        with pytest.raises(BreakerOpen), breaker.call():
            pytest.fail("a second one was let through")
        raise OSError
    clock.now = 20
    with pytest.raises(BreakerOpen), breaker.call():
        pytest.fail("it was let through")
    clock.now = 21
    with breaker.call():
        pass


async def test_a_cancelled_try_leaves_it_to_another(clock):
    breaker = Breaker(1, 10, clock)
    fail(breaker)
    clock.now = 11
    fail(breaker, asyncio.CancelledError)
    with breaker.call():
        pass
    assert not breaker.is_open
