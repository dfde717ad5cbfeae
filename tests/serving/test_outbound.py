"""Whatever becomes of a connection, who asks another service hears of it as httpx tells it."""

import asyncio
import socket
import struct
import threading

import httpx
import pytest
import uvloop

from serving import outbound

RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: what is closed is reset


@pytest.fixture
def resetting():
    """The address of a server that resets every connection as it is made."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:

        def reset():
            while True:
                try:
                    made, _ = listening.accept()
                except OSError:
                    return
                made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                made.close()

        threading.Thread(target=reset, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


async def outcomes(address, many):
    async with outbound.client(base_url=address) as client:
        asked = (outbound.ask(client, client.build_request("GET", "/"), 1_000) for _ in range(many))
        return await asyncio.gather(*asked, return_exceptions=True)


def test_a_connection_that_is_reset_as_it_is_made_is_a_fault_of_transport(resetting):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for _ in range(20):
            found = runner.run(outcomes(resetting, 16))
            assert all(isinstance(one, httpx.TransportError) for one in found)


async def test_so_it_is_where_the_socket_is_gone_before_it_is_looked_at():
    def gone(_):
        raise AttributeError("'NoneType' object has no attribute 'getpeername'")

    async with httpx.AsyncClient(transport=httpx.MockTransport(gone)) as client:
        with pytest.raises(httpx.ConnectError):
            await outbound.ask(client, client.build_request("GET", "http://somewhere/"), 1_000)
