"""``/v1/jobs``: many recordings in one request, analysed beside the others, fetched when they are done.

A job is its caller's alone. What of its subjects the caller may be told is asked when it comes and when its
result is read; a subject that is not there and one that is hidden are the same.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response, StreamingResponse

from api.access import current_access
from api.desk import Desk
from api.headers import given, idempotency_key, media_types, one_of, prefers_async
from api.job_access import Askers, owner_of, shelf_of
from api.job_lines import Head, Lines, head_of
from api.keeping import Keeping, keeping
from api.problems import answer, problem
from api.v1 import desk
from preprocessing.recording import RecordingError, Refusal
from serving.audit import AuditUnavailable
from serving.job_shelf import REFUSED, JobLimits, JobShelf, Record
from serving.job_state import Progress, State
from serving.jobs import Intake, Item, Jobs, NoJob, Reception
from serving.repeats import KeyReused

__all__ = ["FHIR", "NDJSON", "OUTPUTS", "Counter", "counter", "problem_in", "router", "shown"]

NDJSON = "application/x-ndjson"
OUTPUTS = ("analysis", "collection", "transaction")
FHIR = "fhir"  # output of the jobs of POST /fhir/$analyze, which have doors of their own
_SENT = frozenset({NDJSON, "application/ndjson", "application/jsonl"})
_TOGETHER = 16  # results read at a time
JobId = Annotated[
    str, Path(alias="id", pattern="^[A-Za-z0-9_-]{22}$", description="as the answer to POST named it")
]

router = APIRouter(prefix="/v1", tags=["Jobs"])


@dataclass(frozen=True)
class Counter:
    """Where jobs are handed in and fetched by one caller."""

    kept: Keeping
    shelf: JobShelf
    askers: Askers

    @property
    def jobs(self) -> Jobs:
        """The jobs."""
        return Jobs(self.shelf)

    async def of(self, job: str, *, fhir: bool) -> tuple[Record, Progress]:
        """Return a job of the caller's own that came in by one of the faces; raises NoJob."""
        record, held = await asyncio.to_thread(self.jobs.of, owner_of(self.askers.access), job)
        if (record.output == FHIR) != fhir:
            raise NoJob
        return record, held


def counter(at: Desk) -> Counter:
    """Return it for the caller that is answered; raises NoStore."""
    kept = keeping()
    return Counter(kept, shelf_of(kept, at.settings), Askers(current_access()))


def problem_in(response: Response) -> dict[str, Any]:
    """Return what a problem answer says, as a result has it."""
    said: dict[str, Any] = json.loads(bytes(response.body))
    return said


@router.post("/jobs", status_code=202)
async def submit_job(request: Request, at: Annotated[Desk, Depends(desk)]) -> Response:
    """Take a job in: one recording a line, as ``/analyze`` takes it, with ``id`` and ``subject`` beside."""
    if not _SENT & {request.headers.get("content-type", "").split(";")[0].strip().lower()}:
        return problem(415, "content_type", f"expected Content-Type {NDJSON}, one JSON object a line")
    try:
        return await answer(_submitted(request, at))
    except AuditUnavailable:
        return problem(503, "audit_unavailable", "nothing is done unrecorded; try again later")


async def _submitted(request: Request, at: Desk) -> Response:
    here = counter(at)
    output = one_of(given(request.headers, {"output"}).get("output", "analysis"), OUTPUTS, "output")
    reception, owner = Reception(here.shelf), owner_of(here.askers.access)
    key, lines = idempotency_key(request.headers), Lines(request.stream())
    if (known := await asyncio.to_thread(reception.known, owner, key)) is not None:
        if (await lines.drain(), output) != (known.digest, known.output):
            raise KeyReused
        return await _accepted(here, known, request.headers)
    expected = int(request.headers.get("content-length") or at.settings.job_body_bytes)
    intake = await asyncio.to_thread(reception.begin, owner, output, key, expected)
    try:
        await _taken(here, intake, lines)
        record = await asyncio.to_thread(reception.finish, intake, lines.digest)
    except BaseException:
        await asyncio.to_thread(reception.abandon, intake)
        raise
    return await _accepted(here, record, request.headers)


async def _taken(at: Counter, intake: Intake, lines: Lines) -> None:
    """Keep every line of a body; raises RecordingError for one that is none."""
    most = at.shelf.limits.items
    async for batch in lines.batches():
        if len(intake.whose) + len(batch) > most:
            expected = f"expected at most {most} items in a job, found more; send several jobs"
            raise RecordingError(Refusal.INVALID_FIELD, expected, where=f"line {batch[-1][0]}")
        heads = await asyncio.to_thread(_heads, batch)
        first = len(intake.whose)
        items = [
            await _item(at.askers, line, head, first + place)
            for place, ((_, line), head) in enumerate(zip(batch, heads, strict=True))
        ]
        await asyncio.to_thread(Reception(at.shelf).add, intake, items)
    if not intake.whose:
        raise RecordingError(Refusal.INVALID_FIELD, "expected one item at least, found none", where="body")
    await at.askers.record(at.kept)


