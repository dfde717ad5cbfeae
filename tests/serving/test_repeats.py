"""The same request gets the same answer: the first time of issue stays, a key stands for one request."""

import asyncio
from datetime import UTC, datetime

import pytest

from serving import repeats
from serving.repeats import Kept, Keyed, KeyReused, MemoryShelf, Repeats

pytestmark = pytest.mark.fhir


async def allowed(kept):
    pass


def counted(*answers):
    """Work that gives these answers one after the other."""
    left = list(answers)

    async def work():
        return left.pop(0)

    return work


def keyed(key="k", said=b"body", whose="anna"):
    return Keyed(whose, key, said)


async def test_a_result_keeps_the_time_at_which_it_was_first_issued():
    at = Repeats()
    before = datetime.now(UTC)
    first = await at.first_issued("anna", "Patient/1", "d1")
    assert before <= first <= datetime.now(UTC)
    await asyncio.sleep(0.002)
    assert await at.first_issued("anna", "Patient/1", "d1") == first
    for other in (("anna", "Patient/1", "d2"), ("anna", "Patient/2", "d1"), ("ben", "Patient/1", "d1")):
        assert await at.first_issued(*other) > first


async def test_a_key_gives_the_first_answer_again_without_the_work():
    at, work = Repeats(), counted(Kept(b"one", "Patient/1", "m"), Kept(b"two"))
    assert (await at.once(keyed(), work, allowed)).body == b"one"
    assert (await at.once(keyed(), work, allowed)).body == b"one"
    assert (await at.once(keyed("other"), work, allowed)).body == b"two"


async def test_the_key_of_another_request_is_refused_and_that_of_another_caller_is_another():
    at, work = Repeats(), counted(Kept(b"one"), Kept(b"two"))
    await at.once(keyed(), work, allowed)
    with pytest.raises(KeyReused):
        await at.once(keyed(said=b"other body"), work, allowed)
    assert (await at.once(keyed(whose="ben", said=b"other body"), work, allowed)).body == b"two"


async def test_of_two_at_a_time_the_first_to_be_done_is_the_answer_of_both():
    at, release = Repeats(), asyncio.Event()

    async def slow():
        await release.wait()
        return Kept(b"slow")

    waiting = asyncio.create_task(at.once(keyed(), slow, allowed))
    await asyncio.sleep(0)
    assert (await at.once(keyed(), counted(Kept(b"quick")), allowed)).body == b"quick"
    release.set()
    assert (await waiting).body == b"quick"
    times = await asyncio.gather(*(at.first_issued("anna", "", "d1") for _ in range(20)))
    assert len(set(times)) == 1


async def test_who_may_no_longer_see_it_is_not_given_the_kept_answer():
    at, work = Repeats(), counted(Kept(b"one", "Patient/1"))
    await at.once(keyed(), work, allowed)

    async def refused(kept):
        assert kept.subject == "Patient/1"
        raise LookupError

    with pytest.raises(LookupError):
        await at.once(keyed(), work, refused)


async def test_work_that_fails_is_done_again():
    at = Repeats()

    async def broken():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await at.once(keyed(), broken, allowed)
    assert (await at.once(keyed(), counted(Kept(b"one")), allowed)).body == b"one"


async def test_what_was_deleted_with_its_subject_is_made_anew():
    shelf = MemoryShelf()
    at, work = Repeats(shelf.itself), counted(Kept(b"one", "Patient/1"), Kept(b"two", "Patient/1"))
    await at.once(keyed(), work, allowed)
    for place in [place for place in shelf.held if place[0]]:
        del shelf.held[place]
    assert (await at.once(keyed(), work, allowed)).body == b"two"


def test_memory_holds_no_more_than_it_may_and_for_no_longer(monkeypatch):
    shelf = MemoryShelf()
    monkeypatch.setattr(repeats, "_MOST", 2)
    for name in "abc":
        shelf.add("", name, b"x")
    assert [shelf.get("", name) for name in "abc"] == [None, b"x", b"x"]
    monkeypatch.setattr(repeats, "_MOST_BYTES", 3)
    shelf.add("", "d", b"xyz")
    assert (shelf.get("", "c"), shelf.get("", "d"), shelf.size) == (None, b"xyz", 3)
    monkeypatch.setattr(repeats, "KEPT_SECONDS", -1)
    shelf.add("", "e", b"x")
    assert shelf.get("", "e") is None
