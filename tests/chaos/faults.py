"""The catalogue of faults: what fails, how, and what every door answers meanwhile.

What is not said of a door is that it answers as if nothing had failed. A word is one of
``tests.chaos.doors``; several are allowed where time decides, such as before and after a breaker opens.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.chaos.world import Kind, World

__all__ = ["FAULTS", "WELL", "Fault"]

Happening = Callable[[World], contextlib.AbstractContextManager[None]]
Words = tuple[str, ...]
WELL: Mapping[str, Words] = {
    **dict.fromkeys(("analyze", "raw", "embed", "fhir", "care", "pull"), ("same",)),
    "stranger": ("401 unauthenticated",),
    "jobs": ("202",),
    "deliver": ("accepted",),
    "readyz": ("200",),
    "livez": ("200",),
    "status": ("all is well",),
}


@dataclass(frozen=True)
class Fault:
    """One fault; ``telling`` is the door that CI asks."""

    name: str
    happening: Happening
    telling: str
    otherwise: Mapping[str, Words] = field(default_factory=dict)
    kind: Kind = Kind.REDIS  # of the world that it happens to
    rounds: int = 3

    @property
    def expected(self) -> Mapping[str, Words]:
        return {**WELL, **self.otherwise}


def cut(name: str, mode: str, argument: float = 0.0) -> Happening:
    """The network to a dependency fails."""

    @contextlib.contextmanager
    def happening(world: World) -> Iterator[None]:
        world.proxies[name].set(mode, argument)
        try:
            yield
        finally:
            world.proxies[name].set("pass")
            world.proxies[name].lead(world.upstreams[name])  # what hung is cut

    return happening


def nonsense(name: str, status: int = 200) -> Happening:
    """Something else answers in the place of a dependency."""

    @contextlib.contextmanager
    def happening(world: World) -> Iterator[None]:
        assert world.broken is not None
        world.broken.status = status
        world.proxies[name].lead(world.broken.origin)
        try:
            yield
        finally:
            world.proxies[name].lead(world.upstreams[name])

    return happening


def full(name: str) -> Happening:
    """A Redis has no memory left, and evicts nothing."""

    @contextlib.contextmanager
    def happening(world: World) -> Iterator[None]:
        with world.redis[name].admin() as admin:
            admin.config_set("maxmemory", 1)
            try:
                yield
            finally:
                admin.config_set("maxmemory", 0)

    return happening


def flipped(name: str) -> Happening:
    """One bit of every value in a Redis's hashes is another."""

    @contextlib.contextmanager
    def happening(world: World) -> Iterator[None]:
        with world.redis[name].admin() as admin:
            before = {key: admin.hgetall(key) for key in admin.scan_iter()}
            for key, values in before.items():
                admin.hset(key, mapping={field: _another(value) for field, value in values.items()})
            try:
                yield
            finally:
                for key, values in before.items():
                    kept = {field: v for field, v in values.items() if admin.hget(key, field) == _another(v)}
                    if kept:
                        admin.hset(key, mapping=kept)

    return happening


def _another(value: bytes) -> bytes:
    middle = len(value) - 3
    return value[:middle] + bytes([value[middle] ^ 1]) + value[middle + 1 :]


def uncached(happening: Happening) -> Happening:
    """The same, seen to take away a cache that answered: nothing is answered from it meanwhile."""

    @contextlib.contextmanager
    def watched(world: World) -> Iterator[None]:
        _answers_from_the_cache(world)
        with happening(world):
            world.doors.hits.clear()
            yield
            assert not world.doors.hits, f"answered from a cache that fails: {world.doors.hits}"

    return watched


def _answers_from_the_cache(world: World) -> None:
    world.doors.hits.clear()
    _until(lambda: world.doors.ask("analyze").word == "same" and world.doors.hits["analyze"] > 0)


@contextlib.contextmanager
def cache_full(world: World) -> Iterator[None]:
    """The cache's Redis has nothing, has no memory left, and evicts nothing.

    An answer may be called a hit none the less, where an equal request was under way.
    """
    with world.redis["cache"].admin() as admin:
        admin.flushall()
        admin.config_set("maxmemory-policy", "noeviction")
        with full("cache")(world):
            yield
            assert admin.dbsize() == 0, "it took something"
        admin.config_set("maxmemory-policy", "allkeys-lru")


@contextlib.contextmanager
def cache_flipped(world: World) -> Iterator[None]:
    """One bit of every value in the cache is another."""
    with world.redis["cache"].admin() as admin:
        _answers_from_the_cache(world)
        others = {key: _another(value) for key in admin.scan_iter() if (value := admin.get(key))}
        admin.mset(others)
        yield
        assert any(admin.get(key) != other for key, other in others.items()), "nothing damaged was replaced"


