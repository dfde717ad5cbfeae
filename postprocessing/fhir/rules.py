"""The rules of R4 that the models let through, one function each, over the elements of a resource."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from postprocessing.fhir.codes import LOCAL_TERMS, UCUM
from postprocessing.fhir.r4 import (
    BOOLEANS,
    CLOSED_SYSTEMS,
    ID,
    INTEGERS,
    NUMBERS,
    QUANTITIES,
    REQUIRED_CODES,
    SAMPLES,
    UCUM_ALLOWED,
)
from postprocessing.fhir.series import LIMIT

__all__ = ["Element", "Issue", "Json", "element_issues", "elements"]

Json = dict[str, Any]
_TAGS = frozenset({"div", "p", "table", "tr", "th", "td"})
_TAG = re.compile(r"<(/?)([A-Za-z]+)([^<>]*)>")
_ROOT = ' xmlns="http://www.w3.org/1999/xhtml"'
_NEVER = datetime.max.replace(tzinfo=UTC)  # a time the model refuses anyway


@dataclass(frozen=True)
class Issue:
    """One departure from R4: which ``rule``, where (FHIRPath), what is expected; never the value found."""

    rule: str
    expression: str
    message: str


class Element(NamedTuple):
    """One JSON value of a resource.

    ``path`` names it with indices from the root; ``name`` without, from the nearest resource, such as
    ``Observation.component.code``.
    """

    path: str
    name: str
    key: str
    value: Any
    parent: str  # key of the object that holds it


def elements(resource: Json) -> list[Element]:
    """Walk ``resource`` depth first, itself included."""
    kind = str(resource.get("resourceType"))
    found: list[Element] = []
    _walk(Element(kind, kind, kind, resource, ""), found)
    return found


def _walk(element: Element, found: list[Element]) -> None:
    found.append(element)
    value = element.value
    if isinstance(value, dict):
        for key, child in value.items():
            _walk(_child(element, key, child), found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            path = f"{element.path}[{index}]"
            _walk(Element(path, element.name, element.key, item, element.parent), found)


def _child(element: Element, key: str, child: Any) -> Element:
    inner = child.get("resourceType") if isinstance(child, dict) else None
    name = inner if isinstance(inner, str) else f"{element.name}.{key}"
    return Element(f"{element.path}.{key}", name, key, child, element.key)


def element_issues(element: Element) -> Iterator[Issue]:
    """Yield what is wrong with one element, looked at alone."""
    value = element.value
    if value is None or value in ("", [], {}):
        yield Issue("empty", element.path, "expected a value; leave the element out if there is none")
    elif isinstance(value, dict):
        for rule in _OBJECT_RULES:
            yield from rule(element, value)
    elif not isinstance(value, list):
        yield from _primitive(element)


def _primitive(element: Element) -> Iterator[Issue]:
    value = element.value
    if type(value) not in _json_types(element):
        yield Issue("json-type", element.path, "expected another JSON type (number, boolean or string)")
    elif (codes := REQUIRED_CODES.get(element.name)) and value not in codes:
        yield Issue("required-code", element.path, f"expected one of {', '.join(sorted(codes))}")
    elif isinstance(value, str) and len(value) > LIMIT:
        yield Issue("too-long", element.path, f"expected at most {LIMIT} characters")
    elif element.name == "RiskAssessment.prediction.probabilityDecimal" and not 0 <= value <= 100:
        yield Issue("ras-2", element.path, "expected a percentage from 0 to 100")
    elif element.key == "div":
        yield from _narrative(element)


def _json_types(element: Element) -> tuple[type, ...]:
    key = element.key
    in_quantity = key == "value" and element.parent in QUANTITIES
    in_sampled_data = key == "period" and element.parent == "valueSampledData"
    if key in NUMBERS or in_quantity or in_sampled_data:
        return (int, float)
    if key in BOOLEANS:
        return (bool,)
    return (int,) if key in INTEGERS else (str,)


def _narrative(element: Element) -> Iterator[Issue]:
    tags = _TAG.findall(element.value)
    plain = all(name in _TAGS and not rest.strip(" /") for _, name, rest in tags[1:])
    if not tags or tags[0] != ("", "div", _ROOT) or not plain or _TAG.sub("", element.value).count("<"):
        yield Issue("narrative", element.path, "expected an XHTML div of plain tags without attributes")


def _logical_id(element: Element, value: Json) -> Iterator[Issue]:
    kind = value.get("resourceType")
    if kind is not None and (identifier := value.get("id")) is not None and not _matches(ID, identifier):
        yield Issue("id", f"{element.path}.id", "expected 1 to 64 of A-Z a-z 0-9 - .")


def _matches(pattern: re.Pattern[str], text: object) -> bool:
    return isinstance(text, str) and pattern.fullmatch(text) is not None


def _extension(element: Element, value: Json) -> Iterator[Issue]:
    if element.key in {"extension", "modifierExtension"}:
        values = sum(key.startswith("value") for key in value)
        if values + ("extension" in value) != 1:
            yield Issue("ext-1", element.path, "expected either one value or extensions")


def _quantity(element: Element, value: Json) -> Iterator[Issue]:
    if element.key not in QUANTITIES:
        return
    if "value" not in value:
        yield Issue("quantity", element.path, "expected a number in value")
    if "code" in value and "system" not in value:
        yield Issue("qty-3", element.path, "expected a system beside the unit code")
    if value.get("system") != UCUM or value.get("code") not in UCUM_ALLOWED:
        yield Issue("ucum", element.path, "expected a UCUM unit of the allow-list")


def _coding(element: Element, value: Json) -> Iterator[Issue]:
    system, code = value.get("system"), value.get("code")
    if not isinstance(system, str) or not isinstance(code, str) or element.key in QUANTITIES:
        return
    known = _displays(system)
    if known is not None and code not in known:
        yield Issue("code", element.path, "expected a code of the table for this system")
    elif known is not None and value.get("display", known[code]) != known[code]:
        yield Issue("display", element.path, "expected the display of the code system")


def _displays(system: str) -> dict[str, str] | None:
    if system.endswith("/CodeSystem/pat-actigraphy"):
        return _LOCAL_DISPLAYS
    return CLOSED_SYSTEMS.get(system)


_LOCAL_DISPLAYS = {code: term.display for code, term in LOCAL_TERMS.items()}


def _observation(element: Element, value: Json) -> Iterator[Issue]:
    if element.name not in {"Observation", "Observation.component"}:
        return
    values = [key for key in value if key.startswith("value")]
    if values and "dataAbsentReason" in value:
        yield Issue("obs-6", element.path, "expected a value or a reason for its absence, not both")
    if not values and not {"dataAbsentReason", "component", "hasMember"} & value.keys():
        yield Issue("no-value", element.path, "expected a value, components or a reason for their absence")
    if values and element.name == "Observation":
        yield from _same_code(element, value)


def _same_code(element: Element, value: Json) -> Iterator[Issue]:
    own = _codes(value)
    for index, component in enumerate(value.get("component", [])):
        if own & _codes(component):
            path = f"{element.path}.component[{index}].code"
            yield Issue(
                "obs-7", path, "expected another code than the Observation's, which has a value itself"
            )


def _codes(value: Json) -> set[tuple[Any, Any]]:
    concept = value.get("code")
    codings = concept.get("coding", []) if isinstance(concept, dict) else []
    return {(coding.get("system"), coding.get("code")) for coding in codings if isinstance(coding, dict)}


def _sampled_data(element: Element, value: Json) -> Iterator[Issue]:
    if element.key != "valueSampledData":
        return
    if not _matches(SAMPLES, value.get("data")):
        yield Issue("samples", f"{element.path}.data", "expected numbers, E, U or L parted by single spaces")
    period, dimensions = value.get("period"), value.get("dimensions")
    if isinstance(period, int | float) and period <= 0:
        yield Issue("samples", f"{element.path}.period", "expected a positive number of milliseconds")
    if isinstance(dimensions, int) and dimensions < 1:
        yield Issue("samples", f"{element.path}.dimensions", "expected at least 1")


def _period(element: Element, value: Json) -> Iterator[Issue]:
    start, end = value.get("start"), value.get("end")
    if isinstance(start, str) and isinstance(end, str) and _ends_before(start, end):
        yield Issue("per-1", element.path, "expected an end that is not before the start")


def _ends_before(start: str, end: str) -> bool:
    if "T" in start and "T" in end:
        return _moment(end) < _moment(start)
    digits = min(len(start.partition("T")[0]), len(end.partition("T")[0]))
    return end[:digits] < start[:digits]


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return _NEVER
    return moment if moment.tzinfo else _NEVER


def _attachment(element: Element, value: Json) -> Iterator[Issue]:
    if element.key != "attachment" or not isinstance(value.get("data"), str):
        return
    try:
        content = base64.b64decode(value["data"], validate=True)
    except binascii.Error:
        yield Issue("attachment", f"{element.path}.data", "expected base64")
        return
    digest = base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode("ascii")
    if value.get("size", len(content)) != len(content) or value.get("hash", digest) != digest:
        yield Issue("attachment", element.path, "expected the size in bytes and the base64 SHA-1 of the data")


_OBJECT_RULES: tuple[Callable[[Element, Json], Iterator[Issue]], ...] = (
    _logical_id,
    _extension,
    _quantity,
    _coding,
    _observation,
    _sampled_data,
    _period,
    _attachment,
)
