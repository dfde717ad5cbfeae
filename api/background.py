"""Which workers run beside the requests of an entry process."""

from __future__ import annotations

from collections.abc import Sequence

from api.delivery import courier
from api.desk import Desk
from api.job_worker import JobWorker
from api.keeping import Keeping, Worker

__all__ = ["workers"]


def workers(keeping: Keeping, desk: Desk) -> Sequence[Worker]:
    """Return the workers of a process that keeps things in ``keeping`` and answers at ``desk``."""
    found = (JobWorker(keeping, desk), courier(keeping, desk.settings))
    return [worker for worker in found if worker is not None]
