"""What is there at the start is left alone; what is thrown away later is still found."""

import gc
import weakref

import pytest

from serving.garbage import settle


@pytest.fixture(autouse=True)
def as_before():
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


class Thing:
    pass


def cycle():
    one = Thing()
    one.itself = one
    return weakref.ref(one)


def test_what_is_there_is_frozen_and_what_was_garbage_is_gone():
    garbage = cycle()
    settle()
    assert garbage() is None
    assert gc.get_freeze_count() > 10_000


def test_garbage_made_later_is_found_by_itself():
    settle()
    garbage, kept = cycle(), []
    while garbage() is not None and len(kept) < 50_000:
        kept.append([])
    assert garbage() is None


def test_garbage_that_was_in_use_when_the_younger_were_looked_at_is_found_as_well():
    settle()
    one = Thing()
    one.itself = one
    garbage = weakref.ref(one)
    gc.collect(1)
    assert one in gc.get_objects(generation=2)
    del one
    young, middle, old = gc.get_threshold()
    kept = []
    for _ in range(2 * young * middle * old):
        kept.append([])
        if len(kept) > 50_000:
            kept.clear()
        if garbage() is None:
            break
    assert garbage() is None
    assert young * middle * old <= 2_000_000  # of 120 a request, that is every some thousand requests
