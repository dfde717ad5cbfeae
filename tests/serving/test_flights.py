"""Equal work asked for at once is done once; nobody suffers for another's leaving or failing."""

import asyncio

import pytest

from serving.flights import Flights


class Work:
    """Counts how often it began, and goes on when it is told."""

    def __init__(self, *outcomes):
        self.began = self.cancelled = 0
        self.go = asyncio.Event()
        self.outcomes = list(outcomes)

    async def __call__(self):
        self.began += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        outcome = self.outcomes.pop(0) if self.outcomes else "done"
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


async def started(flights, work, askers, name="a"):
    tasks = [asyncio.create_task(flights.once(name, work)) for _ in range(askers)]
    await asyncio.sleep(0.01)
    return tasks


async def test_equal_work_at_once_is_done_once_for_all():
    flights, work = Flights(), Work()
    tasks = await started(flights, work, 200)
    work.go.set()
    landed = await asyncio.gather(*tasks)
    assert work.began == 1
    assert [one.value for one in landed] == ["done"] * 200
    assert [one.joined for one in landed].count(False) == 1


async def test_work_of_another_name_is_its_own():
    flights, work = Flights(), Work()
    tasks = [*await started(flights, work, 1, "a"), *await started(flights, work, 1, "b")]
    work.go.set()
    await asyncio.gather(*tasks)
    assert work.began == 2


async def test_work_that_ended_is_done_anew_for_who_comes_later():
    flights, work = Flights(), Work()
    work.go.set()
    assert [(await flights.once("a", work)).joined for _ in range(3)] == [False] * 3
    assert work.began == 3


async def test_a_leader_who_leaves_hands_on():
    flights, work = Flights(), Work()
    leader, *others = await started(flights, work, 5)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    work.go.set()
    assert [one.value for one in await asyncio.gather(*others)] == ["done"] * 4
    assert (work.began, work.cancelled) == (1, 0)


async def test_work_that_nobody_waits_for_ends():
    flights, work = Flights(), Work()
    tasks = await started(flights, work, 3)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)
    assert work.cancelled == 1
    work.go.set()
    assert (await flights.once("a", work)).value == "done"  # nobody joins what was given up


async def test_who_waited_for_work_that_failed_tries_once_more_together():
    flights, work = Flights(), Work(RuntimeError("the leader's own"))
    tasks = await started(flights, work, 50)
    work.go.set()
    landed = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(landed[0], RuntimeError)
    assert [one.value for one in landed[1:]] == ["done"] * 49
    assert work.began == 2


async def test_work_that_keeps_failing_fails_for_all_after_two_times():
    flights, work = Flights(), Work(*[RuntimeError("always")] * 10)
    tasks = await started(flights, work, 50)
    work.go.set()
    landed = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(one) for one in landed} == {RuntimeError}
    assert work.began == 2


async def test_work_that_was_cancelled_from_within_is_tried_once_more():
    flights, work = Flights(), Work(asyncio.CancelledError())
    tasks = await started(flights, work, 3)
    work.go.set()
    landed = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(landed[0], asyncio.CancelledError)
    assert [one.value for one in landed[1:]] == ["done"] * 2


async def test_a_timeout_of_one_who_waits_is_that_one_s_alone():
    flights, work = Flights(), Work()
    (patient,) = await started(flights, work, 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await flights.once("a", work)
    work.go.set()
    assert (await patient).value == "done"
