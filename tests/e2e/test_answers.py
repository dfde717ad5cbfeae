"""The real service answers the example week with real numbers, and the same ones through every door."""

import json

import bentoml
import numpy as np
import pytest
from bentoml.exceptions import BentoMLException

from postprocessing.analysis import Analysis
from postprocessing.fhir import check
from preprocessing.readers.hints import TEXT_HINTS
from tests.e2e.server import pat
from tests.preprocessing.examples import FILES
from tests.shared import ROOT

pytestmark = pytest.mark.e2e
EXAMPLES = ROOT / "examples"


def without_embeddings(analysis):
    """Another batch size may change the last bit of a float32 sum; everything else is equal to the byte."""
    weeks = [{**week, "embedding": None} for week in analysis["weeks"]]
    return {**analysis, "weeks": weeks}


def same(a, b):
    assert without_embeddings(a) == without_embeddings(b)
    for mine, theirs in zip(a["weeks"], b["weeks"], strict=True):
        assert np.allclose(mine["embedding"] or [], theirs["embedding"] or [], atol=1e-6)
    return True


def test_the_bento_client_gets_an_analysis_with_sleep_rhythm_and_a_week(served, week):
    with bentoml.SyncHTTPClient(served.url) as client:
        analysis = client.analyze(week)
    Analysis.model_validate(analysis)
    assert analysis["schema"] == "pat-analysis/1"
    assert analysis["sleep"]["scorer"] == "oakley-actiware"
    assert analysis["weeks"][0]["calibration"] == "reference_cohort"
    assert len(analysis["weeks"][0]["embedding"]) == 96
    assert analysis["provenance"]["model"]["architecture"] == "PAT-S"


def test_the_bento_client_gets_a_bundle_that_passes_the_runtime_check(served, week):
    with bentoml.SyncHTTPClient(served.url) as client:
        bundle = client.analyze_fhir({**week, "subject": "Patient/example", "return": "transaction"})
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "transaction")
    assert check(bundle) == []


def test_the_bento_client_embeds_and_explains(served, week):
    with bentoml.SyncHTTPClient(served.url) as client:
        embedded = client.embed({"weeks": [[0.0] * 10_080], "standardized": True, "profile": True})
        explained = client.explain(week)
    assert len(embedded["weeks"][0]["embedding"]) == 96
    assert len(embedded["weeks"][0]["attention_received"]) == 560
    assert len(explained["weeks"]) == 1


def test_the_bento_client_raises_with_the_problem_in_it(served, week):
    with bentoml.SyncHTTPClient(served.url) as client, pytest.raises(BentoMLException) as refused:
        client.analyze({**week, "unit": "furlongs"})
    assert refused.value.error_code == 422
    assert '"code":"unknown_unit"' in str(refused.value)


@pytest.mark.parametrize("name", ["week.awd", "week.csv", "public-cohort.csv"])
def test_the_raw_door_and_the_command_give_the_same_analysis(client, home, name):
    hints = {"unit": "actiwatch_counts"} if name == "public-cohort.csv" else {}
    headers = {f"X-PAT-{key.title()}": value for key, value in hints.items()}
    answer = client.post("/v1/recordings:analyze", content=(EXAMPLES / name).read_bytes(), headers=headers)
    assert answer.status_code == 200, answer.text
    options = [part for key, value in hints.items() for part in (f"--{key}", value)]
    printed = pat("analyze", str(EXAMPLES / name), "--format", "json", *options, home=home).stdout
    assert same(answer.json(), json.loads(printed))


def test_the_json_door_and_the_raw_door_give_the_same_analysis(client, week):
    raw = client.post("/v1/recordings:analyze", content=json.dumps(week)).json()
    assert same(client.post("/analyze", json=week).json(), raw)


def test_the_raw_door_speaks_fhir_when_asked(client):
    headers = {"Accept": "application/fhir+json", "X-PAT-Subject": "Patient/example"}
    answer = client.post(
        "/v1/recordings:analyze", content=(EXAMPLES / "week.awd").read_bytes(), headers=headers
    )
    assert answer.headers["content-type"] == "application/fhir+json"
    assert check(answer.json()) == []


def test_explain_says_where_the_encoder_looked(client, week):
    explained = client.post("/explain", json=week).json()
    profile = explained["weeks"][0]["attention_received"]
    assert len(profile) == 560
    assert sum(profile) == pytest.approx(1, abs=1e-5)
    assert len(explained["weeks"][0]["by_time_of_day"]) == 80
    assert "not an attribution" in explained["meaning"]


