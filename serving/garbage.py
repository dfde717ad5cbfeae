"""Keeps Python's garbage collector away from what stays: modules, schemas, routes.

A full collection looks at every object there is. In an API worker that takes more than a tenth of a second,
in which nothing else of the process runs; under load there was one every few seconds, for BentoML keeps
something of each request for a while. Nearly everything is freed without the collector, and young objects are
looked at as before, if less often.
"""

from __future__ import annotations

import gc

__all__ = ["settle"]

_THRESHOLDS = (10_000, 10, 100)  # objects until the young are looked at; how often until the older, and all


def settle() -> None:
    """Collect once, never look again at what is there now, and rarely at everything else."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
