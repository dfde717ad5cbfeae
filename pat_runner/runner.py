"""The Runner: standardised weeks in, one outcome per week out; a bad week never fails its neighbours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.checkpoint import Checkpoint
from pat_runner import engines, gate
from pat_runner.engines import DEFAULTS, EngineOptions, EngineOutput, Floats, Precision, Want

__all__ = ["MAX_MINUTES", "Encoded", "Maker", "Outcome", "Rejected", "Runner"]

WEEK_MINUTES = 10_080
MAX_MINUTES = 2 * WEEK_MINUTES  # attention grows with the square of the length


@dataclass(frozen=True)
class Maker:
    """What made an outcome: the digest of the weights, the engine and its precision."""

    sha256: str
    engine: str
    precision: Precision


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
    """One checkpoint on one engine; raises EngineError where the engine cannot be had."""

    def __init__(self, checkpoint: Checkpoint, options: EngineOptions = DEFAULTS) -> None:
        self.checkpoint = checkpoint
        self._engine = engines.engine(checkpoint, options)

    @property
    def maker(self) -> Maker:
        """What makes this runner's outcomes."""
        return Maker(self.checkpoint.digest, self._engine.name, self._engine.precision)

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
        anyone = Want(any(want.profile for want in wants), any(want.tokens for want in wants))
        output = self._engine.run(stacked, anyone)
        return [_row(output, row, want) for row, want in enumerate(wants)]

    def warm(self, weeks: int = 1) -> None:
        """Encode empty weeks in batches of up to ``weeks``, so that no caller pays for start-up."""
        largest = max(1, min(weeks, self._engine.at_once))
        sizes = {1 << power for power in range(largest.bit_length())} | {largest}
        for size in sorted(sizes):
            for want in (Want(), Want(profile=True)):
                self._engine.run(np.zeros((size, WEEK_MINUTES), np.float32), want)

    def prove(self) -> None:
        """Compare with the checkpoint's golden within the engine's bound; raises GoldenMismatch."""
        gate.prove(self._engine, self.checkpoint)


def _row(output: EngineOutput, row: int, want: Want) -> Encoded:
    return Encoded(
        pooled=output.pooled[row],
        profile=output.profile[row] if want.profile and output.profile is not None else None,
        tokens=output.tokens[row] if want.tokens and output.tokens is not None else None,
    )
