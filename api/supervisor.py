"""What BentoML's supervisor does when it ends: the folder of the runner's socket goes last.

The pinned version removes it before it tells any process to end, so an entry that still answers cannot call
its runner again. What is relied on is written down in tests/api/test_supervisor.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bentoml._internal.utils import circus
from circus.arbiter import Arbiter

__all__ = ["install"]


def install() -> None:
    """Change the supervisor of this process, if it is one; call before it is made."""
    supervisor: Any = circus.Arbiter
    supervisor.start, supervisor.stop = _start, Arbiter.stop


def _start(self: Any, cb: Callable[[Any], Any] | None = None) -> None:
    """Run until it was stopped; then let go of what belongs to the whole."""
    with self.exit_stack:
        if error := Arbiter.start(self, cb).exception():
            raise error
