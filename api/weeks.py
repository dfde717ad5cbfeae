"""Weeks for the encoder, as they come in and as they go out: JSON for people, raw float32 for bulk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pat_runner.account import ModelCard
from pat_runner.engines import Want
from pat_runner.pipeline import MAX_MISSING_FRACTION, shortest
from pat_runner.runner import MAX_MINUTES, Encoded, Outcome, Rejected
from preprocessing.recording import RecordingError, Refusal
from preprocessing.scaling import WEEK_MINUTES, Calibration, Scaling, per_recording
from preprocessing.stations import passed
from preprocessing.units import Device, Unit, WearSite

__all__ = ["MAX_WEEKS", "EmbedOrder", "Embedded", "PreparedWeeks", "prepared"]

MAX_WEEKS = 256
Rows = npt.NDArray[np.float32]  # (N, T)
_SOURCE = ("unit", "device", "wear_site")


@dataclass(frozen=True, eq=False)
class EmbedOrder:
    """``rows``, one per week, NaN where missing; ``standardized`` as they are, raw ones with their source."""

    rows: Sequence[npt.NDArray[np.float32]]
    standardized: bool
    want: Want
    unit: str | None = None
    device: str | None = None
    wear_site: str | None = None


@dataclass(frozen=True, eq=False)
class PreparedWeeks:
    """What goes to the runner, and which rows of the order do not, with the reason."""

    good: Rows  # (K, T), standardised and finite
    rejected: dict[int, Rejected]
    calibration: Calibration

    def whole(self, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        """Put the runner's ``outcomes`` of the good rows and the rejections into the order of the rows."""
        left = iter(outcomes)
        rows = range(len(outcomes) + len(self.rejected))
        return tuple(self.rejected[row] if row in self.rejected else next(left) for row in rows)


def prepared(order: EmbedOrder, card: ModelCard) -> PreparedWeeks:
    """Check and standardise; RecordingError where the order makes no sense or no row can be encoded."""
    if not order.rows:
        raise _wrong("expected at least one row")
    if len(order.rows) > MAX_WEEKS:
        raise _wrong(f"expected at most {MAX_WEEKS} rows, found {len(order.rows)}")
    if order.standardized:
        return _standardised(order, card.patch_minutes)
    return _raw(order, card.scaling)


def _standardised(order: EmbedOrder, patch: int) -> PreparedWeeks:
    if any(getattr(order, name) is not None for name in _SOURCE):
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected no unit, device or wear_site with standardized rows, for they would be ignored",
            where="standardized",
        )
    lengths = {row.size for row in order.rows}
    length = lengths.pop()
    if lengths or not 0 < length <= MAX_MINUTES or length % patch:
        multiple = f"a multiple of {patch} minutes, at most {MAX_MINUTES} (a week has {WEEK_MINUTES})"
        raise _wrong(f"expected rows of one length, {multiple}")
    rows = np.stack(order.rows)
    missing = Rejected("not_finite", "expected a standardised row without null; a missing minute is 0")
    good, rejected = _parted(rows, [(~np.isfinite(rows).all(axis=1), missing)])
    return PreparedWeeks(good, rejected, Calibration.CALLER)


def _raw(order: EmbedOrder, scaling: Scaling | None) -> PreparedWeeks:
    if any(row.size != WEEK_MINUTES for row in order.rows):
        raise _wrong(f"expected raw rows of {WEEK_MINUTES} minutes from local midnight")
    source = (
        _member(Unit, order.unit, "unit"),
        _member(Device, order.device, "device"),
        _member(WearSite, order.wear_site, "wear_site"),
    )
    rows = np.stack(order.rows)
    negative = Rejected("negative", "expected counts of at least 0; a missing minute is null")
    most = f"expected a row with at most {MAX_MISSING_FRACTION:.0%} of the minutes missing"
    checks = [
        ((rows < 0).any(axis=1), negative),
        (np.isinf(rows).any(axis=1), Rejected("not_finite", "expected finite counts")),
        (np.isnan(rows).mean(axis=1) > MAX_MISSING_FRACTION, Rejected("too_much_missing", most)),
    ]
    good, rejected = _parted(rows, checks)
    if scaling and scaling.matches(*source):
        passed(good, Calibration.REFERENCE_COHORT)
        return PreparedWeeks(scaling.apply(good), rejected, Calibration.REFERENCE_COHORT)
    passed(good, Calibration.PER_RECORDING)
    return PreparedWeeks(per_recording(good), rejected, Calibration.PER_RECORDING)


