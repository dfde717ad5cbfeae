"""The Bundle says what the Analysis says: same numbers, same reasons, linked, labelled and reproducible."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from xml.etree.ElementTree import fromstring

import numpy as np
import pytest

from postprocessing.absence import Reason, absent, fhir_reason
from postprocessing.analysis import Analysis, Interval, Metric, Prediction
from postprocessing.fhir import (
    BundleOptions,
    BundleOptionsError,
    BundleTooLargeError,
    ConformanceError,
    bundle,
)
from postprocessing.fhir import bundle as bundle_function
from postprocessing.fhir.codes import METRIC_TERMS
from postprocessing.fhir.observations import metrics_of
from postprocessing.fhir.series import LIMIT, parts
from postprocessing.metrics import MetricCode
from postprocessing.wording import claims
from preprocessing.recording import Recording
from tests.postprocessing.factory import CASES, ISSUED, PREDICTION, UNCALIBRATED, Case, analysis, recording

pytestmark = pytest.mark.fhir

Json = dict[str, Any]
LOCAL = "https://pat-service.invalid/fhir/CodeSystem/pat-actigraphy"
AIAST = "AIAST"


def options(**changes: Any) -> BundleOptions:
    return BundleOptions(**({"issued": ISSUED, "subject": "Patient/123"} | changes))


def made(name: str, **changes: Any) -> Json:
    return bundle(analysis(CASES[name]), recording(CASES[name]), options(**changes))


def resources(document: Json, kind: str) -> list[Json]:
    return [entry["resource"] for entry in document["entry"] if entry["resource"]["resourceType"] == kind]


def local_code(concept: Json) -> str:
    return next(coding["code"] for coding in concept["coding"] if coding["system"] == LOCAL)


def observation(document: Json, code: str) -> Json:
    [found] = [found for found in resources(document, "Observation") if local_code(found["code"]) == code]
    return found


def is_ai(resource: Json) -> bool:
    return any(label["code"] == AIAST for label in resource.get("meta", {}).get("security", []))


def assert_same(metric: Metric, written: Json) -> None:
    if metric.absent:
        fhir, ours = written["dataAbsentReason"]["coding"]
        assert fhir["code"] == fhir_reason(metric.absent.reason)
        assert (ours["system"], ours["code"]) == (LOCAL, metric.absent.reason.value)
        assert written["dataAbsentReason"]["text"] == metric.absent.detail
        assert not [key for key in written if key.startswith("value")]
    elif metric.kind == "clock_time":
        assert written["valueTime"] == metric.clock
    else:
        assert written["valueQuantity"]["value"] == round(
            metric.value or 0, METRIC_TERMS[metric.code].decimals
        )
        assert written["valueQuantity"]["code"] == metric.unit


@pytest.mark.parametrize("name", CASES)
def test_every_metric_of_the_analysis_stands_in_the_bundle_with_its_rounded_value_or_its_reason(
    name: str,
) -> None:
    source, document = analysis(CASES[name]), made(name)
    metrics = metrics_of(source)
    assert len(metrics) == len(METRIC_TERMS)
    for metric in metrics:
        assert_same(metric, observation(document, METRIC_TERMS[metric.code].local))


@pytest.mark.parametrize("name", CASES)
def test_every_night_is_one_observation_whose_components_are_its_metrics(name: str) -> None:
    source, document = analysis(CASES[name]), made(name)
    nights = [
        found for found in resources(document, "Observation") if local_code(found["code"]) == "sleep-night"
    ]
    assert len(nights) == len(source.sleep.nights)
    for night, written in zip(source.sleep.nights, nights, strict=True):
        components = {local_code(part["code"]): part for part in written["component"]}
        assert components["valid-night"]["valueBoolean"] is night.valid
        assert ("dataAbsentReason" in written) == (night.absent is not None)
        for metric in night.metrics:
            assert_same(metric, components[METRIC_TERMS[metric.code].local])


@pytest.mark.parametrize("name", CASES)
def test_the_raw_series_reads_back_as_the_recording(name: str) -> None:
    source, document = recording(CASES[name]), made(name)
    [raw] = [found for found in resources(document, "Observation") if found["status"] == "final"]
    data = raw["valueSampledData"]
    read = np.array([np.nan if token == "E" else float(token) for token in data["data"].split(" ")])
    np.testing.assert_array_equal(read, [round(value, 4) for value in source.values.tolist()])
    assert data["period"] == CASES[name].epoch_seconds * 1000
    assert not is_ai(raw)


def test_the_raw_series_of_a_fast_recording_is_split_by_days_and_covers_every_epoch_once() -> None:
    values = np.random.default_rng(1).uniform(0, 9999, 3 * 86_400)
    source = replace(recording(CASES["week"]), values=values, epoch_seconds=1)
    split = parts(source)
    assert [part.first for part in split] == [0, 86_400, 172_800]
    assert all(len(part.data) <= LIMIT for part in split)
    assert sum(part.data.count(" ") + 1 for part in split) == values.size
    assert (split[0].start, split[-1].end) == (source.start, source.end)
    assert [part.end for part in split[:-1]] == [part.start for part in split[1:]]


def test_each_part_of_a_split_series_is_an_observation_and_all_are_named_as_sources() -> None:
    case = replace(CASES["no_pat"], epoch_seconds=1)
    source = replace(recording(case), values=np.random.default_rng(1).uniform(0, 9999, 3 * 86_400))
    document = bundle(analysis(case), source, options())
    raw = [found for found in resources(document, "Observation") if found["status"] == "final"]
    assert len(raw) == 3
    assert len(observation(document, "IS")["derivedFrom"]) == 3


@pytest.mark.parametrize("kind", ["collection", "transaction"])
@pytest.mark.parametrize("name", CASES)
def test_the_same_analysis_gives_the_same_bytes(name: str, kind: str) -> None:
    assert json.dumps(made(name, kind=kind)) == json.dumps(made(name, kind=kind))


def test_ids_depend_on_input_options_weights_and_subject_but_not_on_the_time_of_issue() -> None:
    def name_of(source: Analysis, **changes: Any) -> str:
        document = bundle(source, recording(CASES["week"]), options(**changes))
        return str(document["identifier"]["value"])

    source = analysis(CASES["week"])
    provenance = source.provenance
    assert provenance.model
    others = [
        provenance.model_copy(update={"input_sha256": "00" * 32}),
        provenance.model_copy(update={"options": {"wear": "as_recorded"}}),
        provenance.model_copy(update={"pipeline": "pat-service/9"}),
        provenance.model_copy(update={"model": provenance.model.model_copy(update={"sha256": "11" * 32})}),
    ]
    names = {name_of(source), name_of(source, subject="Patient/124"), name_of(source, subject=None)}
    names |= {name_of(source.model_copy(update={"provenance": other})) for other in others}
    assert len(names) == 7
    assert name_of(source, issued=ISSUED + timedelta(days=1)) == name_of(source)


def test_only_output_of_pat_is_labelled_as_ai() -> None:
    document = made("prediction")
    labelled = [entry["resource"] for entry in document["entry"] if is_ai(entry["resource"])]
    kinds = sorted(resource["resourceType"] for resource in labelled)
    assert kinds == ["DiagnosticReport", "DocumentReference", "Observation", "RiskAssessment"]
    assert local_code(observation(document, "prediction")["code"]) == "prediction"
    assert is_ai(observation(document, "prediction"))
    assert is_ai(observation(made("profile"), "attention"))


def test_without_pat_nothing_is_labelled_as_ai_and_no_ai_device_stands_there() -> None:
    document = made("no_pat")
    assert AIAST not in json.dumps(document)
    assert len(resources(document, "Device")) == 1
    assert not resources(document, "DocumentReference")
    reason = observation(document, "embedding")["dataAbsentReason"]["coding"][1]["code"]
    assert reason == Reason.INSUFFICIENT_DATA


def test_the_provenance_of_ai_output_names_the_ai_device_as_author_and_that_of_the_algorithms_does_not() -> (
    None
):
    document = made("week")
    algorithms, model = resources(document, "Provenance")
    roles = [agent["type"]["coding"][0]["code"] for agent in model["agent"]]
    assert roles == ["author", "assembler"]
    assert model["reason"][0]["coding"][0]["code"] == AIAST
    assert [agent["type"]["coding"][0]["code"] for agent in algorithms["agent"]] == ["assembler"]
    assert "reason" not in algorithms
    by_url = {entry["fullUrl"]: entry["resource"] for entry in document["entry"]}
    assert by_url[model["agent"][0]["who"]["reference"]]["type"]["text"] == "AI model"
    sealed = {target["reference"] for found in (algorithms, model) for target in found["target"]}
    open_ended = {by_url[url]["resourceType"] for url in by_url.keys() - sealed}
    assert open_ended == {"Device", "Observation", "Provenance"}  # the Observation is the raw series


def test_the_ai_device_names_weights_pipeline_and_engine() -> None:
    [device] = [found for found in resources(made("week"), "Device") if "version" in found]
    assert device["identifier"][0]["value"] == "pat-s@demo"
    assert {part["type"]["text"]: part["value"] for part in device["version"]} == {
        "model": "demo",
        "weights-sha256": "cd" * 32,
        "pipeline": "pat-service/0.1.0",
        "engine": "onnxruntime",
        "precision": "fp32",
    }


def test_an_embedding_is_96_little_endian_floats_with_their_sha1() -> None:
    [reference] = resources(made("week"), "DocumentReference")
    attachment = reference["content"][0]["attachment"]
    content = base64.b64decode(attachment["data"])
    week = analysis(CASES["week"]).weeks[0]
    np.testing.assert_array_equal(np.frombuffer(content, "<f4"), np.array(week.embedding, np.float32))
    assert attachment["size"] == 384
    assert base64.b64decode(attachment["hash"]) == hashlib.sha1(content).digest()
    assert "standardised by itself" in reference["description"]


def test_attention_is_a_series_of_patches_with_six_decimals() -> None:
    data = observation(made("profile"), "attention")["valueSampledData"]
    received = analysis(CASES["profile"]).weeks[0].attention_received
    assert data["period"] == 18 * 60_000
    assert [float(token) for token in data["data"].split(" ")] == [
        round(share, 6) for share in received or ()
    ]


def test_a_calibrated_probability_is_a_percentage_and_an_uncalibrated_score_is_no_probability() -> None:
    document = made("prediction")
    [assessment] = resources(document, "RiskAssessment")
    assert assessment["prediction"][0]["probabilityDecimal"] == 23.4
    score = observation(document, "prediction")
    assert UNCALIBRATED.head in score["code"]["text"]
    assert score["valueQuantity"]["value"] == 0.234


def test_without_subject_none_is_invented() -> None:
    document = made("prediction", subject=None)
    [assessment] = resources(document, "RiskAssessment")
    assert assessment["subject"] == {
        "extension": [
            {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
        ]
    }
    others = [entry["resource"] for entry in document["entry"] if entry["resource"] is not assessment]
    assert not [resource for resource in others if "subject" in resource]
    assert not resources(document, "Patient")


def test_a_subject_is_passed_through_as_reference_and_as_identifier() -> None:
    document = made("week", subject_identifier=("urn:oid:1.2.3", "abc"))
    assert observation(document, "IS")["subject"] == {
        "reference": "Patient/123",
        "identifier": {"system": "urn:oid:1.2.3", "value": "abc"},
    }


@pytest.mark.parametrize(
    ("where", "changes"),
    [
        ("subject", {"subject": "hello world"}),
        ("subject", {"subject": "Device/1"}),
        ("subject", {"subject": "Patient/" + "a" * 65}),
        ("subject", {"subject": "urn:uuid:00000000-0000-4000-8000-000000000001"}),
        ("subject", {"subject": "Patient/1\n"}),
        ("subject_identifier", {"subject_identifier": ("no uri", "1")}),
        ("subject_identifier", {"subject_identifier": ("urn:oid:1.2", " ")}),
        ("canonical_base", {"canonical_base": "pat.local/fhir"}),
        ("canonical_base", {"canonical_base": "https://pat.local/fhir/"}),
        ("issued", {"issued": datetime(2026, 1, 1)}),
        ("organization", {"organization": "\t"}),
    ],
)
def test_options_that_cannot_become_fhir_are_refused_by_name_without_their_value(
    where: str, changes: Json
) -> None:
    with pytest.raises(BundleOptionsError) as refused:
        options(**changes)
    assert refused.value.where == where
    assert str(changes[where]) not in str(refused.value)


def test_times_carry_offset_and_zone_and_the_spring_change_is_seen_in_them() -> None:
    document = made("spring")
    period = observation(document, "IS")["effectivePeriod"]
    assert (period["start"], period["end"]) == ("2026-03-23T00:00:00+01:00", "2026-04-06T01:00:00+02:00")
    assert period["_start"]["extension"][0]["valueCode"] == "Europe/Oslo"


def test_a_fixed_offset_has_no_zone_code() -> None:
    period = observation(made("enmo"), "IS")["effectivePeriod"]
    assert period == {"start": "2026-01-05T00:00:00+05:30", "end": "2026-01-12T00:00:00+05:30"}


def test_a_wall_clock_gives_dates_and_clock_times_and_says_so() -> None:
    document = made("wall_clock")
    raw = observation(document, "activity-counts")
    assert raw["effectivePeriod"] == {"start": "2026-01-05", "end": "2026-01-11"}
    assert raw["component"][0]["valueTime"] == "00:00:00"
    night = next(
        found for found in resources(document, "Observation") if local_code(found["code"]) == "sleep-night"
    )
    times = {
        local_code(part["code"]): part["valueTime"] for part in night["component"] if "valueTime" in part
    }
    assert times == {
        "rest-start-time": "22:00:00",
        "rest-end-time": "06:00:00",
        "sleep-onset-time": "22:12:00",
        "sleep-offset-time": "05:55:00",
        "mid-sleep": "04:08:34",
    }
    assert "no time zone" in json.dumps(observation(document, "acrophase")["note"])
    pattern = re.compile(r"\d{4}-\d\d-\d\dT")
    clocked = set(pattern.findall(json.dumps(resources(document, "Observation"))))
    assert clocked == {"2026-11-22T"}  # the time of issue is the only instant


def heads(count: int) -> tuple[Prediction, ...]:
    return tuple(PREDICTION.model_copy(update={"head": f"head-{n}"}) for n in range(count))


@pytest.mark.parametrize(
    ("nights", "count", "entries"), [(31, 0, 96), (31, 5, 115), (35, 0, 102), (35, 9, 146), (60, 2, 148)]
)
def test_a_month_with_attention_and_several_heads_fits_one_transaction_and_so_do_sixty_nights(
    nights: int, count: int, entries: int
) -> None:
    case = Case(days=nights + 1, epoch_seconds=600, profile=True, predictions=heads(count))
    document = bundle(analysis(case), recording(case), options(kind="transaction"))
    assert len(document["entry"]) == entries <= 150


def test_sixty_nights_with_attention_and_three_heads_are_refused_as_a_transaction_with_advice() -> None:
    case = Case(days=61, epoch_seconds=600, profile=True, predictions=heads(3))
    with pytest.raises(
        BundleTooLargeError, match="found 156; send the recording in shorter parts or ask for"
    ):
        bundle(analysis(case), recording(case), options(kind="transaction"))


def test_a_transaction_above_the_limit_is_refused_and_a_collection_is_not() -> None:
    case = Case(days=160, epoch_seconds=600)
    with pytest.raises(BundleTooLargeError, match="150 entries"):
        bundle(analysis(case), recording(case), options(kind="transaction"))
    assert len(bundle(analysis(case), recording(case), options())["entry"]) > 150


def test_a_transaction_posts_every_entry_and_a_collection_requests_nothing() -> None:
    for entry in made("week", kind="transaction")["entry"]:
        assert entry["request"] == {"method": "POST", "url": entry["resource"]["resourceType"]}
    assert not [entry for entry in made("week")["entry"] if "request" in entry]


def test_every_resource_that_can_have_an_identifier_has_one_of_its_own() -> None:
    document = made("prediction", kind="transaction")
    identifiers = [
        (found["identifier"][0]["system"], found["identifier"][0]["value"])
        for found in (entry["resource"] for entry in document["entry"])
        if found["resourceType"] != "Provenance"
    ]
    assert len(set(identifiers)) == len(identifiers)


def test_the_serial_number_identifies_the_wearable_where_the_recording_states_one() -> None:
    [wearable] = [found for found in resources(made("week"), "Device") if "version" not in found]
    assert wearable["identifier"][0]["value"] == "V123456"
    assert wearable["identifier"][0]["type"]["coding"][0]["code"] == "SNO"


def test_the_narrative_is_plain_xhtml_and_escapes_what_stands_in_the_analysis() -> None:
    case = CASES["week"]
    source = analysis(case)
    hostile = source.model_copy(
        update={
            "quality": source.quality.model_copy(update={"flags": ("<script>alert(1)</script>", "a & b")})
        }
    )
    [report] = resources(bundle(hostile, recording(case), options()), "DiagnosticReport")
    tags: set[str] = set()

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.add(tag)

    Tags().feed(report["text"]["div"])
    assert tags == {"div", "table", "tr", "th", "td", "p"}
    assert "a &amp; b" in report["text"]["div"]
    assert "not a diagnosis" in report["conclusion"]


def test_a_metric_in_a_unit_of_another_quantity_is_never_written() -> None:
    case = CASES["week"]
    source = analysis(case)
    wrong = source.rhythm.metrics[0].model_copy(update={"unit": "min"})
    broken = source.model_copy(update={"rhythm": source.rhythm.model_copy(update={"metrics": (wrong,)})})
    with pytest.raises(ValueError, match="found another unit"):
        bundle(broken, recording(case), options())


def test_a_recording_that_was_not_the_one_analysed_is_refused() -> None:
    other: Recording = recording(replace(CASES["week"], days=6))
    with pytest.raises(ValueError, match="recording that was analysed"):
        bundle(analysis(CASES["week"]), other, options())


def test_output_of_an_unnamed_model_is_refused() -> None:
    source = analysis(CASES["week"])
    nameless = source.model_copy(update={"provenance": source.provenance.model_copy(update={"model": None})})
    with pytest.raises(ValueError, match="model's provenance"):
        bundle(nameless, recording(CASES["week"]), options())


def test_a_bundle_that_breaks_r4_is_never_emitted(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module = sys.modules[bundle_function.__module__]
    monkeypatch.setattr(
        module, "wearable", lambda frame, recording: {"resourceType": "Device", "status": "on"}
    )
    with pytest.raises(ConformanceError, match="required-code") as broken:
        made("week")
    assert broken.value.issues[0].expression == "Bundle.entry[0].resource.status"


def test_an_offset_with_seconds_is_written_in_utc() -> None:
    case = replace(CASES["no_pat"], start=datetime(1950, 1, 5), zone="Africa/Monrovia")  # -00:44:30
    period = observation(bundle(analysis(case), recording(case), options()), "IS")["effectivePeriod"]
    assert period["start"] == "1950-01-05T00:44:30Z"


def test_an_offset_beyond_fourteen_hours_is_written_in_utc() -> None:
    case = replace(CASES["no_pat"], zone="+15:30")
    period = observation(bundle(analysis(case), recording(case), options()), "IS")["effectivePeriod"]
    assert period["start"] == "2026-01-04T08:30:00Z"


def test_the_form_of_the_result_is_named_by_its_version_where_receivers_look() -> None:
    document = made("week")
    [report] = resources(document, "DiagnosticReport")
    for meta in (document["meta"], report["meta"]):
        assert [(tag["system"], tag["code"]) for tag in meta["tag"]] == [(LOCAL, "result-format-1")]
    for provenance in resources(document, "Provenance"):
        assert "result-format-1" in provenance["activity"]["text"]


def test_all_but_what_the_device_reported_is_preliminary() -> None:
    document = made("prediction")
    final = {
        found["code"]["text"] for found in resources(document, "Observation") if found["status"] == "final"
    }
    assert final == {"Activity counts per epoch"}
    kinds = ("Observation", "DiagnosticReport", "RiskAssessment")
    stated = [found["status"] for kind in kinds for found in resources(document, kind)]
    assert set(stated) == {"final", "preliminary"}
    assert {found["docStatus"] for found in resources(document, "DocumentReference")} == {"preliminary"}


def test_wear_and_gaps_are_components_of_one_observation_and_flags_its_notes() -> None:
    quality = observation(made("wall_clock"), "recording-quality")
    found = {local_code(part["code"]): part["valueQuantity"] for part in quality["component"]}
    assert found["not-recorded-time"]["value"] == 60
    assert (found["wear-time"]["value"], found["wear-time"]["code"]) == (10_020, "min")
    assert found["wear-share"]["value"] == round(100 * 10_020 / 10_080, 1)
    assert found["valid-days"]["code"] == "d"
    assert "time zone is not known" in quality["note"][0]["text"]


def test_an_interval_is_two_components_in_the_metric_s_own_unit_and_a_note_that_says_how() -> None:
    case = CASES["week"]
    source = analysis(case)
    metrics = {metric.code: metric for metric in source.sleep.metrics}
    wide = Interval(
        low=300.126, high=500, level=0.95, resamples=2000, units=5, method="bootstrap over nights, seed 0"
    )
    late = wide.model_copy(update={"low": 23.5, "high": 0.25})
    changed = [
        metrics[MetricCode.TOTAL_SLEEP_TIME].model_copy(update={"interval": wide}),
        metrics[MetricCode.MID_SLEEP].model_copy(update={"interval": late}),
    ]
    sleep = source.sleep.model_copy(update={"metrics": tuple(changed)})
    document = bundle(source.model_copy(update={"sleep": sleep}), recording(case), options())
    total, middle = observation(document, "total-sleep-time"), observation(document, "mid-sleep")
    low, high = total["component"]
    assert (local_code(low["code"]), local_code(high["code"])) == ("interval-low", "interval-high")
    assert (low["valueQuantity"]["value"], low["valueQuantity"]["code"]) == (300.13, "min")
    assert [part["valueTime"] for part in middle["component"]] == ["23:30:00", "00:15:00"]
    assert "95% bounds by bootstrap over nights, seed 0, from 5 of them" in json.dumps(total["note"])
    assert "95% interval 300.13 to 500)" in narrative_of(document)


def narrative_of(document: Json) -> str:
    [report] = resources(document, "DiagnosticReport")
    return str(report["text"]["div"])


@pytest.mark.parametrize("name", CASES)
def test_the_narrative_says_each_metric_or_why_it_is_absent_and_claims_nothing(name: str) -> None:
    document, source = made(name), analysis(CASES[name])
    text = html.unescape(narrative_of(document))
    assert "For clinical review" in text
    assert "preliminary until a clinician signs it off" in text
    for metric in metrics_of(source):
        assert METRIC_TERMS[metric.code].display in text
        assert metric.absent is None or metric.absent.detail in text
    for week in source.weeks:
        assert week.absent is None or week.absent.detail in text
        assert week.predictions_absent is None or week.predictions_absent.detail in text
        assert all(prediction.evidence in text for prediction in week.predictions)
    assert source.weeks_absent is None or source.weeks_absent.detail in text
    assert claims(re.sub("<[^>]*>", " ", text)) == ()


def test_the_narrative_of_a_recording_without_sleep_says_why() -> None:
    case = CASES["enmo"]
    source = analysis(case)
    none = source.sleep.model_copy(
        update={"absent": absent(Reason.NEEDS_RAW_ACCELERATION), "nights": (), "metrics": (), "scorer": None}
    )
    document = bundle(source.model_copy(update={"sleep": none}), recording(case), options())
    assert "Sleep is absent: The algorithm needs raw tri-axial acceleration" in narrative_of(document)


def test_the_narrative_tells_a_probability_from_a_score() -> None:
    text = narrative_of(made("prediction"))
    assert "calibrated probability 23.4 %" in text
    assert "score 0.234, uncalibrated: not a probability" in text


def test_the_narrative_is_well_formed_xml() -> None:
    for name in CASES:
        root = fromstring(narrative_of(made(name)))
        assert root.tag == "{http://www.w3.org/1999/xhtml}div"