def test_embed_gives_one_result_per_row_in_order(client):
    rows = np.random.default_rng(1).normal(size=(3, 10_080)).round(4)
    together = client.post("/embed", json={"weeks": rows.tolist(), "standardized": True}).json()["weeks"]
    alone = client.post("/embed", json={"weeks": [rows[1].tolist()], "standardized": True}).json()["weeks"]
    assert len(together) == 3
    assert np.allclose(together[1]["embedding"], alone[0]["embedding"], atol=1e-6)


def test_embed_standardises_raw_weeks_by_the_cohort_of_their_device(client):
    week = np.random.default_rng(1).poisson(40, size=10_080).tolist()
    source = {"unit": "actiwatch_counts", "device": "synthetic-demo", "wear_site": "wrist"}
    known = client.post("/embed", json={"weeks": [week], "standardized": False, **source}).json()
    other = client.post(
        "/embed", json={"weeks": [week], "standardized": False, **source, "device": "actiwatch"}
    ).json()
    assert (known["calibration"], other["calibration"]) == ("reference_cohort", "per_recording")


def test_the_same_question_gets_the_same_bytes(client, week):
    first, second = (client.post("/analyze", json=week).content for _ in range(2))
    assert first == second


def test_steps_of_a_watch_and_a_phone_are_merged_and_pat_is_absent_with_a_reason(client):
    document = {
        "zone": "Europe/Berlin",
        "epoch_seconds": 60,
        "unit": "steps",
        "timestamps": ["2026-03-02T08:00:00Z", "2026-03-02T08:05:00Z"],
        "ends": ["2026-03-02T08:10:00Z", "2026-03-02T08:20:00Z"],
        "sources": ["watch", "phone"],
        "ids": ["a", "b"],
        "values": [100, 150],
        "travel": [{"from": "2026-03-02T08:12:00Z", "zone": "America/New_York"}],
    }
    analysis = client.post("/analyze", json=document).json()
    assert analysis["recording"]["sources"] == {"watch": 10, "phone": 10}
    assert analysis["quality"]["overlapping_samples"] == 1
    assert analysis["quality"]["flags"] == ["spread_samples", "zone_changed"]
    assert analysis["weeks_absent"]["reason"] == "unit_not_supported"
    headers = {"X-PAT-Source-Priority": "phone,watch", "X-PAT-Since": "2026-03-02"}
    raw = client.post("/v1/recordings:analyze", content=json.dumps(document), headers=headers).json()
    assert raw["recording"]["sources"] == {"watch": 5, "phone": 15}


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_example_gets_an_analysis_or_a_bundle_that_passes_the_runtime_check(client, name):
    example = FILES[name]
    given = {key: getattr(example.hints, key) for key in TEXT_HINTS}
    headers = {f"X-PAT-{key.replace('_', '-').title()}": value for key, value in given.items() if value}
    content = (EXAMPLES / "formats" / name).read_bytes()
    answer = client.post("/v1/recordings:analyze", content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["recording"]["source_format"] == example.form
    fhir = client.post(
        "/v1/recordings:analyze", content=content, headers={**headers, "Accept": "application/fhir+json"}
    )
    assert check(fhir.json()) == []


def test_a_sleep_log_gives_latency_through_every_door(client, week, home, tmp_path):
    nights = [("2024-05-14T23:00", "2024-05-15T07:00"), ("2024-05-15T23:00", "2024-05-16T07:00")]
    windows = [{"in_bed": into, "out_of_bed": out} for into, out in nights]
    options = {"sleep_log": windows, "intervals": True, "series": True, "rescoring": "webster"}
    through_json = client.post("/analyze", json={**week, "options": options}).json()
    latency = {metric["code"]: metric for metric in through_json["sleep"]["nights"][1]["metrics"]}
    assert latency["sleep_onset_latency"]["value"] is not None
    assert through_json["series"]["sleep"]["values"]
    headers = {
        "X-PAT-Sleep-Log": ",".join("/".join(night) for night in nights),
        "X-PAT-Intervals": "true",
        "X-PAT-Series": "true",
        "X-PAT-Rescoring": "webster",
    }
    raw = client.post("/v1/recordings:analyze", content=json.dumps(week), headers=headers).json()
    assert same(through_json, raw)
    (tmp_path / "log.csv").write_text("in_bed,out_of_bed\n" + "\n".join(map(",".join, nights)))
    (tmp_path / "week.json").write_text(json.dumps(week))
    flags = ["--sleep-log", str(tmp_path / "log.csv"), "--intervals", "--series", "--rescoring", "webster"]
    printed = pat("analyze", str(tmp_path / "week.json"), *flags, home=home).stdout
    assert same(through_json, json.loads(printed))
