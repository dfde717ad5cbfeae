"""The guarded service with all that it depends on, each of it real and behind a proxy that can fail."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import psutil

from serving.audit_check import checkpoints, verify
from serving.keys import MasterKeys, new_line
from serving.state import audit_folder, audit_keys
from tests.chaos.doors import Doors
from tests.doubles.fhir_endpoint import FhirEndpoint
from tests.doubles.health_data_process import running
from tests.doubles.http_server import Double
from tests.doubles.span_sink import span_sink
from tests.e2e.server import Served, free_port, serve, stop
from tests.faults import Faults, fault_proxy
from tests.health_data.asking import ANNA
from tests.health_data.metrics import days
from tests.redis_server import RedisServer, redis_server
from tests.serving.signed import PROJECT, certificate_endpoint
from tests.shared import missing

__all__ = ["Broken", "Kind", "World", "small_disk", "world"]

UNLIMITED = {f"PAT_RATE_{kind}": "1000000" for kind in ("ADDRESS", "CALLER", "TENANT", "FAILURE")}
DISK_BYTES = 32_000_000


class Kind(StrEnum):
    """What a world has beside what all have."""

    REDIS = "the store, its keys and the counts on three Redis servers"
    FILES = "the store in the state folder, on a small disk"
    CACHE = "the Redis servers, and a fourth for the cache; elsewhere nothing is cached"
    CLOCK = "the Redis servers, and a clock of the service's own, which two workers share"


_SERVERS: Mapping[Kind, tuple[str, ...]] = {
    Kind.REDIS: ("store", "keys", "rates"),
    Kind.FILES: (),
    Kind.CACHE: ("store", "keys", "rates", "cache"),
    Kind.CLOCK: ("store", "keys", "rates"),
}


class Broken(Double):
    """A server that answers everything with 200 and a page, or with ``status``."""

    status = 200

    def answer(self, *_: object) -> tuple[int, dict[str, str], bytes]:
        return self.status, {"Content-Type": "text/html"}, b"<html>\xff not what was asked for</html>"


@dataclass
class World:
    """What runs, and what a fault may turn."""

    folder: Path
    served: Served
    doors: Doors
    proxies: Mapping[str, Faults] = field(default_factory=dict)
    upstreams: Mapping[str, str] = field(default_factory=dict)
    redis: Mapping[str, RedisServer] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)  # settings
    fhir: FhirEndpoint | None = None
    broken: Broken | None = None

    @contextlib.contextmanager
    def again(self, **more: bool) -> Iterator[World]:
        """The service once more on what the first left, which ends if it has not; the doors remember."""
        stop(self.served.process)
        with serve(self.served.home, self.given, **more) as served:
            self.doors.url = served.url
            yield replace(self, served=served)

    def set_clock(self, seconds: int) -> None:
        """Let the service's time of day be ``seconds`` from the true one."""
        _set_clock(self.folder, seconds)

    @property
    def disk(self) -> Path:
        return self.folder / "state"

    @property
    def temp(self) -> Path:
        return self.folder / "t"

    def process(self, name: str) -> psutil.Process:
        """The worker that runs the service of that name."""
        every = psutil.Process(self.served.process.pid).children(recursive=True)
        found = [one for one in every if name in one.cmdline() and "--worker-id" in one.cmdline()]
        return found[0]

    def faults_of_the_trail(self) -> list[object]:
        """What ``pat audit verify`` finds wrong."""
        keys = audit_keys(MasterKeys.read(self.folder / "master.keys"))
        told = checkpoints(self.served.log.read_text())
        return list(verify(audit_folder(self.folder / "state"), keys, told).faults)


@contextlib.contextmanager
def small_disk(at: Path) -> Iterator[Path]:
    """A file system of a few megabytes at ``at``, where this user may mount one; else the folder."""
    at.mkdir(exist_ok=True)
    options = f"size={DISK_BYTES},mode=700"
    mounted = (
        os.getuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "pat-chaos", str(at)], check=False, capture_output=True
        ).returncode
    )
    try:
        yield at
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(at)], check=True)


