"""One part of a run: its recordings in, its files out, with the model loaded once.

Everything runs in one thread, one thing after the other, so that a processor core is one worker's and the
numbers are the same wherever the part is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from cohorts.plan import Part, Plan
from cohorts.recordings import Reading
from cohorts.tables import SetAside, Tables
from models import store
from pat_runner.engines import EngineOptions
from pat_runner.runner import Runner
from pat_runner.together import analyze_together
from postprocessing.analysis import Analysis
from preprocessing.recording import Recording, RecordingError

__all__ = ["FAILED", "UNREADABLE", "Worker"]

GROUP_EPOCHS = 2_000_000  # of recordings in memory at once, 16 MB as float64; 200 weeks of minutes
UNREADABLE, FAILED = "unreadable", "failed"  # beside the codes of preprocessing.recording.Refusal
Result = Analysis | SetAside


class Worker:
    """The model on its engine, proven, for parts one after the other; a context manager."""

    def __init__(self, plan: Plan) -> None:
        card = plan.model
        checkpoint = store.load(card.checkpoint, card.sha256)
        self._plan = plan
        self._runner = Runner(checkpoint, EngineOptions(card.engine, card.precision, threads=1))
        self._runner.prove()
        self._loop = asyncio.Runner()

    def __enter__(self) -> Self:
        self._loop.get_loop().set_default_executor(ThreadPoolExecutor(1))
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.close()

    def do(self, number: int) -> int:
        """Write the files of part ``number`` of the plan; return how many recordings were set aside."""
        part, tables = self._plan.parts[number], Tables()
        names = iter(self._plan.items[part.start : part.stop])
        for group in self._groups(part):
            for result in self._results(group):
                tables.add(next(names).id, result)
        tables.write(self._plan.output, part.name)
        return len(tables.rows["set-aside"])

    def _groups(self, part: Part) -> Iterator[list[Recording | SetAside]]:
        """Yield the part's recordings, in order, as many at once as memory is meant to hold."""
        group: list[Recording | SetAside] = []
        epochs = 0
        for reading in self._plan.source.readings(part.start, part.stop, self._plan.choices.hints):
            group.append(made := _read(reading))
            epochs += made.epochs if isinstance(made, Recording) else 0
            if epochs >= GROUP_EPOCHS:
                yield group
                group, epochs = [], 0
        yield group

    def _results(self, group: Sequence[Recording | SetAside]) -> list[Result]:
        recordings = [one for one in group if isinstance(one, Recording)]
        together = analyze_together(recordings, self._plan.choices.options, self._runner, self._plan.model)
        analyses = iter(self._loop.run(together))
        return [_kept(next(analyses)) if isinstance(one, Recording) else one for one in group]


def _read(reading: Reading) -> Recording | SetAside:
    try:
        return reading()
    except Exception as error:
        return _set_aside(error)


def _kept(result: Analysis | Exception) -> Result:
    return result if isinstance(result, Analysis) else _set_aside(result)


def _set_aside(error: Exception) -> SetAside:
    """Say why without a value: only a RecordingError's own words are known to hold none."""
    if isinstance(error, MemoryError):
        raise error
    if isinstance(error, RecordingError):
        return SetAside(error.code.value, str(error), error.where)
    if isinstance(error, OSError):
        return SetAside(UNREADABLE, f"the file cannot be read: {type(error).__name__}")
    return SetAside(FAILED, f"a fault of the program, please report it: {type(error).__name__}")
