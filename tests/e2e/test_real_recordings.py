"""Real recordings through the served doors and the command: one Analysis, and the oracles' numbers in it."""

import json

import numpy as np
import pytest

from tests.e2e.server import pat
from tests.e2e.test_answers import same
from tests.fhir_tools import validate
from tests.shared import shared

pytestmark = pytest.mark.e2e

AWD = ["example_01", "example_02", "example_05", "test_sample", "test_sample_aw4", "test_sample_awl"]
WRITTEN = [
    "awd_example_01",
    "depresjon_condition_1",
    "depresjon_control_2",
    "rpx_fr",
    "nhanes_21005",
    "gt3x_day01",
]
UNITS = {"actigraph_gt3x_axis1_counts": "actigraph_axis1_counts"}


@pytest.mark.parametrize("name", AWD)
def test_a_device_file_gives_one_analysis_through_every_door(client, home, name):
    path = shared(f"data/devices/{name}.AWD")
    served = client.post(
        "/v1/recordings:analyze", content=path.read_bytes(), headers={"X-PAT-Wear-Site": "wrist"}
    )
    assert served.status_code == 200, served.text
    printed = pat("analyze", str(path), "--wear-site", "wrist", home=home).stdout
    assert same(served.json(), json.loads(printed))


def written_as_csv(name, folder):
    """A recording of the oracle set as the canonical CSV that a person would write."""
    meta = json.loads(shared("data/clinical/recordings_meta.json").read_text())[name]
    activity = np.load(shared("data/clinical/recordings.npz"))[f"{name}|activity"].astype(float)
    start = np.datetime64(meta["start"], "s")
    stamps = start + np.arange(len(activity)) * np.timedelta64(meta["epoch_s"], "s")
    rows = [
        f"{stamp},{'' if np.isnan(value) else f'{value:g}'}"
        for stamp, value in zip(stamps, activity, strict=True)
    ]
    unit = UNITS.get(meta["unit"], meta["unit"])
    head = [f"# unit: {unit}", f"# epoch_seconds: {meta['epoch_s']}", "# clock: wall", "timestamp,value"]
    path = folder / f"{name}.csv"
    path.write_text("\n".join([*head, *rows]) + "\n")
    return path, activity, meta, unit


@pytest.mark.parametrize("name", WRITTEN)
def test_a_written_recording_gives_one_analysis_and_the_oracle_s_numbers(client, home, tmp_path, name):
    path, activity, meta, unit = written_as_csv(name, tmp_path)
    raw = client.post(
        "/v1/recordings:analyze", content=path.read_bytes(), headers={"X-PAT-Wear": "as_recorded"}
    )
    assert raw.status_code == 200, raw.text
    printed = pat("analyze", str(path), "--wear", "as_recorded", home=home).stdout
    assert same(raw.json(), json.loads(printed))
    document = {
        "start": meta["start"] + ":00" if len(meta["start"]) == 16 else meta["start"],
        "clock": "wall",
        "epoch_seconds": meta["epoch_s"],
        "unit": unit,
        "values": [None if np.isnan(value) else value for value in activity],
        "options": {"wear": "as_recorded"},
    }
    through_json = client.post("/analyze", json=document).json()
    assert through_json["rhythm"] == raw.json()["rhythm"]
    assert through_json["sleep"] == raw.json()["sleep"]
    matches_the_oracle(raw.json(), name)


def matches_the_oracle(analysis, name):
    """L5, M10 and RA of the whole recording to 1e-9, wherever we give them."""
    oracle = json.loads(shared("data/clinical/pyactigraphy_scalars.json").read_text())["results"][name][
        "full"
    ]
    found = {metric["code"]: metric["value"] for metric in analysis["rhythm"]["metrics"]}
    for code, key in (("l5", "L5"), ("m10", "M10"), ("relative_amplitude", "RA")):
        if found[code] is not None:
            assert found[code] == pytest.approx(oracle[key], rel=1e-9), code
    assert (found["l5"] is None) == (name == "gt3x_day01")  # 25 hours are too few days


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
