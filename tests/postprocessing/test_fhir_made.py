"""Bundles of made-up Analyses: whatever is present or absent, what leaves is FHIR R4."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from postprocessing.absence import Reason
from postprocessing.analysis import Analysis
from postprocessing.fhir import bundle
from postprocessing.fhir.observations import metrics_of
from postprocessing.metrics import METRICS
from preprocessing.units import Device, Unit
from tests.fhir_tools import validate
from tests.postprocessing.made_analyses import ZONES, Made, made

pytestmark = pytest.mark.fhir

Json = dict[str, Any]
KINDS = ("collection", "transaction")


def some(count: int) -> list[Made]:
    """``count`` made-up analyses, the same on every run."""
    found: list[Made] = []

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(made())
    def collect(one: Made) -> None:
        found.append(one)

    collect()
    return found[:count]


def written(cases: list[Made], folder: Path) -> list[Path]:
    files = []
    for number, case in enumerate(cases):
        for kind in KINDS:
            document = bundle(case.analysis, case.recording, replace(case.options, kind=kind))
            files.append(folder / f"{number:03}-{kind}.json")
            files[-1].write_text(json.dumps(document, allow_nan=False))
    return files


def errors(files: list[Path]) -> list[Any]:
    return [finding for finding in validate(files) if finding.severity == "error"]


def test_bundles_of_forty_made_up_analyses_pass_the_validator(tmp_path: Path) -> None:
    files = written(some(40), tmp_path)
    assert len(files) == 80
    assert errors(files) == []


@pytest.mark.slow
def test_bundles_of_five_hundred_made_up_analyses_pass_the_validator_and_hold_everything_that_can_occur(
    tmp_path: Path,
) -> None:
    cases = some(500)
    assert len(cases) == 500
    seen = set().union(*(occurrences(case.analysis) for case in cases))
    assert seen >= everything()
    assert {case.recording.zone for case in cases} == set(ZONES)
    files = written(cases, tmp_path)
    assert len(files) == 1000
    assert errors(files) == []


def everything() -> set[str]:
    """What has to occur: each metric known and absent, each reason, unit, device and outcome of a week."""
    metrics = {f"{code} {state}" for code in METRICS for state in ("known", "absent", "with interval")}
    return {*metrics, *Reason, *Unit, *Device, "week encoded", "week absent", "no week", "attention"} | {
        *("probability", "score", "spring", "autumn", "no night", "nap", "no rest", "no sleep"),
    }


def occurrences(analysis: Analysis) -> set[str]:
    """What occurs in ``analysis``, in the words of ``everything``."""
    return {*_of_metrics(analysis), *_of_nights(analysis), *_of_weeks(analysis)} | {
        *(analysis.recording.unit, analysis.recording.device)
    }


def _of_metrics(analysis: Analysis) -> Iterator[str]:
    for metric in metrics_of(analysis):
        yield f"{metric.code} {'absent' if metric.absent else 'known'}"
        if metric.interval:
            yield f"{metric.code} with interval"
        if metric.absent:
            yield metric.absent.reason


def _of_nights(analysis: Analysis) -> Iterator[str]:
    if not analysis.sleep.nights:
        yield "no night"
    if analysis.sleep.absent:
        yield "no sleep"
    for night in analysis.sleep.nights:
        if night.nap:
            yield "nap"
        if night.start is None:
            yield "no rest"


def _of_weeks(analysis: Analysis) -> Iterator[str]:
    if analysis.weeks_absent:
        yield "no week"
    for week in analysis.weeks:
        yield "week absent" if week.absent else "week encoded"
        if week.dst_transition:
            yield week.dst_transition
        if week.attention_received:
            yield "attention"
        for prediction in week.predictions:
            yield "probability" if prediction.calibrated else "score"


@settings(max_examples=40, deadline=None)
@given(made())
def test_the_bundle_of_any_analysis_is_reproducible_linked_and_labelled_where_pat_made_it(case: Made) -> None:
    document = bundle(case.analysis, case.recording, case.options)
    again = bundle(case.analysis, case.recording, case.options)
    assert json.dumps(document, allow_nan=False) == json.dumps(again)
    urls = Counter(entry["fullUrl"] for entry in document["entry"])
    assert set(urls.values()) == {1}
    assert set(references(document)) <= set(urls)
    weeks = case.analysis.weeks
    encoded = [week for week in weeks if week.embedding is not None]
    outputs = sum(1 + (week.attention_received is not None) + len(week.predictions) for week in encoded)
    labelled = [
        entry for entry in document["entry"] if "AIAST" in json.dumps(entry["resource"].get("meta", {}))
    ]
    assert len(labelled) == (outputs + 1 if encoded else 0)  # and the report that sums them up


def references(value: Any) -> Iterator[str]:
    """Every reference within the Bundle."""
    if isinstance(value, dict):
        if str(value.get("reference")).startswith("urn:"):
            yield value["reference"]
        for child in value.values():
            yield from references(child)
    elif isinstance(value, list):
        for child in value:
            yield from references(child)
