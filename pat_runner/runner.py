"""The Runner: standardised weeks in, one outcome per week out; a bad week never fails its neighbours.

    GoldenMismatch         the loaded weights do not reproduce their golden output, so they must not serve
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from models.checkpoint import Checkpoint
from pat_runner.engines import Engine, EngineOutput, Floats, engine

__all__ = ["Encoded", "GoldenMismatch", "Outcome", "Rejected", "Runner", "Want"]


class GoldenMismatch(RuntimeError):
    """The weights do not give the output that was computed from them in float64 when they were imported."""


@dataclass(frozen=True)
class Want:
    """What is wanted of one week beside its embedding."""

    profile: bool = False
    tokens: bool = False


@dataclass(frozen=True, eq=False)
class Encoded:
    """pooled (width,); profile (T/P,), the attention each patch receives; tokens (T/P, width)."""

    pooled: Floats
    profile: Floats | None = None
    tokens: Floats | None = None


@dataclass(frozen=True)
class Rejected:
    """Why one week was not encoded."""

    code: str
    detail: str


Outcome = Encoded | Rejected


@dataclass(eq=False)
class Runner:
    """One checkpoint on one engine."""

    checkpoint: Checkpoint
    engine_name: str = "auto"
    threads: int | None = None
    _engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self._engine = engine(self.engine_name, self.checkpoint, self.threads)

    @property
    def digest(self) -> str:
        """Digest of the weights that answer."""
        return self.checkpoint.digest

    def run(self, weeks: Sequence[Floats] | Floats, wants: Sequence[Want]) -> list[Outcome]:
        """Encode ``weeks``, N rows of standardised minutes; weeks of one length and want are one stacked pass."""
        outcomes: list[Outcome | None] = [self._refuse(week) for week in weeks]
        groups: dict[tuple[int, Want], list[int]] = defaultdict(list)
        for index, outcome in enumerate(outcomes):
            if outcome is None:
                groups[len(weeks[index]), wants[index]].append(index)
        for (_, want), members in groups.items():
            output = self._encode(np.stack([weeks[index] for index in members]), want)
            for row, index in enumerate(members):
                outcomes[index] = _row(output, row)
        return [outcome for outcome in outcomes if outcome is not None]

    def _refuse(self, week: Floats) -> Rejected | None:
        patch = self.checkpoint.config.patch
        if week.ndim != 1 or week.size == 0 or week.size % patch:
            return Rejected("wrong_length", f"expected a multiple of {patch} minutes, found {week.size}")
        if not np.isfinite(week).all():
            return Rejected("not_finite", "expected finite standardised values; a missing minute is 0")
        return None

    def _encode(self, weeks: Floats, want: Want) -> EngineOutput:
        return self._engine.run(weeks.astype(np.float32, copy=False), profile=want.profile, tokens=want.tokens)

    def warm(self) -> None:
        """Run one week of zeros, so that the first caller does not pay for start-up."""
        self._encode(np.zeros((1, 10_080), np.float32), Want(profile=True))

    def prove(self) -> None:
        """Compare with the checkpoint's golden within the engine's bound; raises GoldenMismatch."""
        golden = self.checkpoint.golden
        if golden is None:
            raise GoldenMismatch(f"{self.checkpoint.name} has no golden output; import it into the store again")
        output = self._encode(golden.weeks, Want(profile=True))
        bound = self._engine.bound
        found: Mapping[str, tuple[float, float]] = {
            "pooled": (_difference(output.pooled, golden.pooled), bound.pooled),
            "profile": (_difference(output.profile, golden.profile), bound.profile),
        }
        for name, (difference, limit) in found.items():
            if not difference <= limit:
                detail = f"{name} differs by {difference:.1e}, {self._engine.name} may differ by {limit:.0e}"
                raise GoldenMismatch(f"{self.checkpoint.name} does not reproduce its golden output: {detail}")


def _difference(found: Floats | None, expected: np.ndarray) -> float:
    if found is None or found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found - expected).max())


def _row(output: EngineOutput, row: int) -> Encoded:
    return Encoded(
        pooled=output.pooled[row],
        profile=None if output.profile is None else output.profile[row],
        tokens=None if output.tokens is None else output.tokens[row],
    )
