"""The runner service as the pipeline sees it: admission, calls that travel together, pinned makers only.

A call over the hop costs both processes the same, whatever it carries. A lone call goes at once; those that
arrive while every runner has one go together in the next, which is sent ahead once it is full. A long order
goes in slices, as many at a time, so that nobody waits for the whole of another's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from pat_runner import hop
from pat_runner.engines import Want
from pat_runner.pipeline import FloatWeeks, RunnerUnavailable
from pat_runner.runner import Maker, Outcome
from preprocessing.stations import station
from serving.admission import Admission, Overloaded
from serving.spans import traceparent

__all__ = ["UNAVAILABLE", "RemoteRunner", "RunnerBrokeOff", "RunnerLimits", "TravellingTogether"]

UNAVAILABLE = "unavailable"  # the runner's word for having no proven weights

Document = dict[str, Any]
Send = Callable[[list[Document]], Awaitable[list[Document]]]


@dataclass(frozen=True)
class RunnerLimits:
    """Weeks in one call, weeks that one API worker admits at a time, and runners that take its calls.

    ``ahead`` calls are next in line, full or not, while every runner has one: none then waits for its next
    call. On the cores that the runners compute on, to carry it meanwhile costs more than that wait.
    """

    batch_weeks: int
    waiting_weeks: int
    runners: int = 1
    ahead: int = 0

    @property
    def slices(self) -> int:
        """Slices of one order on their way at a time, which are full: one beyond those that are computed."""
        return self.runners + 1


class Told(Protocol):
    """What is told of the weeks."""

    def weeks(self, admitted: int) -> None:
        """Say how many are admitted and not answered."""
        ...

    def refused(self, reason: str) -> None:
        """Say that an order was refused: of a request, or of a job, which asks again."""
        ...


class RunnerBrokeOff(RunnerUnavailable):
    """The runner ended while it computed, twice: it may have been killed, or what it was given kills it."""

    def __init__(self) -> None:
        super().__init__("the runner broke off; try again later")


class RemoteRunner:
    """A RunnerPort over the hop. ``pinned`` must have made every outcome; None trusts nothing."""

    def __init__(
        self, send: Send, pinned: Maker | None, limits: RunnerLimits, told: Told | None = None
    ) -> None:
        self._send = send
        self._pinned = pinned
        self._limits = limits
        self._told = told
        self._admission = Admission(limits.waiting_weeks, told.weeks if told else lambda _: None)
        self._together = TravellingTogether(self._tried_twice, limits)

    @station("pat.hop")
    async def run(self, weeks: FloatWeeks, want: Want) -> list[Outcome]:
        """Encode ``weeks`` (N, T); raises Overloaded or RunnerUnavailable."""
        try:
            with self._admission.admit(len(weeks)):
                size = self._limits.batch_weeks
                starts = range(0, len(weeks), size)
                documents = await self._in_slices([weeks[start : start + size] for start in starts], want)
        except Overloaded as error:
            if self._told is not None:
                self._told.refused(error.reason)
            raise
        return [self._checked(document) for document in documents]

    async def _in_slices(self, slices: Sequence[FloatWeeks], want: Want) -> list[Document]:
        answered: list[Document] = []
        under_way: deque[asyncio.Task[list[Document]]] = deque()
        try:
            for part in slices:
                if len(under_way) == self._limits.slices:
                    answered += await under_way.popleft()
                items = [hop.item(week, want) for week in part]
                items[0] |= traceparent()  # whose the call is, for the span of its batch
                under_way.append(asyncio.create_task(self._together.call(items)))
            while under_way:
                answered += await under_way.popleft()
        finally:
            for task in under_way:
                task.cancel()
        return answered

    async def _tried_twice(self, items: list[Document]) -> list[Document]:
        try:
            return await self._send(items)
        except aiohttp.ClientError:  # encoding is idempotent, so one more try is safe
            try:
                return await self._send(items)
            except aiohttp.ClientError as error:
                raise RunnerBrokeOff from error

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
    """Sends calls on their way, as many at once and as many items in one as ``limits`` say."""

    def __init__(self, send: Send, limits: RunnerLimits) -> None:
        self._send = send
        self._limits = limits
        self._waiting: deque[_Call] = deque()
        self._journeys: set[asyncio.Task[None]] = set()

    async def call(self, items: list[Document]) -> list[Document]:
        """Return the answers to ``items``, in order; raises what ``send`` raises."""
        made = _Call(items, asyncio.get_running_loop().create_future())
        self._waiting.append(made)
        self._depart()
        return await made.answer

    def _depart(self) -> None:
        while self._waiting and len(self._journeys) < self._places():
            journey = asyncio.create_task(self._travel(self._next()))
            self._journeys.add(journey)
            journey.add_done_callback(self._arrived)

    def _places(self) -> int:
        """Return how many calls may be under way: one more if the next cannot carry more by waiting."""
        full = sum(len(call.items) for call in self._waiting) >= self._limits.batch_weeks
        return self._limits.runners + max(self._limits.ahead, int(full))

    def _next(self) -> list[_Call]:
        """Take the next calls, one at least; those whose callers have left are dropped."""
        taken: list[_Call] = []
        items, most = 0, self._limits.batch_weeks
        while self._waiting and (not taken or items + len(self._waiting[0].items) <= most):
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
