"""What leaves for research is on the list, and nothing that a person wrote, a date or a place is."""

import asyncio
import json
import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from models.config import CONFIGS
from pat_runner.account import AnalyzeOptions, ModelCard
from pat_runner.engines import ENGINES
from pat_runner.pipeline import analyze
from postprocessing import deidentify
from postprocessing.analysis import Analysis
from postprocessing.buckets import BUCKETS, bucketed
from postprocessing.deidentified import DeidentifiedAnalysis
from postprocessing.deidentify import ALLOWED, DROPPED, Person, Why, age_band, deidentified
from postprocessing.dictionary import uses
from postprocessing.metrics import METRICS, MetricCode
from postprocessing.schema import (
    DEIDENTIFIED_FILE,
    UnknownSchema,
    deidentified_schema,
    generated_deidentified,
    read_deidentified,
)
from preprocessing.readers import read
from preprocessing.wear import WearMode
from tests.doubles.runners import CountingRunner
from tests.postprocessing.factory import CASES, PREDICTION, Case, analysis
from tests.shared import ROOT

pytestmark = pytest.mark.security
GOLDEN = Path(__file__).parent / "data" / "deidentified-week.json"
MARKER = "canary-anna-1970"
CODE = "c0de" * 8
EVERYTHING = AnalyzeOptions(profile=True, intervals=True, series=True)


@pytest.fixture(scope="module")
def week():
    """The Analysis of the example week with all that may be asked for."""
    recording = read((ROOT / "examples" / "week.json").read_bytes())
    card = ModelCard("pat-s:1", "ab" * 32, "PAT-S", 18, "test", "none", None, "onnxruntime", "fp32")
    return asyncio.run(analyze(recording, EVERYTHING, CountingRunner(), card))


def fields(part):
    """Every field that is reached from ``part`` without passing one that is left out."""
    for name, known in part.model_fields.items():
        field = f"{part.__name__}.{name}"
        yield field
        if field not in DROPPED:
            for inner in parts_of(known.annotation):
                yield from fields(inner)


