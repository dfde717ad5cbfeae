"""The listener that Prometheus scrapes, apart from the one that callers reach.

It serves numbers that all processes of the service counted (serving/telemetry.py, BentoML's own); no label
holds a subject, a caller or an address. Of several API workers the first to come serves for all.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
from collections.abc import Callable

__all__ = ["address_of", "listen"]

log = logging.getLogger("pat.metrics")
_EXPECTED = "expected an address and a port, such as 127.0.0.1:9464"


def address_of(text: str) -> tuple[str, int]:
    """Return host and port; raises ValueError."""
    host, _, port = text.rpartition(":")
    try:
        made = str(ipaddress.ip_address(host.strip("[]"))), int(port)
    except ValueError:
        raise ValueError(_EXPECTED) from None
    if not 0 < made[1] < 65_536:
        raise ValueError(_EXPECTED)
    return made


def listen(text: str) -> Callable[[], None]:
    """Serve metrics at the address ``text`` from a thread; return what ends that. Empty: do nothing."""
    if not text:
        return _nothing
    from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415  # as in telemetry
    from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415  # same

    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # prometheus_client does not annotate it
    host, port = address_of(text)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        log.info("metrics: the address is taken, by another worker as a rule")
        return _nothing

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return end


def _nothing() -> None:
    """End what never began."""