@contextlib.contextmanager
def world(home: Path, folder: Path, kind: Kind = Kind.REDIS) -> Iterator[World]:
    """Start everything."""
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        redis = {name: enter(_tcp_redis(name)) for name in _SERVERS[kind]}
        endpoint, fhir, broken = enter(certificate_endpoint()), FhirEndpoint(), Broken()
        endpoint.max_age = 0  # fresh for as short a time as the service allows, which is a minute
        enter(fhir.running())
        enter(broken.running())
        double, sink = enter(running()), enter(span_sink())
        double.become()
        double.keep(*days())
        upstreams = {
            **{name: f"redis://127.0.0.1:{port}" for name, (_, port) in redis.items()},
            "certificates": endpoint.url,
            "fhir_server": fhir.url,
            "health_data": double.url,
            "collector": sink.url,
        }
        proxies = {name: enter(fault_proxy(upstream)) for name, upstream in upstreams.items()}
        servers = {name: server for name, (server, _) in redis.items()}
        for name in ("state", "t"):
            enter(small_disk(folder / name))
        given = {
            **_given(folder, proxies, servers),
            **sink.settings(by=proxies["collector"].url),
            **(_clock(folder) if kind is Kind.CLOCK else {}),
        }
        served = enter(serve(home, given))
        doors = Doors(served.url)
        doors.learn()
        yield World(folder, served, doors, proxies, upstreams, servers, given, fhir, broken)


def _given(folder: Path, proxies: Mapping[str, Faults], redis: Mapping[str, RedisServer]) -> dict[str, str]:
    """The settings that lead to all of it through the proxies."""
    keys, users = folder / "master.keys", folder / "users.json"
    if not keys.exists():
        keys.write_text(new_line("one"))
        keys.chmod(0o400)
    users.write_text(json.dumps({ANNA: ANNA}))
    stores = {f"PAT_{name.upper()}_URL": proxies[name].url for name in redis}
    nothing_cached = (
        {} if "cache" in redis else {"PAT_CACHE_BYTES": "0"}
    )  # what is asked again is computed again
    credentials = {f"PAT_{name.upper()}_CREDENTIALS_FILE": str(at.credentials) for name, at in redis.items()}
    return {
        **UNLIMITED,
        **stores,
        **credentials,
        **nothing_cached,
        "TMPDIR": str(folder / "t"),
        "PAT_TIMEOUT_SECONDS": "12",
        "PAT_MAX_REQUESTS": "16",
        "PAT_FIREBASE_PROJECT": PROJECT,
        "PAT_CERTIFICATES_URL": proxies["certificates"].url,
        "PAT_MASTER_KEYS_FILE": str(keys),
        "PAT_STATE_FOLDER": str(folder / "state"),
        "PAT_FHIR_SERVER_URL": proxies["fhir_server"].url,
        "PAT_FHIR_SERVER_SECONDS": "3",
        "PAT_HEALTH_DATA_URL": proxies["health_data"].url,
        "PAT_HEALTH_DATA_USERS_FILE": str(users),
        "PAT_HEALTH_DATA_SECONDS": "3",
    }


def _clock(folder: Path) -> dict[str, str]:
    """What gives the service a time of day of its own; the monotonic clock stays what it is."""
    _set_clock(folder, 0)
    return {
        "LD_PRELOAD": str(_faketime()),
        "FAKETIME_TIMESTAMP_FILE": str(folder / "clock"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
        "PAT_API_WORKERS": "2",
    }


def _set_clock(folder: Path, seconds: int) -> None:
    new = folder / "clock.new"
    new.write_text(f"{seconds:+d}s\n")
    new.replace(folder / "clock")  # nobody reads half of it


def _faketime() -> Path:
    """The library of Debian's package libfaketime, installed or on the LD_LIBRARY_PATH."""
    named = [Path(one) for one in os.environ.get("LD_LIBRARY_PATH", "").split(":") if one]
    files = [folder / "libfaketimeMT.so.1" for folder in (*named, *Path("/usr/lib").glob("*/faketime"))]
    if not (found := [file for file in files if file.is_file()]):
        missing("libfaketime is not on this machine (Debian: apt-get install libfaketime)")
    return found[0]


@contextlib.contextmanager
def _tcp_redis(name: str) -> Iterator[tuple[RedisServer, int]]:
    """A server with a port, for the proxy; the tests' own way in stays its socket."""
    port = free_port()
    lines = ("bind 127.0.0.1", f"port {port}")
    with redis_server("store" if name == "keys" else name, *lines) as server:
        yield server, port
