"""The rules of R4 that its models leave out, one function per FHIR type."""

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
from postprocessing.fhir.r4 import CLOSED_SYSTEMS, ID, REQUIRED_CODES, SAMPLES, UCUM_ALLOWED
from postprocessing.fhir.series import LIMIT

__all__ = ["Issue", "Json", "Node", "node_issues", "text_fault"]

Json = dict[str, Any]
_TAGS = frozenset({"div", "p", "table", "tr", "th", "td"})
_TAG = re.compile(r"<(/?)([A-Za-z]+)([^<>]*)>")
_ROOT = ' xmlns="http://www.w3.org/1999/xhtml"'
_NEVER = datetime.max.replace(tzinfo=UTC)  # a time whose form is refused anyway


@dataclass(frozen=True)
class Issue:
    """One departure from R4: which ``rule``, where (FHIRPath), what is expected; never the value found."""

    rule: str
    expression: str
    message: str


class Node(NamedTuple):
    """One object of a resource, itself included, with the elements and JSON types that R4 gives it.

    ``at`` says where it stands, without indices, from the nearest resource or data type:
    ``Observation.component.code``. ``kind`` is its FHIR type; of a backbone element the same as ``at``.
    """

    up: Node | None
    key: str
    place: int | None  # in a list
    value: Json
    at: str
    kind: str

    @property
    def path(self) -> str:
        """FHIRPath from the root, with indices."""
        step = self.key if self.place is None else f"{self.key}[{self.place}]"
        return step if self.up is None else f"{self.up.path}.{step}"


def node_issues(node: Node) -> Iterator[Issue]:
    """Yield what is wrong with one object, looked at alone."""
    for rule in _RULES.get(node.kind, ()):
        yield from rule(node, node.value)


def text_fault(at: str, kind: str, value: str) -> tuple[str, str] | None:
    """Return the rule that a text of FHIR type ``kind`` standing ``at`` breaks, and what is expected."""
    if (codes := REQUIRED_CODES.get(at)) and value not in codes:
        return "required-code", f"expected one of {', '.join(sorted(codes))}"
    if len(value) > LIMIT:
        return "too-long", f"expected at most {LIMIT} characters"
    if kind == "xhtml" and not _is_narrative(value):
        return "narrative", "expected an XHTML div of plain tags without attributes"
    if kind == "id" and not _matches(ID, value):
        return "id", "expected 1 to 64 of A-Z a-z 0-9 - ."
    return None


def _is_narrative(value: str) -> bool:
    tags = _TAG.findall(value)
    plain = all(name in _TAGS and not rest.strip(" /") for _, name, rest in tags[1:])
    return bool(tags) and tags[0] == ("", "div", _ROOT) and plain and "<" not in _TAG.sub("", value)


def _matches(pattern: re.Pattern[str], text: object) -> bool:
    return isinstance(text, str) and pattern.fullmatch(text) is not None


def _extension(node: Node, value: Json) -> Iterator[Issue]:
    values = sum(key.startswith("value") for key in value)
    if values + ("extension" in value) != 1:
        yield Issue("ext-1", node.path, "expected either one value or extensions")


def _quantity(node: Node, value: Json) -> Iterator[Issue]:
    if "value" not in value:
        yield Issue("quantity", node.path, "expected a number in value")
    if "code" in value and "system" not in value:
        yield Issue("qty-3", node.path, "expected a system beside the unit code")
    if value.get("system") != UCUM or value.get("code") not in UCUM_ALLOWED:
        yield Issue("ucum", node.path, "expected a UCUM unit of the allow-list")


def _coding(node: Node, value: Json) -> Iterator[Issue]:
    system, code = value.get("system"), value.get("code")
    known = _displays(system) if system else None
    if known is None or code is None:
        return
    if code not in known:
        yield Issue("code", node.path, "expected a code of the table for this system")
    elif value.get("display", known[code]) != known[code]:
        yield Issue("display", node.path, "expected the display of the code system")


def _displays(system: str) -> dict[str, str] | None:
    if system.endswith("/CodeSystem/pat-actigraphy"):
        return _LOCAL_DISPLAYS
    return CLOSED_SYSTEMS.get(system)


_LOCAL_DISPLAYS = {code: term.display for code, term in LOCAL_TERMS.items()}


def _observation(node: Node, value: Json) -> Iterator[Issue]:
    values = [key for key in value if key.startswith("value")]
    if values and "dataAbsentReason" in value:
        yield Issue("obs-6", node.path, "expected a value or a reason for its absence, not both")
    if not values and not {"dataAbsentReason", "component", "hasMember"} & value.keys():
        yield Issue("no-value", node.path, "expected a value, components or a reason for their absence")
    if values and node.kind == "Observation":
        yield from _same_code(node, value)


def _same_code(node: Node, value: Json) -> Iterator[Issue]:
    own = _codes(value)
    for index, component in enumerate(value.get("component", [])):
        if own & _codes(component):
            path = f"{node.path}.component[{index}].code"
            yield Issue(
                "obs-7", path, "expected another code than the Observation's, which has a value itself"
            )


def _codes(value: Json) -> set[tuple[Any, Any]]:
    return {(coding.get("system"), coding.get("code")) for coding in value["code"].get("coding", [])}


def _sampled_data(node: Node, value: Json) -> Iterator[Issue]:
    if not _matches(SAMPLES, value.get("data")):
        yield Issue("samples", f"{node.path}.data", "expected numbers, E, U or L parted by single spaces")
    if value.get("period", 1) <= 0:
        yield Issue("samples", f"{node.path}.period", "expected a positive number of milliseconds")


def _period(node: Node, value: Json) -> Iterator[Issue]:
    start, end = value.get("start"), value.get("end")
    if start and end and _ends_before(start, end):
        yield Issue("per-1", node.path, "expected an end that is not before the start")


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


def _attachment(node: Node, value: Json) -> Iterator[Issue]:
    if "data" not in value:
        return
    try:
        content = base64.b64decode(value["data"], validate=True)
    except binascii.Error:
        yield Issue("attachment", f"{node.path}.data", "expected base64")
        return
    digest = base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode("ascii")
    if value.get("size", len(content)) != len(content) or value.get("hash", digest) != digest:
        yield Issue("attachment", node.path, "expected the size in bytes and the base64 SHA-1 of the data")


def _risk(node: Node, value: Json) -> Iterator[Issue]:
    if not 0 <= value.get("probabilityDecimal", 0) <= 100:
        path = f"{node.path}.probabilityDecimal"
        yield Issue("ras-2", path, "expected a percentage from 0 to 100")


_RULES: dict[str, tuple[Callable[[Node, Json], Iterator[Issue]], ...]] = {
    "Extension": (_extension,),
    "Quantity": (_quantity,),
    "Coding": (_coding,),
    "Observation": (_observation,),
    "Observation.component": (_observation,),
    "SampledData": (_sampled_data,),
    "Period": (_period,),
    "Attachment": (_attachment,),
    "RiskAssessment.prediction": (_risk,),
}
