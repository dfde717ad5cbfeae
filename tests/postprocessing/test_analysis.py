"""The result document: what it refuses to hold, and that it says what it holds."""

from __future__ import annotations

import json
import math

import pytest
from pydantic import ValidationError

from postprocessing import activity, circadian, sleep
from postprocessing.absence import Reason, absent
from postprocessing.analysis import Basis, Metric, Night, Prediction, WeekResult
from postprocessing.metrics import METRICS, MetricCode
from preprocessing.units import Unit
from tests.postprocessing.factory import Case, analysis
from tests.postprocessing.synthetic import regular
from tests.shared import ROOT

BASIS = Basis("an algorithm", {"window_minutes": 300}, 10, 10.0)


def test_every_metric_code_has_a_label_a_kind_and_a_section():
    assert set(METRICS) == set(MetricCode)
    labels = [info.label for info in METRICS.values()]
    assert len(set(labels)) == len(labels)
    levels = {code for code, info in METRICS.items() if info.unit is None}
    assert levels == {
        MetricCode.L5,
        MetricCode.M10,
        MetricCode.MESOR,
        MetricCode.AMPLITUDE,
        MetricCode.MEAN_LEVEL,
        MetricCode.TOTAL_ACTIVITY,
    }


def test_sleep_rhythm_and_activity_hold_every_metric_of_their_section_once():
    recording = regular()
    for section, room in (("sleep", sleep), ("rhythm", circadian), ("activity", activity)):
        metrics = room.summarise(recording, recording.recorded).metrics
        expected = [code for code, info in METRICS.items() if info.section == section]
        assert [metric.code for metric in metrics] == expected
        for metric in metrics:
            info = METRICS[metric.code]
            assert (metric.kind, metric.unit) == (info.kind, info.unit_for(recording.unit))


@pytest.mark.parametrize(
    ("unit", "printed"), [(Unit.MIMS, "{MIMS}/min"), (Unit.ENMO_MG, "m[g]"), (Unit.COUNTS, "{counts}/min")]
)
def test_levels_carry_the_unit_of_the_recording(unit, printed):
    recording = regular(unit=unit)
    metrics = circadian.summarise(recording, recording.recorded).metrics
    assert {metric.unit for metric in metrics if METRICS[metric.code].unit is None} == {printed}


def test_a_metric_holds_either_a_value_or_a_reason():
    assert Metric.known(MetricCode.L5, 1.0, BASIS, "{counts}/min").absent is None
    assert Metric.missing(MetricCode.L5, absent(Reason.TOO_MUCH_MISSING)).value is None
    with pytest.raises(ValidationError, match="either a value or a reason"):
        Metric(code=MetricCode.L5, kind="quantity", value=None, unit="1")
    with pytest.raises(ValidationError, match="either a value or a reason"):
        Metric(
            code=MetricCode.L5,
            kind="quantity",
            value=1.0,
            unit="1",
            algorithm="one",
            absent=absent(Reason.TOO_MUCH_MISSING),
        )


def test_a_value_without_an_algorithm_is_refused():
    with pytest.raises(ValidationError, match="names the algorithm"):
        Metric(code=MetricCode.L5, kind="quantity", value=1.0, unit="1")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_refused(value):
    with pytest.raises(ValidationError):
        Metric.known(MetricCode.L5, value, BASIS)


@pytest.mark.parametrize("value", [-0.1, 24.0, 30.0])
def test_a_clock_time_lies_within_the_day(value):
    with pytest.raises(ValidationError, match="clock time"):
        Metric.known(MetricCode.L5_ONSET, value, BASIS)


@pytest.mark.parametrize(
    ("hours", "clock"),
    [(0, "00:00:00"), (1.1, "01:06:00"), (23.999_999, "00:00:00"), (12.345, "12:20:42"), (22.5, "22:30:00")],
)
def test_a_clock_time_prints_to_the_nearest_second(hours, clock):
    assert Metric.known(MetricCode.ACROPHASE, hours, BASIS).clock == clock


def test_only_a_clock_time_prints_as_one():
    with pytest.raises(ValueError, match="not a clock time"):
        _ = Metric.known(MetricCode.L5, 1.0, BASIS).clock


def test_documents_are_frozen_and_closed():
    metric = Metric.known(MetricCode.L5, 1.0, BASIS)
    with pytest.raises(ValidationError):
        metric.value = 2.0
    with pytest.raises(ValidationError):
        Night.model_validate({"night_of": "2024-05-01", "valid": False, "serial": "X"})


def test_reading_what_was_written_gives_the_same_document():
    recording = regular()
    for document in (room.summarise(recording, recording.recorded) for room in (sleep, circadian, activity)):
        text = document.model_dump_json()
        assert type(document).model_validate_json(text) == document
        assert "NaN" not in text
        json.loads(text, parse_constant=pytest.fail)


def test_the_documentation_defines_every_metric_and_every_reason():
    text = (ROOT / "docs" / "clinical-metrics.md").read_text()
    for code, info in METRICS.items():
        assert f"`{code.value}`" in text
        assert info.label in text
    for reason in (
        Reason.TOO_FEW_VALID_NIGHTS,
        Reason.TOO_FEW_VALID_DAYS,
        Reason.NOT_UNIQUE,
        Reason.NO_SLEEP_LOG,
    ):
        assert f"`{reason.value}`" in text


def test_a_week_scaled_by_itself_carries_no_calibrated_probability():
    (week,) = analysis(Case(days=7, pat=True)).weeks
    head = Prediction(
        head="any", probability=0.2, threshold=0.5, calibrated=True, evidence="a study", checkpoint="a:1"
    )
    fields = {**week.model_dump(), "predictions": (head,)}
    with pytest.raises(ValidationError, match="no calibrated probability"):
        WeekResult(**{**fields, "calibration": "per_recording"})
    WeekResult(**{**fields, "calibration": "reference_cohort"})
    WeekResult(**{**fields, "predictions": (head.model_copy(update={"calibrated": False}),)})
