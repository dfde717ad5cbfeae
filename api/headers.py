"""``X-PAT-*`` headers: what the doors for raw bodies are told beside the body; nothing sent is ignored."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from starlette.datastructures import Headers

from preprocessing.recording import RecordingError, Refusal

__all__ = ["BOOLEANS", "boolean", "given", "media_types", "one_of"]

BOOLEANS = ("true", "false")
_PREFIX = "x-pat-"


def given(headers: Headers, known: Collection[str]) -> dict[str, str]:
    """Return the ``X-PAT-*`` headers by the rest of their name; RecordingError for one that is not known."""
    found = {name[len(_PREFIX) :]: value for name, value in headers.items() if name.startswith(_PREFIX)}
    if found.keys() - set(known):
        names = ", ".join(f"X-PAT-{name.title()}" for name in sorted(known))
        raise RecordingError(Refusal.INVALID_FIELD, f"expected only the headers {names}", where="headers")
    return found


def one_of(value: str, known: Sequence[str], name: str) -> str:
    """Return ``value`` if it is one of ``known``; RecordingError naming the header ``name``."""
    if value not in known:
        expected = f"expected one of {', '.join(known)}"
        raise RecordingError(Refusal.INVALID_FIELD, expected, where=f"X-PAT-{name.title()}")
    return value


def boolean(headers: dict[str, str], name: str) -> bool:
    """Return whether the header ``name`` is true; false if it is not there."""
    return one_of(headers.get(name, "false"), BOOLEANS, name) == "true"


def media_types(headers: Headers) -> list[str]:
    """Return the media types that the client accepts, without their parameters."""
    return [part.split(";")[0].strip() for part in headers.get("accept", "*/*").split(",")]
