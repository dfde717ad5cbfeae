"""A job's body: NDJSON, one recording a line, read as it comes and never whole in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.requests import RecordingRequest, Text
from api.subjects import Identifier
from preprocessing.recording import RecordingError, Refusal
from serving.json_shape import DEEPEST, fault

__all__ = ["Head", "JobItem", "Lines", "head_of"]

LINE_BYTES = 2_000_000
_BATCH_BYTES, _BATCH_LINES = 1_000_000, 50  # kept together
Name = Annotated[str, Field(max_length=128)]


class JobItem(RecordingRequest):
    """One recording of a job: whose it is, where that is said, and the sender's own name for it."""

    id: Text | None = None
    subject: Identifier | None = None


class Head(BaseModel):
    """What must be known of an item when it comes; the rest is looked at when it is its turn."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)
    id: Name | None = None
    subject: Identifier | None = None

    @property
    def whose(self) -> str:
        """The subject's id; empty if none is named."""
        return (self.subject or "").removeprefix("Patient/")


def head_of(line: bytes, number: int) -> Head:
    """Return the head of the item in a line; RecordingError naming the line that is none."""
    where = f"line {number}"
    if fault(line) is not None:
        expected = f"expected JSON of at most {DEEPEST} levels, each name once in an object, no NaN"
        raise RecordingError(Refusal.UNPARSABLE, expected, where=where)
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise RecordingError(Refusal.UNPARSABLE, "expected one JSON object in each line", where=where)
    try:
        return Head.model_validate(document)
    except ValidationError as error:
        place = error.errors(include_input=False)[0]["loc"][0]
        expected = "expected id and subject to be texts of at most 128 characters"
        raise RecordingError(Refusal.INVALID_FIELD, expected, where=f"{where}.{place}") from None


@dataclass
class Lines:
    """The lines of a body, in batches; how many came, and the digest of all that was read."""

    stream: AsyncIterator[bytes]
    count: int = 0  # lines, empty ones as well
    _seen: hashlib._Hash = field(default_factory=hashlib.sha256)

    @property
    def digest(self) -> str:
        """SHA-256 of what was read."""
        return self._seen.hexdigest()

    async def batches(self) -> AsyncIterator[list[tuple[int, bytes]]]:
        """Yield numbered lines that are not empty; RecordingError for one that is too long."""
        batch: list[tuple[int, bytes]] = []
        size = 0
        async for number, line in self._numbered():
            batch.append((number, line))
            size += len(line)
            if size >= _BATCH_BYTES or len(batch) >= _BATCH_LINES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    async def drain(self) -> str:
        """Read what is left, for its digest alone."""
        async for chunk in self.stream:
            self._seen.update(chunk)
        return self.digest

    async def _numbered(self) -> AsyncIterator[tuple[int, bytes]]:
        rest = bytearray()
        async for chunk in self.stream:
            self._seen.update(chunk)
            rest += chunk
            if b"\n" in chunk:
                *whole, last = bytes(rest).split(b"\n")
                rest = bytearray(last)
                for line in whole:
                    if found := self._checked(line):
                        yield found
            self._bounded(len(rest))
        if found := self._checked(bytes(rest)):
            yield found

    def _checked(self, line: bytes) -> tuple[int, bytes] | None:
        self._bounded(len(line))
        self.count += 1
        return (self.count, line) if line.strip() else None

    def _bounded(self, size: int) -> None:
        if size > LINE_BYTES:
            expected = f"expected a line of at most {LINE_BYTES} bytes; send larger recordings one by one"
            raise RecordingError(Refusal.INVALID_FIELD, expected, where=f"line {self.count + 1}")
