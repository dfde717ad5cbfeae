"""The double of the health data service in a process of its own, and how a test changes and questions it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from tests.e2e.server import free_port
from tests.shared import ROOT

__all__ = ["Double", "running"]

Json = dict[str, Any]


@dataclass(frozen=True)
class Double:
    """A running double, and how a test changes it."""

    url: str

    def become(self, **said: Any) -> None:
        """Be without data and defects but those ``said`` (fields of State, ``profile``, ``without``)."""
        httpx.put(f"{self.url}/_double", json=said).raise_for_status()

    def turn(self, **knobs: Any) -> None:
        """Change knobs and leave the rest."""
        httpx.patch(f"{self.url}/_double", json=knobs).raise_for_status()

    def keep(self, *uploads: Json) -> None:
        """Keep uploads (fields of Upload)."""
        httpx.post(f"{self.url}/_double/uploads", json=uploads, timeout=60).raise_for_status()

    def told(self) -> Json:
        """What was asked since it last became another, and what it keeps."""
        found: Json = httpx.get(f"{self.url}/_double", timeout=60).json()
        return found


@contextlib.contextmanager
def running() -> Iterator[Double]:
    """Run the double in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "tests.doubles.health_data_service", str(port)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            double = Double(f"http://127.0.0.1:{port}")
            _wait(process, double)
            yield double
        finally:
            process.kill()  # it would wait for uploads that it never answers


def _wait(process: subprocess.Popen[bytes], double: Double, seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            double.told()
            return
        time.sleep(0.1)
    raise AssertionError("the double of the health data service did not start")
