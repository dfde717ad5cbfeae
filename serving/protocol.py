"""HTTP as uvicorn speaks it, with an end to its patience: for the head of a request, and for the whole of it.

uvicorn waits for ever for the first byte, for slow headers, and for a body that the application does not
read; it also keeps headers of any size. BentoML passes it no setting for that, so its protocol is replaced by
the one below; what it relies on of the pinned version is written down in tests/serving/test_protocol.py.
"""

from __future__ import annotations

import asyncio

from uvicorn import config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["TimedProtocol", "install"]

HEAD_SECONDS = 10.0
HEAD_BYTES = 65_536
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class TimedProtocol(HttpToolsProtocol):
    """Closes a connection whose request does not come, or not whole, in its time."""

    head_seconds = HEAD_SECONDS
    whole_seconds = 60.0
    _timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Wait for a head."""
        super().connection_made(transport)
        self._wait(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._wait(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head that is not complete; close where it is too much."""
        super().data_received(data)
        self._head_bytes += len(data) if self._in_head else 0
        if self._in_head and self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Wait for the rest of the head."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._wait(self.head_seconds)

    def on_headers_complete(self) -> None:
        """Wait for the body."""
        self._in_head = False
        self._wait(self.whole_seconds)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Wait no more: it is the server's turn."""
        self._wait(None)
        super().on_message_complete()

    def _wait(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def install(whole_seconds: float) -> None:
    """Let every server of this process speak it; call before one starts."""
    TimedProtocol.whole_seconds = whole_seconds
    config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{TimedProtocol.__name__}"
