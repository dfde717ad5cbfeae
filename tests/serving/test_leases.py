"""Of several processes one works; who lost the lease learns it before it goes on."""

import threading

import pytest

from serving.leases import LeaseLost, Leases


@pytest.fixture
def store(either_store):
    return either_store


@pytest.fixture
def leases(store, clock):
    return Leases(store, 30, clock)


class Steady:
    """A clock that is never set, which a test lets go on."""

    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def steady():
    return Steady()


def passing(clock, steady, seconds):
    clock.now += seconds
    steady.now += seconds


@pytest.fixture
def each(store, clock, steady):
    """The leases of two processes on one machine."""
    return [Leases(store, 30, clock, steady) for _ in range(2)]


def test_where_the_clock_was_set_back_one_that_nobody_renews_is_another_s_after_its_time(each, clock, steady):
    died, other = each[0].take("job"), each[1]
    clock.now -= 3_600
    assert other.take("job") is None
    passing(clock, steady, 31)
    assert other.take("job") is None
    passing(clock, steady, 2)
    assert not died.held
    assert other.take("job") is not None
    with pytest.raises(LeaseLost):
        died.renew()


def test_where_the_clock_was_set_back_one_that_is_renewed_stays_its_holder_s(each, clock, steady):
    mine, other = each[0].take("job"), each[1]
    clock.now -= 3_600
    for _ in range(10):
        assert other.take("job") is None
        passing(clock, steady, 10)
        mine.renew()
        assert mine.held
    assert other.take("job") is None


def test_where_the_clock_was_set_ahead_the_holder_goes_on_only_if_it_is_the_first(each, clock, steady):
    mine, other = each[0].take("job"), each[1]
    clock.now += 3_600
    assert not mine.held
    mine.renew()
    assert mine.held
    assert other.take("job") is None
    clock.now += 3_600
    assert other.take("job") is not None
    with pytest.raises(LeaseLost):
        mine.renew()


def test_leases_of_others_are_watched_in_bounded_memory(each, monkeypatch):
    monkeypatch.setattr("serving.leases._MOST_SEEN", 3)
    for number in range(6):
        assert each[0].take(f"job {number}") is not None
        assert each[1].take(f"job {number}") is None
    assert len(each[1]._seen) == 3


def test_one_has_it_and_no_other(leases):
    lease = leases.take("job")
    assert lease is not None
    assert lease.held
    assert leases.take("job") is None
    assert leases.take("another") is not None


def test_it_lasts_as_long_as_it_is_renewed(leases, clock):
    lease = leases.take("job")
    for _ in range(5):
        clock.now += 29
        lease.renew()
        assert lease.held
        assert leases.take("job") is None


def test_one_that_ended_is_another_s_and_its_holder_learns_it(leases, clock):
    first = leases.take("job")
    clock.now += 31
    assert not first.held
    second = leases.take("job")
    assert second is not None
    with pytest.raises(LeaseLost):
        first.renew()
    assert not first.held
    first.release()
    assert leases.take("job") is None
    second.renew()


def test_one_is_not_held_to_the_last_second_for_clocks_differ(leases, clock):
    lease = leases.take("job")
    clock.now += 28.5
    assert not lease.held
    assert leases.take("job") is None
    lease.renew()
    assert lease.held


def test_one_that_is_damaged_is_free_and_its_holder_learns_it(leases, store):
    first = leases.take("job")
    for damage in (b"{", b"[]", b'{"until": "soon"}', b"\xff"):
        store.put("leases", "job", damage)
        second = leases.take("job")
        assert second is not None
        with pytest.raises(LeaseLost):
            first.renew()
        first = second


def test_one_that_is_released_may_be_taken_at_once(leases):
    first = leases.take("job")
    first.release()
    assert not first.held
    second = leases.take("job")
    assert second is not None
    with pytest.raises(LeaseLost):
        first.renew()
    assert second.held


def test_one_that_is_forgotten_is_nobody_s(leases):
    lease = leases.take("job")
    leases.forget("job")
    with pytest.raises(LeaseLost):
        lease.renew()
    assert leases.take("job") is not None


def test_of_many_at_once_one_gets_it(leases):
    for name in map(str, range(10)):
        got, gate = [], threading.Barrier(8)

        def take(name=name, got=got, gate=gate):
            gate.wait()
            got.append(leases.take(name))

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len([lease for lease in got if lease is not None]) == 1
