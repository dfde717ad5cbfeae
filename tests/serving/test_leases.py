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
