"""The runtime conformance check: what leaves as FHIR is FHIR R4, or it does not leave.

fhir.resources builds and parses, but lets wrong codes, references and invariants through; the rules here
refuse those. The full validator runs in the tests.

    ConformanceError    a resource that we built breaks R4: a fault of ours (500), never of the caller
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError

from postprocessing.fhir.links import MAX_ENTRIES, bundle_issues, reference_issues
from postprocessing.fhir.rules import Element, Issue, Json, element_issues, elements

__all__ = ["MAX_ENTRIES", "ConformanceError", "Issue", "check", "warm"]


class ConformanceError(RuntimeError):
    """What was built is not FHIR R4; ``issues`` say where, without any value."""

    def __init__(self, issues: list[Issue]) -> None:
        self.issues = tuple(issues)
        shown = "; ".join(f"{issue.expression}: {issue.rule}" for issue in issues[:5])
        super().__init__(f"expected a conformant FHIR R4 resource, found {len(issues)} issues: {shown}")


def check(resource: Json) -> list[Issue]:
    """Return every departure of ``resource`` (a Bundle or any other) from R4 that can be seen at run time."""
    walked = elements(resource)
    return [
        *_model_issues(resource),
        *bundle_issues(resource),
        *reference_issues(resource, walked),
        *_element_issues(walked),
    ]


def _element_issues(walked: list[Element]) -> Iterator[Issue]:
    for element in walked:
        yield from element_issues(element)


def _model_issues(resource: Json) -> Iterator[Issue]:
    kind = str(resource.get("resourceType"))
    try:
        _model(kind).model_validate(resource)
    except ValidationError as refused:
        for error in refused.errors(include_input=False, include_context=False, include_url=False):
            path = ".".join((kind, *map(str, error["loc"])))
            yield Issue("model", path, f"refused by the R4B model ({error['type']})")
    except (
        KeyError,
        ValueError,
    ):  # fhir.resources' answers to a type that R4B does not know, inside and at the top
        yield Issue("resource-type", "resourceType", "expected resource types of R4")


@lru_cache(maxsize=64)
def _model(kind: str) -> type[BaseModel]:
    from fhir.resources.R4B import get_fhir_model_class  # noqa: PLC0415  # half a second that only FHIR answers pay

    model: type[BaseModel] = get_fhir_model_class(kind)
    return model


def warm() -> None:
    """Load the models that a result uses, so that the first request does not pay for them."""
    for kind, least in _LEAST.items():
        _model(kind).model_validate({"resourceType": kind, **least})


_CODE: dict[str, Any] = {"text": "warm"}
_WHO: dict[str, Any] = {"display": "warm"}
_LEAST: dict[str, dict[str, Any]] = {
    "Device": {
        "note": [_CODE],
        "version": [{"value": "1"}],
        "deviceName": [{"name": "warm", "type": "other"}],
    },
    "Observation": {
        "status": "preliminary",
        "code": _CODE,
        "component": [{"code": _CODE, "valueQuantity": {"value": 1}}],
        "effectivePeriod": {"start": "2000"},
        "valueSampledData": {"origin": {"value": 0}, "period": 1, "dimensions": 1, "data": "E"},
        "note": [_CODE],
    },
    "DocumentReference": {"status": "current", "content": [{"attachment": {"title": "warm"}}]},
    "RiskAssessment": {"status": "preliminary", "subject": _WHO, "prediction": [{"outcome": _CODE}]},
    "DiagnosticReport": {"status": "preliminary", "code": _CODE},
    "Provenance": {
        "target": [_WHO],
        "recorded": "2000-01-01T00:00:00Z",
        "agent": [{"who": _WHO}],
        "entity": [{"role": "source", "what": _WHO}],
    },
    "Bundle": {
        "type": "collection",
        "entry": [{"fullUrl": "urn:uuid:warm", "resource": {"resourceType": "Basic", "code": _CODE}}],
    },
}
