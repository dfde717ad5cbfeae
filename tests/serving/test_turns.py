"""So many at a time, the others in turns; a burst waits, a queue that stands does not grow."""

import asyncio
import math
import time

import pytest

from serving.admission import Overloaded, TooLate
from serving.turns import TurnLimits, Turns

EVER = math.inf


def soon(seconds=60.0):
    return time.monotonic() + seconds


async def queued(turns, *names, until=None):
    """Let ``names`` wait, in that order; return their tasks."""
    tasks = []
    for name in names:
        tasks.append(asyncio.create_task(turns.take(name, until or soon())))
        await asyncio.sleep(0)
    return tasks


async def ended(tasks):
    """Return what those of ``tasks`` that have ended ended with."""
    await asyncio.sleep(0)
    return [type(task.exception()) for task in tasks if task.done() and task.exception()]


async def order_of(turns, tasks):
    """Give turns back one by one; return in which order the others got them."""
    order, waiting = [], dict(enumerate(tasks))
    while waiting:
        turns.give_back()
        await asyncio.sleep(0)
        got = [index for index, task in waiting.items() if task.done()]
        order += got
        for index in got:
            del waiting[index]
    return order


async def test_so_many_are_under_way_and_the_next_begins_when_one_ends():
    turns = Turns(TurnLimits(2))
    await turns.take("a", soon())
    await turns.take("a", soon())
    assert (turns.under_way, turns.is_free) == (2, False)
    (third,) = await queued(turns, "a")
    assert (turns.waiting, third.done()) == (1, False)
    turns.give_back()
    await third
    assert (turns.under_way, turns.waiting) == (2, 0)


async def test_names_take_turns_however_many_wait_of_one():
    turns = Turns(TurnLimits(1))
    await turns.take("a", soon())
    tasks = await queued(turns, "a", "a", "a", "b", "c", "b")
    assert await order_of(turns, tasks) == [0, 3, 4, 1, 5, 2]


async def test_a_burst_waits_and_beyond_the_most_the_longest_queue_gives_way_to_another_name():
    turns = Turns(TurnLimits(1, waiting=3))
    await turns.take("a", soon())
    tasks = await queued(turns, "a", "a", "a")
    with pytest.raises(Overloaded):
        await turns.take("a", soon())
    tasks += await queued(turns, "b")
    assert await ended(tasks) == [Overloaded]
    assert (tasks[2].done(), turns.waiting) == (True, 3)
    assert await order_of(turns, [tasks[0], tasks[1], tasks[3]]) == [0, 2, 1]


async def test_what_has_no_turn_within_its_time_is_dropped_and_holds_nothing():
    turns = Turns(TurnLimits(1))
    await turns.take("a", soon())
    began = time.monotonic()
    with pytest.raises(TooLate):
        await turns.take("a", soon(0.02))
    assert time.monotonic() - began >= 0.02
    assert turns.waiting == 0
    turns.give_back()
    await turns.take("a", soon())


async def test_who_need_not_wait_is_never_late():
    turns = Turns(TurnLimits(1))
    await turns.take("a", time.monotonic())
    with pytest.raises(TooLate):
        await turns.take("a", time.monotonic())


async def test_who_leaves_the_queue_is_passed_over():
    turns = Turns(TurnLimits(1))
    await turns.take("a", soon())
    first, second = await queued(turns, "a", "a")
    first.cancel()
    await asyncio.sleep(0)
    assert turns.waiting == 1
    turns.give_back()
    await second
    assert (turns.under_way, turns.waiting) == (1, 0)


async def test_who_leaves_as_its_turn_comes_gives_it_back():
    turns = Turns(TurnLimits(1))
    await turns.take("a", soon())
    first, second = await queued(turns, "a", "a")
    turns.give_back()  # it is the first one's turn, who has not heard of it yet
    first.cancel()
    await second
    assert (turns.under_way, turns.waiting) == (1, 0)


async def standing(limits):
    """Turns whose queue stands: somebody has waited for longer than a burst lasts."""
    turns = Turns(limits)
    for _ in range(limits.at_once):
        await turns.take("a", soon())
    tasks = await queued(turns, *["a"] * (limits.standing + 2))
    await asyncio.sleep(limits.stands_seconds * 1.5)
    return turns, tasks


