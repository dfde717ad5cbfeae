"""``$analyze`` as a function: a body and what goes with it in, a status and FHIR JSON out.

The door calls it, and so may a job: it knows no request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.responses import Response

from api.access import current_access
from api.delivery import headers_of, ordered
from api.desk import Desk, whose
from api.fhir_parameters import Wanted, wanted_of
from api.outcomes import as_outcome, written
from api.problems import answer
from api.requests import FhirWish
from pat_runner.account import AnalyzeOptions
from postprocessing.fhir import BundleOptionsError
from postprocessing.fhir.operation import PARAMETERS
from preprocessing.readers import read_fhir
from preprocessing.readers.json_document import document_of
from preprocessing.recording import Recording, RecordingError, Refusal
from serving.repeats import Kept, Keyed

__all__ = ["Answered", "Asked", "analyzed", "subject_of"]


@dataclass(frozen=True)
class Asked:
    """One call: the body as it came, and the Idempotency-Key, if there was one."""

    body: bytes
    key: str = ""


@dataclass(frozen=True)
class Answered:
    """An answer: a Bundle, or an OperationOutcome and what else its refusal says in headers."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    delivery: str = ""  # its name, where there is one; in the headers as well


async def analyzed(at: Desk, asked: Asked) -> Answered:
    """Answer ``asked``; refusals are answers, anything else raises."""
    made = await answer(_bundle(at, asked))
    if not isinstance(made, Response):
        return Answered(200, made.body, headers_of(made.delivery), made.delivery)
    refused = as_outcome(made)
    kept = {name: value for name, value in refused.headers.items() if not name.startswith("content-")}
    return Answered(refused.status_code, bytes(refused.body), kept)


async def _bundle(at: Desk, asked: Asked) -> Kept:
    async def work() -> Kept:
        return await _computed(at, asked.body)

    if not asked.key:
        return await work()
    return await at.repeats.once(Keyed(whose(), asked.key, asked.body), work, _disclosed_again)


async def subject_of(body: bytes) -> str:
    """Return whom a call is about, empty for nobody; raises what the call itself would be refused for."""
    return (await asyncio.to_thread(_read, body)).wish.subject or ""


async def _disclosed_again(kept: Kept) -> None:
    """Check that the caller may still see the subject, and note the disclosure."""
    if access := current_access():
        if kept.subject:
            await access.about(kept.subject)
        access.records, access.model = 1, kept.model


@dataclass(frozen=True)
class _Read:
    """A body that was read: the recording, how it is to be analysed, and what is wanted of the Bundle."""

    recording: Recording
    options: AnalyzeOptions
    wish: FhirWish
    wanted: Wanted


async def _computed(at: Desk, body: bytes) -> Kept:
    read = await asyncio.to_thread(_read, body)
    with _placed(read.wanted):
        order = await ordered(at, read.wish) if read.wanted.one("deliver") else None
        bundle = await at.bundle(read.recording, read.options, read.wish)
    delivery = await order.taken(bundle) if order else ""
    return Kept(await asyncio.to_thread(written, bundle), read.wish.subject or "", at.card.sha256, delivery)


def _read(body: bytes) -> _Read:
    document = document_of(body)
    wanted = wanted_of(document)
    with _placed(wanted):
        options = wanted.options()
        sent = read_fhir(document, wanted.hints(), PARAMETERS)
        return _Read(sent.recording, options.chosen(sent.recording), wanted.wish(sent.subject), wanted)


@contextmanager
def _placed(wanted: Wanted) -> Iterator[None]:
    """Let a refusal name the element of the input, not the option of ours."""
    try:
        yield
    except RecordingError as error:
        raise wanted.placed(error) from None
    except BundleOptionsError as error:
        raise wanted.placed(RecordingError(Refusal.INVALID_FIELD, str(error), where=error.where)) from None
