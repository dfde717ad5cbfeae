"""How the processes of a served service begin and end.

BentoML's supervisor listens before anybody can answer, so that a proxy sends requests to an instance that is
still loading; the one below leaves listening to the entry. And BentoML removes the folder of the runners'
sockets first and then stops entry and runners together, so that what is under way in the entry finds no
runner; below, the entry ends, then the runners, then that folder. ``install`` puts it in the place of
BentoML's; what it relies on of the pinned versions is written down in tests/api/test_supervisor.py.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from bentoml._internal.utils import circus as bentoml_circus
from circus.arbiter import Arbiter
from tornado import gen

__all__ = ["ENTRY", "LISTENING", "Supervisor", "install"]

ENTRY, LISTENING = "service", "_bento_api_server"  # what BentoML calls the entry's watcher and its socket


class Supervisor(bentoml_circus.Arbiter):
    """Leaves listening to the entry, and stops the runners once the entry has answered what it had."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        for held in kwargs.get("sockets") or ():
            if held.name == LISTENING:
                held.listen = _later
        super().__init__(*args, **kwargs)

    def stop(self) -> Any:
        """Stop as circus does; BentoML's own removes what is still needed."""
        return Arbiter.stop(self)

    @gen.coroutine
    def _stop_watchers(
        self, close_output_streams: bool = False, watcher_iter_func: Callable[..., Any] | None = None
    ) -> Generator[Any, Any, None]:
        watchers = list((watcher_iter_func or self.iter_watchers)(reverse=False))
        for entry in (True, False):
            yield gen.multi([w._stop(close_output_streams) for w in watchers if (w.name == ENTRY) is entry])
        if self._stopping:
            self.exit_stack.close()


def _later(backlog: int) -> None:
    """Do not listen: the entry's server does, once its start is complete."""


def install() -> None:
    """Let BentoML supervise with it; call before it starts its processes."""
    module: Any = bentoml_circus
    module.Arbiter = Supervisor
