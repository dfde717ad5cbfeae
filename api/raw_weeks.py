"""Bulk weeks as numbers alone: rows of little-endian float32, what they are in ``X-PAT-*`` headers."""

from __future__ import annotations

import numpy as np
from starlette.datastructures import Headers

from api.headers import BOOLEANS, boolean, given, one_of
from api.weeks import Embedded, EmbedOrder
from pat_runner.engines import Want
from preprocessing.recording import RecordingError, Refusal
from preprocessing.scaling import WEEK_MINUTES

__all__ = ["described", "order"]

_KNOWN = ("standardized", "minutes", "unit", "device", "wear-site", "profile", "tokens")
_FLOAT32_BYTES = 4


def order(body: bytes, headers: Headers) -> EmbedOrder:
    """Read rows of ``X-PAT-Minutes`` float32 (default a week) from ``body``; NaN is a missing minute.

    Raises RecordingError ``unparsable`` for a body that is cut off, ``invalid_field`` for headers.
    """
    found = given(headers, _KNOWN)
    if "standardized" not in found:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected X-PAT-Standardized: true for rows as they are, false for raw rows with their source",
            where="headers",
        )
    minutes = _minutes(found.get("minutes", str(WEEK_MINUTES)))
    if not body or len(body) % (minutes * _FLOAT32_BYTES):
        whole = f"whole rows of {minutes} float32 ({minutes * _FLOAT32_BYTES} bytes each)"
        raise RecordingError(Refusal.UNPARSABLE, f"expected {whole}, found {len(body)} bytes", where="body")
    return EmbedOrder(
        rows=list(np.frombuffer(body, "<f4").astype(np.float32, copy=False).reshape(-1, minutes)),
        standardized=one_of(found["standardized"], BOOLEANS, "standardized") == "true",
        unit=found.get("unit"),
        device=found.get("device"),
        wear_site=found.get("wear-site"),
        want=Want(profile=boolean(found, "profile"), tokens=boolean(found, "tokens")),
    )


def _minutes(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 < int(text[:6]) <= 2 * WEEK_MINUTES:
        expected = f"expected a whole number from 1 to {2 * WEEK_MINUTES}"
        raise RecordingError(Refusal.INVALID_FIELD, expected, where="X-PAT-Minutes")
    return int(text)


def described(embedded: Embedded) -> dict[str, str]:
    """Return headers that say what the numbers of an answer are and what made them."""
    model = embedded.card.provenance()
    return {
        "X-PAT-Rows": str(len(embedded.outcomes)),
        "X-PAT-Columns": embedded.columns(),
        "X-PAT-Checkpoint": model.checkpoint,
        "X-PAT-Checkpoint-SHA256": model.sha256,
        "X-PAT-Engine": model.engine,
        "X-PAT-Precision": model.precision,
        "X-PAT-Calibration": embedded.calibration.value,
    }
