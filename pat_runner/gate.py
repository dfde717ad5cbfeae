"""The precision gate: how far an engine is from the float64 reference, and whether it may serve.

The panel is stored with the checkpoint (models/golden.py). Embeddings of different people lie at cosines of
0.99 and more, so the cosine of an embedding says little; the centred cosine, with the panel's mean taken off,
says whether people are still told apart as the reference tells them apart.

Errors:

    GoldenMismatch            an engine is outside its bound, or there is nothing to compare with
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.checkpoint import Checkpoint
from models.golden import PANEL, Golden
from models.scores import probabilities
from pat_runner.engines import Bound, Engine, EngineOutput, Want

__all__ = ["Agreement", "GoldenMismatch", "compare", "prove"]

Doubles = npt.NDArray[np.float64]
NOTHING_LEFT = 1e-9  # a row this near to the panel's mean has no direction of its own


class GoldenMismatch(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """The engine does not give the output that was computed from the weights in float64."""


@dataclass(frozen=True, eq=False)
class Agreement:
    """Differences between an engine and the reference, one number per row of the panel (M,)."""

    rows: tuple[str, ...]
    pooled: Doubles  # largest absolute difference of the 96 numbers
    profile: Doubles  # largest absolute difference of a patch's share
    cosine: Doubles  # 1 - cosine of the embeddings
    centred: Doubles  # the same, after the panel's mean embedding is taken off
    probability: Doubles  # largest absolute difference of any head's probability; 0 without heads

    def worst(self, part: str) -> float:
        """The largest difference of ``part`` over the panel; NaN if any row has none to show."""
        return float(np.max(getattr(self, part)))

    def outside(self, bound: Bound) -> list[str]:
        """Say what lies outside ``bound``, each with its figure and limit."""
        limits = vars(bound).items()
        return [
            f"{part} differs by {self.worst(part):.1e}, may differ by {limit:.0e}"
            for part, limit in limits
            if not self.worst(part) <= limit
        ]


def prove(engine: Engine, checkpoint: Checkpoint) -> None:
    """Let ``engine`` through if it is within its bound; raises GoldenMismatch."""
    if outside := compare(engine, checkpoint).outside(engine.bound):
        detail = f"{engine.name} in {engine.precision}: {'; '.join(outside)}"
        raise GoldenMismatch(
            f"{checkpoint.name}: does not reproduce its golden output ({detail}); do not serve it"
        )


def compare(engine: Engine, checkpoint: Checkpoint) -> Agreement:
    """Run the panel of ``checkpoint`` through ``engine``; raises GoldenMismatch if it has none."""
    golden = checkpoint.golden
    if golden is None:
        raise GoldenMismatch(
            f"{checkpoint.name}: no golden output; import it into the model store, which computes one"
        )
    found = engine.run(golden.weeks, Want(profile=True))
    pooled, expected = found.pooled.astype(np.float64), golden.pooled
    mean, rows = expected.mean(axis=0), len(expected)
    return Agreement(
        rows=PANEL if rows == len(PANEL) else tuple(f"row {row}" for row in range(rows)),
        pooled=np.abs(pooled - expected).max(axis=1),
        profile=_profile_difference(found, golden),
        cosine=_apart(pooled, expected),
        centred=_apart(pooled - mean, expected - mean),
        probability=_probability_difference(checkpoint, pooled, expected),
    )


def _probability_difference(checkpoint: Checkpoint, found: Doubles, expected: Doubles) -> Doubles:
    ours, right = probabilities(checkpoint, found), probabilities(checkpoint, expected)
    each_head = [np.abs(ours[label] - right[label]) for label in right]
    difference: Doubles = np.max([np.zeros(len(expected)), *each_head], axis=0)
    return difference


def _profile_difference(found: EngineOutput, golden: Golden) -> Doubles:
    if found.profile is None or found.profile.shape != golden.profile.shape:
        return np.full(len(golden.profile), np.inf)
    difference: Doubles = np.abs(found.profile - golden.profile).max(axis=1)
    return difference


def _apart(found: Doubles, expected: Doubles) -> Doubles:
    """1 - cosine, row by row (M,); 0 where the expected row is nothing but the panel's mean."""
    lengths = np.linalg.norm(expected, axis=1, keepdims=True)
    nothing = lengths <= NOTHING_LEFT
    unit = expected / np.where(nothing, 1, lengths)
    other = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), NOTHING_LEFT)
    apart: Doubles = ((unit - other) ** 2).sum(axis=1) / 2  # 1 - cos, without its loss of digits
    return np.where(nothing[:, 0], 0, apart)
