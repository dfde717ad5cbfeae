"""The encoder in this process, for commands: the checkpoint that is asked for or set, on a proven engine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.checkpoint import Checkpoint
    from pat_runner.account import ModelCard
    from pat_runner.engines import EngineOptions, Want
    from pat_runner.pipeline import FloatWeeks
    from pat_runner.runner import Outcome, Runner

__all__ = ["LocalRunner", "engine_options", "local", "proven"]


class LocalRunner:
    """A Runner in this process, as the pipeline's RunnerPort."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def run(self, weeks: FloatWeeks, want: Want) -> list[Outcome]:
        """Encode ``weeks`` (N, T), one outcome each."""
        return await asyncio.to_thread(self._runner.run, weeks, [want] * len(weeks))


def local(weights: str | None) -> tuple[LocalRunner, ModelCard]:
    """Return a proven runner in this process, and the account of its model."""
    from pat_runner.account import ModelCard

    options = engine_options(None, None)
    tag, checkpoint, runner = proven(weights, options)
    return LocalRunner(runner), ModelCard.of(tag, checkpoint, options)


def engine_options(name: str | None, precision: str | None) -> EngineOptions:
    """Return what is asked for, or set in the environment."""
    from pat_runner.engines import EngineOptions
    from serving.settings import Precision, Settings

    settings = Settings.from_environment()
    chosen = Precision(precision) if precision else settings.precision
    return EngineOptions(name or settings.engine, chosen.value, settings.runner_threads)


def proven(weights: str | None, options: EngineOptions) -> tuple[str, Checkpoint, Runner]:
    """Return the tag, the checkpoint and a runner that reproduces its golden output."""
    from models import store
    from pat_runner.runner import Runner
    from serving.settings import Settings

    settings = Settings.from_environment()
    wanted = weights or settings.checkpoint
    checkpoint = store.load(wanted, None if weights else settings.checkpoint_sha256 or None)
    runner = Runner(checkpoint, options)
    runner.prove()
    return store.resolve(wanted), checkpoint, runner
