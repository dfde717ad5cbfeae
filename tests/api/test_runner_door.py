"""The hop's own door: what it relies on of the pinned version, what it answers and what it refuses."""

import asyncio
import contextlib

import aiohttp
import bentoml
import httpx
import numpy as np
import pytest
import uvicorn
from _bentoml_impl.client.proxy2 import AsyncClient
from _bentoml_impl.server.app import ServiceAppFactory
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.responses import JSONResponse

from api import dispatch
from api.dispatch import PromptDispatcher
from api.problems import problem
from api.runner_door import FRAME, RunnerDoor, RunnerSocket
from pat_runner import hop
from pat_runner.engines import Want
from pat_runner.pipeline import RunnerUnavailable
from serving.admission import Overloaded

TYPE = {"Content-Type": FRAME}
ITEMS = [hop.item(np.full(18, first, np.float32), Want()) for first in (3, 5)]


class Local:
    """A batchable method as BentoML gives it to the one service of a process."""

    def local(self, items):
        return [{"first": float(item["week"][0])} for item in items]


class Telemetry:
    def __getattr__(self, name):
        return lambda *_: None


@pytest.fixture
def door(monkeypatch):
    """A door before a runner that answers each week with its first minute."""
    monkeypatch.setattr(PromptDispatcher, "_telemetry", Telemetry())
    monkeypatch.setattr(bentoml, "get_current_service", type("Runner", (), {"run": Local()}))
    PromptDispatcher(30_000, 8, fallback=busy, get_batch_size=len)
    return RunnerDoor(JSONResponse({}), problem, hop.most_bytes(8))


def busy():
    raise bentoml.exceptions.ServiceUnavailable("process is overloaded")


async def ask(door, method="POST", path="/run", headers=TYPE, content=b""):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://runner") as client:
        return await client.request(method, path, headers=headers, content=content)


# What it relies on of the pinned version


def test_bentoml_knows_the_address_of_the_runner_under_this_name():
    assert AsyncClient("file:///tmp/runner.sock", server_ready_timeout=0).url == "file:///tmp/runner.sock"


def test_the_dispatcher_of_the_process_is_the_one_that_bentoml_made(monkeypatch):
    dispatch.install()

    @bentoml.service
    class Batching:
        @bentoml.api(batchable=True)
        def run(self, items: list[int]) -> list[int]:
            return items

    services = {"Batching": {"traffic": {}, "workers": 1}}
    factory = ServiceAppFactory(Batching, services=services, enable_metrics=False)
    assert dispatch.dispatcher() is factory.dispatchers["run"]
    assert Batching().run.local([1, 2]) == [1, 2]
    monkeypatch.setattr(PromptDispatcher, "made", None)
    with pytest.raises(RuntimeError, match="install"):
        dispatch.dispatcher()


# What it does


async def test_a_frame_is_answered_week_by_week(door):
    answered = await ask(door, content=hop.pack(ITEMS))
    assert (answered.status_code, answered.json()) == (200, [{"first": 3.0}, {"first": 5.0}])


async def test_frames_that_come_together_are_one_batch_and_answered_apart(door):
    answers = await asyncio.gather(*(ask(door, content=hop.pack([item])) for item in ITEMS))
    assert [answer.json() for answer in answers] == [[{"first": 3.0}], [{"first": 5.0}]]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/vnd.bentoml+pickle"},
        {"Content-Type": "Application/VND.bentoml+PICKLE"},
        {"Content-Type": "application/json"},
        {},
    ],
)
async def test_the_runner_takes_frames_or_nothing(door, headers):
    assert (await ask(door, headers=headers, content=hop.pack(ITEMS))).status_code == 415


async def test_other_paths_take_no_body_and_probes_pass(door):
    assert (await ask(door, path="/metrics", content=hop.pack(ITEMS))).status_code == 415
    assert (await ask(door, "GET", "/readyz", {})).status_code == 200


async def test_what_is_no_frame_or_too_large_is_refused(door):
    assert (await ask(door, content=b"[]")).status_code == 400
    door = RunnerDoor(JSONResponse({}), problem, 10)
    assert (await ask(door, content=hop.pack(ITEMS))).status_code == 413


async def test_a_call_that_waited_too_long_is_refused_as_overload(door):
    async def late(_):
        return busy()

    vars(door)["_batched"] = late
    assert (await ask(door, content=hop.pack(ITEMS))).status_code == 503


