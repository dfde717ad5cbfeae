"""One walk over a resource: its sound objects as Nodes, and every departure from the structure of R4."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from postprocessing.fhir.rules import Issue, Json, Node, text_fault
from postprocessing.fhir.structure import RESOURCE, Field, Shape, UnknownTypeError, shape_of

__all__ = ["walk"]

_ANYWHERE = frozenset({"CodeableConcept", "Coding", "Period"})  # sound here, sound there: looked at once
_ADDRESSES = frozenset({"uri", "url", "canonical"})


def walk(resource: Json) -> tuple[list[Node], list[Issue]]:
    """Return the objects of ``resource`` whose structure is sound, and what is wrong with the others."""
    walked = _Walk()
    kind = resource.get("resourceType")
    if not resource:
        walked.refuse("empty", "Resource", "expected a resource")
    walked.resource(Node(None, str(kind), None, resource, str(kind), str(kind)))
    return walked.nodes, walked.issues


class _Walk:
    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.issues: list[Issue] = []
        self.sound: set[tuple[str, int]] = set()  # objects seen to be sound, by type and identity

    def refuse(self, rule: str, path: str, message: str) -> None:
        self.issues.append(Issue(rule, path, message))

    def resource(self, node: Node) -> None:
        try:
            shape = shape_of(node.kind)
        except UnknownTypeError:
            shape = None
        if shape is None or not shape.is_resource:
            path = "resourceType" if node.up is None else f"{node.path}.resourceType"
            self.refuse("resource-type", path, "expected a resource type of R4")
        else:
            self.object(node, shape)

    def object(self, node: Node, shape: Shape) -> None:
        before = len(self.issues)
        for key, value in node.value.items():
            field = shape.fields.get(key)
            if field is not None:
                self.element(node, key, value, field)
            elif key != "resourceType" or not shape.is_resource:
                self.refuse("model", f"{node.path}.{key}", "expected an element of R4")
        for key in shape.required:
            if key not in node.value and not _is_explained(node.value, key):
                self.refuse("model", f"{node.path}.{key}", "expected this element, which R4 requires")
        for name, members, required in shape.choices:
            found = len(members & node.value.keys())
            if found > 1 or (required and not found):
                self.refuse("model", f"{node.path}.{name}", "expected one of the alternatives that R4 lists")
        if len(self.issues) == before:  # the rules may take the types of a sound object for granted
            self.nodes.append(node)

    def element(self, node: Node, key: str, value: Any, field: Field) -> None:
        if not value and value != 0:
            self.refuse(
                "empty", f"{node.path}.{key}", "expected a value; leave the element out if there is none"
            )
        elif isinstance(value, list) != field.many:
            self.refuse("model", f"{node.path}.{key}", "expected a list only where R4 allows several")
        elif field.many:
            for index, item in enumerate(value):
                self.item(node, (key, index), item, field)
        else:
            self.item(node, (key, None), value, field)

    def item(self, node: Node, step: tuple[str, int | None], value: Any, field: Field) -> None:
        if type(value) not in field.json_types:
            expected = "expected another JSON type (number, boolean, string or object)"
            self.refuse("json-type", _path(node, step), expected)
        elif field.validator is not None:
            self.primitive(node, step, value, field)
        elif not value:
            self.refuse("empty", _path(node, step), "expected an object that holds something")
        elif field.kind == RESOURCE:
            kind = str(value.get("resourceType"))
            self.resource(Node(node, *step, value, kind, kind))
        elif (field.kind, id(value)) not in self.sound:
            shape = shape_of(field.kind)
            at = f"{node.kind}.{step[0]}"
            before = len(self.issues)
            self.object(Node(node, *step, value, at, at if shape.is_backbone else shape.kind), shape)
            if field.kind in _ANYWHERE and len(self.issues) == before:
                self.sound.add((field.kind, id(value)))

    def primitive(self, node: Node, step: tuple[str, int | None], value: Any, field: Field) -> None:
        if not _is_valid(value, field):
            self.refuse("model", _path(node, step), f"expected the form of a FHIR {field.kind}")
        elif type(value) is str and (fault := text_fault(f"{node.kind}.{step[0]}", field.kind, value)):
            self.refuse(fault[0], _path(node, step), fault[1])


def _path(node: Node, step: tuple[str, int | None]) -> str:
    key, index = step
    return f"{node.path}.{key}" if index is None else f"{node.path}.{key}[{index}]"


def _is_valid(value: Any, field: Field) -> bool:
    if field.kind in _ADDRESSES and value.split() != [value]:
        return False
    try:
        field.validator.validate_python(value)  # type: ignore[union-attr]  # a primitive has one
    except (ValidationError, ValueError):
        return False
    return True


def _is_explained(value: Json, key: str) -> bool:
    """Whether an extension stands in place of a required primitive."""
    instead = value.get(f"_{key}")
    return isinstance(instead, dict) and bool(instead.get("extension"))
