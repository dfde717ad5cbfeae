"""Canonical JSON: the recording that programs send to the service, and what it writes back."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from preprocessing.readers.canonical import WALL, CanonicalFields, from_fields, values_of
from preprocessing.readers.hints import Hints
from preprocessing.readers.json_document import Fields, is_list_of
from preprocessing.recording import Recording, RecordingError, Refusal

__all__ = ["CanonicalFields", "dumps", "from_fields", "looks_like", "read", "values_of"]

_TEXTS = ("start", "zone", "clock", "unit", "device", "wear_site", "sampling")
_COLUMNS = ("timestamps", "ends", "sources", "ids")
_KNOWN = (*_TEXTS, *_COLUMNS, "epoch_seconds", "values", "wear", "travel")


def looks_like(document: Any) -> bool:
    """Whether ``document`` is an object with a field of a recording; asked last of all JSON formats."""
    return isinstance(document, dict) and not document.keys().isdisjoint(_KNOWN)


def read(document: Any, hints: Hints) -> Recording:
    """Read one canonical JSON document; RecordingError says what is missing or wrong."""
    if not isinstance(document, dict):
        raise RecordingError(Refusal.UNPARSABLE, "expected a JSON object with the fields of a recording")
    if unknown := len(document.keys() - set(_KNOWN)):
        raise RecordingError(
            Refusal.INVALID_FIELD, f"expected only the fields {', '.join(_KNOWN)}; found {unknown} other"
        )
    return from_fields(_fields(Fields(document)), hints)


def _fields(document: Fields) -> CanonicalFields:
    described = {name: document.text(name) for name in _TEXTS}
    columns = {name: document.typed(name, "a list of texts", is_list_of(str)) for name in _COLUMNS}
    wear = document.typed("wear", "a list of true, false or null", is_list_of(bool, type(None)))
    return CanonicalFields(
        values=values_of(document.numbers("values") or []),
        epoch_seconds=document.whole("epoch_seconds"),
        wear=None if wear is None else np.array([flag is True for flag in wear], dtype=np.bool_),
        travel=_travel(document),
        **described,
        **columns,
    )


def _travel(document: Fields) -> list[tuple[str, str]]:
    changes = document.typed("travel", "a list of objects", is_list_of(dict)) or []
    if any(change.keys() != {"from", "zone"} or not _texts_only(change) for change in changes):
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected travel as objects of the texts from and zone", where="travel"
        )
    return [(change["from"], change["zone"]) for change in changes]


def _texts_only(change: dict[str, Any]) -> bool:
    return all(isinstance(value, str) for value in change.values())


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
    if recording.travel:
        document["travel"] = [
            {"from": change.instant.isoformat(), "zone": change.zone} for change in recording.travel
        ]
    return json.dumps(document, allow_nan=False, separators=(",", ":"))


def _number(value: float) -> float | int | None:
    if math.isnan(value):
        return None
    return int(value) if value.is_integer() else value
