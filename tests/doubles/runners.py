"""Stand-ins for the runner, for tests of what happens around it."""

from __future__ import annotations

import numpy as np

from pat_runner.runner import Encoded, Rejected


class CountingRunner:
    """Answers each week with its own mean, and remembers what it was asked."""

    def __init__(self, reject=frozenset()):
        self.calls = []
        self._reject = reject

    async def run(self, weeks, want):
        self.calls.append((weeks, want))
        return [self._outcome(index, week, want) for index, week in enumerate(weeks)]

    def _outcome(self, index, week, want):
        if index in self._reject:
            return Rejected("not_finite", "expected finite values")
        pooled = np.full(96, week.mean(), dtype=np.float32)
        return Encoded(pooled=pooled, profile=np.full(560, 1 / 560, np.float32) if want.profile else None)
