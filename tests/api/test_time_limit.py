"""A request has its time to begin an answer, and is forgotten once it has one."""

import asyncio
import contextvars
import gc
import importlib.util
import inspect
import weakref

import httpx
import pytest
from bentoml._internal.server import base_app
from bentoml._internal.server.http import traffic
from starlette.responses import PlainTextResponse, StreamingResponse

from api import time_limit
from api.time_limit import TimeLimit

_SPEC = importlib.util.find_spec(traffic.__name__)
_AS_PINNED = importlib.util.module_from_spec(_SPEC)  # whoever has put ours in its place in this process
_SPEC.loader.exec_module(_AS_PINNED)
THEIRS = _AS_PINNED.TimeoutMiddleware


def asking(app, seconds):
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(TimeLimit(app, timeout=seconds)), base_url="http://x"
    )


def test_the_pinned_bentoml_is_the_one_this_was_written_for():
    assert list(inspect.signature(THEIRS).parameters) == ["app", "timeout"]
    assert "\n        loop.call_later(self.timeout" in inspect.getsource(THEIRS)  # nobody keeps it to end it
    taken = inspect.getsource(base_app.BaseAppFactory.middlewares.fget)
    assert "from .http.traffic import TimeoutMiddleware" in taken  # as each app is made, so ours is found
    assert "Middleware(TimeoutMiddleware, timeout=self.timeout)" in taken


def test_installed_it_is_what_bentoml_puts_before_a_service(monkeypatch):
    monkeypatch.setattr(traffic, "TimeoutMiddleware", traffic.TimeoutMiddleware)
    time_limit.install()
    factory = type("Factory", (), {"timeout": 7, "max_concurrency": None})()
    (middleware,) = base_app.BaseAppFactory.middlewares.fget(factory)
    assert middleware.cls is TimeLimit
    assert middleware.kwargs == {"timeout": 7}


async def test_an_answer_passes():
    async with asking(PlainTextResponse("here"), 5) as client:
        assert (await client.get("/")).text == "here"


async def test_what_does_not_answer_in_time_is_cancelled_and_answered_as_bentoml_does():
    ended = asyncio.Event()

    async def app(scope, receive, send):
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with asking(app, 0.01) as client:
        answer = await client.get("/")
    assert answer.status_code == 504
    assert answer.json() == {"error": "Not able to process the request in 0.01 seconds"}
    assert ended.is_set()


async def test_an_answer_that_has_begun_may_take_longer():
    async def pieces():
        yield b"first"
        await asyncio.sleep(0.05)
        yield b", last"

    async with asking(StreamingResponse(pieces()), 0.02) as client:
        assert (await client.get("/")).text == "first, last"


async def test_a_timeout_of_the_application_itself_goes_on():
    async def app(scope, receive, send):
        raise TimeoutError("of a store")

    async with asking(app, 5) as client:
        with pytest.raises(TimeoutError, match="of a store"):
            await client.get("/")


async def test_what_is_no_request_has_no_limit():
    seen = []

    async def app(scope, receive, send):
        await asyncio.sleep(0.02)
        seen.append(scope["type"])

    await TimeLimit(app, timeout=0.01)({"type": "lifespan"}, None, None)
    assert seen == ["lifespan"]


@pytest.mark.parametrize(("middleware", "held"), [(TimeLimit, False), (THEIRS, True)])
async def test_an_answered_request_is_forgotten_where_bentoml_holds_it(middleware, held):
    # what was set in the request's context stands for all that hangs on it
    class Marked:
        """Something that can be referred to weakly."""

    variable = contextvars.ContextVar("variable")
    marked = []

    async def request():
        mark = Marked()
        variable.set(mark)
        marked.append(weakref.ref(mark))
        transport = httpx.ASGITransport(middleware(PlainTextResponse("here"), timeout=60))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            await client.get("/")

    await asyncio.create_task(request())
    await asyncio.sleep(0)
    gc.collect()
    assert (marked[0]() is not None) == held
