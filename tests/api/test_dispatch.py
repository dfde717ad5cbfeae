"""Prompt batching: what ours relies on of BentoML's pinned dispatcher, and what it does."""

import asyncio
import inspect
import time

import attrs
import bentoml
import pytest
from _bentoml_impl.server import app
from bentoml._internal.marshal.dispatcher import CorkDispatcher, Job
from bentoml._internal.runner.container import AutoContainer
from prometheus_client import CollectorRegistry

from api.dispatch import PromptDispatcher, install
from serving.telemetry import BatchTelemetry

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class BusyError(Exception):
    pass


def busy():
    raise BusyError


class Batches:
    """A batch function that remembers its batches and takes ``seconds`` for each."""

    def __init__(self, seconds=0.02):
        self.seconds, self.seen = seconds, []

    async def __call__(self, calls):
        self.seen.append([item for call in calls for item in call])
        await asyncio.sleep(self.seconds)
        return [[f"{item}!" for item in call] for call in calls]


def dispatched(batches, max_batch_size=8, max_latency_ms=30_000):
    dispatcher = PromptDispatcher(max_latency_ms, max_batch_size, fallback=busy, get_batch_size=len)
    dispatcher.registry = CollectorRegistry()
    vars(dispatcher)["_telemetry"] = BatchTelemetry(dispatcher.registry)  # in place of the process's own
    return dispatcher, dispatcher(batches)


# What it relies on of the pinned version


def test_the_pinned_bentoml_is_the_one_this_was_written_for():
    assert bentoml.__version__ == "1.4.39"


def test_bentoml_looks_the_dispatcher_up_where_install_puts_ours(monkeypatch):
    monkeypatch.setattr(app, "CorkDispatcher", CorkDispatcher)
    install()
    assert app.CorkDispatcher is PromptDispatcher

    @bentoml.service
    class Batching:
        @bentoml.api(batchable=True)
        def run(self, items: list[int]) -> list[int]:
            return items

    factory = app.ServiceAppFactory(
        Batching, services={"Batching": {"traffic": {}, "workers": 1}}, enable_metrics=False
    )
    (dispatcher,) = factory.dispatchers.values()
    assert type(dispatcher) is PromptDispatcher


def test_the_parts_of_the_dispatcher_that_ours_builds_on_are_there():
    dispatcher, _ = dispatched(Batches())
    assert dispatcher.max_latency == 30
    assert dispatcher._sema.sema == 1
    assert len(dispatcher._queue) == 0
    assert set(inspect.signature(CorkDispatcher.outbound_call).parameters) == {
        "self",
        "inputs_info",
        "training",
    }
    assert "self._sema.release()" in inspect.getsource(CorkDispatcher.outbound_call)
    assert "self.controller()" in inspect.getsource(CorkDispatcher.__call__)
    inbound = inspect.getsource(CorkDispatcher.inbound_call)  # which ours does with another clock
    assert "self._queue.append(input_info)" in inbound
    assert "notify_all()" in inbound
    assert [field.name for field in attrs.fields(Job)][:3] == ["enqueue_time", "data", "future"]
    assert AutoContainer.get_batch_size([{}, {}], 0) == 2


# What it does


async def test_a_lone_call_goes_at_once_also_right_after_a_burst():
    batches = Batches(0.05)
    _, call = dispatched(batches)
    await asyncio.gather(*(call([n]) for n in range(60)))
    waits = []
    for _ in range(3):
        began = time.perf_counter()
        assert await call(["alone"]) == ["alone!"]
        waits.append(time.perf_counter() - began - 0.05)
    assert min(waits) < 0.01


async def test_what_arrives_during_a_batch_is_the_next_batch():
    batches = Batches()
    _, call = dispatched(batches)
    first = asyncio.create_task(call([0]))
    await asyncio.sleep(0.005)
    answers = await asyncio.gather(*(call([n]) for n in range(1, 12)))
    await first
    assert batches.seen == [[0], [1, 2, 3, 4, 5, 6, 7, 8], [9, 10, 11]]
    assert answers == [[f"{n}!"] for n in range(1, 12)]


async def test_a_call_of_many_weeks_is_cut_into_batches_and_answered_whole():
    batches = Batches(0.001)
    _, call = dispatched(batches, max_batch_size=4)
    assert await call(list(range(10))) == [f"{n}!" for n in range(10)]
    assert batches.seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_a_call_that_waited_beyond_the_limit_is_refused_and_the_others_are_not():
    batches = Batches(0.2)
    _, call = dispatched(batches, max_batch_size=1, max_latency_ms=150)
    first = asyncio.create_task(call(["first"]))
    await asyncio.sleep(0.01)
    late = asyncio.create_task(call(["late"]))
    await asyncio.sleep(0.1)
    fresh = asyncio.create_task(call(["fresh"]))
    assert await first == ["first!"]
    with pytest.raises(BusyError):
        await late
    assert await fresh == ["fresh!"]


async def test_a_clock_that_is_set_ahead_refuses_nobody_who_waits(monkeypatch):
    batches = Batches(0.1)
    _, call = dispatched(batches, max_batch_size=1)
    first = asyncio.create_task(call(["first"]))
    await asyncio.sleep(0.01)
    waits = asyncio.create_task(call(["waits"]))
    await asyncio.sleep(0.01)
    told = time.time
    monkeypatch.setattr(time, "time", lambda: told() + 3_600)
    assert [await first, await waits] == [["first!"], ["waits!"]]


async def test_nobody_computes_for_a_caller_who_left():
    batches = Batches(0.1)
    _, call = dispatched(batches, max_batch_size=1)
    first = asyncio.create_task(call(["first"]))
    await asyncio.sleep(0.01)
    left, stays = asyncio.create_task(call(["left"])), asyncio.create_task(call(["stays"]))
    await asyncio.sleep(0.01)
    left.cancel()
    assert await first == ["first!"]
    assert await stays == ["stays!"]
    assert batches.seen == [["first"], ["stays"]]


async def test_a_batch_that_raises_fails_its_calls_and_no_other():
    async def failing(calls):
        if ["bad"] in calls:
            raise RuntimeError("broken")
        return list(calls)

    _, call = dispatched(failing)
    with pytest.raises(RuntimeError, match="broken"):
        await call(["bad"])
    assert await call(["good"]) == ["good"]


async def test_batches_waits_and_queue_are_measured_in_weeks():
    dispatcher, call = dispatched(Batches(0.05))
    value = dispatcher.registry.get_sample_value
    first = asyncio.create_task(call([0, 1]))
    await asyncio.sleep(0.01)
    rest = [asyncio.create_task(call([n, n])) for n in range(3)]
    await asyncio.sleep(0.01)
    assert value("pat_queue_weeks") == 6
    await asyncio.gather(first, *rest)
    assert value("pat_queue_weeks") == 0
    assert value("pat_batch_weeks_sum") == 8
    assert value("pat_batch_weeks_count") == 2
    assert value("pat_batch_wait_seconds_count") == 4
    assert value("pat_batch_wait_seconds_bucket", {"le": "0.003"}) == 1
    assert value("pat_batch_seconds_count") == 2
