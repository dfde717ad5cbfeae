"""What the NHANES accelerometer files of both device generations share: many people, weekdays, no dates.

NHANES (US National Center for Health Statistics) publishes minutes of every participant of a cycle in one SAS
transport file. A participant is named by SEQN. To protect them the files hold no date: the first Sunday of a
fixed January stands in, so that weekdays are right and no clock change can fall into the recording.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from preprocessing.calendar import Instants
from preprocessing.readers.assemble import too_many_epochs
from preprocessing.readers.hints import Hints
from preprocessing.readers.stamps import SECOND
from preprocessing.readers.xport import Block, blocks
from preprocessing.recording import FloatArray, RecordingError, Refusal

__all__ = [
    "EPOCH_SECONDS",
    "WholeNumbers",
    "check_hints",
    "first_on_clock",
    "numbers_of",
    "rows_of_one",
    "wall_micros",
    "whole",
]

EPOCH_SECONDS = 60
WholeNumbers = npt.NDArray[np.int64]
_PARTICIPANT = "SEQN"
_LONGEST_NAME = 9  # digits of a SEQN; so far there are six
_MOST_PARTICIPANTS = 100_000  # a cycle has some eight thousand
_UNIX = datetime(1970, 1, 1)


def check_hints(hints: Hints) -> None:
    """Refuse hints that only a recording with dates can follow; RecordingError."""
    if hints.zone is not None:
        raise RecordingError(
            Refusal.NO_TIME_ZONE,
            "expected no zone, because NHANES files hold weekdays without dates; drop the hint",
            where="zone",
        )
    for name in ("since", "until"):
        if getattr(hints, name) is not None:
            raise RecordingError(
                Refusal.INVALID_FIELD,
                f"expected no {name}, because NHANES files hold no dates; the dates shown are placeholders",
                where=name,
            )


def rows_of_one(
    source: bytes | Path, needed: frozenset[str], hints: Hints, useful: frozenset[str] = frozenset()
) -> list[Block]:
    """Rows of the one participant that ``hints`` name or that alone is in ``source``, in bounded memory.

    They keep the ``needed`` columns and the ``useful`` ones that are there; tables without the former are
    passed over. Raises RecordingError ``invalid_field`` for missing columns and for none or several
    participants to choose from, ``no_samples`` for a table without rows, ``too_many_epochs`` for more rows
    than epochs are allowed.
    """
    wanted = _number_of(hints.participant)
    kept: list[Block] = []
    participants = np.empty(0)
    for block in _tables(source, needed):
        people = _people(block)
        if wanted is None:
            participants = _with(participants, people)
            mask = np.full(people.size, participants.size == 1)
            kept = kept if mask[0] else []
        else:
            mask = people == wanted
        if mask.any():
            kept.append(block.chosen(mask, sorted(needed | useful & block.columns.keys())))
        if sum(len(one.rows) for one in kept) > hints.max_epochs:
            raise too_many_epochs(hints.max_epochs)
    if not kept:
        raise _nobody(participants.size, named=wanted is not None)
    return kept


def _number_of(participant: str | None) -> int | None:
    if participant is None:
        return None
    if not (participant.isascii() and participant.isdigit() and len(participant) <= _LONGEST_NAME):
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected participant as a SEQN, a whole number", where="participant"
        )
    return int(participant)


def _tables(source: bytes | Path, needed: frozenset[str]) -> Iterator[Block]:
    """Blocks of the tables that hold the ``needed`` columns."""
    found = False
    with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as stream:
        for block in blocks(stream):
            if needed <= block.columns.keys():
                found = True
                if len(block.rows):
                    yield block
    if not found:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected a table with the columns {', '.join(sorted(needed))}; keep the minute file whole",
            where="columns",
        )


def _people(block: Block) -> FloatArray:
    people = block.numbers(_PARTICIPANT)
    if np.isnan(people).any():
        raise RecordingError(
            Refusal.INVALID_FIELD, f"expected {_PARTICIPANT} in every row", where=_PARTICIPANT
        )
    return people


def _with(participants: FloatArray, people: FloatArray) -> FloatArray:
    """Different participants so far; RecordingError for more than any survey has."""
    joined: FloatArray = np.union1d(participants, people)
    if joined.size > _MOST_PARTICIPANTS:
        raise _several(f"more than {_MOST_PARTICIPANTS:,}")
    return joined


def _several(count: str) -> RecordingError:
    return RecordingError(
        Refusal.INVALID_FIELD,
        f"expected one participant, found {count}; name one by the hint participant (its {_PARTICIPANT})",
        where="participant",
    )


def _nobody(participants: int, *, named: bool) -> RecordingError:
    if named:
        return RecordingError(
            Refusal.INVALID_FIELD,
            f"expected a participant ({_PARTICIPANT}) of this file, found none with this number; correct "
            "it, or take the file of another cycle",
            where="participant",
        )
    if participants:
        return _several(f"{participants:,}")
    return RecordingError(Refusal.NO_SAMPLES, "expected rows in the table, found none", where="file")


def whole(rows: list[Block], name: str, lowest: int, highest: int) -> WholeNumbers:
    """Column ``name`` (n,) of whole numbers from ``lowest`` to ``highest``; RecordingError for others."""
    values = numbers_of(rows, name)
    wrong = int((~((values >= lowest) & (values <= highest)) | (values % 1 != 0)).sum())
    if wrong:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected {name} as a whole number from {lowest} to {highest:,}, found {wrong} rows with others",
            where=name,
        )
    return values.astype(np.int64)


def numbers_of(rows: list[Block], name: str) -> FloatArray:
    """Column ``name`` (n,), NaN = missing."""
    return np.concatenate([block.numbers(name) for block in rows])


def first_on_clock(clock: WholeNumbers, elapsed: WholeNumbers, cycle: int, where: str) -> int:
    """What a clock of ``cycle`` units showed when ``elapsed`` (n,) was 0; it shows ``clock`` (n,) later.

    Raises RecordingError ``invalid_field`` where the two do not run alike.
    """
    first = (clock - elapsed) % cycle
    wrong = int((first != first[0]).sum())
    if wrong:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected weekday and clock to run with {where}, found {wrong} rows where they do not; take the "
            "file as it was published, and the first time of this participant",
            where=where,
        )
    return int(first[0])


def wall_micros(sunday: datetime, elapsed_seconds: WholeNumbers) -> Instants:
    """Microseconds since 1970 (n,) on a wall clock, ``elapsed_seconds`` (n,) after midnight of ``sunday``."""
    return ((sunday - _UNIX) // timedelta(seconds=1) + elapsed_seconds) * SECOND
