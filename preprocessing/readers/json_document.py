"""JSON documents, read strictly: whole, without NaN, each field once, each of its type."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any

from preprocessing.recording import RecordingError, Refusal

__all__ = ["document_of", "is_list_of", "looks_like_json", "numbers", "texts", "typed"]


def looks_like_json(head: bytes) -> bool:
    """Whether ``head`` opens a JSON document."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b"["))


def document_of(data: bytes) -> Any:
    """Parse one JSON document; RecordingError ``unparsable``, or ``invalid_field`` for a doubled field."""
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_refuse, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        if isinstance(error, RecordingError):
            raise
        raise RecordingError(
            Refusal.UNPARSABLE,
            "expected one complete JSON document in UTF-8; check that nothing was cut off",
        ) from None


def _refuse(_literal: str) -> None:
    raise RecordingError(
        Refusal.UNPARSABLE,
        "expected JSON numbers or null instead of NaN and Infinity, which JSON does not have",
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(document := dict(pairs)) != len(pairs):
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected each field once, found one twice; remove a copy"
        )
    return document


def typed(document: Mapping[str, Any], name: str, expected: str, is_right: Callable[[Any], bool]) -> Any:
    """The field's value, None if null or not written; RecordingError ``invalid_field`` for another type."""
    value = document.get(name)
    if value is None or is_right(value):
        return value
    raise RecordingError(Refusal.INVALID_FIELD, f"expected {name} to be {expected}", where=name)


def texts(document: Mapping[str, Any], name: str) -> list[str] | None:
    """The field as a list of texts, None if null or not written."""
    return typed(document, name, "a list of texts", is_list_of(str))  # type: ignore[no-any-return]  # checked


def numbers(document: Mapping[str, Any], name: str) -> list[float | int | None] | None:
    """The field as a list of numbers or null, None if null or not written."""
    return typed(  # type: ignore[no-any-return]  # checked
        document, name, "a list of numbers or null", is_list_of(int, float, NoneType)
    )


def is_list_of(*kinds: type) -> Callable[[Any], bool]:
    """Test for a list of exactly these types, so that true is no number and "12" neither."""
    return lambda value: isinstance(value, list) and set(map(type, value)) <= set(kinds)
