"""The plain door: an array of standardised weeks through an encoder, for parity checks and research."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pat_runner.engines import Floats
from pat_runner.runner import Encoded, Outcome, Rejected, Runner, Want
from preprocessing.recording import RecordingError, Refusal

__all__ = ["embed", "read_weeks"]

MAX_BYTES = 4_000_000_000  # 100,000 weeks
WEEKS_AT_ONCE = 64


def read_weeks(path: Path) -> Floats:
    """Read standardised weeks, float32 (N, T), from a .npy file, without ever unpickling.

    Raises RecordingError for anything else.
    """
    if path.stat().st_size > MAX_BYTES:
        raise RecordingError(Refusal.INVALID_FIELD, f"expected at most {MAX_BYTES} bytes; split the array", where=path.name)
    try:
        weeks = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise RecordingError(Refusal.UNPARSABLE, "expected a .npy file without objects", where=path.name) from error
    if not isinstance(weeks, np.ndarray) or weeks.ndim != 2 or weeks.dtype != np.float32 or len(weeks) == 0:
        raise RecordingError(Refusal.INVALID_FIELD, "expected one float32 array (N, T), N at least 1", where=path.name)
    return weeks


def embed(runner: Runner, weeks: Floats, *, tokens: bool) -> dict[str, Floats]:
    """Encode ``weeks`` (N, T): pooled (N, 96), profile (N, T/P) and, if asked, tokens (N, T/P, 96).

    Raises RecordingError naming the first row that cannot be encoded; there is no partial result.
    """
    want = Want(profile=True, tokens=tokens)
    parts = range(0, len(weeks), WEEKS_AT_ONCE)
    outcomes = [o for i in parts for o in runner.run(part := np.asarray(weeks[i : i + WEEKS_AT_ONCE]), [want] * len(part))]
    encoded = [_encoded(row, outcome) for row, outcome in enumerate(outcomes)]
    columns = {
        "pooled": [e.pooled for e in encoded],
        "profile": [e.profile for e in encoded if e.profile is not None],
        "tokens": [e.tokens for e in encoded if e.tokens is not None],
    }
    return {name: np.stack(rows) for name, rows in columns.items() if rows}


def _encoded(row: int, outcome: Outcome) -> Encoded:
    if isinstance(outcome, Rejected):
        raise RecordingError(Refusal.INVALID_FIELD, outcome.detail, where=f"row {row}")
    return outcome
