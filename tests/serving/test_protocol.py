"""A request that does not come in its time loses its connection; what is relied on of uvicorn is there."""

import asyncio
import contextlib
import inspect
import ssl

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving import protocol, tls
from tests.certificates import Authority

pytestmark = pytest.mark.security
HELLO = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


class Quick(protocol.TimedProtocol):
    head_seconds = 0.3
    whole_seconds = 0.6


@contextlib.asynccontextmanager
async def served(http=Quick, **options):
    """A server whose application answers at once and reads no body."""
    config = uvicorn.Config(PlainTextResponse("here"), port=0, http=http, log_config=None, **options)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await running


async def said(port, *parts, wait=0.0, seconds=5, **options):
    """What the server says until it closes; None while it does not."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
    heard = asyncio.create_task(everything(reader))
    try:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(wait)
        return await asyncio.wait_for(heard, seconds)
    except TimeoutError:
        return None
    finally:
        writer.close()


async def everything(reader):
    said = b""
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(65_536):
            said += part
    return said


async def test_a_request_is_answered_as_before():
    async with served() as port:
        assert (await said(port, HELLO.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))).endswith(
            b"here"
        )


async def test_a_connection_on_which_nothing_comes_is_closed():
    async with served() as port:
        assert await said(port) == b""


async def test_headers_that_drip_are_cut_off():
    drip = [HELLO[i : i + 1] for i in range(len(HELLO))]
    async with served() as port:
        assert await said(port, *drip, wait=0.1) == b""


async def test_headers_that_drip_after_a_first_request_are_cut_off_too():
    async with served() as port:
        assert (await said(port, HELLO, HELLO[:9], wait=0.05)).count(b"200 OK") == 1


async def test_headers_without_end_are_431():
    async with served() as port:
        found = await said(port, b"GET / HTTP/1.1\r\nx: ", *[b"1" * 60_000] * 4)
    assert found.startswith((b"HTTP/1.1 431", b""))
    assert b"200" not in found


async def test_a_body_that_nobody_reads_does_not_hold_the_connection():
    head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
    async with served() as port:
        found = await said(port, head, *[b"1"] * 20, wait=0.1, seconds=2)
    assert found is not None
    assert found.count(b"200 OK") == 1


async def test_uvicorn_s_own_protocol_waits_for_ever():
    async with served(HttpToolsProtocol) as port:
        assert await said(port, HELLO[:9], seconds=1.5) is None


async def test_the_same_over_tls(tmp_path):
    authority = Authority(tmp_path, "authority")
    pair = authority.pair("server", "127.0.0.1")
    files = {"ssl_certfile": pair.certificate, "ssl_keyfile": pair.key, "ssl_ciphers": tls.CIPHERS}
    context = ssl.create_default_context(cafile=authority.file)
    async with served(**files) as port:
        assert await said(port, HELLO[:9], ssl=context) == b""


def test_install_makes_it_the_one_that_servers_choose(monkeypatch):
    monkeypatch.setitem(uvicorn.config.HTTP_PROTOCOLS, "auto", uvicorn.config.HTTP_PROTOCOLS["auto"])
    monkeypatch.setattr(protocol.TimedProtocol, "whole_seconds", 60.0)
    protocol.install(30)
    config = uvicorn.Config(PlainTextResponse("here"))
    config.load()
    assert config.http_protocol_class is protocol.TimedProtocol
    assert protocol.TimedProtocol.whole_seconds == 30


def test_uvicorn_has_what_is_relied_on():
    for name in ("connection_made", "connection_lost", "data_received", "on_message_begin"):
        assert callable(getattr(HttpToolsProtocol, name))
    assert callable(HttpToolsProtocol.on_headers_complete)
    assert callable(HttpToolsProtocol.on_message_complete)
    assert "response_complete" in inspect.getsource(
        uvicorn.protocols.http.httptools_impl.RequestResponseCycle
    )
