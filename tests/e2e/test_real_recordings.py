"""Real recordings through the served doors and the command: one Analysis, and the oracles' numbers in it."""

import json

import httpx
import numpy as np
import pytest

from preprocessing.readers import canonical_csv, canonical_json
from tests.e2e.server import pat
from tests.e2e.test_answers import same
from tests.fhir_tools import fhir_server, validate
from tests.postprocessing.oracles import WHOLE_DAYS, recording, scalars
from tests.shared import ROOT, shared

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

AWD = ["example_01", "example_02", "example_05", "test_sample", "test_sample_aw4", "test_sample_awl"]
WRITTEN = [*WHOLE_DAYS, ("awd_example_01", "full"), ("rpx_fr", "full")]


@pytest.mark.parametrize("name", AWD)
def test_a_device_file_gives_one_analysis_through_every_door(client, home, name):
    path = shared(f"data/devices/{name}.AWD")
    served = client.post(
        "/v1/recordings:analyze", content=path.read_bytes(), headers={"X-PAT-Wear-Site": "wrist"}
    )
    assert served.status_code == 200, served.text
    printed = pat("analyze", str(path), "--wear-site", "wrist", home=home).stdout
    assert same(served.json(), json.loads(printed))


@pytest.mark.parametrize(("name", "segment"), WRITTEN)
def test_a_written_recording_gives_one_analysis_and_the_oracle_s_numbers(
    client, home, tmp_path, name, segment
):
    path = tmp_path / "recording.csv"
    path.write_text(canonical_csv.dumps(recording(name, segment)))
    headers = {"X-PAT-Wear": "as_recorded"}
    raw = client.post("/v1/recordings:analyze", content=path.read_bytes(), headers=headers)
    assert raw.status_code == 200, raw.text
    printed = pat("analyze", str(path), "--wear", "as_recorded", home=home).stdout
    assert same(raw.json(), json.loads(printed))
    document = json.loads(canonical_json.dumps(recording(name, segment)))
    through_json = client.post("/analyze", json={**document, "options": {"wear": "as_recorded"}}).json()
    assert through_json["rhythm"] == raw.json()["rhythm"]
    assert through_json["sleep"] == raw.json()["sleep"]
    matches_the_oracle(raw.json(), name, segment)


def matches_the_oracle(analysis, name, segment):
    """To 1e-9; IS and IV on whole days, for the library counts the hours of a partial day otherwise."""
    oracle = scalars(name, segment)
    found = {metric["code"]: metric["value"] for metric in analysis["rhythm"]["metrics"]}
    expected = {"l5": oracle["L5"], "m10": oracle["M10"], "relative_amplitude": oracle["RA"]}
    if (name, segment) in WHOLE_DAYS:
        expected["interdaily_stability"] = oracle["IS_published_formula"]
        expected["intradaily_variability"] = oracle["IV_published_formula"]
    for code, value in expected.items():
        assert found[code] == pytest.approx(value, rel=1e-9, abs=1e-9), code


def test_a_cohort_file_with_its_zone_closes_the_spring_gap_and_gives_one_analysis(client, home, tmp_path):
    path = tmp_path / "control_1.csv"
    path.write_text(cohort_file("control_1"))
    headers = {"X-PAT-Unit": "actiwatch_counts", "X-PAT-Device": "actiwatch", "X-PAT-Zone": "Europe/Oslo"}
    served = client.post("/v1/recordings:analyze", content=path.read_bytes(), headers=headers)
    assert served.status_code == 200, served.text
    hints = ["--unit", "actiwatch_counts", "--device", "actiwatch", "--zone", "Europe/Oslo"]
    assert same(served.json(), json.loads(pat("analyze", str(path), *hints, home=home).stdout))
    assert served.json()["quality"]["inserted_epochs"] == 0
    assert [week["dst_transition"] for week in served.json()["weeks"][:2]] == [None, "spring"]
    assert served.json()["weeks"][1]["missing_fraction"] >= 60 / 10_080


