"""Keys that others publish to verify what they sign: fetched in time, kept through an outage, never guessed.

What was last good is used until its max-age, and for a day after it was fetched while nothing newer is at
hand; an answer that holds no keys is none. A key that is not among them is looked for once a minute at most.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import httpx

from serving.breaker import Breaker

__all__ = ["Published", "SigningKeys"]

K = TypeVar("K")
log = logging.getLogger("pat.auth")


@dataclass(frozen=True)
class Published(Generic[K]):
    """A document of keys by name, as it came and as it was read."""

    body: bytes = b""
    keys: Mapping[str, K] = field(default_factory=dict)


class SigningKeys(Generic[K]):
    """Fetches the keys at ``url``; ``read`` makes them of a document, or raises ValueError. For threads."""

    stale_seconds = 24 * 3600  # the longest that keys are used after they were fetched
    refetch_seconds = 60  # no more often than this for a missing key, and the least that keys are kept

    def __init__(
        self,
        client: httpx.Client,
        url: str,
        read: Callable[[bytes], Mapping[str, K]],
        *,
        breaker: Breaker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._url, self._read, self._clock = client, url, read, clock
        self._breaker = breaker or Breaker(failures=1, seconds=10, clock=clock)
        self._lock = threading.Lock()
        self._found: Published[K] = Published()
        self._asked = self._fetched = self._fresh_until = float("-inf")

    def current(self) -> Published[K]:
        """Return what verifies now; without keys when nothing does."""
        with self._lock:
            if self._clock() >= self._fresh_until:
                self._fetch()
            usable = self._clock() < self._fetched + self.stale_seconds
            return self._found if usable else Published()

    @property
    def stale(self) -> bool:
        """Whether what is used is past its max-age."""
        return bool(self._found.keys) and self._clock() >= self._fresh_until

    def expect(self, name: str) -> None:
        """Look again for a key that is not known, but not for every forged token."""
        with self._lock:
            known = not self._found.keys or name in self._found.keys
            if not known and self._clock() - self._asked >= self.refetch_seconds:
                self._fetch()

    def _fetch(self) -> None:
        self._asked = self._clock()
        try:
            with self._breaker.call():
                answer = self._client.get(self._url).raise_for_status()
                keys = self._read(answer.content)
        except (httpx.HTTPError, ValueError, RuntimeError) as error:  # RecursionError is a RuntimeError
            log.warning("signing keys not fetched: %s", type(error).__name__)
            return
        self._found, self._fetched = Published(answer.content, keys), self._clock()
        age = _max_age(answer.headers.get("cache-control", ""))
        self._fresh_until = self._fetched + min(max(age, self.refetch_seconds), self.stale_seconds)


def _max_age(cache_control: str) -> float:
    found = re.search(r"max-age=(\d{1,7})", cache_control)
    return float(found.group(1)) if found else 0.0
