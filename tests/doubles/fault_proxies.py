"""The fault proxy of the shared tools, in a thread of its own, for tests that are not asynchronous."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.shared import shared

__all__ = ["Faults", "faulty"]


@dataclass(frozen=True)
class Faults:
    """A proxy in front of one port."""

    port: int
    _proxy: Any
    _loop: asyncio.AbstractEventLoop

    def become(self, mode: str, seconds: float = 0) -> None:
        """Change what happens to connections: pass, latency, slow, blackhole, reset, refuse."""
        asyncio.run_coroutine_threadsafe(self._proxy.set(mode, seconds), self._loop).result(10)


@contextlib.contextmanager
def faulty(port: int) -> Iterator[Faults]:
    """Put the proxy before ``port`` of this machine."""
    at = importlib.util.spec_from_file_location("fault_proxy", shared("tools/fault_proxy.py"))
    assert at is not None
    assert at.loader is not None
    module = importlib.util.module_from_spec(at)
    at.loader.exec_module(module)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    proxy = module.FaultProxy("127.0.0.1", port)
    opened = asyncio.run_coroutine_threadsafe(proxy.start(), loop).result(10)
    try:
        yield Faults(opened, proxy, loop)
    finally:
        asyncio.run_coroutine_threadsafe(proxy.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