async def test_a_queue_that_stands_takes_nobody_more_but_one_of_each_other_name():
    turns, tasks = await standing(TurnLimits(2, stands_seconds=0.02))
    with pytest.raises(Overloaded):
        turns.check("a", EVER)
    tasks += await queued(turns, "b")
    with pytest.raises(Overloaded):
        turns.check("b", EVER)
    for _ in range(3):
        turns.give_back()
    await asyncio.sleep(0)
    assert turns.waiting == 2
    with pytest.raises(Overloaded):
        turns.check("a", EVER)


async def test_a_queue_stands_no_longer_once_few_are_refused():
    turns, tasks = await standing(TurnLimits(2, stands_seconds=0.02))
    for _ in range(4 + 2):
        turns.give_back()
    await asyncio.gather(*tasks)
    assert turns.under_way == 0
    for _ in range(100):
        await turns.take("a", soon())
        turns.give_back()
    await turns.take("a", soon())
    await turns.take("a", soon())
    burst = await queued(turns, *["a"] * 20)
    assert (await ended(burst), turns.waiting) == ([], 20)
    for task in burst:
        task.cancel()


async def test_a_queue_stands_no_longer_once_nothing_was_under_way_for_a_while():
    turns, tasks = await standing(TurnLimits(2, stands_seconds=0.02))
    for _ in range(4 + 2):
        turns.give_back()
    await asyncio.gather(*tasks)
    await asyncio.sleep(0.03)
    await turns.take("a", soon())
    await turns.take("a", soon())
    burst = await queued(turns, *["a"] * 20)
    assert (await ended(burst), turns.waiting) == ([], 20)
    for task in burst:
        task.cancel()


async def coming(turns, seconds, *, each, done):
    """Let one come every ``each`` seconds, and one end every ``done``; return the tasks of who came."""
    tasks, began = [], time.monotonic()
    next_end = began + done
    while time.monotonic() - began < seconds:
        tasks += await queued(turns, "a")
        await asyncio.sleep(each)
        if time.monotonic() >= next_end:
            next_end += done
            if turns.under_way:
                turns.give_back()
    return tasks


async def test_who_waits_in_vain_is_refused_when_much_more_comes_than_is_done_and_goes_on():
    turns = Turns(TurnLimits(1, stands_seconds=60, comes_seconds=0.05))
    tasks = await coming(turns, 0.5, each=0.002, done=0.01)
    assert set(await ended(tasks)) == {Overloaded}
    assert turns.waiting <= 1  # whoever came last
    tasks += await queued(turns, "a", "a")
    with pytest.raises(Overloaded):
        turns.check("a", EVER)
    (other,) = await queued(turns, "b")
    assert not other.done()
    for task in (*tasks, other):
        task.cancel()


async def test_who_comes_together_is_a_burst_and_all_of_it_waits():
    turns = Turns(TurnLimits(1, stands_seconds=60, comes_seconds=0.05))
    await turns.take("a", soon())
    tasks = await queued(turns, *["a"] * 100)
    tasks += await coming(turns, 0.5, each=0.01, done=0.01)
    assert await ended(tasks) == []
    assert turns.waiting > 50
    for task in tasks:
        task.cancel()


async def test_of_few_that_were_done_nothing_is_concluded():
    turns = Turns(TurnLimits(1, stands_seconds=60, comes_seconds=0.05))
    tasks = await coming(turns, 0.5, each=0.005, done=0.1)
    assert await ended(tasks) == []
    for task in tasks:
        task.cancel()


async def test_when_to_come_back_is_measured_and_a_second_at_least():
    turns = Turns(TurnLimits(1))
    assert turns.seconds() == 1
    await turns.take("a", soon())
    tasks = await queued(turns, *["a"] * 100)
    for _ in range(4):
        await asyncio.sleep(0.05)
        turns.give_back()
    assert turns.seconds() >= 4  # 96 wait, and ends are 0.05 s apart
    with pytest.raises(TooLate):  # at once: it is known that its turn comes later
        turns.check("a", soon(0.5))
    for task in tasks:
        task.cancel()
