"""The Runner: standardised weeks in, one outcome per week out; a bad week never fails its neighbours.

Errors:

    GoldenMismatch            the loaded weights do not reproduce their golden output, so they must not answer
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.checkpoint import Checkpoint
from pat_runner import engines
from pat_runner.engines import EngineOutput, Floats

__all__ = ["MAX_MINUTES", "Encoded", "GoldenMismatch", "Outcome", "Rejected", "Runner", "Want"]

WEEK_MINUTES = 10_080
MAX_MINUTES = 2 * WEEK_MINUTES  # attention grows with the square of the length


class GoldenMismatch(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """The weights do not give the output that was computed from them in float64 when they were imported."""


@dataclass(frozen=True)
class Want:
    """What is wanted of one week beside its embedding."""

    profile: bool = False
    tokens: bool = False


@dataclass(frozen=True, eq=False)
class Encoded:
    """One week: ``pooled`` (96,); ``profile`` (T/P,) and ``tokens`` (T/P, 96) where wanted.

    ``profile`` is the share of the last layer's attention that each patch receives; it sums to 1.
    """

    pooled: Floats
    profile: Floats | None = None
    tokens: Floats | None = None


@dataclass(frozen=True)
class Rejected:
    """Why one week was not encoded; ``detail`` holds no recorded value."""

    code: str
    detail: str


Outcome = Encoded | Rejected


class Runner:
    """One checkpoint on one engine; raises UnknownEngine for a name that does not exist."""

    def __init__(self, checkpoint: Checkpoint, engine: str = "auto", threads: int | None = None) -> None:
        self.checkpoint = checkpoint
        self._engine = engines.engine(engine, checkpoint, threads)

    @property
    def digest(self) -> str:
        """The digest of the weights that answer."""
        return self.checkpoint.digest

    @property
    def engine(self) -> str:
        """The name of the engine that computes."""
        return self._engine.name

    def run(self, weeks: Sequence[Floats] | Floats, wants: Sequence[Want]) -> list[Outcome]:
        """Encode N standardised ``weeks``, each (T,); weeks of one length are one stacked pass."""
        outcomes: list[Outcome | None] = [self._refusal(week) for week in weeks]
        groups: dict[int, list[int]] = defaultdict(list)
        for index, refusal in enumerate(outcomes):
            if refusal is None:
                groups[len(weeks[index])].append(index)
        for members in groups.values():
            encoded = self._encode([weeks[i] for i in members], [wants[i] for i in members])
            for index, outcome in zip(members, encoded, strict=True):
                outcomes[index] = outcome
        return [outcome for outcome in outcomes if outcome is not None]

    def _refusal(self, week: Floats) -> Rejected | None:
        patch = self.checkpoint.config.patch
        if week.ndim != 1 or week.size == 0 or week.size % patch or week.size > MAX_MINUTES:
            limits = f"expected a multiple of {patch} minutes, at most {MAX_MINUTES}"
            return Rejected("wrong_length", f"{limits}, found {' x '.join(map(str, week.shape))}")
        if not np.isfinite(week).all():
            return Rejected("not_finite", "expected finite standardised values; a missing minute is 0")
        return None

    def _encode(self, weeks: Sequence[Floats], wants: Sequence[Want]) -> list[Encoded]:
        """Encode weeks of one length; what any of them wants is computed for all, and given to who asked."""
        stacked = np.stack(weeks).astype(np.float32, copy=False)  # (N, T)
        profile, tokens = any(want.profile for want in wants), any(want.tokens for want in wants)
        output = self._engine.run(stacked, profile=profile, tokens=tokens)
        return [_row(output, row, want) for row, want in enumerate(wants)]

    def warm(self) -> None:
        """Encode one empty week, so that the first caller does not pay for start-up."""
        self._engine.run(np.zeros((1, WEEK_MINUTES), np.float32), profile=True, tokens=False)

    def prove(self) -> None:
        """Compare with the checkpoint's golden within the engine's bound; raises GoldenMismatch."""
        golden, name = self.checkpoint.golden, self.checkpoint.name
        if golden is None:
            raise GoldenMismatch(
                f"{name}: no golden output; import it into the model store, which computes one"
            )
        found = self._engine.run(golden.weeks, profile=True, tokens=False)
        bound = self._engine.bound
        for part, got, expected, limit in (
            ("pooled", found.pooled, golden.pooled, bound.pooled),
            ("profile", found.profile, golden.profile, bound.profile),
        ):
            difference = _difference(got, expected)
            if not difference <= limit:
                detail = f"{part} differs by {difference:.1e}, {self.engine} may differ by {limit:.0e}"
                raise GoldenMismatch(
                    f"{name}: does not reproduce its golden output ({detail}); do not serve it"
                )


def _difference(found: Floats | None, expected: npt.NDArray[np.float64]) -> float:
    if found is None or found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found - expected).max())


def _row(output: EngineOutput, row: int, want: Want) -> Encoded:
    return Encoded(
        pooled=output.pooled[row],
        profile=output.profile[row] if want.profile and output.profile is not None else None,
        tokens=output.tokens[row] if want.tokens and output.tokens is not None else None,
    )