def _heads(batch: Sequence[tuple[int, bytes]]) -> list[Head]:
    return [head_of(line, number) for number, line in batch]


async def _item(askers: Askers, line: bytes, head: Head, index: int) -> Item:
    if await askers.may(head.whose):
        return Item(line, head.whose)
    refused = problem(404, "not_found", "there is no such subject")
    said = {"index": index, "id": head.id, "problem": problem_in(refused)}
    return Item(b"", refusal=json.dumps(said).encode())


async def _accepted(at: Counter, record: Record, headers: Headers) -> Response:
    _, held = await asyncio.to_thread(at.jobs.of, record.owner, record.id)
    applied = {"Preference-Applied": "respond-async"} if prefers_async(headers) else {}
    return JSONResponse(shown(record, held), 202, {"Location": f"/v1/jobs/{record.id}", **applied})


def shown(record: Record, held: Progress) -> dict[str, Any]:
    """Return what a job's owner is told of it."""
    ends = None if held.ended is None else held.ended + JobLimits.kept_seconds
    return {
        "id": record.id,
        "state": held.state.value,
        **({"reason": held.reason} if held.reason else {}),
        "output": record.output,
        "items": held.items,
        "done": held.done,
        "set_aside": held.set_aside,
        "created": _instant(held.created),
        "ended": _instant(held.ended),
        "expires": _instant(ends),
        "result": f"/v1/jobs/{record.id}/result" if held.state is State.DONE else None,
    }


def _instant(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


@router.get("/jobs/{id}")
async def read_job(job: JobId, at: Annotated[Desk, Depends(desk)]) -> Response:
    """Say how far a job of the caller's is."""

    async def work() -> Response:
        return JSONResponse(shown(*await counter(at).of(job, fhir=False)))

    return await answer(work())


@router.delete("/jobs/{id}")
async def delete_job(job: JobId, at: Annotated[Desk, Depends(desk)]) -> Response:
    """Cancel a job that has not ended; remove one that has. What came in and what came out goes."""

    async def work() -> Response:
        here = counter(at)
        record, _ = await here.of(job, fhir=False)
        was = await asyncio.to_thread(here.jobs.delete, record)
        cancelled = was in (State.WAITING, State.RUNNING)
        return JSONResponse({"id": job, "state": State.CANCELLED if cancelled else "deleted"})

    return await answer(work())


@router.get("/jobs/{id}/result")
async def read_job_result(request: Request, job: JobId, at: Annotated[Desk, Depends(desk)]) -> Response:
    """Return a line for every item, in order: its analysis or Bundle, or the problem it was set aside for."""
    if not {NDJSON, "application/*", "*/*", *_SENT} & set(media_types(request.headers)):
        return problem(406, "not_acceptable", f"this door answers {NDJSON}")
    try:
        return await answer(_result(job, at))
    except AuditUnavailable:
        return problem(503, "audit_unavailable", "nothing is disclosed unrecorded; try again later")


async def _result(job: str, at: Desk) -> Response:
    here = counter(at)
    record, held = await here.of(job, fhir=False)
    if held.open:
        return problem(409, "job_not_done", "the job has not ended; ask again later")
    if held.state is not State.DONE:
        return problem(404, "no_result", f"the job is {held.state}: nothing is kept of what it made")
    told = await _told(here, record)
    if (access := here.askers.access) is not None:
        access.records, access.model = len(told), at.card.sha256
    return StreamingResponse(_lines(here, record, told), media_type=NDJSON)


async def _told(at: Counter, record: Record) -> set[int]:
    """Return the items that the caller may be told of, and record whose they are."""
    told = {index for index, whose in enumerate(record.items) if whose in ("", REFUSED)}
    counts: dict[str, int] = {}
    for whose, indices in record.subjects().items():
        subject = await asyncio.to_thread(at.shelf.subject, record, whose)
        if subject is not None and await at.askers.may(subject):
            told.update(indices)
            counts[subject] = len(indices)
    await at.askers.record(at.kept, counts)
    return told


async def _lines(at: Counter, record: Record, told: set[int]) -> AsyncIterator[bytes]:
    for first in range(0, len(record.items), _TOGETHER):
        some = range(first, min(first + _TOGETHER, len(record.items)))
        yield await asyncio.to_thread(_joined, at, record, [(index, index in told) for index in some])


def _joined(at: Counter, record: Record, items: Sequence[tuple[int, bool]]) -> bytes:
    return b"".join(_line(at, record, index, told=told) for index, told in items)


def _line(at: Counter, record: Record, index: int, *, told: bool) -> bytes:
    found = at.jobs.result(record, index) if told else None
    return (_gone(index) if found is None else found[0]) + b"\n"


def _gone(index: int) -> bytes:
    said = problem(404, "gone", "what this item held is not there, or not for this caller")
    return json.dumps({"index": index, "id": None, "problem": problem_in(said)}).encode()
