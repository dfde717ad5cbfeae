"""How a process ends that is told to: unready first, then without new connections, then once all is answered.

uvicorn stops at the signal. BentoML passes it no setting for a time in which a load balancer may look away,
and starts it without an end to its patience with what is under way; its server is replaced by the one below.
What is relied on of the pinned version is written down in tests/serving/test_drain.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from types import FrameType
from typing import Any, ClassVar

import uvicorn

__all__ = ["DrainingServer", "draining", "drains_for", "install"]

_MOMENT = 0.3  # seconds
_TOLD = threading.Event()


def draining() -> bool:
    """Whether this process was told to end."""
    return _TOLD.is_set()


class DrainingServer(uvicorn.Server):
    """Goes on for ``seconds`` after the signal, then takes no connection and answers what it has."""

    seconds: ClassVar[float] = 0.0
    answer_seconds: ClassVar[int] = 60  # for what is under way; then it is cut off

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        if config.timeout_graceful_shutdown is None:
            config.timeout_graceful_shutdown = self.answer_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Say that the process is not ready; stop after a while, or at once if it is told again."""
        again = draining()
        _TOLD.set()
        if again or sig != signal.SIGTERM or not self.seconds:
            super().handle_exit(sig, frame)
            return
        later = threading.Timer(self.seconds, super().handle_exit, (sig, frame))
        later.daemon = True
        later.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse connections from now on, whoever else holds the socket; then end as uvicorn does.

        The supervisor and the runners inherit the listening socket. Left open it would take connections that
        nobody answers. What was just let in has a moment to say what it wants.
        """
        await asyncio.sleep(0)  # whoever waits is let in
        for listening in sockets or ():
            with contextlib.suppress(OSError):  # another worker was faster
                listening.shutdown(socket.SHUT_RDWR)
        await asyncio.sleep(_MOMENT)
        await super().shutdown(sockets)


def install(answer_seconds: int) -> None:
    """Let every server of this process end so; call before one starts."""
    DrainingServer.answer_seconds = answer_seconds
    module: Any = uvicorn
    module.Server = DrainingServer


def drains_for(seconds: float) -> None:
    """Let the server of this process go on for ``seconds`` once it is told to end."""
    DrainingServer.seconds = seconds
