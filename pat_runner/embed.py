"""The plain door: an array of standardised weeks through an encoder, for parity checks and research."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pat_runner.engines import Floats, Want
from pat_runner.runner import Encoded, Outcome, Rejected, Runner
from preprocessing.recording import RecordingError, Refusal

__all__ = ["embed", "read_weeks"]

MAX_BYTES = 1_000_000_000  # about 24,000 weeks
WEEKS_AT_ONCE = 64


def read_weeks(path: Path) -> Floats:
    """Map standardised weeks, float32 (N, T), from a .npy file; nothing is ever unpickled.

    Raises RecordingError for anything else.
    """
    if path.stat().st_size > MAX_BYTES:
        reason = f"expected at most {MAX_BYTES} bytes; split the array"
        raise RecordingError(Refusal.INVALID_FIELD, reason, where=path.name)
    try:
        weeks = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        reason = "expected a .npy file without Python objects"
        raise RecordingError(Refusal.UNPARSABLE, reason, where=path.name) from error
    if not isinstance(weeks, np.ndarray) or weeks.ndim != 2 or weeks.dtype != np.float32 or not len(weeks):
        reason = "expected one float32 array (N, T) with at least one row"
        raise RecordingError(Refusal.INVALID_FIELD, reason, where=path.name)
    return weeks


def embed(runner: Runner, weeks: Floats, *, tokens: bool = False) -> dict[str, Floats]:
    """Encode ``weeks`` (N, T): pooled (N, 96), profile (N, T/P) and, if asked, tokens (N, T/P, 96).

    Raises RecordingError naming the first row that cannot be encoded; there is no partial result.
    """
    want = Want(profile=True, tokens=tokens)
    encoded: list[Encoded] = []
    for start in range(0, len(weeks), WEEKS_AT_ONCE):
        part = np.asarray(weeks[start : start + WEEKS_AT_ONCE])
        outcomes = runner.run(part, [want] * len(part))
        encoded += [_encoded(start + row, outcome) for row, outcome in enumerate(outcomes)]
    columns = {
        "pooled": [week.pooled for week in encoded],
        "profile": [week.profile for week in encoded if week.profile is not None],
        "tokens": [week.tokens for week in encoded if week.tokens is not None],
    }
    return {name: np.stack(rows) for name, rows in columns.items() if rows}


def _encoded(row: int, outcome: Outcome) -> Encoded:
    if isinstance(outcome, Rejected):
        raise RecordingError(Refusal.INVALID_FIELD, outcome.detail, where=f"row {row}")
    return outcome
