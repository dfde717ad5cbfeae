"""The words between the API and the runner process: JSON with base64 little-endian float32, never pickle."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from pat_runner.engines import Want
from pat_runner.runner import Encoded, Maker, Outcome, Rejected, Runner

__all__ = ["decode_item", "decode_outcome", "encode_item", "encode_outcome", "run"]

Floats = npt.NDArray[np.float32]
Document = dict[str, Any]


def encode_item(week: Floats, want: Want) -> Document:
    """Pack one standardised week (T,) and what is wanted of it."""
    return {"week": _pack(week), "profile": want.profile, "tokens": want.tokens}


def decode_item(item: Document) -> tuple[Floats, Want]:
    """Unpack what ``encode_item`` packed, bit for bit."""
    return _unpack(item["week"]), Want(profile=item["profile"], tokens=item["tokens"])


def run(runner: Runner, items: Sequence[Document]) -> list[Outcome]:
    """Encode ``items``, one outcome each, in order; one that cannot be unpacked harms no other."""
    asked = [_unpacked(item) for item in items]
    good = [item for item in asked if not isinstance(item, Rejected)]
    outcomes = iter(runner.run([week for week, _ in good], [want for _, want in good]))
    return [item if isinstance(item, Rejected) else next(outcomes) for item in asked]


def _unpacked(item: Document) -> tuple[Floats, Want] | Rejected:
    try:
        return decode_item(item)
    except (KeyError, TypeError, ValueError):
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
