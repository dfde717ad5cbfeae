"""What can go wrong between this service and the health data service, and its three kinds of error bodies.

Errors:

    HealthDataError           any of these
      TokenRefused            401: the health data service does not accept the caller's token
      UpstreamUnavailable     503: it does not answer in time, or failed a moment ago; ``seconds`` to wait
      UpstreamError           502: it answered with an error, or with something else than its contract says
      UserUnmapped            422: it is not known under which UUID it keeps the subject
      NothingUsable           422: nothing that it listed can be analysed; ``source`` counts why

No message repeats what the health data service wrote: its texts may hold exceptions and health values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "HealthDataError",
    "NothingUsable",
    "TokenRefused",
    "Told",
    "UpstreamError",
    "UpstreamUnavailable",
    "UserUnmapped",
    "told",
]

_SLUG = re.compile(r"[a-z0-9_-]{1,64}")
_TRACE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_OTHER = "other"


class HealthDataError(RuntimeError):
    """The health data service could not be used; ``code`` is the word for it."""

    code = "upstream_error"


class TokenRefused(HealthDataError):  # noqa: N818  # it says what is the case, as KeyError does
    """The health data service does not accept the caller's token."""

    code = "upstream_unauthenticated"

    def __init__(self) -> None:
        super().__init__(
            "expected a token that the health data service accepts as well; sign in again, or ask who runs it"
        )


class UpstreamUnavailable(HealthDataError):  # noqa: N818  # same
    """The health data service does not answer, or not in time."""

    code = "upstream_unavailable"

    def __init__(self, seconds: float = 5) -> None:
        self.seconds = max(1, round(seconds))
        super().__init__(f"the health data service cannot be asked now; try again in {self.seconds} s")


class UpstreamError(HealthDataError):
    """The health data service failed, or refused what its contract allows."""

    def __init__(self, found: str) -> None:
        super().__init__(f"expected what the health data service's contract promises, found {found}")


class UserUnmapped(HealthDataError):  # noqa: N818  # same
    """There is no UUID under which to write for the subject."""

    code = "user_unmapped"

    def __init__(self) -> None:
        super().__init__(
            "expected a subject that is a UUID, or mapped to one by PAT_HEALTH_DATA_USERS_FILE, found "
            "neither; add it there, or ask without write_back"
        )


class NothingUsable(HealthDataError):  # noqa: N818  # same
    """Nothing of what is listed can be analysed."""

    def __init__(self, code: str, message: str, source: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.code = code
        self.source = source


@dataclass(frozen=True)
class Told:
    """What may be logged of an error: its kind by name and the trace id to ask about."""

    slug: str = _OTHER
    trace: str = ""


def told(body: bytes) -> Told:
    """Read an error body of any of the three kinds, or of none: problem, ``detail``, flat."""
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return Told()
    if not isinstance(read, dict):
        return Told()
    return Told(_slug(read), _fit(_TRACE, read.get("trace_id"), ""))


def _slug(body: Mapping[str, Any]) -> str:
    if isinstance(kind := body.get("type"), str):
        return _fit(_SLUG, kind.rpartition("/")[2])
    if "detail" in body:
        return _detail(body["detail"])
    error = body.get("error")
    return _fit(_SLUG, error.get("code") if isinstance(error, dict) else error)


def _detail(detail: Any) -> str:
    """What a ``detail`` is: a text, whose words are not kept, validation errors, or an object with a code."""
    if isinstance(detail, dict):
        return _fit(_SLUG, detail.get("error"))
    return "validation" if isinstance(detail, list) else "detail"


def _fit(form: re.Pattern[str], text: Any, otherwise: str = _OTHER) -> str:
    return text if isinstance(text, str) and form.fullmatch(text) else otherwise
