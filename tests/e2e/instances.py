"""Two instances of the served, guarded service behind a real nginx, on the Redis servers that they share.

Everything is of deploy/: the secrets, the configurations, and the settings of its instances.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx

from serving.start import MEMORY, scratch
from tests.deploy.parts import Nginx, RunningRedis, deployed_nginx, deployed_redis, secrets_in
from tests.e2e.server import BIN, environment, free_port, home_with_demo_weights, kill
from tests.serving.signed import PROJECT, certificate_endpoint, token

READY_SECONDS = 120
OPEN = {"rate=20r/s": "rate=100000r/s", "burst=100": "burst=100000", "connections 40": "connections 4000"}


class Instance:
    """One instance: `pat serve` over TLS at a port of its own, with a home and a state folder of its own."""

    def __init__(self, folder: Path, home: Path, secrets: Path, settings: Mapping[str, str]) -> None:
        self.port, self.state, self.log = free_port(), folder / "state", folder / "log"
        self._home, self._secrets = home, secrets
        self._settings = {
            "PAT_PROFILE": "test",
            "PAT_PORT": str(self.port),
            "PAT_STATE_FOLDER": str(self.state),
            "PAT_TLS_CERTIFICATE_FILE": str(secrets / "pat-service.pem"),
            "PAT_TLS_KEY_FILE": str(secrets / "pat-service.key"),
            "PAT_MASTER_KEYS_FILE": str(secrets / "master.keys"),
            "FORWARDED_ALLOW_IPS": "127.0.0.1",
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def start(self) -> None:
        env = environment(self._home, **self._settings)
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                [BIN / "pat", "serve"],
                cwd=self.log.parent,
                env=env,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End all of it at once, as the kernel ends a container."""
        assert self.process is not None
        kill(self.process)

    def stop(self) -> int:
        """Tell it to end, and wait until it has."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=90)

    def wait(self) -> float:
        """Return how long it took until it was ready."""
        began, context = time.monotonic(), trusting(self._secrets)
        with httpx.Client(verify=context, timeout=5) as client:
            while time.monotonic() - began < READY_SECONDS:
                assert self.process is not None
                if self.process.poll() is not None:
                    break
                with contextlib.suppress(httpx.HTTPError):
                    if client.get(f"{self.url}/readyz").status_code == 200:
                        return time.monotonic() - began
                time.sleep(0.1)
        raise AssertionError(f"the instance did not become ready:\n{self.log.read_text()[-4000:]}")


@dataclass(frozen=True)
class Deployed:
    """All of it, running."""

    instances: tuple[Instance, Instance]
    nginx: Nginx
    secrets: Path
    store: RunningRedis

    def client(self, at: str | None = None, **options: Any) -> httpx.Client:
        """A client of nginx, or of an instance."""
        context = trusting(self.secrets)
        return httpx.Client(base_url=at or self.nginx.url, verify=context, timeout=60, **options)


def trusting(secrets: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=secrets / "ca.pem")


@contextlib.contextmanager
def deployed(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Deployed]:
    """Start the servers, both instances and nginx; end all of it."""
    secrets = secrets_in(folder)
    with contextlib.ExitStack() as stack:
        store, keys, rates = (
            stack.enter_context(deployed_redis(name, secrets)) for name in ("store", "keys", "rates")
        )
        endpoint = stack.enter_context(certificate_endpoint())
        shared = {
            "PAT_FIREBASE_PROJECT": PROJECT,
            "PAT_CERTIFICATES_URL": endpoint.url,
            "PAT_REDIS_CA_FILE": str(secrets / "ca.pem"),
            "PAT_RUNNER_THREADS": "1",
            "PAT_DRAIN_SECONDS": "5",  # as in compose.yml
            "PAT_CACHE_BYTES": "0",  # equal requests are computed each
            "PAT_MAX_REQUESTS": "32",  # nobody is refused for want of room
            "PAT_RATE_ADDRESS": "1000000",
            "PAT_RATE_TENANT": "1000000",
        }
        for kind, server in (("STORE", store), ("KEYS", keys), ("RATES", rates)):
            shared |= {
                f"PAT_{kind}_URL": server.url,
                f"PAT_{kind}_CREDENTIALS_FILE": str(server.credentials),
            }
        made = tuple(
            _instance(stack, folder / name, secrets, {**shared, **(settings or {})}) for name in "ab"
        )
        for instance in made:
            instance.start()
        for instance in made:
            instance.wait()
        ports = tuple(instance.port for instance in made)
        nginx = stack.enter_context(deployed_nginx(secrets, ports, **OPEN))
        first, second = made
        yield Deployed((first, second), nginx, secrets, store)


def _instance(
    stack: contextlib.ExitStack, folder: Path, secrets: Path, settings: Mapping[str, str]
) -> Instance:
    folder.mkdir()
    home = stack.enter_context(home_with_demo_weights())
    instance = Instance(folder, home, secrets, settings)
    stack.callback(_end, instance)
    return instance


def _end(instance: Instance) -> None:
    if instance.process is not None and instance.process.poll() is None:
        instance.kill()
    shutil.rmtree(scratch(MEMORY))  # and with it what the killed one left


@dataclass
class Load:
    """What a bounded number of callers, each asking again as soon as it is answered, is told by ``url``."""

    url: str
    context: ssl.SSLContext
    body: bytes
    callers: int = 8
    tokens: list[str] = field(default_factory=list)
    path: str = "/analyze"
    pause: float = 0.0
    told: list[tuple[float, float, str]] = field(default_factory=list)  # when asked, when told, what
    running: bool = True

    async def run(self) -> None:
        """Ask until ``running`` is false."""
        turn = itertools.cycle(self.tokens)
        connector = aiohttp.TCPConnector(ssl=self.context, limit=self.callers)
        patience = aiohttp.ClientTimeout(60)
        async with aiohttp.ClientSession(self.url, connector=connector, timeout=patience) as session:
            await asyncio.gather(*(self._caller(session, turn) for _ in range(self.callers)))

    async def _caller(self, session: aiohttp.ClientSession, turn: Iterator[str]) -> None:
        kind = {"Content-Type": "application/json"}
        while self.running:
            began = time.monotonic()
            try:
                who = {"Authorization": f"Bearer {next(turn)}"}
                async with session.post(self.path, data=self.body, headers=kind | who) as answer:
                    await answer.read()
                    what = str(answer.status)
            except (aiohttp.ClientError, TimeoutError) as error:
                what = type(error).__name__
            self.told.append((began, time.monotonic(), what))
            await asyncio.sleep(self.pause)

    def rate(self, since: float, until: float) -> float:
        """Answers a second between two moments."""
        return sum(since <= told < until and what == "200" for _, told, what in self.told) / (until - since)

    def failures(self) -> list[tuple[float, float, str]]:
        return [told for told in self.told if told[2] != "200"]


def load(at: Deployed, body: bytes, callers: int = 8) -> Load:
    """A load on nginx by people of whom none asks often."""
    tokens = [token(sub=f"load-{number}") for number in range(400)]
    return Load(at.nginx.url, trusting(at.secrets), body, callers, tokens)


def changes(at: Deployed) -> Load:
    """Requests that nginx sends once and no more: an admin's, who begins relations of care."""
    tokens = [token(sub=f"admin-{number}", roles=["admin"]) for number in range(40)]
    body = b'{"subject": "anna-care", "uid": "user-care"}'
    return Load(at.nginx.url, trusting(at.secrets), body, 2, tokens, "/v1/care:begin", 0.05)
