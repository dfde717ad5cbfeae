"""Keeps Python's garbage collector away from what stays: modules, schemas, routes.

A full collection would look at all of them: in an API worker that takes more than a tenth of a second, in
which nothing else of the process runs. Without them it takes as long as any other, some 20 ms under load, and
may come as often as Python has it: what requests under way had when the younger were looked at waits for it.
"""

from __future__ import annotations

import gc

__all__ = ["settle"]

_THRESHOLDS = (10_000, 10, 10)  # objects until the young are looked at; how often until the older, and all


def settle() -> None:
    """Collect once, never look again at what is there now, and less often at everything else."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
