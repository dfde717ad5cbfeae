"""The tables of R4's structure refuse whatever the models that they were read from refuse."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from postprocessing.fhir import BundleOptions, audit_event, bundle, check, code_system
from postprocessing.fhir.structure import UnknownTypeError, shape_of
from tests.postprocessing.factory import CASES, ISSUED, analysis, recording

pytestmark = pytest.mark.fhir

Json = dict[str, Any]
WRONG: list[Any] = [
    None,
    "",
    [],
    {},
    "words",
    " ",
    7,
    -1,
    1.5,
    True,
    "true",
    "2026-13-01",
    ["x"],
    {"x": 1},
    [None],
    [{}],
]
NAMES = ["status", "code", "valueString", "valueBoolean", "valueTime", "resourceType", "note", "confidence"]


def a_bundle() -> Json:
    case = CASES["prediction"]
    return bundle(analysis(case), recording(case), BundleOptions(issued=ISSUED, kind="transaction"))


GOOD = a_bundle()
PICK = random.Random(
    7
)  # a few entries of each type, so that every kind of element is there and the models are fast
SMALL = {**GOOD, "entry": PICK.sample(GOOD["entry"], 20) + GOOD["entry"][-4:]}


def refused_by_the_models(document: Json) -> bool:
    from fhir.resources.R4B import get_fhir_model_class

    try:
        get_fhir_model_class("Bundle").model_validate(document)
    except (ValidationError, KeyError, ValueError, TypeError, AttributeError):
        return True
    return False


def holders(value: Any) -> Iterator[Json]:
    """Every object within ``value``."""
    if isinstance(value, dict):
        yield value
        for child in value.values():
            yield from holders(child)
    elif isinstance(value, list):
        for child in value:
            yield from holders(child)


COUNT = len(list(holders(SMALL)))


@st.composite
def damaged(draw: st.DrawFn) -> Json:
    """The Bundle with one element removed, renamed, listed, unlisted, replaced or added."""
    document = copy.deepcopy(SMALL)
    holder = list(holders(document))[draw(st.integers(0, COUNT - 1))]
    key = draw(st.sampled_from(sorted(holder)))
    match draw(st.sampled_from(["remove", "rename", "list", "unlist", "replace", "add"])):
        case "remove":
            del holder[key]
        case "rename":
            holder[draw(st.sampled_from(NAMES))] = holder.pop(key)
        case "list":
            holder[key] = [holder[key]]
        case "unlist":
            holder[key] = holder[key][0] if isinstance(holder[key], list) else draw(st.sampled_from(WRONG))
        case "replace":
            holder[key] = draw(st.sampled_from(WRONG))
        case _:
            holder[draw(st.sampled_from(NAMES))] = draw(st.sampled_from(WRONG))
    return document


@settings(max_examples=400, deadline=None)
@given(damaged())
def test_what_the_models_refuse_the_check_refuses_and_never_ends_in_an_error(document: Json) -> None:
    issues = check(document)
    assert issues or not refused_by_the_models(document)


def test_the_models_accept_what_the_check_accepts() -> None:
    from fhir.resources.R4B import get_fhir_model_class

    record = {"at": "2026-01-01T00:00:00Z", "file": "a", "seq": 1, "event": LOGGED}
    for document in (GOOD, code_system("https://pat.example.org/fhir"), audit_event(record, "PAT Service")):
        assert check(document) == []
        get_fhir_model_class(document["resourceType"]).model_validate(document)


LOGGED = {
    "verb": "analyze",
    "action": "E",
    "outcome": 0,
    "reason": "done",
    "actor": None,
    "subject": "",
    "trace": "ab",
    "model": "",
    "records": 1,
    "purpose": "TREAT",
}


def test_a_type_that_r4b_does_not_know_has_no_shape() -> None:
    with pytest.raises(UnknownTypeError):
        shape_of("DeviceAlert")


def test_an_observation_s_shape_says_what_r4_says() -> None:
    shape = shape_of("Observation")
    assert set(shape.required) == {"status", "code"}
    assert (shape.fields["performer"].many, shape.fields["performer"].kind) == (True, "Reference")
    assert shape.fields["valueBoolean"].json_types == (bool,)
    assert {name for name, _, _ in shape.choices} == {"value", "effective"}
    assert shape_of("ObservationComponent").is_backbone
