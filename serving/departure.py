"""The order in which a service ends: the runner after those who still call it.

BentoML signals all its processes at once. The entry answers what it has accepted, and for that it needs the
runner: so each entry process holds a lock beside the runner's socket as long as it lives, and the runner goes
on answering until nobody holds one. The system lets go of the lock of a process that is killed.

What it relies on of the pinned uvicorn is written down in tests/serving/test_departure.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn

__all__ = ["Presence", "after_the_callers", "install"]

MOST_SECONDS = 25.0  # the supervisor kills after 30
_LOOK_SECONDS = 0.05
_ENDING = ".callers"


class Presence:
    """A caller of the runner that listens at ``path``, until ``end`` or the end of the process."""

    def __init__(self, path: str) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._fd: int | None = os.open(path + _ENDING, flags, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    def end(self) -> None:
        """Need the runner no more."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


async def after_the_callers(path: str, most_seconds: float = MOST_SECONDS) -> None:
    """Return when nobody calls the runner at ``path`` any more, or some time is over."""
    ends = time.monotonic() + most_seconds
    while _called(path) and time.monotonic() < ends:  # noqa: ASYNC110  # other processes set no event
        await asyncio.sleep(_LOOK_SECONDS)


def _called(path: str) -> bool:
    with contextlib.suppress(FileNotFoundError), Path(path + _ENDING).open("rb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def install() -> None:
    """Let the server of this process, a runner's, end after its callers; call before it is told to."""
    shutdown = uvicorn.Server.shutdown

    async def later(self: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
        for path in _paths(sockets or ()):
            await after_the_callers(path)
        await shutdown(self, sockets)

    server: Any = uvicorn.Server
    server.shutdown = later


def _paths(sockets: Sequence[socket.socket]) -> list[str]:
    """Return where Unix sockets are; a runner on a port is not waited for."""
    found = [one.getsockname() for one in sockets if one.family == socket.AF_UNIX]
    return [str(name) for name in found]
