"""The words between the API and the runner process, never pickle.

Weeks go as one frame: a line of JSON, ``[minutes, profile, tokens]`` for each week, then the minutes of all
of them as little-endian float32. Outcomes come back as JSON with base64 little-endian float32.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from pat_runner.engines import Want
from pat_runner.runner import MAX_MINUTES, Encoded, Maker, Outcome, Rejected, Runner

__all__ = ["decode_outcome", "encode_outcome", "item", "most_bytes", "pack", "run", "unpack"]

_ROW_BYTES = 32  # at most, in the line
Floats = npt.NDArray[np.float32]
Document = dict[str, Any]


def item(week: Floats, want: Want) -> Document:
    """Return one standardised week (T,) and what is wanted of it, as the runner's ``run`` takes it."""
    return {"week": week, "profile": want.profile, "tokens": want.tokens}


def pack(items: Sequence[Document]) -> bytes:
    """Return the frame of ``items``."""
    rows = [[len(item["week"]), item["profile"], item["tokens"]] for item in items]
    numbers = (np.ascontiguousarray(item["week"], dtype="<f4").tobytes() for item in items)
    return b"".join([json.dumps(rows).encode(), b"\n", *numbers])


def most_bytes(weeks: int) -> int:
    """Return the size that no frame of ``weeks`` exceeds."""
    return weeks * (MAX_MINUTES * np.dtype("<f4").itemsize + _ROW_BYTES)


def unpack(frame: bytes) -> list[Document]:
    """Return what ``pack`` packed, bit for bit; raises ValueError for what it would not have."""
    line, _, numbers = frame.partition(b"\n")
    rows = _rows(json.loads(line))
    minutes = np.frombuffer(numbers, dtype="<f4").astype(np.float32, copy=False)
    ends = np.cumsum([0, *(minutes for minutes, _ in rows)])
    if ends[-1] != len(minutes):
        raise ValueError(f"expected {ends[-1]} minutes in the frame, found {len(minutes)}")
    weeks = (minutes[start:end] for start, end in pairwise(ends))
    return [item(week, want) for week, (_, want) in zip(weeks, rows, strict=True)]


def _rows(line: object) -> list[tuple[int, Want]]:
    match line:
        case [_, *_]:
            return [_row(row) for row in line]
    raise ValueError("expected a row for each week of the frame")


def _row(row: object) -> tuple[int, Want]:
    match row:
        case [int(minutes), bool(profile), bool(tokens)] if minutes > 0 and minutes is not True:
            return minutes, Want(profile, tokens)
    raise ValueError("expected [minutes, profile, tokens] for each week of the frame")


def run(runner: Runner, items: Sequence[Document]) -> list[Outcome]:
    """Encode ``items``, one outcome each, in order; one that is no item harms no other."""
    asked = [_asked(item) for item in items]
    good = [item for item in asked if not isinstance(item, Rejected)]
    outcomes = iter(runner.run([week for week, _ in good], [want for _, want in good]))
    return [item if isinstance(item, Rejected) else next(outcomes) for item in asked]


def _asked(item: Document) -> tuple[Floats, Want] | Rejected:
    match item:
        case {"week": np.ndarray() as week, "profile": bool(profile), "tokens": bool(tokens)}:
            return week, Want(profile, tokens)
    return Rejected("undecodable", "expected what this version of the service sends to its runner")


def encode_outcome(outcome: Outcome, maker: Maker) -> Document:
    """Pack one outcome together with what made it."""
    if isinstance(outcome, Rejected):
        return {"rejected": outcome.code, "detail": outcome.detail}
    tokens = outcome.tokens
    return {
        "maker": asdict(maker),
        "pooled": _pack(outcome.pooled),
        "profile": None if outcome.profile is None else _pack(outcome.profile),
        "tokens": None if tokens is None else {"shape": list(tokens.shape), "data": _pack(tokens)},
    }


def decode_outcome(document: Document) -> tuple[Outcome, Maker | None]:
    """Unpack an outcome and what made it (None when rejected)."""
    if "rejected" in document:
        return Rejected(document["rejected"], document["detail"]), None
    tokens = document["tokens"]
    encoded = Encoded(
        pooled=_unpack(document["pooled"]),
        profile=None if document["profile"] is None else _unpack(document["profile"]),
        tokens=None if tokens is None else _unpack(tokens["data"]).reshape(tokens["shape"]),
    )
    return encoded, Maker(**document["maker"])


def _pack(array: Floats) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype="<f4").tobytes()).decode("ascii")


def _unpack(text: str) -> Floats:
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4").astype(np.float32, copy=False)
