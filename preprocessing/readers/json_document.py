"""JSON documents, read strictly: whole, without NaN, each field once, each of its type.

A missing or null field is nothing, one of another type than expected is wrong. Errors name the place of a
field in the document, never its content.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any

from preprocessing.recording import RecordingError, Refusal

__all__ = ["Fields", "document_of", "is_list_of", "looks_like_json"]

_LARGEST = 1e9  # what float64 adds up exactly; a minute of more than 1,000,000 is refused later


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


@dataclass(slots=True, eq=False)  # not frozen: made for each object of a large document
class Fields:
    """The fields of one JSON object, and its ``place`` in the document, empty at the top.

    Each method raises RecordingError ``invalid_field`` for a field of another type; true is no number.
    """

    held: Mapping[str, Any]
    place: str = ""

    def __contains__(self, name: str) -> bool:
        return name in self.held

    def get(self, name: str) -> Any:
        """The field as it is, unchecked; None if null or not written."""
        return self.held.get(name)

    def at(self, name: str) -> str:
        """The place of ``name``."""
        return f"{self.place}.{name}" if self.place else name

    def wrong(self, name: str, expected: str) -> RecordingError:
        """The refusal of the field ``name``."""
        place = self.at(name)
        return RecordingError(
            Refusal.INVALID_FIELD, f"expected {expected} in {place}; correct it", where=place
        )

    def typed(self, name: str, expected: str, is_right: Callable[[Any], bool]) -> Any:
        """The field's value if it ``is_right``, None if null or not written."""
        value = self.held.get(name)
        if value is None or is_right(value):
            return value
        raise self.wrong(name, expected)

    def text(self, name: str) -> str | None:
        """The text, None if null or not written."""
        value = self.held.get(name)
        if value is None or isinstance(value, str):
            return value
        raise self.wrong(name, "a text")

    def whole(self, name: str) -> int | None:
        """The whole number, None if null or not written."""
        value = self.held.get(name)
        if value is None or type(value) is int:
            return value
        raise self.wrong(name, "a whole number")

    def number(self, name: str) -> float | None:
        """The finite number, None if null or not written."""
        value = self.typed(name, "a number", lambda value: type(value) in (int, float))
        try:
            found = None if value is None else float(value)
        except OverflowError:
            found = math.inf
        if found is None or math.isfinite(found):
            return found
        raise self.wrong(name, "a finite number")

    def amount(self, name: str) -> float:
        """The number from 0 to 1,000,000,000, which must be written."""
        value: Any = self.held.get(name)
        if type(value) in (int, float) and 0 <= value <= _LARGEST:
            return float(value)
        raise self.wrong(name, "a number from 0 to 1,000,000,000")

    def part(self, name: str) -> Fields:
        """The object, without fields if null or not written."""
        value = self.held.get(name)
        if value is None or isinstance(value, dict):
            return Fields(value or {}, self.at(name))
        raise self.wrong(name, "an object")

    def items(self, name: str) -> Iterator[Fields]:
        """The objects of a list, none if null or not written; all are checked before the first comes."""
        listed = self.typed(name, "a list of objects", is_list_of(dict))
        if not listed:
            return iter(())
        place = self.at(name)
        return (Fields(held, f"{place}[{k}]") for k, held in enumerate(listed))

    def numbers(self, name: str) -> list[float | int | None] | None:
        """The list of numbers or null, None if null or not written."""
        found: list[float | int | None] | None = self.typed(
            name, "a list of numbers or null", is_list_of(int, float, NoneType)
        )
        return found


def is_list_of(*kinds: type) -> Callable[[Any], bool]:
    """Test for a list of exactly these types, so that true is no number and "12" neither."""
    return lambda value: isinstance(value, list) and set(map(type, value)) <= set(kinds)
