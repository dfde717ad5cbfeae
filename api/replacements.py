"""What of uvicorn and BentoML every process of this service replaces, in one list."""

from __future__ import annotations

from api import dispatch, paths, supervisor, time_limit
from serving import drain, protocol
from serving.settings import Settings

__all__ = ["install"]


def install(settings: Settings) -> None:
    """Put ours in their place; call it before a server or a supervisor starts."""
    dispatch.install()
    supervisor.install()
    paths.install()
    protocol.install(max(settings.body_seconds, settings.timeout_seconds))
    time_limit.install()
    drain.install(settings.timeout_seconds)