def cohort_file(participant):
    """A person of Depresjon as the cohort's own file: local labels, which skip 02:00 on 2003-03-30."""
    cohort = np.load(shared("data/cohorts/depresjon.npz"))
    index = list(cohort["participants"]).index(participant)
    counts = cohort["activity"][cohort["offsets"][index] : cohort["offsets"][index + 1]]
    labels = cohort["start"][index] + np.arange(len(counts)) * np.timedelta64(1, "m")
    labels[labels >= np.datetime64("2003-03-30T02:00")] += np.timedelta64(60, "m")
    rows = (
        f"{str(label).replace('T', ' ')}:00,{str(label)[:10]},{n}"
        for label, n in zip(labels, counts, strict=True)
    )
    return "\n".join(["timestamp,date,activity", *rows]) + "\n"


@pytest.mark.fhir
def test_bundles_of_real_recordings_pass_the_validator(client, tmp_path):
    files = []
    for name in AWD:
        for kind in ("collection", "transaction"):
            headers = {
                "Accept": "application/fhir+json",
                "X-PAT-Subject": "Patient/example",
                "X-PAT-Return": kind,
                "X-PAT-Profile": "true",
            }
            answer = client.post(
                "/v1/recordings:analyze",
                content=shared(f"data/devices/{name}.AWD").read_bytes(),
                headers=headers,
            )
            assert answer.status_code == 200, answer.text
            files.append(tmp_path / f"{name}-{kind}.json")
            files[-1].write_bytes(answer.content)
    assert [finding for finding in validate(files) if finding.severity == "error"] == []


OTHERS = [
    "GT3XPlus-RawData-Day01.agd",
    "GT3XPlus-RawData-Day01.csv",
    "sample-timeSeries.csv.gz",
    "test_sample.agd",
    "test_sample.mtn",
    "test_sample_atr.txt",
    "test_sample_rpx_eng.csv",
    "test_sample_rpx_ger_no_light.csv",
    "test_sample_tal.txt",
]


@pytest.mark.fhir
def test_bundles_of_every_other_device_pass_the_validator(client, tmp_path):
    files = []
    for name in OTHERS:
        content = shared(f"data/devices/{name}").read_bytes()
        headers = {"Accept": "application/fhir+json", "X-PAT-Subject": "Patient/example"}
        answer = client.post("/v1/recordings:analyze", content=content, headers=headers)
        assert answer.status_code == 200, (name, answer.text)
        files.append(tmp_path / f"{name}.json")
        files[-1].write_bytes(answer.content)
    assert [finding for finding in validate(files) if finding.severity == "error"] == []


@pytest.mark.fhir
def test_bundles_of_the_examples_pass_the_validator(client, week, tmp_path):
    files = []
    for kind in ("collection", "transaction"):
        bundle = client.post("/analyze_fhir", json={**week, "subject": "Patient/example", "return": kind})
        files.append(tmp_path / f"json-{kind}.json")
        files[-1].write_bytes(bundle.content)
    for name, hint in (("week.awd", {}), ("week.csv", {}), ("public-cohort.csv", {"X-PAT-Unit": "counts"})):
        file = (ROOT / "examples" / name).read_bytes()
        headers = {"Accept": "application/fhir+json", **hint}
        files.append(tmp_path / f"{name}.json")
        files[-1].write_bytes(client.post("/v1/recordings:analyze", content=file, headers=headers).content)
    assert [finding for finding in validate(files) if finding.severity == "error"] == []


@pytest.mark.fhir
def test_the_transaction_of_a_real_recording_is_stored_and_found_by_code(client):
    headers = {
        "Accept": "application/fhir+json",
        "X-PAT-Subject": "Patient/example",
        "X-PAT-Return": "transaction",
    }
    file = shared("data/devices/example_02.AWD").read_bytes()
    bundle = client.post("/v1/recordings:analyze", content=file, headers=headers).json()
    analysis = client.post("/v1/recordings:analyze", content=file).json()
    (median,) = [m["value"] for m in analysis["sleep"]["metrics"] if m["code"] == "total_sleep_time"]
    with fhir_server() as base:
        posted = httpx.post(base, json=bundle, headers={"content-type": "application/fhir+json"}, timeout=60)
        assert posted.status_code == 200, posted.text
        assert {entry["response"]["status"] for entry in posted.json()["entry"]} == {"201"}
        found = httpx.get(
            f"{base}/Observation", params={"code": "http://loinc.org|93832-4"}, timeout=60
        ).json()
    values = [entry["resource"]["valueQuantity"]["value"] for entry in found["entry"]]
    assert values == [pytest.approx(median, abs=0.05)]
