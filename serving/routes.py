"""Which route an address means, where some have a random id in them that no log, span or metric may hold.

An id is what the server made: 128 random bits in base64url. A path with anything else in its place is no path
of ours, so that nobody's own name for anything passes as one.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

__all__ = ["ID", "Paths", "new_id"]

ID = "{id}"
_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_ID_BYTES = 16


def new_id() -> str:
    """Return a random id, as templates take it."""
    return secrets.token_urlsafe(_ID_BYTES)


class Paths:
    """Paths as they are, and templates such as ``/v1/jobs/{id}``."""

    def __init__(self, paths: Iterable[str]) -> None:
        known = set(paths)
        self._templates = {path: _pattern(path) for path in sorted(known) if ID in path}
        self._plain = known - self._templates.keys()

    def of(self, path: str) -> str | None:
        """Return ``path``, or the template that it is of; None if it is neither."""
        if path in self._plain:
            return path
        return next((name for name, made in self._templates.items() if made.fullmatch(path)), None)


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(_ID.pattern.join(map(re.escape, template.split(ID))))
