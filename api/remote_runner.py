"""The runner service as the pipeline sees it: admission, calls that travel together, pinned makers only.

A call over the hop costs some milliseconds of both processes, whatever it carries. A lone call goes at once;
those that arrive while two are under way (one computed, one next in line) go together in the next. A long
order goes in slices, two at a time, so that nobody waits for the whole of another's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from bentoml.exceptions import BentoMLException

from pat_runner import hop
from pat_runner.engines import Want
from pat_runner.pipeline import FloatWeeks, RunnerUnavailable
from pat_runner.runner import Maker, Outcome
from serving.admission import Admission, Overloaded

__all__ = ["UNAVAILABLE", "RemoteRunner", "RunnerLimits", "TravellingTogether"]

UNAVAILABLE = "unavailable"  # the runner's word for having no proven weights
UNDER_WAY = 2

Document = dict[str, Any]
Send = Callable[[list[Document]], Awaitable[list[Document]]]


@dataclass(frozen=True)
class RunnerLimits:
    """Weeks in one call, and weeks that one API worker admits at a time."""

    batch_weeks: int
    waiting_weeks: int


class RemoteRunner:
    """A RunnerPort over the hop. ``pinned`` must have made every outcome; None trusts nothing."""

    def __init__(self, send: Send, pinned: Maker | None, limits: RunnerLimits) -> None:
        self._send = send
        self._pinned = pinned
        self._slice = limits.batch_weeks
        self._admission = Admission(limits.waiting_weeks)
        self._together = TravellingTogether(self._tried_twice, limits.batch_weeks)

    async def run(self, weeks: FloatWeeks, want: Want) -> list[Outcome]:
        """Encode ``weeks`` (N, T); raises Overloaded or RunnerUnavailable."""
        with self._admission.admit(len(weeks)):
            starts = range(0, len(weeks), self._slice)
            documents = await self._in_slices([weeks[start : start + self._slice] for start in starts], want)
        return [self._checked(document) for document in documents]

    async def _in_slices(self, slices: Sequence[FloatWeeks], want: Want) -> list[Document]:
        answered: list[Document] = []
        under_way: deque[asyncio.Task[list[Document]]] = deque()
        try:
            for part in slices:
                if len(under_way) == UNDER_WAY:
                    answered += await under_way.popleft()
                items = [hop.encode_item(week, want) for week in part]
                under_way.append(asyncio.create_task(self._together.call(items)))
            while under_way:
                answered += await under_way.popleft()
        finally:
            for task in under_way:
                task.cancel()
        return answered

    async def _tried_twice(self, items: list[Document]) -> list[Document]:
        try:
            return await self._once(items)
        except aiohttp.ClientConnectionError:  # encoding is idempotent, so one more try is safe
            return await self._once(items)

    async def _once(self, items: list[Document]) -> list[Document]:
        try:
            return await self._send(items)
        except BentoMLException as error:
            if error.error_code.value in (429, 503):
                raise Overloaded from error
            raise

    def _checked(self, document: Document) -> Outcome:
        if document.get("rejected") == UNAVAILABLE:
            raise RunnerUnavailable(document["detail"])
        outcome, maker = hop.decode_outcome(document)
        if maker is not None and maker != self._pinned:
            raise RunnerUnavailable("the runner answers with other weights, or another engine, than pinned")
        return outcome


@dataclass(frozen=True, eq=False)
class _Call:
    items: list[Document]
    answer: asyncio.Future[list[Document]]


class TravellingTogether:
    """Sends calls on their way, at most ``UNDER_WAY`` at once and at most ``most`` items in one."""

    def __init__(self, send: Send, most: int) -> None:
        self._send = send
        self._most = most
        self._waiting: deque[_Call] = deque()
        self._journeys: set[asyncio.Task[None]] = set()

    async def call(self, items: list[Document]) -> list[Document]:
        """Return the answers to ``items``, in order; raises what ``send`` raises."""
        made = _Call(items, asyncio.get_running_loop().create_future())
        self._waiting.append(made)
        self._depart()
        return await made.answer

    def _depart(self) -> None:
        while self._waiting and len(self._journeys) < UNDER_WAY:
            journey = asyncio.create_task(self._travel(self._next()))
            self._journeys.add(journey)
            journey.add_done_callback(self._arrived)

    def _next(self) -> list[_Call]:
        """Take the next calls, one at least; those whose callers have left are dropped."""
        taken: list[_Call] = []
        items = 0
        while self._waiting and (not taken or items + len(self._waiting[0].items) <= self._most):
            call = self._waiting.popleft()
            if not call.answer.done():
                taken.append(call)
                items += len(call.items)
        return taken

    async def _travel(self, calls: list[_Call]) -> None:
        try:
            answers = iter(await self._send([item for call in calls for item in call.items]) if calls else [])
            for call in calls:
                mine = [next(answers) for _ in call.items]
                if not call.answer.done():
                    call.answer.set_result(mine)
        except Exception as error:  # handed on to every caller
            for call in calls:
                if not call.answer.done():
                    call.answer.set_exception(error)

    def _arrived(self, journey: asyncio.Task[None]) -> None:
        self._journeys.discard(journey)
        self._depart()
