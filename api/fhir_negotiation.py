"""Content negotiation under ``/fhir``: R4 JSON in and out, or a refusal that says so.

Errors:

    NotNegotiable             406, 415 or 422: what was asked for, or sent, is not what this face speaks
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers, QueryParams

__all__ = ["NotNegotiable", "check_accepted", "check_sent"]

_SENT = frozenset({"application/fhir+json", "application/json"})
_ACCEPTED = _SENT | {"application/*", "*/*"}
_FORMATS = _SENT | {"json", "application/fhir json"}  # a plus that a client did not escape is a space
_VERSION = "4.0"
_SPOKEN = "this service speaks FHIR R4 in JSON: application/fhir+json; fhirVersion=4.0"


class NotNegotiable(ValueError):  # noqa: N818  # it says what is the case, as KeyError does
    """What was asked for cannot be given, or what was sent cannot be read."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code = status, code


@dataclass(frozen=True)
class _Kind:
    """A media type with its parameters."""

    name: str
    parameters: Mapping[str, str]

    @property
    def current(self) -> bool:
        """Whether it is of our version of FHIR, or of none in particular."""
        return self.parameters.get("fhirversion", _VERSION) == _VERSION


def check_accepted(headers: Headers, query: QueryParams) -> None:
    """Raise NotNegotiable unless an answer of ours is accepted; ``_format`` wins over Accept."""
    if set(query) - {"_format"}:
        raise NotNegotiable(
            422, "unsupported_parameter", "expected no parameter in the address but _format; use Parameters"
        )
    if "_format" in query:
        accepted = [_kind(value) for value in query.getlist("_format")]
        able = len(accepted) == 1 and accepted[0].name in _FORMATS and accepted[0].current
    else:
        able = any(_is_good(kind) for kind in _kinds(headers.getlist("accept") or ["*/*"]))
    if not able:
        raise NotNegotiable(406, "not_acceptable", _SPOKEN)


def check_sent(headers: Headers) -> None:
    """Raise NotNegotiable unless the body says it is JSON of our version of FHIR, in UTF-8."""
    kind = _kind(headers.get("content-type", ""))
    utf8 = kind.parameters.get("charset", "utf-8").lower() in ("utf-8", "utf8")
    if kind.name not in _SENT or not kind.current or not utf8:
        raise NotNegotiable(415, "content_type", f"expected a body of that kind; {_SPOKEN}")


def _is_good(kind: _Kind) -> bool:
    try:
        wanted = float(kind.parameters.get("q", "1")) > 0
    except ValueError:
        wanted = False
    return wanted and kind.name in _ACCEPTED and kind.current


def _kinds(values: Iterable[str]) -> Iterable[_Kind]:
    return (_kind(part) for value in values for part in value.split(","))


def _kind(text: str) -> _Kind:
    name, *parameters = (part.strip() for part in text.split(";"))
    pairs = (parameter.partition("=") for parameter in parameters)
    return _Kind(name.lower(), {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs})