# Over a socket, as in service.py


@contextlib.asynccontextmanager
async def serving(app, **where):
    """Serve an application; gives the server."""
    config = uvicorn.Config(app, log_level="critical", lifespan="off", **where)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server
    finally:
        await server.shutdown()


@contextlib.asynccontextmanager
async def connected(url, seconds=5):
    socket = RunnerSocket(url, seconds)
    try:
        yield socket
    finally:
        await socket.close()


async def test_the_socket_and_the_door_understand_each_other(tmp_path, door):
    path = tmp_path / "runner.sock"
    async with serving(door, uds=str(path)), connected(path.as_uri()) as socket:
        assert await socket.run(ITEMS) == [{"first": 3.0}, {"first": 5.0}]
        assert await socket.run(ITEMS[1:]) == [{"first": 5.0}]


async def test_a_runner_on_another_port_is_spoken_to_over_tcp(door):
    async with serving(door, port=0) as server:
        port = server.servers[0].sockets[0].getsockname()[1]
        async with connected(f"tcp://127.0.0.1:{port}") as socket:
            assert await socket.run(ITEMS) == [{"first": 3.0}, {"first": 5.0}]


@pytest.mark.parametrize(
    ("status", "heard"),
    [(503, Overloaded), (429, Overloaded), (500, RunnerUnavailable), (415, RunnerUnavailable)],
)
async def test_what_the_runner_refuses_is_heard_as_such(tmp_path, status, heard):
    path = tmp_path / "runner.sock"
    async with serving(JSONResponse({}, status), uds=str(path)), connected(path.as_uri()) as socket:
        with pytest.raises(heard):
            await socket.run(ITEMS)


async def test_a_runner_that_is_gone_is_a_broken_connection(tmp_path):
    async with connected((tmp_path / "nobody.sock").as_uri(), 1) as socket:
        with pytest.raises(aiohttp.ClientConnectionError):
            await socket.run(ITEMS)


async def test_a_runner_that_does_not_answer_in_time_is_unavailable(tmp_path):
    async def late(scope, receive, send):
        await asyncio.sleep(1)

    path = tmp_path / "runner.sock"
    async with serving(late, uds=str(path)), connected(path.as_uri(), 0.1) as socket:
        with pytest.raises(RunnerUnavailable, match="in time"):
            await socket.run(ITEMS)


# Traces


CALLERS = [f"00-{trace * 32}-{'b' * 16}-01" for trace in "12"]


@pytest.fixture
def traced(monkeypatch):
    """What spans end."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    TracerProvider.add_span_processor(provider, SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return exporter.get_finished_spans


async def test_each_caller_in_a_frame_has_a_span_of_the_batch(door, traced):
    frame = hop.pack(ITEMS)
    assert (await ask(door, content=frame, headers={**TYPE, "X-PAT-Callers": ",".join(CALLERS)})).is_success
    spans = traced()
    assert [f"{span.context.trace_id:032x}" for span in spans] == ["1" * 32, "2" * 32]
    assert {span.name for span in spans} == {"pat.batch"}
    assert {f"{span.parent.span_id:016x}" for span in spans} == {"b" * 16}
    assert all(span.attributes == {"pat.weeks": 2, "pat.batch_weeks": 2} for span in spans)
    assert all(span.start_time <= span.end_time for span in spans)


@pytest.mark.parametrize("said", ["", "canary4711", CALLERS[0].removesuffix("1") + "0", "," * 1000])
async def test_what_is_no_recorded_caller_has_none_and_is_answered_all_the_same(door, traced, said):
    assert (await ask(door, content=hop.pack(ITEMS), headers={**TYPE, "X-PAT-Callers": said})).is_success
    assert traced() == ()


async def test_the_socket_names_the_callers_that_are_recorded_once_each_call(tmp_path, door, traced):
    items = [dict(item) for item in ITEMS]
    items[0]["traceparent"] = CALLERS[0]
    items[1]["traceparent"] = CALLERS[1].removesuffix("1") + "0"  # not recorded
    path = tmp_path / "runner.sock"
    async with serving(door, uds=str(path)), connected(path.as_uri()) as socket:
        assert await socket.run(items) == [{"first": 3.0}, {"first": 5.0}]
    assert [f"{span.context.trace_id:032x}" for span in traced()] == ["1" * 32]
