"""Calls to the runner: alone at once, together under load, in slices when long; every refusal heard."""

import asyncio

import aiohttp
import numpy as np
import pytest

from api.remote_runner import UNAVAILABLE, RemoteRunner, RunnerBrokeOff, RunnerLimits
from pat_runner import hop
from pat_runner.engines import Want
from pat_runner.pipeline import RunnerUnavailable
from pat_runner.runner import Encoded, Maker, Rejected
from serving.admission import Overloaded

MAKER = Maker("a" * 64, "onnxruntime", "fp32")


class Hop:
    """Answers each week with its first number, after ``seconds``, and remembers what travelled together."""

    def __init__(self, seconds=0.01, maker=MAKER):
        self.seconds, self.maker, self.journeys = seconds, maker, []

    async def __call__(self, items):
        weeks = [item["week"] for item in items]
        self.journeys.append([int(week[0]) for week in weeks])
        await asyncio.sleep(self.seconds)
        return [hop.encode_outcome(Encoded(np.full(96, week[0], np.float32)), self.maker) for week in weeks]


def runner(send, waiting=100, pinned=MAKER, runners=1, ahead=1):
    return RemoteRunner(send, pinned, RunnerLimits(4, waiting, runners, ahead))


def weeks(*firsts):
    return np.array([[first] * 18 for first in firsts], np.float32)


def firsts(outcomes):
    return [int(outcome.pooled[0]) for outcome in outcomes]


async def test_a_lone_call_goes_at_once():
    send = Hop()
    assert firsts(await runner(send).run(weeks(7), Want())) == [7]
    assert send.journeys == [[7]]


async def test_calls_that_wait_travel_together_and_get_their_own_answers():
    send = Hop()
    port = runner(send)
    answers = await asyncio.gather(*(port.run(weeks(n), Want()) for n in range(10)))
    assert [firsts(answer) for answer in answers] == [[n] for n in range(10)]
    assert send.journeys == [[0], [1], [2, 3, 4, 5], [6, 7, 8, 9]]


async def test_on_the_runners_own_cores_no_call_is_next_in_line():
    send = Hop()
    port = runner(send, ahead=0)
    await asyncio.gather(*(port.run(weeks(n), Want()) for n in range(6)))
    assert send.journeys == [[0], [1, 2, 3, 4], [5]]


async def test_a_full_call_is_next_in_line_everywhere():
    send = Hop(0.05)
    port = runner(send, ahead=0)
    first = asyncio.create_task(port.run(weeks(0), Want()))
    await asyncio.sleep(0.005)
    rest = [asyncio.create_task(port.run(weeks(n), Want())) for n in range(1, 6)]
    await asyncio.sleep(0.005)
    assert send.journeys == [[0], [1, 2, 3, 4]]
    await asyncio.gather(first, *rest)
    assert send.journeys == [[0], [1, 2, 3, 4], [5]]


async def test_every_runner_gets_a_call_before_calls_wait_for_each_other():
    send = Hop()
    port = runner(send, runners=3)
    await asyncio.gather(*(port.run(weeks(n), Want()) for n in range(6)))
    assert send.journeys == [[0], [1], [2], [3], [4, 5]]


async def test_a_long_order_goes_in_slices_and_lets_others_in_between():
    send = Hop()
    port = runner(send)
    long = asyncio.create_task(port.run(weeks(*range(20)), Want()))
    await asyncio.sleep(0.005)
    assert firsts(await port.run(weeks(99), Want())) == [99]
    assert not long.done()
    assert firsts(await long) == list(range(20))
    assert max(map(len, send.journeys)) <= 4


async def test_more_weeks_than_are_admitted_are_refused_beside_others_and_admitted_alone():
    send = Hop()
    port = runner(send, waiting=4)
    assert firsts(await port.run(weeks(*range(6)), Want())) == list(range(6))
    first = asyncio.create_task(port.run(weeks(1, 2), Want()))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await port.run(weeks(3, 4, 5), Want())
    assert firsts(await first) == [1, 2]
    assert firsts(await port.run(weeks(3, 4, 5), Want())) == [3, 4, 5]


async def test_a_caller_who_leaves_is_not_computed_for_and_harms_nobody():
    send = Hop(0.02)
    port = runner(send)
    stays = [asyncio.create_task(port.run(weeks(n), Want())) for n in (1, 2)]
    await asyncio.sleep(0.005)
    leaves, after = (
        asyncio.create_task(port.run(weeks(3), Want())),
        asyncio.create_task(port.run(weeks(4), Want())),
    )
    await asyncio.sleep(0)
    leaves.cancel()
    assert [firsts(answer) for answer in await asyncio.gather(*stays, after)] == [[1], [2], [4]]
    assert send.journeys == [[1], [2], [4]]


async def test_a_broken_connection_is_tried_once_more_and_not_twice():
    send, failures = Hop(), [aiohttp.ServerDisconnectedError()]

    async def shaky(items):
        if failures:
            raise failures.pop()
        return await send(items)

    assert firsts(await runner(shaky).run(weeks(5), Want())) == [5]
    failures += [aiohttp.ServerDisconnectedError(), aiohttp.ClientPayloadError()]
    with pytest.raises(RunnerBrokeOff):
        await runner(shaky).run(weeks(5), Want())


@pytest.mark.parametrize("error", [Overloaded(), RunnerUnavailable("refused")], ids=["overloaded", "refused"])
async def test_a_failed_journey_is_heard_by_all_on_it_and_by_nobody_after(error):
    send, fail = Hop(), True

    async def failing(items):
        await asyncio.sleep(0.005)
        if fail:
            raise error
        return await send(items)

    port = runner(failing)
    results = await asyncio.gather(*(port.run(weeks(n), Want()) for n in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [type(error)] * 3
    fail = False
    assert firsts(await port.run(weeks(8), Want())) == [8]


async def test_a_failed_slice_ends_the_order():
    calls = []

    async def failing(items):
        calls.append(len(items))
        raise Overloaded

    with pytest.raises(Overloaded):
        await runner(failing).run(weeks(*range(40)), Want())
    await asyncio.sleep(0.01)
    assert len(calls) <= 2


async def test_outcomes_of_another_maker_are_not_believed():
    for maker in (Maker("b" * 64, "onnxruntime", "fp32"), Maker("a" * 64, "torch", "fp32")):
        with pytest.raises(RunnerUnavailable, match="other weights, or another engine"):
            await runner(Hop(maker=maker)).run(weeks(1), Want())


async def test_a_runner_without_weights_is_unavailable_and_a_rejected_week_is_an_outcome():
    async def without_weights(items):
        return [{"rejected": UNAVAILABLE, "detail": "no weights"}] * len(items)

    async def rejecting(items):
        return [hop.encode_outcome(Rejected("not_finite", "expected finite"), MAKER)] * len(items)

    with pytest.raises(RunnerUnavailable, match="no weights"):
        await runner(without_weights).run(weeks(1), Want())
    assert await runner(rejecting).run(weeks(1), Want()) == [Rejected("not_finite", "expected finite")]


async def test_weeks_are_told_as_they_come_and_go_and_so_is_a_refusal():
    told = Told()
    port = RemoteRunner(Hop(), MAKER, RunnerLimits(4, 2), told)
    first = asyncio.create_task(port.run(weeks(1, 2), Want()))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await port.run(weeks(3), Want())
    await first
    assert told.said == [2, "overload", 0]


class Told:
    def __init__(self):
        self.said = []

    def weeks(self, admitted):
        self.said.append(admitted)

    def refused(self, reason):
        self.said.append(reason)
