"""Runs the fault proxy of the reference material in a thread, so that any test can change its mode."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from tests.shared import shared


class Faults:
    """A proxy before ``upstream`` (a URL); ``url`` is what to ask instead."""

    def __init__(self, proxy: Any, loop: asyncio.AbstractEventLoop, upstream: str) -> None:
        self._proxy, self._loop, self._upstream = proxy, loop, upstream

    @property
    def url(self) -> str:
        return urlsplit(self._upstream)._replace(netloc=f"127.0.0.1:{self._proxy.port}").geturl()

    def set(self, mode: str, argument: float = 0.0) -> None:
        self.run(self._proxy.set(mode, argument))

    def lead(self, upstream: str) -> None:
        """Lead to another server from now on; connections to the one before are cut."""
        at = urlsplit(upstream)
        self._proxy.upstream = (at.hostname, at.port)
        self.set("reset")
        self.set("pass")

    def run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


@contextlib.contextmanager
def fault_proxy(upstream: str) -> Iterator[Faults]:
    spec = importlib.util.spec_from_file_location("fault_proxy", shared("tools/fault_proxy.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    at = urlsplit(upstream)
    proxy, loop = module.FaultProxy(at.hostname, at.port), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    faults = Faults(proxy, loop, upstream)
    try:
        faults.run(proxy.start())
        yield faults
    finally:
        faults.run(proxy.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()
