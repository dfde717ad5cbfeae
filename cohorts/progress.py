"""How far a run is: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TextIO

__all__ = ["Progress"]

BAR = 30  # characters
LINES = 10  # of a whole run in a log


@dataclass
class Progress:
    """Counts recordings to ``total`` and says so on ``stream``; names none of them."""

    total: int
    stream: TextIO
    done: int = 0
    set_aside: int = 0
    _before: int = 0
    _said: int = 0
    _began: float = field(default_factory=time.monotonic)

    def begin(self, done: int) -> None:
        """Take ``done`` recordings as done by an earlier run."""
        self.done = self._before = done
        self._said = self._tenth
        self._say()

    def add(self, recordings: int, set_aside: int) -> None:
        """Count what came of one part."""
        self.done += recordings
        self.set_aside += set_aside
        if self.stream.isatty() or self._tenth > self._said:
            self._said = self._tenth
            self._say()

    def end(self) -> None:
        """Leave the bar's line."""
        if self.stream.isatty():
            self.stream.write("\n")

    @property
    def _tenth(self) -> int:
        return LINES * self.done // self.total

    def _say(self) -> None:
        if self.stream.isatty():
            full = BAR * self.done // self.total
            self.stream.write(f"\r[{'#' * full:<{BAR}}] {self._words()} ")
        else:
            self.stream.write(f"pat: {self._words()}\n")
        self.stream.flush()

    def _words(self) -> str:
        seconds = time.monotonic() - self._began
        rate = (self.done - self._before) / seconds if self.done > self._before else 0.0
        said = f"{self.done} of {self.total} recordings"
        return f"{said}, {self.set_aside} set aside, {rate:.1f}/s" if rate else said