def _parted(
    rows: Rows, checks: Sequence[tuple[npt.NDArray[np.bool_] | np.bool_, Rejected]]
) -> tuple[Rows, dict[int, Rejected]]:
    """Part the good rows from those that fail a check; RecordingError, with a reason, if none is good."""
    rejected = {int(row): why for bad, why in reversed(checks) for row in np.flatnonzero(bad)}
    if len(rejected) == len(rows):
        raise _wrong(rejected[0].detail)
    return np.delete(rows, list(rejected), axis=0), rejected


def _wrong(message: str) -> RecordingError:
    return RecordingError(Refusal.INVALID_FIELD, message, where="weeks")


def _member(kind: Any, name: str | None, where: str) -> Any:
    try:
        return kind(name)
    except ValueError:
        code = Refusal.UNKNOWN_UNIT if kind is Unit else Refusal.INVALID_FIELD
        raise RecordingError(code, f"expected one of {', '.join(kind)} for raw rows", where=where) from None


@dataclass(frozen=True, eq=False)
class Embedded:
    """The answer to an order: one outcome per row, and what made them."""

    outcomes: tuple[Outcome, ...]
    calibration: Calibration
    card: ModelCard

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "model": self.card.provenance().model_dump(),
            "calibration": self.calibration.value,
            "patch_minutes": self.card.patch_minutes,
            "weeks": [_week(outcome) for outcome in self.outcomes],
        }

    def raw(self) -> bytes:
        """Return it as little-endian float32, row by row: embedding, then profile and tokens where wanted.

        RecordingError naming the rows that have none: in numbers alone their absence could not be told.
        """
        encoded = [outcome for outcome in self.outcomes if isinstance(outcome, Encoded)]
        if len(encoded) < len(self.outcomes):
            raise self._unsayable()
        parts = (part for week in encoded for part in (week.pooled, week.profile, week.tokens))
        return b"".join(part.astype("<f4", copy=False).tobytes() for part in parts if part is not None)

    def _unsayable(self) -> RecordingError:
        rows = [(row, out.code) for row, out in enumerate(self.outcomes) if isinstance(out, Rejected)]
        named = ", ".join(f"{row} ({code})" for row, code in rows[:10])
        more = f" and {len(rows) - 10} more" if len(rows) > 10 else ""
        todo = "leave them out, or ask for application/json, which has a reason in their place"
        return _wrong(f"rows {named}{more} have no embedding; {todo}")

    def columns(self) -> str:
        """Name the numbers of one row of ``raw``: ``embedding=96,attention_received=560``."""
        first = next(outcome for outcome in self.outcomes if isinstance(outcome, Encoded))
        parts = {"embedding": first.pooled, "attention_received": first.profile, "tokens": first.tokens}
        return ",".join(f"{name}={part.size}" for name, part in parts.items() if part is not None)


def _week(outcome: Outcome) -> dict[str, Any]:
    if not isinstance(outcome, Encoded):
        return {"embedding": None, "error": {"code": outcome.code, "detail": outcome.detail}}
    profile, tokens = outcome.profile, outcome.tokens
    return {
        "embedding": shortest(outcome.pooled),
        **({} if profile is None else {"attention_received": shortest(profile)}),
        **({} if tokens is None else {"tokens": tokens.tolist()}),
    }
