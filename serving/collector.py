"""Keeps Python's garbage collector away from what stays: modules, schemas, routes.

A full collection looks at every object there is. In an API worker that takes more than a tenth of a second,
in which nothing else of the process runs.
"""

from __future__ import annotations

import gc

__all__ = ["settle"]


def settle() -> None:
    """Collect once, and never look again at what is there now."""
    gc.collect()
    gc.freeze()
