"""``X-PAT-*`` headers: what the doors for raw bodies are told beside the body; nothing sent is ignored."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from starlette.datastructures import Headers

from api.fhir_negotiation import NotNegotiable
from preprocessing.recording import RecordingError, Refusal

__all__ = ["BOOLEANS", "boolean", "given", "idempotency_key", "media_types", "one_of", "prefers_async"]

BOOLEANS = ("true", "false")
_PREFIX = "x-pat-"
_KEY = re.compile(r"[\x21-\x7e]{1,128}")


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


def idempotency_key(headers: Headers) -> str:
    """Return the Idempotency-Key, empty if there is none; raises NotNegotiable."""
    found = headers.getlist("idempotency-key")
    if not found:
        return ""
    if len(found) > 1 or not _KEY.fullmatch(found[0]):
        detail = "expected one Idempotency-Key of 1 to 128 visible ASCII characters; send such a one"
        raise NotNegotiable(422, "invalid_field", detail)
    return found[0]


def media_types(headers: Headers) -> list[str]:
    """Return the media types that the client accepts, without their parameters."""
    return [part.split(";")[0].strip() for part in headers.get("accept", "*/*").split(",")]


def prefers_async(headers: Headers) -> bool:
    """Whether the client would rather come back for the answer."""
    given = (part.split(";")[0].strip() for value in headers.getlist("prefer") for part in value.split(","))
    return "respond-async" in {part.lower() for part in given}
