"""Drift: how far the last weeks are from the reference that came with the weights.

Nothing of a single week can be read from what is told: it is a mean over at least ``FEWEST`` weeks, and it
is told anew only after as many more.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from models.reference import INPUT, OUTPUT, Reference, Statistic, input_statistics, output_statistics

__all__ = ["FEWEST", "MOST", "Drift", "Window"]

FEWEST, MOST = 20, 500  # weeks of a window
Tell = Callable[[Mapping[str, float]], None]


class Window:
    """The statistics of the last weeks, and what is told of them: distance in SDs of the reference."""

    def __init__(self, names: Sequence[str], reference: Sequence[Statistic], tell: Tell) -> None:
        self._names, self._reference, self._tell = tuple(names), tuple(reference), tell
        self._rows: deque[npt.NDArray[np.float64]] = deque(maxlen=MOST)
        self._since = 0  # weeks that came after the last telling
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, rows: npt.NDArray[np.float64]) -> None:
        """Add the statistics (N, k) of N weeks; tell, if it is time."""
        with self._lock:
            self._rows.extend(rows)
            self._since += len(rows)
            if self._since < FEWEST:
                return
            self._since = 0
            means = np.mean(self._rows, axis=0)
        known = zip(self._names, map(float, means), self._reference, strict=False)  # none without a reference
        self._tell({name: (mean - usual.mean) / usual.sd for name, mean, usual in known if usual.sd > 0})


class Drift:
    """Windows over what went into the encoder and what came out; without a reference they only fill."""

    def __init__(self, reference: Reference | None, tell: Callable[[str, Mapping[str, float]], None]) -> None:
        went_in = [] if reference is None else [reference.input[name] for name in INPUT]
        came_out = [] if reference is None else [reference.output[name] for name in OUTPUT]
        self._input = Window(INPUT, went_in, lambda drift: tell("input", drift))
        self._output = Window(OUTPUT, came_out, lambda drift: tell("output", drift))

    def __len__(self) -> int:
        return len(self._input)

    def went_in(self, weeks: npt.NDArray[np.float32]) -> None:
        """See raw ``weeks`` (N, 10_080) of a device like the cohort's, NaN = missing."""
        if len(weeks):
            self._input.add(input_statistics(weeks))

    def came_out(self, embeddings: npt.NDArray[np.float32]) -> None:
        """See the ``embeddings`` (N, 96) of such weeks."""
        if len(embeddings):
            self._output.add(output_statistics(embeddings))
