"""Does jobs beside the requests: a few items at a time, in turns, so that neither waits for the other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import Counter
from collections.abc import Awaitable
from typing import Any, TypeVar

import aiohttp
from bentoml.exceptions import BentoMLException
from pydantic import ValidationError
from starlette.responses import Response

from api.access import Access, acting, current_access, event_of
from api.delivery import with_delivery
from api.desk import Desk
from api.fhir_analyze import Asked, analyzed
from api.job_access import access_of, shelf_of
from api.job_lines import JobItem
from api.jobs import FHIR, problem_in
from api.keeping import Keeping
from api.outcomes import as_outcome
from api.problems import answer, invalid, problem
from api.remote_runner import RunnerBrokeOff
from api.requests import FhirWish
from serving import request_telemetry
from serving.audit import Action, AuditUnavailable, Outcome
from serving.job_shelf import Record
from serving.job_state import MOST_CRASHES, JobStopped
from serving.jobs import Jobs
from serving.keys import Unreadable
from serving.leases import Lease, LeaseLost, Leases
from serving.lifecycle import system_event
from serving.store import StoreUnavailable

__all__ = ["JobWorker"]

T = TypeVar("T")
log = logging.getLogger("pat.jobs")
ITEMS_AT_ONCE = 2  # of one process; what else it can do is for those who wait for an answer
ITEMS_A_TURN = 16  # of one job, before it is another's turn
RESULT_BYTES = 16_000_000
_LOOK_SECONDS, _BUSY_SECONDS, _SWEEP_SECONDS = 0.5, 2.0, 60.0
MOST_TRIES = 60  # of an item while the runner is away: two minutes, after which the item may be why
_AWAY = (aiohttp.ClientError, BentoMLException, OSError, TimeoutError)
_TROUBLE = (StoreUnavailable, AuditUnavailable, LeaseLost, Unreadable)


class Busy(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """The runner or the store cannot take the item now."""


class JobWorker:
    """One process's part in all jobs. Several share them by leases."""

    def __init__(self, keeping: Keeping, desk: Desk) -> None:
        self._keeping, self._desk = keeping, desk
        self._jobs = Jobs(shelf_of(keeping, desk.settings))
        self._leases = Leases(keeping.store)
        self._task: asyncio.Task[None] | None = None
        self._swept = 0.0
        self._tries: Counter[tuple[str, int]] = Counter()
        self._owed: dict[str, Record] = {}  # jobs whose items could not be given back

    def start(self) -> None:
        """Begin to look for work."""
        self._task = asyncio.create_task(self._work())

    async def close(self) -> None:
        """End; items under way are given back."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _work(self) -> None:
        while True:
            worked = False
            try:
                await self._sweep()
                worked = await self._round()
            except _TROUBLE as error:
                log.warning("jobs wait: %s", type(error).__name__)
            except Exception:
                log.exception("jobs wait")
            await asyncio.sleep(0 if worked else _LOOK_SECONDS)

    async def _sweep(self) -> None:
        if time.monotonic() - self._swept < _SWEEP_SECONDS and self._swept:
            return
        self._swept = time.monotonic()
        if swept := await asyncio.to_thread(self._jobs.sweep):
            event = system_event("retention", "jobs", Action.DELETE)
            await self._keeping.trail.record(event)
            log.info("%d jobs ended or removed for their age", swept)

    async def _round(self) -> bool:
        """Give every job a turn; say whether anything was done."""
        worked = False
        for job in await asyncio.to_thread(self._jobs.open):
            if (lease := await asyncio.to_thread(self._leases.take, job)) is None:
                continue
            try:
                worked |= await self._while_held(job, lease)
            finally:
                await asyncio.shield(asyncio.to_thread(_released, lease))
        return worked

    async def _while_held(self, job: str, lease: Lease) -> bool:
        """Give a job its turn; stop where the lease is lost."""
        keeper = asyncio.create_task(self._renewed(lease))
        turn = asyncio.create_task(self._turn(job, lease))
        try:
            await asyncio.wait((keeper, turn), return_when=asyncio.FIRST_COMPLETED)
            if keeper.done():
                keeper.result()  # raises
            return turn.result()
        finally:
            keeper.cancel()
            turn.cancel()
            await asyncio.gather(keeper, turn, return_exceptions=True)

    async def _renewed(self, lease: Lease) -> None:
        while True:
            await asyncio.sleep(self._leases.seconds / 3)
            await asyncio.to_thread(lease.renew)

    async def _turn(self, job: str, lease: Lease) -> bool:
        """Do some items of a job; say whether any was done, or the job ended."""
        try:
            if job in self._owed:
                await asyncio.to_thread(self._jobs.give_back, self._owed[job])
                del self._owed[job]
            record = await asyncio.to_thread(self._jobs.resume, job)
        except JobStopped:
            return False
        except Unreadable:
            await asyncio.to_thread(self._jobs.fail, job, "unreadable")
            return True
        try:
            return await self._items(record, lease)
        except JobStopped:
            return True
        except Busy:
            await asyncio.sleep(_BUSY_SECONDS)
            return False

    async def _items(self, record: Record, lease: Lease) -> bool:
        under_way: set[asyncio.Task[None]] = set()
        begun = 0
        try:
            while begun < ITEMS_A_TURN:
                taken = await asyncio.to_thread(self._jobs.take, record, alone=not under_way)
                if taken is None and not under_way:
                    break
                if taken is not None:
                    begun += 1
                    under_way.add(asyncio.create_task(self._item(record, *taken)))
                if taken is None or taken[1] or len(under_way) >= ITEMS_AT_ONCE:
                    under_way = await _some_done(under_way)
            while under_way:
                under_way = await _some_done(under_way)
            return await asyncio.to_thread(self._jobs.settle, record) or begun > 0
        except BaseException:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            if lease.held:  # else they are another's, who counts a death
                self._owed[record.id] = record
                await asyncio.shield(asyncio.to_thread(self._returned, record))
            raise

    def _returned(self, record: Record) -> None:
        """Give back what is under way; later, if the store does not answer."""
        with contextlib.suppress(StoreUnavailable):
            self._jobs.give_back(record)
            self._owed.pop(record.id, None)

    async def _item(self, record: Record, index: int, crashes: int) -> None:
        """Do one item, record that it was done, and keep its result."""
        content = await asyncio.to_thread(self._jobs.content, record, index)
        if content is None:  # its subject was deleted; nothing is kept
            await asyncio.to_thread(self._jobs.put, record, index, b"{}", aside=True)
            return
        access = access_of(record.owner, self._keeping) if self._desk.settings.guarded else None
        if crashes >= MOST_CRASHES:
            refused = problem(500, "item_failed", "the service ended twice while it worked on this item")
            result, aside, reason = _aside(record, index, content, refused), True, "item_failed"
        else:
            result, aside, reason = await self._made(record, index, content, access)
        if access is not None:
            access.records = 0  # nothing is disclosed yet
            outcome = Outcome.REFUSED if aside else Outcome.DONE
            await self._keeping.trail.record(event_of(access, outcome, reason))
        await asyncio.to_thread(self._jobs.put, record, index, result, aside=aside)
        self._tries.pop((record.id, index), None)

    async def _made(
        self, record: Record, index: int, content: bytes, access: Access | None
    ) -> tuple[bytes, bool, str]:
        """Return a result, whether it is set aside, and why; raises Busy."""
        work = self._of_fhir(content) if record.output == FHIR else self._of_line(record, index, content)
        with acting(access):
            try:
                made = await answer(_unbroken(work))
            except _AWAY as error:
                if self._tries[record.id, index] >= MOST_TRIES:
                    made = problem(500, "item_failed", "the runner could not be reached for too long")
                else:
                    self._tries[record.id, index] += 1
                    log.warning("the runner is away: %s", type(error).__name__)
                    raise Busy from None
            except Exception as error:  # whatever it is, the other items are done
                log.exception("an item of a job: %s", type(error).__name__)
                made = problem(500, "internal", "the item failed; the server's log says where")
        if isinstance(made, Response):
            if made.status_code == 503:
                raise Busy
            request_telemetry.of_process().refused(made.status_code, _reason(made))
            return _aside(record, index, content, made), True, _reason(made)
        if len(made) > RESULT_BYTES:
            refused = problem(422, "result_too_large", f"the result has more than {RESULT_BYTES} bytes")
            return _aside(record, index, content, refused), True, "result_too_large"
        return made, False, "job"

    async def _of_fhir(self, content: bytes) -> bytes | Response:
        answered = await analyzed(self._desk, Asked(content))
        if answered.status == 200:
            return with_delivery(answered.body, answered.delivery)
        return Response(answered.body, answered.status)

    async def _of_line(self, record: Record, index: int, content: bytes) -> bytes | Response:
        try:
            item = await asyncio.to_thread(JobItem.model_validate_json, content)
        except ValidationError as error:
            return invalid(error.errors(include_input=False, include_url=False))
        recording = await asyncio.to_thread(item.recording)
        options = item.options.chosen(recording)
        if record.output == "analysis":
            if item.subject:
                await _about(item.subject)
            analysis = await self._desk.analyze(recording, options)
            return _line(index, item.id, b"analysis", analysis.model_dump_json().encode())
        kind: Any = record.output
        wish = FhirWish(kind, f"Patient/{item.subject.removeprefix('Patient/')}" if item.subject else None)
        bundle = await self._desk.bundle(recording, options, wish)
        return _line(index, item.id, b"bundle", json.dumps(bundle, separators=(",", ":")).encode())


async def _unbroken(work: Awaitable[T]) -> T:
    """Await ``work``; a runner that broke off is counted, for the item may be why."""
    try:
        return await work
    except RunnerBrokeOff as error:
        raise ConnectionResetError from error


async def _about(subject: str) -> None:
    """Let the caller of the job have what is about ``subject``; raises NotThere."""
    if (access := current_access()) is not None:
        await access.about(subject)


def _line(index: int, name: str | None, what: bytes, made: bytes) -> bytes:
    head = json.dumps({"index": index, "id": name})[:-1].encode()
    return head + b', "' + what + b'": ' + made + b"}"


def _aside(record: Record, index: int, content: bytes, refused: Response) -> bytes:
    """Return the result of an item that is set aside: a problem, or an OperationOutcome with its status."""
    if record.output == FHIR:
        if not bytes(refused.body).startswith(b'{"resourceType"'):
            refused = as_outcome(refused)
        said = {"status": refused.status_code, "outcome": json.loads(bytes(refused.body))}
    else:
        name = json.loads(content).get("id")
        said = {"index": index, "id": name, "problem": problem_in(refused)}
    return json.dumps(said).encode()


def _reason(refused: Response) -> str:
    return str(problem_in(refused).get("code", f"http_{refused.status_code}"))


def _released(lease: Lease) -> None:
    with contextlib.suppress(StoreUnavailable):
        lease.release()


async def _some_done(tasks: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Wait for one at least; return the rest. Raises what one raised."""
    done, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    return left
