"""Waiting for an answer that should be quick, in an event loop that may be busy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

__all__ = ["patiently"]

WAIT_SECONDS = 0.05
T = TypeVar("T")


async def patiently(answer: Awaitable[T], waits: int) -> T:
    """Await ``answer`` for so many short waits, one after the other; raises TimeoutError.

    A loop that was busy for long has one of them over, not all, before it sees that the answer is there. One
    deadline for the whole would then be past, and the answer lost.
    """
    task = asyncio.ensure_future(answer)
    task.add_done_callback(_heard)
    try:
        for _ in range(waits):
            if (await asyncio.wait({task}, timeout=WAIT_SECONDS))[0]:
                return task.result()
        raise TimeoutError("no answer in time")
    finally:
        if not task.done():  # its connection is closed, for the answer may still come
            task.cancel()
            await asyncio.wait({task}, timeout=WAIT_SECONDS)


def _heard(task: asyncio.Future[Any]) -> None:
    """Take what a task raised that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
