"""Faults that a service does not live through, or is born with: its stop under load, and how it starts."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from serving.state import audit_folder
from tests.chaos.doors import Asked
from tests.chaos.faults import WELL, Words
from tests.chaos.matrix import RECOVERY_SECONDS, Row, row, settled
from tests.chaos.world import Kind, World, world

__all__ = ["ENDS"]

_LOADED = ("analyze", "raw", "embed", "care", "jobs", "deliver")
_NOT_LET_IN = ("not let in", "no answer")  # who comes while nobody takes connections any more
_STOP_SECONDS = 5.0
_LOAD_SECONDS = 2.0


def stopped_under_load(home: Path, folder: Path) -> list[Row]:
    """SIGTERM while every door is asked without a pause: what was accepted is answered, the trail ends."""
    return _stopped(home, folder, "stopped under load", lambda _: None)


def stopped_beside_a_hung_collector(home: Path, folder: Path) -> list[Row]:
    """The same while the collector takes spans and never answers."""

    def hang(running: World) -> None:
        running.proxies["collector"].set("blackhole")

    return _stopped(home, folder, "stopped, collector hung", hang)


def _stopped(home: Path, folder: Path, name: str, before: Callable[[World], None]) -> list[Row]:
    with world(home, folder, Kind.FILES) as running:
        before(running)
        asked, seconds, code = _asked_across_the_end(running)
        assert code == 0, f"it ended with {code}"
        assert not list(audit_folder(running.disk).glob("*.open")), "the trail has not ended"
        assert running.faults_of_the_trail() == []
        with running.again() as back:
            began = time.monotonic()
            settled(back)
            recovery = time.monotonic() - began
    expected = {door: (*WELL[door], *_NOT_LET_IN) for door in _LOADED}
    expected["jobs"] += ("429 too_many_jobs",)  # they come faster than they are done
    rows = [row(name, door, expected[door], asked, recovery) for door in _LOADED]
    return [*rows, Row(name, "SIGTERM", ("within 5 s",), {_within(seconds): 1}, seconds, recovery)]


def _within(seconds: float) -> str:
    return "within 5 s" if seconds < _STOP_SECONDS else "TOO LONG"


def _asked_across_the_end(running: World) -> tuple[list[Asked], float, int]:
    """Ask on and on from before the signal until nobody listens; return answers, seconds to the end, code."""
    over = threading.Event()

    def without_pause(door: str) -> list[Asked]:
        found = []
        while not over.is_set():
            found.append(running.doors.ask(door))
        return found

    with ThreadPoolExecutor(len(_LOADED)) as threads:
        answers = [threads.submit(without_pause, door) for door in _LOADED]
        time.sleep(_LOAD_SECONDS)
        process = running.served.process
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        try:
            code = process.wait(timeout=60)
        finally:
            seconds = time.monotonic() - began
            over.set()
    return [one for answer in answers for one in answer.result()], seconds, code


@contextlib.contextmanager
def _damaged(home: Path, damage: Callable[[Path], None]) -> Iterator[None]:
    """The stored weights after ``damage``; whole again at the end."""
    (file,) = home.glob("models/pat-s-demo/*/weights.safetensors")
    kept, mode = file.read_bytes(), file.stat().st_mode
    file.chmod(0o644)
    damage(file)
    try:
        yield
    finally:
        file.write_bytes(kept)
        file.chmod(mode)


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _cut(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


_NO_WEIGHTS: Mapping[str, Words] = {
    **dict.fromkeys(("analyze", "raw", "embed", "fhir", "care"), ("503 model_unavailable",)),
    "readyz": ("503",),
    "livez": ("200",),
}


def _started_with(name: str, damage: Callable[[Path], None]) -> Callable[[Path, Path], list[Row]]:
    def starts(home: Path, folder: Path) -> list[Row]:
        with world(home, folder, Kind.FILES) as running:
            with _damaged(home, damage), running.again(wait_ready=False) as back:
                asked = [back.doors.ask(door) for door in _NO_WEIGHTS for _ in range(3)]
            began = time.monotonic()
            with running.again() as back:
                _answers_as_before(back)
                recovery = time.monotonic() - began
        return [row(name, door, words, asked, recovery) for door, words in _NO_WEIGHTS.items()]

    return starts


def _answers_as_before(running: World) -> None:
    deadline = time.monotonic() + RECOVERY_SECONDS
    while (found := running.doors.ask("analyze")).word != "same":
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def started_without_certificates(home: Path, folder: Path) -> list[Row]:
    """A process that never saw a certificate tells nobody apart: 503, never 401, and nothing unverified."""
    words: dict[str, Words] = {
        **dict.fromkeys(WELL, ("503 identity_unavailable",)),
        "readyz": ("200",),
        "livez": ("200",),
    }
    with world(home, folder, Kind.FILES) as running:
        running.proxies["certificates"].set("refuse")
        with running.again() as back:
            asked = [back.doors.ask(door) for door in words]
            running.proxies["certificates"].set("pass")
            began = time.monotonic()
            _answers_as_before(back)
            recovery = time.monotonic() - began
    return [row("started without certificates", door, said, asked, recovery) for door, said in words.items()]


ENDS: Mapping[str, Callable[[Path, Path], list[Row]]] = {
    "stopped under load": stopped_under_load,
    "stopped, collector hung": stopped_beside_a_hung_collector,
    "started with other weights": _started_with("started with other weights", _flip),
    "started with half the weights": _started_with("started with half the weights", _cut),
    "started without weights": _started_with("started without weights", Path.unlink),
    "started without certificates": started_without_certificates,
}
