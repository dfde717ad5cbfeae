"""Runs the built images as production would: nothing writable but memory, no capability, bounded."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx

from tests.e2e.server import free_port
from tests.shared import missing

SERVICE, WITHOUT_TORCH = "localhost/pat-service", "localhost/pat-service-without-torch"
IMAGES = (SERVICE, WITHOUT_TORCH)
READY_SECONDS, STOP_SECONDS = 120, 30
# Podman adds writable folders in memory to a read-only root; /dev/shm, which every tool gives, is enough.
CONFINED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--memory=1g")
CONFINED += ("--pids-limit=200", "--ulimit=nofile=4096:4096", "--ulimit=nproc=2000:2000")


@cache
def tool() -> str:
    """Podman, or docker where its daemon answers; what the images were built with (TOOL) comes first."""
    wanted = {"buildah": "podman"}.get(os.environ.get("TOOL", ""), os.environ.get("TOOL", ""))
    for name in filter(None, (wanted, "podman", "docker")):
        if shutil.which(name):
            answered = subprocess.run([name, "info"], capture_output=True, check=False)
            if answered.returncode == 0:
                return name
    missing("neither podman nor docker works here")
    raise AssertionError("missing() skips or fails")


def called(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Call the container tool."""
    command = [tool(), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert not check or done.returncode == 0, done.stderr[-2000:]
    return done


def built(image: str) -> str:
    """The image's name; skip where it was not built."""
    if called("image", "inspect", image, check=False).returncode != 0:
        missing(f"{image} was not built (make image)")
    return image


def once(image: str, *command: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run a command of the image, without a network, and remove the container."""
    return called("run", "--rm", *_flags(), "--network=none", *options, image, *command, check=False)


def looked(image: str, script: str) -> str:
    """What a shell in the image answers."""
    done = once(image, "-c", script, options=("--entrypoint=/bin/sh",))
    assert done.returncode == 0, done.stderr
    return done.stdout


def _flags() -> tuple[str, ...]:
    if tool() != "podman":
        return CONFINED
    return (*CONFINED, "--read-only-tmpfs=false", *(("--runtime=runc",) if shutil.which("runc") else ()))


@dataclass
class Running:
    """A container that serves."""

    name: str
    url: str
    ready_seconds: float = 0.0
    stop_seconds: float = 0.0

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60)

    def inside(self, script: str) -> str:
        """What a shell in the running container answers."""
        return called("exec", self.name, "sh", "-c", script).stdout

    def log(self) -> str:
        done = called("logs", self.name)
        return done.stdout + done.stderr

    def stop(self) -> int:
        """Send SIGTERM, as every orchestrator does, and return the exit status."""
        begun = time.monotonic()
        called("stop", "-t", str(STOP_SECONDS), self.name)
        self.stop_seconds = time.monotonic() - begun
        return int(called("inspect", "-f", "{{.State.ExitCode}}", self.name).stdout)

    def wait(self, verify: ssl.SSLContext | bool = True) -> None:
        """Wait until /readyz says so."""
        begun = time.monotonic()
        while time.monotonic() < begun + READY_SECONDS:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz", timeout=5, verify=verify).status_code == 200:
                    return
            state = called("inspect", "-f", "{{.State.Status}}", self.name).stdout.strip()
            assert state != "exited", self.log()[-4000:]
            time.sleep(0.05)
        raise AssertionError(f"not ready:\n{self.log()[-4000:]}")


@contextlib.contextmanager
def started(
    image: str,
    settings: Mapping[str, str] | None = None,
    *,
    options: tuple[str, ...] = ("--network=host",),
    port: int | None = None,
    scheme: str = "http",
) -> Iterator[Running]:
    """Start the image's service, on a free port of this host unless ``port`` was published."""
    given = dict(settings or {})
    if port is None:
        port = free_port()
        given["PAT_PORT"] = str(port)
    variables = [f"--env={name}={value}" for name, value in given.items()]
    name = f"pat-test-{secrets.token_hex(6)}"
    try:
        called("run", "--detach", f"--name={name}", *_flags(), *options, *variables, image)
        yield Running(name, f"{scheme}://127.0.0.1:{port}")
    finally:
        called("rm", "--force", name, check=False)


@contextlib.contextmanager
def serving(image: str, settings: Mapping[str, str] | None = None) -> Iterator[Running]:
    """The image's service on the loopback interface, once it is ready."""
    begun = time.monotonic()
    with started(image, settings) as running:
        running.wait()
        running.ready_seconds = time.monotonic() - begun
        yield running


def megabytes(image: str) -> float:
    """The image's size unpacked, in units of a million bytes, as registries and `images` count."""
    return int(called("image", "inspect", "-f", "{{.Size}}", image).stdout) / 1e6


def layers(image: str) -> list[str]:
    return called("image", "inspect", "-f", "{{json .RootFS.Layers}}", image).stdout.strip("[]\n").split(",")


def owned_by_the_service(folder: Path, user: int = 10_001) -> None:
    """Give what is mounted to the image's user, as an orchestrator's secrets are."""
    if os.getuid() != 0:
        missing("only root can give files to the image's user")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user)
