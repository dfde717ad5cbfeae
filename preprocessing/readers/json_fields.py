"""Fields of JSON objects: a missing or null one is nothing, one of another type than expected is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from preprocessing.readers.json_document import typed
from preprocessing.recording import RecordingError, Refusal

__all__ = ["Fields", "items", "number", "part", "text"]

Fields = Mapping[str, Any]


def part(fields: Fields, name: str) -> Fields:
    """The fields called ``name``, empty if there is none; RecordingError if it is no object."""
    return typed(fields, name, "an object", lambda value: isinstance(value, dict)) or {}


def items(fields: Fields, name: str) -> list[Fields]:
    """The objects of the list ``name``; RecordingError if it is no list of objects."""
    held = typed(
        fields,
        name,
        "a list of objects",
        lambda value: isinstance(value, list) and all(isinstance(item, dict) for item in value),
    )
    return held or []


def text(fields: Fields, name: str) -> str | None:
    """The text called ``name``; RecordingError ``invalid_field`` for another type."""
    return typed(fields, name, "a text", lambda value: isinstance(value, str))  # type: ignore[no-any-return]  # checked


def number(fields: Fields, name: str) -> float | None:
    """The finite number called ``name``; RecordingError ``invalid_field`` for anything else."""
    value = typed(fields, name, "a number", lambda value: type(value) in (int, float))
    try:
        found = None if value is None else float(value)
    except OverflowError:
        found = math.inf
    if found is not None and not math.isfinite(found):
        raise RecordingError(Refusal.INVALID_FIELD, f"expected {name} to be a finite number", where=name)
    return found
