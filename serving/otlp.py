"""The one way out for telemetry (OTLP over HTTP): bounded, sent once, and nobody waits for it.

What is put into an Outbound is sent by a thread. What finds the queue full, or is not taken by the collector,
is counted and gone; nothing is sent twice. A collector that is down, slow or hung costs a request nothing,
and the end of the process one second at most.

Errors:

    HeadersUnusable          the file of headers for the collector must not be used as it is
"""

from __future__ import annotations

import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from serving.settings import Settings, SettingsError, Signal

if TYPE_CHECKING:
    import httpx

__all__ = [
    "THREAD",
    "Collector",
    "HeadersUnusable",
    "Outbound",
    "Room",
    "Sender",
    "ended_in_time",
    "headers_of",
]

T = TypeVar("T")
THREAD = "otlp"  # the name of every thread that sends: what is said there is not sent again
_SEND_SECONDS = 2.0  # for one batch
_LAST_SECONDS = 0.6  # for all that is left of a signal when the process ends
_END_SECONDS = 1.0  # after which it ends whatever hangs
_OTHERS = 0o077


class HeadersUnusable(ValueError):  # noqa: N818  # it says what is the case, as KeyError does
    """The headers must not be used as they are."""


@dataclass(frozen=True, repr=False)
class Collector:
    """Where telemetry goes; of traces a share of those that begin here, and all that their callers record."""

    endpoint: str
    sample: float = 1.0
    ca_file: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings, signal: Signal) -> Collector | None:
        """Return the one of the settings for ``signal``, None where they name none or do not choose that.

        Raises HeadersUnusable, or SettingsError for certificates that cannot be read, whatever is chosen.
        """
        if not settings.otlp_endpoint:
            return None
        file = settings.otlp_headers_file
        headers = headers_of(Path(file)) if file else {}
        made = cls(settings.otlp_endpoint, settings.otlp_sample, settings.otlp_ca_file, headers)
        try:
            made.trusted()
        except OSError:  # ssl.SSLError is one
            raise SettingsError("PAT_OTLP_CA_FILE: expected certificates in a PEM file") from None
        return made if signal in settings.signals else None

    def trusted(self) -> ssl.SSLContext:
        """Return whom the service believes to be the collector; OSError for a file that is none."""
        return ssl.create_default_context(cafile=self.ca_file or None)

    def url(self, signal: Signal) -> str:
        """The address that takes ``signal``; an endpoint may be given with the door of spans."""
        base = self.endpoint.rstrip("/").removesuffix(f"/v1/{Signal.TRACES}")
        return f"{base}/v1/{signal}"


def headers_of(path: Path) -> dict[str, str]:
    """Read lines of ``Name: value``, such as a token for the collector; raises HeadersUnusable."""
    try:
        mode, text = path.stat().st_mode, path.read_text("ascii")
    except (OSError, ValueError):
        raise HeadersUnusable("PAT_OTLP_HEADERS_FILE: expected a readable text file") from None
    if mode & _OTHERS:
        raise HeadersUnusable("PAT_OTLP_HEADERS_FILE: expected a file its owner alone may read; chmod 400 it")
    parted = [line.partition(":") for line in text.splitlines() if line.strip()]
    if not all(colon and name.strip() and value.strip() for name, colon, value in parted):
        raise HeadersUnusable("PAT_OTLP_HEADERS_FILE: expected lines of the form Name: value")
    return {name.strip(): value.strip() for name, _, value in parted}


class Sender:
    """Posts what is one signal's, as protobuf, once and in time."""

    def __init__(self, at: Collector, signal: Signal) -> None:
        self._at, self._url = at, at.url(signal)
        self._client: httpx.Client | None = None
        self._until = float("inf")

    def sent(self, body: bytes) -> bool:
        """Send ``body``; say whether the collector took it."""
        left = min(_SEND_SECONDS, self._until - time.monotonic())
        return left > 0 and self._posted(body, left)

    def hurry(self) -> None:
        """Send what is left within a second; what is later is not sent."""
        self._until = time.monotonic() + _LAST_SECONDS

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def _posted(self, body: bytes, seconds: float) -> bool:
        import httpx  # noqa: PLC0415  # only where telemetry leaves

        try:
            with self._connected().stream("POST", self._url, content=body, timeout=seconds) as answer:
                return answer.is_success
        except (httpx.HTTPError, OSError, RuntimeError):  # closed meanwhile
            return False

    def _connected(self) -> httpx.Client:
        if self._client is None:
            import httpx  # noqa: PLC0415  # same

            headers = {"Content-Type": "application/x-protobuf", "User-Agent": "pat-service"}
            self._client = httpx.Client(
                verify=self._at.trusted(),
                trust_env=False,
                follow_redirects=False,
                headers={**headers, **self._at.headers},
            )
        return self._client


@dataclass(frozen=True)
class Room:
    """How much may wait, and how much is sent at a time."""

    waiting: int = 2_048
    batch: int = 512
    seconds: float = 1.0  # after which what waits is sent, however little it is


def ended_in_time(ends: Sequence[Callable[[], None]]) -> None:
    """Do all of ``ends`` at once; what is not done in time is left alone."""
    threads = [threading.Thread(target=end, name=THREAD, daemon=True) for end in ends]
    deadline = time.monotonic() + _END_SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


class Outbound(Generic[T]):
    """A bounded queue and the thread that sends what is in it; ``dropped`` hears how many were lost."""

    def __init__(
        self,
        sender: Sender,
        encode: Callable[[Sequence[T]], bytes],
        dropped: Callable[[int], None],
        room: Room | None = None,
    ) -> None:
        self._sender, self._encode, self._dropped, self._room = sender, encode, dropped, room or Room()
        self._waiting: deque[T] = deque()
        self._wake, self._ended = threading.Event(), threading.Event()
        self._counting, self._under_way, self._given_up = threading.Lock(), 0, False
        self._thread = threading.Thread(target=self._work, name=THREAD, daemon=True)
        self._thread.start()

    def put(self, one: T) -> None:
        """Let ``one`` wait, if there is room and the end has not come."""
        if self._ended.is_set() or len(self._waiting) >= self._room.waiting:
            self._dropped(1)
            return
        self._waiting.append(one)
        if len(self._waiting) >= self._room.batch:
            self._wake.set()

    def close(self) -> None:
        """Send what is left, in time; what is under way then is given up."""
        self._sender.hurry()
        self._ended.set()
        self._wake.set()
        self._thread.join(_LAST_SECONDS)
        with self._counting:
            self._given_up = True
            if left := self._under_way + len(self._waiting):
                self._dropped(left)
            self._waiting.clear()

    def _work(self) -> None:
        while not self._ended.is_set():
            self._wake.wait(self._room.seconds)
            self._wake.clear()
            self._send()
        self._send()
        self._sender.close()

    def _send(self) -> None:
        while batch := self._next():
            taken = self._taken(batch)
            with self._counting:
                self._under_way = 0
                if not (taken or self._given_up):
                    self._dropped(len(batch))

    def _next(self) -> list[T]:
        with self._counting:
            batch = [self._waiting.popleft() for _ in range(min(self._room.batch, len(self._waiting)))]
            self._under_way = len(batch)
            return batch

    def _taken(self, batch: Sequence[T]) -> bool:
        try:
            return self._sender.sent(self._encode(batch))
        except Exception:  # whatever it is, the next batch has its try
            return False
