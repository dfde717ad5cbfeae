"""Starts the real service: `bentoml serve` as a subprocess with its own home, temporary folder and log."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from tests.shared import ROOT

BIN = Path(sys.executable).parent
DEMO = ROOT / "models" / "weights" / "pat-s-demo"


@dataclass(frozen=True)
class Served:
    """A running service."""

    url: str
    home: Path  # BENTOML_HOME
    scratch: Path  # TMPDIR, where the runner's socket lives
    log: Path
    process: subprocess.Popen[bytes]

    def client(self, **options: object) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, **options)  # type: ignore[arg-type]


@contextlib.contextmanager
def home_with_demo_weights() -> Iterator[Path]:
    """A BentoML home that holds the demonstration checkpoint."""
    home = Path(tempfile.mkdtemp(prefix="pat-home-"))
    try:
        pat("weights", "import", str(DEMO), home=home)
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def environment(home: Path, **extra: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PAT_")}
    return {**kept, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True", **extra}


def pat(*arguments: str, home: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the pat command as a user does."""
    command = [str(BIN / "pat"), *arguments]
    return subprocess.run(
        command, env=environment(home), cwd=ROOT, text=True, capture_output=True, check=check, timeout=300
    )


@contextlib.contextmanager
def serve(
    home: Path,
    settings: Mapping[str, str] | None = None,
    *,
    wait_ready: bool = True,
    cwd: Path = ROOT,
    target: str = "service:PatService",
) -> Iterator[Served]:
    """Serve with ``settings`` (PAT_ variables); ends by the process group it started."""
    port, scratch = free_port(), Path(tempfile.mkdtemp(prefix="pt-", dir="/tmp"))
    env = environment(home, **{"TMPDIR": str(scratch), "PAT_PROFILE": "test", **(settings or {})})
    log = scratch / "server.log"
    command = [str(BIN / "bentoml"), "serve", target, "--port", str(port)]
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdout=sink, stderr=sink, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait(process, url, "/readyz" if wait_ready else "/livez", log)
        yield Served(url, home, scratch, log, process)
    finally:
        stop(process)
        shutil.rmtree(scratch, ignore_errors=True)


def wait(process: subprocess.Popen[bytes], url: str, path: str, log: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url + path, timeout=5).status_code == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"server did not answer {path}:\n{log.read_text()[-4000:]}")


def stop(process: subprocess.Popen[bytes]) -> int:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        return kill(process)


def kill(process: subprocess.Popen[bytes]) -> int:
    """End a server and all that it started at once, as the kernel ends a container."""
    top = psutil.Process(process.pid)
    for one in (top, *top.children(recursive=True)):  # each is in a session of its own
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    return process.wait(timeout=30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
