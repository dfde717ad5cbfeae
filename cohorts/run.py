"""A run from its plan to its counts: what is done already is left as it is, what is missing is done.

The output folder belongs to one plan and, while a run goes on, to one process.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cohorts.plan import Plan, manifest, text_of
from cohorts.progress import Progress
from cohorts.recordings import CohortRunRefused, digest_of
from cohorts.tables import TABLES, WRITING, file_of, is_whole, write_whole
from cohorts.work import Worker

__all__ = ["MANIFEST", "Engine", "in_this_process", "run"]

Engine = Callable[[Plan, Sequence[int]], Iterator[tuple[int, int]]]  # parts -> each with its number set aside
MANIFEST = "run.json"
_LOCK = ".lock"
_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600


def run(plan: Plan, engine: Engine, progress: Progress) -> dict[str, Any]:
    """Do what is missing of ``plan`` and return the counts; raises CohortRunRefused.

    The folder then holds a file of each table for every part, and the manifest with counts and digests.
    """
    with _own(plan.output):
        before = _begin(plan)
        todo = [number for number, part in enumerate(plan.parts) if not _is_done(plan, number)]
        left = sum(plan.parts[number].stop - plan.parts[number].start for number in todo)
        progress.begin(len(plan.items) - left)
        for number, set_aside in engine(plan, todo) if todo else ():
            part = plan.parts[number]
            progress.add(part.stop - part.start, set_aside)
        progress.end()
        return _end(plan, before)


def in_this_process(plan: Plan, todo: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Do the parts ``todo`` one after the other."""
    with Worker(plan) as worker:
        for number in todo:
            yield number, worker.do(number)


@contextmanager
def _own(folder: Path) -> Iterator[None]:
    """Hold the folder, for this user and this process alone."""
    folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
    _refuse_others(folder)
    folder.chmod(_PRIVATE_FOLDER)
    lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, _PRIVATE_FILE)
    try:
        _lock(lock, folder)
        yield
    finally:
        os.close(lock)


def _lock(opened: int, folder: Path) -> None:
    import fcntl  # noqa: PLC0415  # not on every platform

    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CohortRunRefused(f"{folder}: another run is writing into it; wait for its end") from error


def _refuse_others(folder: Path) -> None:
    found = {path.name for path in folder.iterdir()} - {_LOCK}
    if found and MANIFEST not in found:
        raise CohortRunRefused(f"{folder}: expected a new or empty folder, or that of an earlier run")


def _begin(plan: Plan) -> dict[str, Any]:
    """Remove what a killed run left unfinished; return the manifest, which is that of this plan."""
    for left in plan.output.glob(f"{WRITING}*"):
        left.unlink()
    path, wanted = plan.output / MANIFEST, json.loads(text_of(manifest(plan)))
    if not path.exists():
        write_whole(path, text_of(wanted).encode())
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise CohortRunRefused(f"{path}: expected the manifest of a run, found something else") from error
    if differing := [name for name in wanted if found.get(name) != wanted[name]]:
        raise CohortRunRefused(
            f"{plan.output}: it holds a run with other {', '.join(sorted(differing))} ({MANIFEST}); "
            "ask for the same again, or choose a new folder"
        )
    return found


def _is_done(plan: Plan, number: int) -> bool:
    return all(is_whole(file_of(plan.output, table, plan.parts[number].name)) for table in TABLES)


def _end(plan: Plan, before: dict[str, Any]) -> dict[str, Any]:
    """Count what the files hold, and write it into the manifest with their digests."""
    files = {path.name: digest_of(path) for path in _files(plan)}
    if changed := sum(files.get(name) != digest for name, digest in before.get("files", {}).items()):
        raise CohortRunRefused(f"{plan.output}: {changed} files are not those that {MANIFEST} lists")
    counts = _counts(plan)
    if counts["analysed"] + sum(counts["set_aside"].values()) != len(plan.items):
        raise CohortRunRefused(f"{plan.output}: its files do not hold every recording once; begin anew")
    made = {**manifest(plan), "counts": counts, "files": files}
    write_whole(plan.output / MANIFEST, text_of(made).encode())
    return counts


def _files(plan: Plan) -> Iterator[Path]:
    for table in TABLES:
        yield from (file_of(plan.output, table, part.name) for part in plan.parts)


def _counts(plan: Plan) -> dict[str, Any]:
    analysed = weeks = embedded = 0
    set_aside: Counter[str] = Counter()
    for part in plan.parts:
        analysed += len(_column(plan, "recordings", part.name, "id"))
        absences = _column(plan, "weeks", part.name, "absent")
        weeks += len(absences)
        embedded += absences.count(None)
        set_aside.update(_column(plan, "set-aside", part.name, "code"))
    return {"analysed": analysed, "weeks": weeks, "embedded": embedded, "set_aside": dict(set_aside)}


def _column(plan: Plan, table: str, part: str, column: str) -> list[Any]:
    from pyarrow import parquet  # noqa: PLC0415  # of the extra ``cohort``

    with parquet.ParquetFile(file_of(plan.output, table, part)) as file:
        values: list[Any] = file.read([column]).column(column).to_pylist()
    return values
