"""The Parameters of ``$analyze`` beside the data, read by the table of the OperationDefinition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from api.requests import FhirWish, Options
from postprocessing.fhir.operation import HINTS, OPTIONS, PARAMETERS, Parameter
from preprocessing.readers import Hints, hints_of
from preprocessing.readers.fhir_resources import Subject
from preprocessing.readers.json_document import Fields
from preprocessing.recording import RecordingError, Refusal

__all__ = ["Wanted", "wanted_of"]

_TYPES: Mapping[str, tuple[type, str]] = {
    "integer": (int, "a whole number"),
    "boolean": (bool, "true or false"),
    "Period": (dict, "an object"),
    "Reference": (dict, "an object"),
}
_TEXT = (str, "a text")
_CHOICES = ("value", "resource", "part")  # of which inv-1 allows one


@dataclass(frozen=True)
class Wanted:
    """What a call wants besides an answer; ``places`` says where each parameter stands."""

    values: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)

    def one(self, name: str) -> Any:
        """Return the only value of a parameter, None if it is not there."""
        return next(iter(self.values.get(name, ())), None)

    def hints(self) -> Hints:
        """Return what the Observations may not say."""
        given = {name: self.one(name) for name in HINTS if name in self.values}
        return hints_of({name.replace("-", "_"): str(value) for name, value in given.items()})

    def options(self) -> Options:
        """Return how it is to be analysed; RecordingError for a value that is not possible."""
        given = {name.replace("-", "_"): self.one(name) for name in OPTIONS if name in self.values}
        if "sleep-log" in self.values:
            given["sleep_log"] = [
                {"in_bed": period.get("start"), "out_of_bed": period.get("end")}
                for period in self.values["sleep-log"]
            ]
        try:
            return Options.model_validate(given)
        except ValidationError as error:
            name = str(error.errors(include_input=False)[0]["loc"][0])
            raise RecordingError(
                Refusal.INVALID_FIELD, "expected a value that the parameter takes; correct it", where=name
            ) from None

    def wish(self, stated: Subject) -> FhirWish:
        """Return what the Bundle is to be; ``stated`` is whose data the Observations say they are."""
        subject = self._subject(stated)
        return FhirWish(self.one("return") or "collection", subject.reference, subject.identifier)

    def _subject(self, stated: Subject) -> Subject:
        held = self.one("subject")
        if held is None:
            return stated
        named = _subject_of(Fields(held, self.places["subject"]))
        within = (stated.reference or "").startswith(("urn:", "#"))  # says nothing outside what was sent
        if stated not in (Subject(), named) and not within:
            raise RecordingError(
                Refusal.INVALID_FIELD,
                "expected the subject of the Observations, found another; drop the wrong one",
                where="subject",
            )
        return named

    def placed(self, error: RecordingError) -> RecordingError:
        """Return ``error`` with a FHIRPath as its place, or none."""
        where = error.where or ""
        if where[:1].isupper():
            return error
        name = where.rpartition(".")[2].replace("_", "-")
        stated = "Observation.subject" if name == "subject" else None
        return RecordingError(error.code, str(error), where=self.places.get(name, stated))


def wanted_of(document: Any) -> Wanted:
    """Read the parameters that are not data; RecordingError for one that is wrong, or twice there."""
    if not isinstance(document, dict) or document.get("resourceType") != "Parameters":
        return Wanted()
    values: dict[str, list[Any]] = {}
    places: dict[str, str] = {}
    for given in Fields(document, "Parameters").items("parameter"):
        spec = PARAMETERS.get(given.text("name") or "")
        if spec is None:
            continue  # data, or what the reader refuses
        if spec.name in values and spec.most == "1":
            raise given.wrong("name", "each of these parameters once")
        values.setdefault(spec.name, []).append(_value(given, spec))
        places.setdefault(spec.name, given.place)
    return Wanted(values, places)


def _value(given: Fields, spec: Parameter) -> Any:
    element = f"value{spec.type[:1].upper()}{spec.type[1:]}"
    others = [name for name in given.held if name.startswith(_CHOICES) and name != element]
    if others or element not in given:
        raise given.wrong(element, f"one {element}")
    kind, told = _TYPES.get(spec.type, _TEXT)
    value = given.get(element)
    if type(value) is not kind:
        raise given.wrong(element, told)
    if spec.codes and value not in spec.codes:
        raise given.wrong(element, f"one of {', '.join(spec.codes)}")
    return value


def _subject_of(held: Fields) -> Subject:
    if (reference := held.text("reference")) is not None:
        return Subject(reference)
    identifier = held.part("identifier")
    if (value := identifier.text("value")) is None:
        raise held.wrong("valueReference", "a reference or an identifier")
    return Subject(identifier=(identifier.text("system") or "", value))
