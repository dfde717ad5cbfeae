"""The files of deploy/ as a test runs them: with the paths, ports and names of this machine."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import redis

from serving.redis_address import RedisAddress
from tests.e2e.server import free_port
from tests.shared import ROOT, missing

DEPLOY = ROOT / "deploy"
_UPSTREAM = DEPLOY / "nginx" / "upstream.conf"
_SECONDS = 20


def secrets_in(folder: Path) -> Path:
    """The secrets of one deployment, as deploy/secrets.sh makes them."""
    made = folder / "secrets"
    subprocess.run([DEPLOY / "secrets.sh", made], check=True, capture_output=True, timeout=60)
    return made


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """``text`` with every change made; one that changes nothing is a mistake."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@dataclass(frozen=True)
class RunningRedis:
    """One of the servers, with its lines of deploy/redis and its secrets."""

    name: str
    port: int
    secrets: Path
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"rediss://127.0.0.1:{self.port}"

    @property
    def credentials(self) -> Path:
        return self.secrets / f"redis-{self.name}.credentials"

    @property
    def address(self) -> RedisAddress:
        return RedisAddress(self.url, str(self.credentials), str(self.secrets / "ca.pem"))

    def client(self, **options: object) -> redis.Redis:
        return redis.Redis.from_url(self.url, **{**self.address.options(), **options})


@contextlib.contextmanager
def deployed_redis(name: str, secrets: Path) -> Iterator[RunningRedis]:
    """Start the server ``name`` with its file of deploy/redis; skips where there is no redis-server."""
    if shutil.which("redis-server") is None:
        missing("redis-server is not on this machine (Debian: apt-get install redis-server)")
    folder, port = Path(tempfile.mkdtemp(prefix="pr-", dir="/tmp")), free_port()
    changes = {
        "tls-port 6390": f"bind 127.0.0.1\ntls-port {port}",
        "/run/secrets": str(secrets),
        "dir /data": f"dir {folder}",
    }
    file = folder / "redis.conf"
    file.write_text(replaced((DEPLOY / "redis" / f"{name}.conf").read_text(), changes))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["redis-server", str(file)], stdout=log, stderr=log)
    try:
        until_open(port, process, folder / "log")
        yield RunningRedis(name, port, secrets, folder, process)
    finally:
        process.kill()
        process.wait(timeout=_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def until_open(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"nobody listens:\n{log.read_text()[-2000:]}")


class Nginx:
    """The files of deploy/nginx in ``folder``, before instances at ``ports`` of this machine."""

    def __init__(self, folder: Path, secrets: Path, ports: tuple[int, ...], **changes: str) -> None:
        if shutil.which("nginx") is None:
            missing("nginx is not on this machine (Debian: apt-get install nginx-light)")
        self.folder, self.port, self._ports = folder, free_port(), ports
        self.secrets = secrets
        self.process: subprocess.Popen[bytes] | None = None
        here = {"/tmp/": f"{folder}/", "/etc/nginx/": f"{folder}/", "/run/secrets/": f"{secrets}/"}
        here |= {"/dev/stdout": f"{folder}/access.log", "/dev/stderr": f"{folder}/error.log"}
        here |= {"listen 8443": f"listen 127.0.0.1:{self.port}"}
        for file in (DEPLOY / "nginx").glob("*.conf"):
            text = file.read_text()
            for old, new in {**here, **changes}.items():
                text = text.replace(old, new)
            (folder / file.name).write_text(text)
        self.instances()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def requests(self) -> str:
        """What its log says of requests."""
        return (self.folder / "access.log").read_text()

    @property
    def errors(self) -> str:
        return (self.folder / "error.log").read_text()

    def instances(self, *down: int) -> None:
        """Write which instances there are, as an operator does; those at the ports ``down`` rest."""
        (options,) = set(re.findall(r"^server pat-\d:3000 (.*);$", _UPSTREAM.read_text(), re.MULTILINE))
        rests = {port: " down" if port in down else "" for port in self._ports}
        lines = [f"server 127.0.0.1:{port} {options}{rest};\n" for port, rest in rests.items()]
        (self.folder / "upstream.conf").write_text("".join(lines))

    @property
    def _line(self) -> list[str]:
        return ["nginx", "-e", str(self.folder / "error.log"), "-c", str(self.folder / "nginx.conf")]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        line = [*self._line, *arguments]
        return subprocess.run(line, capture_output=True, text=True, timeout=30, check=False)

    def reload(self) -> None:
        assert self.command("-t").returncode == 0
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def start(self) -> None:
        self.process = subprocess.Popen([*self._line, "-g", "daemon off;"], start_new_session=True)
        until_open(self.port, self.process, self.folder / "error.log")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(timeout=_SECONDS)


@contextlib.contextmanager
def deployed_nginx(secrets: Path, ports: tuple[int, ...], **changes: str) -> Iterator[Nginx]:
    """Start nginx with the files of deploy/nginx and ``changes`` in their text; skips where there is none."""
    folder = Path(tempfile.mkdtemp(prefix="pn-", dir="/tmp"))
    nginx = Nginx(folder, secrets, ports, **changes)
    try:
        nginx.start()
        yield nginx
    finally:
        nginx.stop()
        shutil.rmtree(folder, ignore_errors=True)
