"""A process that is told to end is unready first, then takes no connection, and answers what it has."""

import asyncio
import contextlib
import inspect
import os
import signal
import socket
import threading

import httpx
import pytest
import uvicorn
from starlette.responses import PlainTextResponse

from serving import drain


@pytest.fixture(autouse=True)
def not_told(monkeypatch):
    monkeypatch.setattr(drain, "_TOLD", threading.Event())


class Slow:
    """An application that answers when it is let."""

    def __init__(self):
        self.asked, self.let = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope, receive, send):
        self.asked.set()
        await self.let.wait()
        await PlainTextResponse("here")(scope, receive, send)


@contextlib.asynccontextmanager
async def served(app, monkeypatch, seconds=0.0, **options):
    """A draining server on a socket that somebody else holds as well, as BentoML's supervisor does."""
    monkeypatch.setattr(drain.DrainingServer, "seconds", seconds)
    held = socket.create_server(("127.0.0.1", 0), backlog=100)
    server = drain.DrainingServer(uvicorn.Config(app, lifespan="off", log_config=None, **options))
    ours = socket.socket(fileno=os.dup(held.fileno()))
    running = asyncio.create_task(server.serve(sockets=[ours]))
    while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield server, "http://{}:{}".format(*held.getsockname()), running
    finally:
        server._captured_signals.clear()  # uvicorn would raise them again in this process
        server.should_exit = server.force_exit = True
        await running
        held.close()


def test_the_pinned_uvicorn_is_the_one_this_was_written_for():
    assert list(inspect.signature(uvicorn.Server.handle_exit).parameters) == ["self", "sig", "frame"]
    assert list(inspect.signature(uvicorn.Server.shutdown).parameters) == ["self", "sockets"]
    assert "timeout_graceful_shutdown" in inspect.signature(uvicorn.Config).parameters
    source = inspect.getsource(uvicorn.Server.shutdown)
    assert source.index("server.close()") < source.index("connection.shutdown()")


async def test_what_is_under_way_is_answered_and_nobody_else_is_let_in(monkeypatch):
    app = Slow()
    async with served(app, monkeypatch) as (server, url, running), httpx.AsyncClient() as client:
        asked = asyncio.create_task(client.get(url))
        await app.asked.wait()
        server.handle_exit(signal.SIGTERM, None)
        assert drain.draining()
        await asyncio.sleep(0.3)
        with pytest.raises(httpx.ConnectError):  # refused, though somebody else holds the socket
            await client.get(url)
        assert not asked.done()
        app.let.set()
        assert (await asked).text == "here"
        server._captured_signals.clear()
        await asyncio.wait_for(running, 5)


async def test_for_a_while_it_is_unready_and_answers(monkeypatch):
    app = Slow()
    app.let.set()
    async with served(app, monkeypatch, seconds=60) as (server, url, running), httpx.AsyncClient() as client:
        server.handle_exit(signal.SIGTERM, None)
        await asyncio.sleep(0.3)
        assert drain.draining()
        assert (await client.get(url)).text == "here"
        server.handle_exit(signal.SIGTERM, None)  # told again: at once
        server._captured_signals.clear()
        await asyncio.wait_for(running, 5)


async def test_what_takes_too_long_is_cut_off(monkeypatch):
    app = Slow()
    monkeypatch.setattr(drain.DrainingServer, "answer_seconds", 1)
    async with served(app, monkeypatch) as (server, url, _), httpx.AsyncClient() as client:
        asked = asyncio.create_task(client.get(url))
        await app.asked.wait()
        server.handle_exit(signal.SIGTERM, None)
        server._captured_signals.clear()
        with pytest.raises(httpx.HTTPError):
            (await asked).raise_for_status()
        assert not app.let.is_set()


def test_ctrl_c_does_not_wait(monkeypatch):
    monkeypatch.setattr(drain.DrainingServer, "seconds", 60)
    server = drain.DrainingServer(uvicorn.Config(Slow))
    server.handle_exit(signal.SIGINT, None)
    assert server.should_exit


def test_every_server_of_the_process_ends_so(monkeypatch):
    monkeypatch.setattr(uvicorn, "Server", uvicorn.Server)
    monkeypatch.setattr(drain.DrainingServer, "answer_seconds", 0)
    drain.install(7)
    assert uvicorn.Server is drain.DrainingServer
    assert uvicorn.Server(uvicorn.Config(Slow)).config.timeout_graceful_shutdown == 7
