"""Servers of a benchmark: started on a free port, their CPU time read from outside, ended at last."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Server", "bento", "program"]

_READY_SECONDS = 120


@dataclass(frozen=True)
class Server:
    """A server that answers; what it costs is the CPU time of all its processes."""

    url: str
    process: subprocess.Popen[bytes]

    def processes(self) -> list[psutil.Process]:
        """Return the supervisor and all that it started."""
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Return the CPU time of all processes so far."""
        return sum(sum(process.cpu_times()[:2]) for process in self.processes())

    def sleep(self) -> None:
        """Stop all processes where they stand, so that an idle server takes nothing from one in its turn."""
        for process in self.processes():
            process.suspend()

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Let all processes go on for a while."""
        for process in self.processes():
            process.resume()
        try:
            yield
        finally:
            self.sleep()

    def end(self) -> None:
        """End all processes, asleep or not; BentoML's are in groups of their own."""
        if self.process.poll() is not None:
            return
        every = self.processes()
        for process in every:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)  # a supervisor ends its own
        for process in every:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(every)

    def runner(self) -> psutil.Process:
        """Return the process that computes: the one a Bento calls PatRunner."""
        return next(found for found in self.processes() if "PatRunner" in found.cmdline())


@contextlib.contextmanager
def bento(home: Path, settings: Mapping[str, str]) -> Iterator[Server]:
    """Serve the working tree with BentoML; ``home`` is its BENTOML_HOME with the weights."""
    port = _free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PAT_")}
    command = [
        str(Path(sys.executable).with_name("bentoml")),
        "serve",
        "service:PatService",
        "--port",
        str(port),
    ]
    with tempfile.TemporaryDirectory(prefix="pb-", dir="/tmp") as scratch:  # sockets need short paths
        env = {
            **kept,
            "PAT_CACHE_BYTES": "0",  # what repeats is computed again; benchmarks/cache.py measures the cache
            **settings,
            "BENTOML_HOME": str(home),
            "TMPDIR": scratch,
            "BENTOML_DO_NOT_TRACK": "True",
        }
        with _started(command, port, "/readyz", env) as server:
            yield server


@contextlib.contextmanager
def program(command: Sequence[str], path: str) -> Iterator[Server]:
    """Start ``command`` with the port as its last argument; it is ready when ``path`` answers anything."""
    port = _free_port()
    with _started([*command, str(port)], port, path, dict(os.environ)) as server:
        yield server


@contextlib.contextmanager
def _started(command: Sequence[str], port: int, path: str, env: Mapping[str, str]) -> Iterator[Server]:
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, env=env, stdout=said, stderr=said, start_new_session=True)
        server = Server(f"http://127.0.0.1:{port}", process)
        try:
            _wait(server, path, said)
            yield server
        finally:
            server.end()


def _wait(server: Server, path: str, said: object) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            with urllib.request.urlopen(server.url + path, timeout=5):  # noqa: S310  # loopback
                return
        except urllib.error.HTTPError as answer:
            if answer.code != 503:
                return
        except OSError:
            pass
        time.sleep(0.1)
    said.seek(0)  # type: ignore[attr-defined]
    raise RuntimeError(f"{server.url} does not answer: {said.read()[-2000:].decode(errors='replace')}")  # type: ignore[attr-defined]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
