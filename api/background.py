"""Which workers run beside the requests of an entry process."""

from __future__ import annotations

from collections.abc import Sequence

from api.desk import Desk
from api.keeping import Keeping, Worker

__all__ = ["workers"]


def workers(keeping: Keeping, desk: Desk) -> Sequence[Worker]:
    """Return the workers of a process that keeps things in ``keeping`` and answers at ``desk``."""
    del keeping, desk
    return ()
