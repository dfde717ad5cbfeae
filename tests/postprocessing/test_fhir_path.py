"""A second opinion: fhirpathpy evaluates R4's own invariants over our answers and agrees with the check."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from fhirpathpy import compile as compiled
from fhirpathpy.models import models

from postprocessing.fhir import BundleOptions, bundle, check
from postprocessing.fhir.walk import walk
from tests.postprocessing.factory import CASES, ISSUED, analysis, recording

pytestmark = pytest.mark.fhir

Json = dict[str, Any]
INVARIANTS = {  # FHIR type -> key -> the expression of the 4.0.1 definitions, in what fhirpathpy knows
    "Observation": {
        "obs-6": "dataAbsentReason.empty() or value.empty()",
        "obs-7": (
            "value.empty() or component.code.where(coding.intersect(%context.code.coding).exists()).empty()"
        ),
        "dom-2": "contained.contained.empty()",
        "dom-4": "contained.meta.versionId.empty() and contained.meta.lastUpdated.empty()",
    },
    "Observation.component": {"no-value": "dataAbsentReason.exists() or value.exists()"},
    "Period": {"per-1": "start.empty() or end.empty() or (start <= end)"},
    "Quantity": {"qty-3": "code.empty() or system.exists()"},
    "Extension": {"ext-1": "extension.exists() != value.exists()"},
    "RiskAssessment.prediction": {"ras-2": "probability.empty() or (probability <= 100)"},
    "Bundle": {
        "bdl-1": "total.empty() or (type = 'searchset') or (type = 'history')",
        "bdl-3": "entry.all(request.exists() = (%context.type = 'transaction'))",
        "bdl-7": "entry.fullUrl.isDistinct()",
        "bdl-8": "entry.fullUrl.all(contains('/_history/').not())",
    },
    "Bundle.entry": {"bdl-5": "resource.exists() or request.exists() or response.exists()"},
}
EVALUATE = {
    (kind, key): compiled(expression, models["r4"])
    for kind, rules in INVARIANTS.items()
    for key, expression in rules.items()
}


def broken(document: Json) -> set[str]:
    """The invariants that do not hold somewhere in ``document``."""
    nodes, _ = walk(document)
    return {
        key
        for node in nodes
        for key in INVARIANTS.get(node.kind, {})
        if EVALUATE[node.kind, key](typed(node.kind, node.value), {}) != [True]
    }


def typed(kind: str, value: Json) -> Json:
    """``value`` with the type that fhirpathpy needs to know what ``value[x]`` is."""
    return value if "resourceType" in value else {"resourceType": kind, **value}


def document(name: str, kind: str = "transaction") -> Json:
    case = CASES[name]
    options = BundleOptions(issued=ISSUED, kind=kind, subject="Patient/1")  # type: ignore[arg-type]
    return bundle(analysis(case), recording(case), options)


@pytest.mark.parametrize("kind", ["collection", "transaction"])
@pytest.mark.parametrize("name", CASES)
def test_every_invariant_holds_over_every_answer(name: str, kind: str) -> None:
    assert broken(document(name, kind)) == set()


GOOD = document("prediction")


def first(made: Json, kind: str, key: str) -> Json:
    return next(
        entry["resource"]
        for entry in made["entry"]
        if entry["resource"]["resourceType"] == kind and key in entry["resource"]
    )


def same_code(made: Json) -> None:
    metric = first(made, "Observation", "valueQuantity")
    metric["component"] = [{"code": metric["code"], "valueInteger": 3}]


DAMAGE: dict[str, Callable[[Json], Any]] = {
    "obs-6": lambda d: first(d, "Observation", "valueQuantity").update(dataAbsentReason={"text": "unknown"}),
    "obs-7": same_code,
    "no-value": lambda d: first(d, "Observation", "component")["component"][0].pop("valueQuantity"),
    "per-1": lambda d: first(d, "Observation", "effectivePeriod").update(
        effectivePeriod={"start": "2026-01-02T00:00:00+01:00", "end": "2026-01-01T00:00:00+01:00"}
    ),
    "qty-3": lambda d: first(d, "Observation", "valueQuantity")["valueQuantity"].pop("system"),
    "ext-1": lambda d: first(d, "Observation", "effectivePeriod").update(
        extension=[{"url": "http://x.example.org"}]
    ),
    "ras-2": lambda d: first(d, "RiskAssessment", "prediction")["prediction"][0].update(
        probabilityDecimal=101
    ),
    "bdl-3": lambda d: d["entry"][0].pop("request"),
    "bdl-7": lambda d: d["entry"][0].update(fullUrl=d["entry"][1]["fullUrl"]),
}


@pytest.mark.parametrize("key", DAMAGE)
def test_what_breaks_an_invariant_for_fhirpath_is_refused_by_the_check_as_well(key: str) -> None:
    made = copy.deepcopy(GOOD)
    DAMAGE[key](made)
    assert key in broken(made)
    assert key in {issue.rule for issue in check(made)}


def test_a_reader_finds_the_answers_by_fhirpath() -> None:
    made = document("prediction")
    where = "Bundle.entry.resource.where(resourceType = 'Observation')"
    total = compiled(
        f"{where}.where(code.coding.where(code = '93832-4').exists()).value.value", models["r4"]
    )(made)
    source = {metric.code: metric.value for metric in analysis(CASES["prediction"]).sleep.metrics}
    assert list(map(float, total)) == [round(source["total_sleep_time"] or 0, 2)]
    risks = compiled("Bundle.entry.resource.ofType(RiskAssessment).prediction.probability", models["r4"])(
        made
    )
    assert list(map(float, risks)) == [23.4]
