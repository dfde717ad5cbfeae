"""BentoML's adaptive batching without its waits: a batch starts as soon as the runner is free.

BentoML holds a call back for as long as it learned, under load, that calls wait; its mean of the last
batches forgets slowly, so a lone call after a burst pays for the burst. It also trains itself on the first
calls, forcing them into batches of one, two and three, and while a batch is under way it looks at its queue
a thousand times a second. None of that is needed: one batch is in flight at a time, so what arrives
meanwhile is the next batch by itself.

BentoML has no setting for this. ``install`` puts the dispatcher below in the place of BentoML's; what it
relies on of the pinned version is written down in tests/api/test_dispatch.py.
"""

from __future__ import annotations

import asyncio
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from _bentoml_impl.server import app
from bentoml._internal.marshal.dispatcher import CorkDispatcher, Job

if TYPE_CHECKING:
    from serving.telemetry import BatchTelemetry

__all__ = ["PromptDispatcher", "dispatcher", "install"]

Jobs = tuple[Job[Any, Any], ...]


class PromptDispatcher(CorkDispatcher[Any, Any]):
    """Starts a batch of all that waits, up to the largest batch, whenever none is in flight."""

    made: ClassVar[PromptDispatcher | None] = None  # for the one batchable method of this process

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        PromptDispatcher.made = self

    @cached_property
    def _telemetry(self) -> BatchTelemetry:
        from serving.telemetry import BatchTelemetry  # noqa: PLC0415  # asks at import where metrics go

        return BatchTelemetry()

    async def controller(self) -> None:
        """Dispatch for as long as the process lives."""
        while True:
            async with self._wake_event:
                await self._wake_event.wait_for(lambda: self._queue and self._sema.sema > 0)
            self._drop_the_late()
            jobs: Jobs = tuple(self._get_inputs())
            if jobs:
                self._sema.sema -= 1  # outbound_call gives it back
                self._batch = asyncio.create_task(self.outbound_call(jobs))

    def _drop_the_late(self) -> None:
        """Leave out calls that nobody waits for any more, and refuse (503) those beyond the longest wait."""
        waiting, oldest = list(self._queue), time.monotonic() - self.max_latency
        self._queue.clear()
        for job in waiting:
            if job.enqueue_time < oldest:
                job.future.cancel()
            elif not job.future.done():
                self._queue.append(job)

    async def inbound_call(self, data: Any) -> Any:
        """Queue one call and wait for its answer."""
        self._telemetry.queued(self._waiting() + self.get_batch_size(data))
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.append(Job(time.monotonic(), data, future))  # BentoML's clock may be set
        async with self._wake_event:
            self._wake_event.notify_all()
        return await future

    async def outbound_call(self, inputs_info: Jobs, training: bool = True) -> None:
        """Run one batch, then wake the controller for the next; in training no waits are reckoned with."""
        began = time.monotonic()
        weeks = sum(self.get_batch_size(job.data) for job in inputs_info)
        self._telemetry.started(weeks, [began - job.enqueue_time for job in inputs_info])
        self._telemetry.queued(self._waiting())
        try:
            await super().outbound_call(inputs_info, training=training)
        finally:
            self._telemetry.ended(time.monotonic() - began)
            async with self._wake_event:
                self._wake_event.notify_all()

    def _waiting(self) -> int:
        return sum(self.get_batch_size(job.data) for job in self._queue)


def dispatcher() -> PromptDispatcher:
    """Return what batches the calls of this process; RuntimeError where BentoML made none."""
    if PromptDispatcher.made is None:
        raise RuntimeError("expected a service with a batchable method, found none; call install before")
    return PromptDispatcher.made


def install() -> None:
    """Let every batchable method of this process be dispatched promptly; call before a service starts."""
    app.CorkDispatcher = PromptDispatcher
