"""Parts on several processes of Ray on this machine, each with a model of its own.

Ray carries numbers of parts; recordings and results go through files, so a part that is done twice, because
its worker died, is there once. Its services listen on the loopback interface and ask for a token of this run.

Errors:

    WorkersLost               workers did not start, or died again and again; what was written is whole, and
                              a run can go on
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psutil

from cohorts.plan import Plan
from cohorts.recordings import CohortRunRefused
from cohorts.work import Worker

__all__ = ["WorkersLost", "check", "on_ray"]

TIMES = 3  # that Ray is started, a worker started again and a part tried again
STORE_BYTES = 100_000_000  # of Ray's own memory for objects, which holds the plan
_KILLED_SECONDS = 5
_MISSING = "engine ray: Ray is not installed; pip install 'pat-service[cohort]', or choose --engine local"


class WorkersLost(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """Workers did not start, or died more often than they are started again."""


def check() -> None:
    """Raise CohortRunRefused where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise CohortRunRefused(_MISSING)


def on_ray(plan: Plan, todo: Sequence[int], workers: int) -> Iterator[tuple[int, int]]:
    """Do the parts ``todo`` on ``workers`` processes; yield each, as it is done, with its number set aside.

    Raises WorkersLost.
    """
    with _ray(workers) as ray:
        from ray.util import ActorPool  # noqa: PLC0415  # after its settings

        actor = ray.remote(num_cpus=1, max_restarts=TIMES, max_task_retries=TIMES)(_Actor)
        pool = ActorPool([actor.remote() for _ in range(workers)])
        placed = [ray.put(plan)]  # in a list, for Ray would open an argument itself at every call
        try:
            yield from pool.map_unordered(lambda worker, number: worker.do.remote(placed, number), todo)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayActorError as error:
            raise WorkersLost(
                f"workers died more than {TIMES} times, for want of memory perhaps; run again to go on"
            ) from error


class _Actor:
    """A worker as Ray holds it; one that died begins anew with the part it had."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def do(self, placed: Sequence[Any], number: int) -> tuple[int, int]:
        """Do one part."""
        if self._worker is None:
            import ray  # noqa: PLC0415  # of the extra ``cohort``

            self._worker = Worker(ray.get(placed[0])).__enter__()
        return number, self._worker.do(number)


def _start(ray: Any, workers: int, folder: str, left: int = TIMES) -> None:
    """Start Ray; on a busy machine its processes may not come up in the half minute that it gives them."""
    before = _children()
    try:
        ray.init(
            address="local",
            num_cpus=workers,
            object_store_memory=STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=folder,
        )
    except Exception as error:
        ray.shutdown()
        _end(_children() - before)  # of a start that failed it leaves some
        if left == 1:
            raise WorkersLost("Ray did not start, on a busy machine perhaps; run again") from error
        _start(ray, workers, folder, left - 1)


def _children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def _end(processes: Collection[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(list(processes), _KILLED_SECONDS)


@contextmanager
def _ray(workers: int) -> Iterator[Any]:
    """A Ray of this run alone, which nobody else reaches and which tells its makers nothing."""
    os.environ.update(
        RAY_USAGE_STATS_ENABLED="0",
        RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",  # off, Ray listens on 127.0.0.1 only, on Linux as well
        RAY_worker_niceness="0",  # the priority of the command, as in one process
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN=secrets.token_hex(32),
    )
    import ray  # noqa: PLC0415  # of the extra ``cohort``, and it reads its settings when it is imported

    folder = tempfile.mkdtemp(prefix="pat-ray-")
    try:
        _start(ray, workers, folder)
        yield ray
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
