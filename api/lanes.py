"""Which requests wait for their turn, and with which others (serving/entrance.py).

Doors that compute have lanes; probes, status, definitions, rights, jobs and deletions have none: they go on
under any load. Single weeks are mostly the runner's work: as many are under way as fill one of its batches.
A large body has a lane of its own, so that nobody with a week waits behind many.
"""

from __future__ import annotations

from starlette.types import Scope

from api.paths import door_of
from serving.entrance import Lane
from serving.settings import Settings
from serving.turns import TurnLimits, Turns

__all__ = ["Lanes", "tenant"]

_WEEKS = frozenset({"/embed", "/v1/embed"})
_RECORDINGS = frozenset(
    {
        *("/analyze", "/analyze_fhir", "/explain", "/fhir/$analyze", "/cds-services/pat-activity"),
        *("/v1/recordings:analyze", "/v1/recordings:report", "/v1/recordings:deidentify"),
    }
)
_PULLED = frozenset({"/v1/subjects:analyze"})  # mostly another service's work, and written back there
_LARGE_WEEKS = 8 * 10_080 * 4  # bytes: eight weeks of float32
_LARGE_RECORDING = 500_000


class Lanes:
    """The lanes of one API worker."""

    def __init__(self, settings: Settings) -> None:
        most = settings.max_requests
        self._recordings = Lane(Turns(TurnLimits(most)))
        self._weeks = Lane(Turns(TurnLimits(max(most, settings.max_batch_size))))
        self._large = Lane(Turns(TurnLimits(max(1, most // 2))))
        self._pulled = Lane(Turns(TurnLimits(4 * most)), lasting=True)

    def of(self, scope: Scope) -> Lane | None:
        """Return where a request waits, if it does."""
        if scope["method"] != "POST":
            return None
        door = door_of(scope["path"])
        if door in _WEEKS:
            return self._large if _size(scope) > _LARGE_WEEKS else self._weeks
        if door in _RECORDINGS:
            return self._large if _size(scope) > _LARGE_RECORDING else self._recordings
        return self._pulled if door in _PULLED else None


def _size(scope: Scope) -> float:
    """Return the bytes of the body; a body that does not say how many may be large."""
    found = next((value for name, value in scope["headers"] if name.lower() == b"content-length"), b"")
    return int(found[:20]) if found.isdigit() else float("inf")


def tenant() -> str:
    """Return the name that the caller shares with colleagues; a caller of no tenant has one of their own."""
    from api.access import current_access  # noqa: PLC0415  # the runner, which loads this too, needs none of it

    if (access := current_access()) is None:
        return ""
    return f"tenant {access.caller.tenant}" if access.caller.tenant else f"uid {access.caller.uid}"
