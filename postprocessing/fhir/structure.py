"""What each FHIR type may hold: its elements, their types and what must be there, read from the R4B models.

The models of fhir.resources are the source. Read into tables, once, they let one walk over plain JSON do what
building every model object would, in less time. Where the models convert (a number in a string, a Python name
in place of an element's) the tables refuse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import NoneType
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic_core import SchemaValidator

__all__ = ["RESOURCE", "Field", "Shape", "UnknownTypeError", "shape_of"]

RESOURCE = "Resource"  # kind of an element that holds any resource
_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "integer": (int,),
    "positiveInt": (int,),
    "unsignedInt": (int,),
    "decimal": (int, float),
}


class UnknownTypeError(KeyError):
    """R4B knows no type of this name."""


class Field(NamedTuple):
    """One element of a type: a primitive has a ``validator``, a complex one the shape of its ``kind``."""

    kind: str
    many: bool
    json_types: tuple[type, ...]
    validator: SchemaValidator | None


@dataclass(frozen=True)
class Shape:
    """The elements of one FHIR type by their JSON names; ``choices`` are groups of which one may be there."""

    kind: str
    is_resource: bool
    is_backbone: bool
    fields: dict[str, Field]
    required: tuple[str, ...]
    choices: tuple[tuple[str, frozenset[str], bool], ...]  # name, elements, whether one must be there


@lru_cache(maxsize=512)
def shape_of(kind: str) -> Shape:
    """Return the shape of a FHIR type, such as ``Observation`` or ``ObservationComponent``.

    Raises UnknownTypeError.
    """
    from fhir.resources.R4B import get_fhir_model_class  # noqa: PLC0415  # half a second that only FHIR answers pay

    try:
        model: Any = get_fhir_model_class(kind)
    except (KeyError, ValueError):
        raise UnknownTypeError(kind) from None
    return _shape(model)


def _shape(model: Any) -> Shape:
    bases = {base.__name__ for base in model.__mro__[1:]}
    made = model.model_construct()  # holds the lists of required and alternative elements
    names = {name: field.alias or name for name, field in model.model_fields.items()}
    return Shape(
        kind=model.__resource_type__,
        is_resource="Resource" in bases,
        is_backbone="BackboneElement" in bases,
        fields=dict(_fields(model, names)),
        required=(
            *(names[name] for name, field in model.model_fields.items() if field.is_required()),
            *(_alias(names, name) for name, _ in made.get_required_fields()),
        ),
        choices=tuple(_choices(model, made, names)),
    )


def _alias(names: dict[str, str], name: str) -> str:
    return names.get(name, name)


def _fields(model: type[BaseModel], names: dict[str, str]) -> Iterator[tuple[str, Field]]:
    for name, field in model.model_fields.items():
        if name != "fhir_comments":  # of DSTU2; R4 has no such element
            kept = field.annotation
            yield names[name], _field(Annotated[kept, *field.metadata] if field.metadata else kept)


def _field(annotation: Any) -> Field:
    leaf, many = _leaf(annotation)
    if hasattr(leaf, "get_model_klass"):
        return Field(leaf.__name__.removesuffix("Type"), many, (dict,), None)
    kind = _primitive(leaf)
    return Field(kind, many, _JSON_TYPES.get(kind, (str,)), TypeAdapter(leaf).validator)  # type: ignore[arg-type]  # no plugin wraps it


def _leaf(annotation: Any) -> tuple[Any, bool]:
    """Return the type inside Optional and List, and whether there was a List."""
    origin = get_origin(annotation)
    if origin is None or origin is Annotated:
        return annotation, False
    [inner] = [part for part in get_args(annotation) if part is not NoneType]
    leaf, many = _leaf(inner)
    return leaf, many or origin is list


def _primitive(leaf: Any) -> str:
    if leaf is bool:
        return "boolean"
    named = (getattr(part, "__visit_name__", None) for part in get_args(leaf)[1:])
    return next((str(name) for name in named if name), "string")


def _choices(model: Any, made: Any, names: dict[str, str]) -> Iterator[tuple[str, frozenset[str], bool]]:
    for group, members in made.get_one_of_many_fields().items():
        extra = model.model_fields[members[0]].json_schema_extra
        yield group, frozenset(names[name] for name in members), extra["one_of_many_required"]