def parts_of(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from parts_of(argument)


def strings(value):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


def poisoned(value):
    """The same with every text and every name replaced by the marker, whatever the model allows."""
    if isinstance(value, BaseModel):
        kept = {"kind", "code", "reason", "schema_"}  # which decide how a value is read
        inner = {
            name: getattr(value, name) if name in kept else poisoned(getattr(value, name))
            for name in type(value).model_fields
        }
        return type(value).model_construct(**inner)
    if isinstance(value, tuple):
        return tuple(map(poisoned, value))
    if isinstance(value, dict):
        return {MARKER: MARKER} | {name: poisoned(inner) for name, inner in value.items()}
    return MARKER if isinstance(value, str) else value


def test_every_field_of_the_analysis_is_kept_by_a_rule_or_left_out_for_a_reason():
    found = set(fields(Analysis))
    assert not ALLOWED.keys() & DROPPED.keys()
    assert found - ALLOWED.keys() - DROPPED.keys() == set(), "say in deidentify.py what becomes of it"
    assert (ALLOWED.keys() | DROPPED.keys()) - found == set(), "the Analysis has no such field"


def test_the_document_of_the_example_week_is_the_golden_one(week):
    made = deidentified(week, Person(CODE, 44, "female"))
    assert json.loads(made.model_dump_json()) == json.loads(GOLDEN.read_text())
    assert read_deidentified(made.model_dump_json()) == made


def test_no_date_no_place_no_device_no_series_and_no_digest_of_the_recording_is_left(week):
    text = deidentified(week).model_dump_json()
    assert not re.search(r"\d{4}-\d{2}-\d{2}|\d{2}:\d{2}|\b(19|20)\d{2}-", text)
    recording = week.recording
    for gone in (recording.zone, recording.device, recording.source_format, week.provenance.input_sha256):
        assert gone not in text
    assert "embedding" not in text
    assert "parameters" not in text
    assert len(text) < 15_000
    longest = max(len(section.metrics) for section in (week.sleep, week.rhythm, week.activity))
    assert max(map(len, lists(json.loads(text)))) == longest  # no series of anything


def lists(value):
    if isinstance(value, list):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from lists(inner)


@pytest.mark.parametrize("name", CASES)
def test_a_marker_in_every_text_of_the_analysis_does_not_survive(name):
    made = deidentified(poisoned(analysis(CASES[name])))
    assert MARKER not in made.model_dump_json()


def test_a_marker_in_every_text_of_a_full_answer_does_not_survive(week):
    made = deidentified(poisoned(week))
    assert "canary" not in made.model_dump_json()
    assert made.dropped["unlisted"] >= 8
    assert made.recording.unit is made.sleep.scorer is made.provenance.pipeline is None


def test_no_text_is_left_that_is_not_the_code_s_own(week):
    """Words of the output that are neither fields nor in a closed list of the code: none."""
    known = set(strings(json.loads(json.dumps(generated_deidentified()))))
    known |= {str(word) for words in deidentify.OPTIONS.values() for word in words} | set(deidentify.OPTIONS)
    known |= {*deidentify.ALGORITHMS, *deidentify.WEAR_RULES, *deidentify.FLAGS, *deidentify.ENGINES}
    known |= {*deidentify.ARCHITECTURES, *(why.value for why in Why), *(code.value for code in MetricCode)}
    known |= {unit for info in METRICS.values() for unit in info.units}
    left = set(strings(json.loads(deidentified(week).model_dump_json()))) - known
    recorded = {week.recording.unit, week.recording.wear_site, week.sleep.rest_period}
    assert left <= recorded | {week.provenance.pipeline, week.provenance.model.sha256, "fp32"}


def test_a_field_that_is_in_no_table_is_left_out_and_counted(week, monkeypatch):
    monkeypatch.setattr(deidentify, "DROPPED", {})
    made = deidentified(week)
    assert set(made.dropped) == {"unlisted"}
    assert made.sleep == deidentified(week).sleep
    monkeypatch.setattr(
        deidentify, "ALLOWED", {name: rule for name, rule in ALLOWED.items() if name != "Metric.value"}
    )
    with pytest.raises(ValueError, match="value"):  # a document without its numbers is none
        deidentified(week)


def test_what_was_left_out_is_counted_by_field_and_never_by_how_often():
    short, long = (deidentified(analysis(Case(days=days))).dropped for days in (8, 28))
    assert short == long
    assert {"date", "place", "device", "series", "digest", "exact", "free_text"} <= set(short)


def test_predictions_and_embeddings_stay_behind():
    text = deidentified(analysis(Case(predictions=(PREDICTION,)))).model_dump_json()
    assert PREDICTION.head not in text
    assert "0.2344" not in text


@pytest.mark.parametrize(
    ("age", "band"),
    [(0, "0-9"), (39, "30-39"), (40, "40-49"), (89, "80-89"), (90, "90+"), (95, "90+"), (130, "90+")],
)
def test_ages_are_given_in_tens_and_above_89_as_one(week, age, band):
    assert age_band(age) == band
    made = deidentified(week, Person(age=age))
    assert made.person.age_band == band
    assert (made.person.code, made.person.sex) == (None, None)


def test_long_recordings_are_not_told_apart_by_their_length():
    month = analysis(Case(days=31))
    longer = month.model_copy(
        update={
            "quality": month.quality.model_copy(update={"valid_days": 412}),
            "sleep": month.sleep.model_copy(update={"valid_nights": 411}),
            "activity": month.activity.model_copy(update={"valid_days": 412}),
        }
    )
    made = deidentified(longer)
    assert (made.quality.valid_days, made.sleep.valid_nights, made.activity.valid_days) == (30, 30, 30)


def test_flags_that_tell_time_or_place_are_left_out(week):
    flags = ("all_missing", "clock_gap_like_dst", "date_unknown", "implausible_date", "zone_changed")
    quality = week.quality.model_copy(update={"flags": flags})
    assert deidentified(week.model_copy(update={"quality": quality})).quality.flags == ("all_missing",)


def test_people_whose_numbers_lie_in_the_same_steps_have_the_same_document(week):
    def nudged(metric):
        return metric if metric.value is None else metric.model_copy(update={"value": metric.value * 1.0001})

    rhythm = week.rhythm.model_copy(update={"metrics": tuple(map(nudged, week.rhythm.metrics))})
    assert deidentified(week.model_copy(update={"rhythm": rhythm})) == deidentified(week)


def test_every_metric_has_steps():
    assert list(BUCKETS) == list(METRICS)


@given(st.sampled_from(list(MetricCode)), st.floats(-1e7, 1e7))
def test_a_step_stands_for_itself_and_is_near_or_at_the_end(code, value):
    bucket, clock = BUCKETS[code], METRICS[code].kind == "clock_time"
    value = value % 24 if clock else value
    step = bucketed(code, value)
    assert bucketed(code, step) == step
    if clock:
        apart = abs(step - value)
        assert 0 <= step < 24
        assert min(apart, 24 - apart) <= bucket.step / 2 + 1e-9
    elif bucket.step is None:
        assert abs(step - value) <= abs(value) / 4 + 1e-9
        assert len(f"{abs(step):e}".rstrip("0").split("e")[0].replace(".", "").rstrip("0")) <= 2
    else:
        assert bucket.least <= step <= bucket.most
        inside = min(max(value, bucket.least), bucket.most)
        assert abs(step - inside) <= bucket.step / 2 + 1e-6


def test_the_steps_are_so_coarse_that_a_metric_has_few():
    for code, bucket in BUCKETS.items():
        if METRICS[code].kind == "clock_time":
            assert 24 / bucket.step <= 48, code
        elif bucket.step is not None:
            assert (bucket.most - bucket.least) / bucket.step <= 50, code


def test_the_closed_lists_are_those_of_the_rooms_that_write_them(week):
    seen = {algorithm for use in uses().values() for algorithm in use.algorithms}
    assert seen <= set(deidentify.ALGORITHMS)
    assert tuple(ENGINES) == deidentify.ENGINES
    assert set(CONFIGS) == set(deidentify.ARCHITECTURES)
    assert deidentify.OPTIONS["wear"] == tuple(WearMode)
    assert set(deidentify.OPTIONS) <= set(week.provenance.options)
    made = deidentified(week)
    for option, words in deidentify.OPTIONS.items():
        assert made.provenance.options[option] in words
    assert made.provenance.pipeline == week.provenance.pipeline
    assert made.provenance.model.sha256 == "ab" * 32
    assert (made.quality.wear_rule, made.sleep.scorer) == (week.quality.wear_rule, week.sleep.scorer)


def test_every_value_keeps_the_name_of_what_made_it(week):
    made = deidentified(week)
    for section in (made.sleep, made.rhythm, made.activity):
        for metric in section.metrics:
            assert (metric.value is None) == (metric.algorithm is None) == (metric.absent is not None)
            assert metric.unit is not None


def test_the_published_schema_is_that_of_the_code():
    assert deidentified_schema() == generated_deidentified(), "run make dictionary"
    assert DEIDENTIFIED_FILE.name == "pat-deidentified-1.schema.json"
    assert deidentified_schema()["$id"] == "urn:pat-deidentified:1"
    for name, part in {**deidentified_schema()["$defs"], "whole": deidentified_schema()}.items():
        for field, known in part.get("properties", {}).items():
            assert known.get("description"), f"{name}.{field}"


def test_another_document_is_refused_by_its_name(week):
    with pytest.raises(UnknownSchema, match="expected a document of pat-deidentified/1"):
        read_deidentified(week.model_dump_json())


def test_the_document_is_frozen_and_closed(week):
    made = deidentified(week)
    with pytest.raises(ValueError, match="frozen"):
        made.statement = ""
    with pytest.raises(ValueError, match="Extra"):
        DeidentifiedAnalysis(**{**made.model_dump(by_alias=True), "zone": "Europe/Oslo"})


def test_a_person_is_described_by_the_sender_alone(week):
    assert deidentified(week).person.model_dump() == {"code": None, "sex": None, "age_band": None}