def clock_set(seconds: int) -> Happening:
    """The time of day is another for every process of the service, which has work to do."""

    @contextlib.contextmanager
    def happening(world: World) -> Iterator[None]:
        for door in ("jobs", "deliver"):
            assert world.doors.ask(door).word in WELL[door]
        world.set_clock(seconds)
        time.sleep(1)  # so that tokens are new: one that was verified before is believed for a minute
        try:
            yield
        finally:
            world.set_clock(0)

    return happening


@contextlib.contextmanager
def miscounted(world: World) -> Iterator[None]:
    """Counts of requests are something else."""
    with world.redis["rates"].admin() as admin:
        for key in list(admin.scan_iter()):
            admin.set(key, b"not a count")
        try:
            yield
        finally:
            for key in list(admin.scan_iter()):
                admin.delete(key)


@contextlib.contextmanager
def disk_full(world: World) -> Iterator[None]:
    """The disk of the trail and of the store is full."""
    filler = _filled(world.disk)
    try:
        _until(
            lambda: world.doors.ask("status").word == "503 audit_unavailable"
        )  # the last page has some room
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def temp_full(world: World) -> Iterator[None]:
    """The temporary folder is full."""
    filler = _filled(world.temp)
    try:
        yield
    finally:
        filler.unlink()


def _filled(disk: Path) -> Path:
    """Write a file for which the small disk has no room; return it."""
    assert disk.is_mount(), "expected a small disk of its own, which root may mount"
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as written, contextlib.suppress(OSError):
        while True:
            written.write(bytes(4096))
    return filler


def killed(name: str) -> Happening:
    """A process of the service is killed."""

    @contextlib.contextmanager
    def happening(world: World) -> Iterator[None]:
        world.process(name).kill()
        yield

    return happening


@contextlib.contextmanager
def runner_hung(world: World) -> Iterator[None]:
    """The process that computes stands still."""
    runner = world.process("PatRunner")
    runner.suspend()
    try:
        yield
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            runner.resume()


