"""What a process does at its start so that its memory is written nowhere."""

from __future__ import annotations

import ctypes
import os
import sys

__all__ = ["keep_memory_private", "no_core_files", "untracked"]

_PR_SET_DUMPABLE = 4


def no_core_files() -> None:
    """Let no crash of this process, or of those it starts, leave its memory in a file."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415  # not on every platform

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def keep_memory_private() -> None:
    """Let no other process of the user look at this one's memory, and no program be handed it in a crash.

    A core pattern that is a program (systemd, apport) asks no limit. Each process says it for itself, for a
    started program may be dumped again. Debuggers and profilers cannot attach either.
    """
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "the process can still be dumped")


def untracked() -> None:
    """Let BentoML tell its makers nothing, in this process and those it starts."""
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
