"""The order in which a served process ends: the entry, then the runners, then the folder of their sockets.

BentoML removes that folder first and then stops entry and runners together, so that what is under way in
the entry finds no runner. ``install`` puts the supervisor below in the place of BentoML's; what it relies on
of the pinned versions is written down in tests/api/test_stopping.py.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from bentoml._internal.utils import circus as bentoml_circus
from circus.arbiter import Arbiter
from tornado import gen

__all__ = ["ENTRY", "OrderedArbiter", "install"]

ENTRY = "service"  # what BentoML calls the entry's watcher


class OrderedArbiter(bentoml_circus.Arbiter):
    """Stops the runners once the entry has answered what it had."""

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


def install() -> None:
    """Let BentoML supervise with it; call before it starts its processes."""
    bentoml_circus.Arbiter = OrderedArbiter
