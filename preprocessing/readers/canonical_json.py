"""Canonical JSON: the recording that programs send to the service, and what it writes back."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from types import NoneType
from typing import Any

import numpy as np

from preprocessing.readers.canonical import WALL, CanonicalFields, from_fields, values_of
from preprocessing.readers.hints import Hints
from preprocessing.recording import Recording, RecordingError, Refusal

__all__ = ["CanonicalFields", "dumps", "from_fields", "looks_like", "read", "values_of"]

_TEXTS = ("start", "zone", "clock", "unit", "device", "wear_site")
_KNOWN = (*_TEXTS, "timestamps", "epoch_seconds", "values", "wear")


def looks_like(head: bytes) -> bool:
    """Whether ``head`` opens a JSON document."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b"["))


def read(data: bytes, hints: Hints) -> Recording:
    """Read one canonical JSON document; RecordingError ``unparsable`` if it is no JSON object."""
    return from_fields(_fields(_document(data)), hints)


def _document(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data.decode("utf-8-sig"), parse_constant=_refuse, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        if isinstance(error, RecordingError):
            raise
        raise _unparsable("one complete JSON document in UTF-8; check that nothing was cut off") from None
    if not isinstance(document, dict):
        raise _unparsable("a JSON object with the fields of a recording")
    if document.keys() - set(_KNOWN):
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected only the fields {', '.join(_KNOWN)}; found {len(document.keys() - set(_KNOWN))} other",
        )
    return document


def _refuse(_literal: str) -> None:
    raise _unparsable("JSON numbers or null instead of NaN and Infinity, which JSON does not have")


def _unparsable(expected: str) -> RecordingError:
    return RecordingError(Refusal.UNPARSABLE, f"expected {expected}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(document := dict(pairs)) != len(pairs):
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected each field once, found one twice; remove a copy"
        )
    return document


def _fields(document: dict[str, Any]) -> CanonicalFields:
    texts = {name: _typed(document, name, "a text", lambda v: isinstance(v, str)) for name in _TEXTS}
    values = _typed(document, "values", "a list of numbers or null", _is_list_of(int, float, NoneType))
    wear = _typed(document, "wear", "a list of true, false or null", _is_list_of(bool, NoneType))
    return CanonicalFields(
        values=values_of(values or []),
        epoch_seconds=_typed(document, "epoch_seconds", "a whole number", lambda v: type(v) is int),
        timestamps=_typed(document, "timestamps", "a list of texts", _is_list_of(str)),
        wear=None if wear is None else np.array([flag is True for flag in wear], dtype=np.bool_),
        **texts,
    )


def _typed(document: dict[str, Any], name: str, expected: str, is_right: Callable[[Any], bool]) -> Any:
    """The field's value, None if null or not written; RecordingError for another type."""
    value = document.get(name)
    if value is None or is_right(value):
        return value
    raise RecordingError(Refusal.INVALID_FIELD, f"expected {name} to be {expected}", where=name)


def _is_list_of(*kinds: type) -> Callable[[Any], bool]:
    """Exact types, so that true is no number and "12" neither."""
    return lambda value: isinstance(value, list) and set(map(type, value)) <= set(kinds)


def dumps(recording: Recording) -> str:
    """Write ``recording`` as canonical JSON; ``read`` gives the same epochs, clock, unit and wear back.

    The serial number and the tidying of the original file stay behind.
    """
    document: dict[str, object] = {"start": recording.start.isoformat()}
    document |= {"clock": WALL} if recording.zone is None else {"zone": recording.zone}
    document |= {"epoch_seconds": recording.epoch_seconds, "unit": recording.unit.value}
    document |= {"device": recording.device.value, "wear_site": recording.wear_site.value}
    document["values"] = [_number(value) for value in recording.values.tolist()]
    if recording.wear is not None:
        document["wear"] = recording.wear.tolist()
    return json.dumps(document, allow_nan=False, separators=(",", ":"))


def _number(value: float) -> float | int | None:
    if math.isnan(value):
        return None
    return int(value) if value.is_integer() else value