@contextlib.contextmanager
def weights_swapped(world: World) -> Iterator[None]:
    """The file of the weights becomes another while the service runs."""
    (file,) = world.served.home.glob("models/pat-s-demo/*/weights.safetensors")
    before = file.read_bytes()
    other = bytearray(before)
    other[len(other) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(other)
    try:
        yield
    finally:
        file.write_bytes(before)


def _until(done: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "the fault did not take effect"
        time.sleep(0.1)


_LATER_503: Words = ("503 store_unavailable",)
_NO_STORE: dict[str, Words] = {
    **dict.fromkeys(("fhir", "care", "pull", "jobs", "deliver"), _LATER_503),
    "readyz": ("503",),
    "status": ("degraded: store",),
}
_DAMAGED = dict.fromkeys(("fhir", "care"), _LATER_503)
_FULL: dict[str, Words] = {
    **dict.fromkeys(("jobs", "deliver"), _LATER_503),
    # after three failed writes the breaker is open, and nothing is read for two seconds either
    **{name: (*WELL[name], *_LATER_503) for name in ("fhir", "care", "pull")},
    "readyz": ("200", "503"),
    "status": ("degraded: store",),
}
_ALONE: dict[str, Words] = {"stranger": ("503 count_unavailable",), "status": ("degraded: rates",)}
_NO_PULL: dict[str, Words] = {"pull": ("503 upstream_unavailable",), "status": ("degraded: health_data",)}
_STALE: dict[str, Words] = {"status": ("all is well", "degraded: certificates")}
_FAILS: dict[str, Words] = {**_NO_PULL, "pull": ("502 upstream_error", "503 upstream_unavailable")}
_LATER: dict[str, Words] = {"status": ("degraded: fhir_server",)}
_UNRECORDED: dict[str, Words] = {
    **dict.fromkeys(WELL, ("503 audit_unavailable",)),
    "readyz": ("503",),
    "livez": ("200",),
}
_NO_RUNNER = dict.fromkeys(("analyze", "raw", "embed", "fhir", "care", "pull", "deliver"), None)
_WITHOUT_RUNNER: dict[str, Words] = {
    **{name: (*WELL[name], "503 model_unavailable", "504 timeout") for name in _NO_RUNNER},
    "readyz": ("503", "200"),
}
_NO_TOKEN: dict[str, Words] = {
    name: ("401 unauthenticated",) for name in WELL if name not in ("readyz", "livez")
}  # what says that it ended, or has not begun, is not believed
_BYPASSED: dict[str, Words] = {"status": ("degraded: cache",)}
_WITHOUT_ENTRY: dict[str, Words] = {name: (*words, "not let in", "no answer") for name, words in WELL.items()}

FAULTS = (
    Fault("store refused", cut("store", "refuse"), "care", _NO_STORE),
    Fault("store hung", cut("store", "blackhole"), "analyze", _NO_STORE),
    Fault("store slow", cut("store", "latency", 1.0), "jobs", _NO_STORE),
    Fault("store reset", cut("store", "reset"), "deliver", _NO_STORE),
    Fault("store corrupt", flipped("store"), "care", _DAMAGED),
    Fault("store full", full("store"), "jobs", _FULL),
    Fault("keys refused", cut("keys", "refuse"), "fhir", _NO_STORE),
    Fault("keys hung", cut("keys", "blackhole"), "care", _NO_STORE),
    Fault("keys corrupt", flipped("keys"), "care", {**_DAMAGED, "deliver": _LATER_503}),
    Fault("rates refused", cut("rates", "refuse"), "stranger", _ALONE),
    Fault("rates hung", cut("rates", "blackhole"), "analyze", _ALONE),
    Fault("rates slow", cut("rates", "latency", 1.0), "embed", _ALONE),
    Fault("rates reset", cut("rates", "reset"), "raw", _ALONE),
    Fault("rates corrupt", miscounted, "analyze", _ALONE),
    Fault("rates full", full("rates"), "stranger", _ALONE),
    Fault(
        "certificates refused",
        cut("certificates", "refuse"),
        "analyze",
        {"status": ("degraded: certificates",)},
    ),
    Fault("certificates hung", cut("certificates", "blackhole"), "raw", _STALE),
    Fault("certificates garbage", nonsense("certificates"), "embed", _STALE),
    Fault("health data refused", cut("health_data", "refuse"), "pull", _NO_PULL),
    Fault("health data hung", cut("health_data", "blackhole"), "pull", _NO_PULL),
    Fault("health data slow", cut("health_data", "slow", 0.5), "pull", _NO_PULL),
    Fault("health data reset", cut("health_data", "reset"), "analyze", _NO_PULL),
    Fault("health data garbage", nonsense("health_data"), "pull", {"pull": ("502 upstream_error",)}),
    Fault("health data 500", nonsense("health_data", 500), "pull", _FAILS),
    Fault("FHIR server refused", cut("fhir_server", "refuse"), "deliver", _LATER),
    Fault("FHIR server hung", cut("fhir_server", "blackhole"), "deliver", _LATER),
    Fault("FHIR server 500", nonsense("fhir_server", 500), "fhir", _LATER),
    Fault("collector refused", cut("collector", "refuse"), "analyze"),
    Fault("collector hung", cut("collector", "blackhole"), "raw"),
    Fault("cache refused", uncached(cut("cache", "refuse")), "analyze", _BYPASSED, Kind.CACHE),
    Fault("cache hung", uncached(cut("cache", "blackhole")), "care", _BYPASSED, Kind.CACHE),
    Fault("cache slow", uncached(cut("cache", "latency", 1.0)), "fhir", _BYPASSED, Kind.CACHE),
    Fault("cache reset", uncached(cut("cache", "reset")), "embed", _BYPASSED, Kind.CACHE),
    Fault("cache full", cache_full, "raw", _BYPASSED, Kind.CACHE),
    Fault("cache corrupt", cache_flipped, "analyze", {}, Kind.CACHE),
    Fault(
        "clock an hour ahead", clock_set(3_600), "deliver", {}, Kind.CLOCK
    ),  # tokens last an hour: just good
    Fault("clock an hour behind", clock_set(-3_600), "jobs", _NO_TOKEN, Kind.CLOCK),
    Fault("clock two days ahead", clock_set(2 * 86_400), "analyze", _NO_TOKEN, Kind.CLOCK),
    Fault("disk full", disk_full, "analyze", _UNRECORDED, kind=Kind.FILES),
    Fault("temporary folder full", temp_full, "raw", kind=Kind.FILES),
    Fault("runner killed", killed("PatRunner"), "analyze", _WITHOUT_RUNNER, kind=Kind.FILES),
    Fault("runner hung", runner_hung, "embed", _WITHOUT_RUNNER, kind=Kind.FILES, rounds=1),
    Fault("API worker killed", killed("PatService"), "jobs", _WITHOUT_ENTRY, kind=Kind.FILES),
    Fault("weights swapped", weights_swapped, "embed", kind=Kind.FILES),
)
