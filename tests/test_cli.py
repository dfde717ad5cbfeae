"""The terminal face: the same verbs over files, refusals on standard error, and no trace of a value."""

import json
from typing import get_args

import numpy as np
import pytest

import cli
from commands import arguments, weights
from models.golden import PANEL
from pat_runner.engines import ENGINES, EngineOutput, chosen
from pat_runner.engines.torch import TorchEngine
from postprocessing.sleep_scored import Threshold
from preprocessing.readers import read
from preprocessing.recording import RecordingError
from preprocessing.units import SleepScorer
from preprocessing.wear import WearMode
from tests.e2e.server import DEMO
from tests.shared import ROOT

EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module", autouse=True)
def demonstration_weights():
    assert cli.main(["weights", "import", str(DEMO)]) == 0


def run(capsys, *arguments):
    status = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_analyze_prints_an_analysis(capsys):
    status, out, _ = run(capsys, "analyze", EXAMPLES / "week.json")
    analysis = json.loads(out)
    assert status == 0
    assert analysis["schema"] == "pat-analysis/1"
    assert analysis["provenance"]["model"]["engine"] == chosen("auto")
    assert analysis["provenance"]["model"]["precision"] == "fp32"


def test_analyze_writes_a_bundle(capsys, tmp_path):
    target = tmp_path / "bundle.json"
    arguments = ["--format", "fhir", "--return", "transaction", "--subject", "Patient/7", "--output", target]
    status, out, _ = run(capsys, "analyze", EXAMPLES / "week.awd", "--zone", "Europe/Berlin", *arguments)
    assert (status, out) == (0, "")
    assert json.loads(target.read_text())["type"] == "transaction"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["analyze", "no-such-file.awd"], "No such file"),
        (["analyze", str(EXAMPLES / "public-cohort.csv")], "expected a hint for the unit"),
        (["analyze", str(EXAMPLES / "week.awd"), "--zone", "Mars/Olympus"], "zone"),
        (["analyze", str(EXAMPLES / "week.awd"), "--weights", "nothing:1"], "pat weights"),
        (["analyze", str(EXAMPLES / "week.awd"), "--format", "fhir", "--subject", "me"], "Patient/id"),
        (["analyze", str(EXAMPLES / "week.awd"), "--subject", "Patient/1"], "--format fhir"),
        (["embed", str(EXAMPLES / "week.awd"), "--standardized", "--output", "x.npz"], ".npy"),
        (["weights", "show", "nothing:1"], "pat weights"),
        (["weights", "import", str(EXAMPLES / "week.awd")], "week.awd"),
        (["weights", "import", str(DEMO), "--name", "mine"], "Keras file"),
        (["weights", "download", "PAT-XL"], "PAT-S"),
    ],
)
def test_a_refusal_is_one_line_on_standard_error_and_status_1(capsys, arguments, said):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (1, "")
    assert err.startswith("pat: ")
    assert said in err
    assert "Traceback" not in err


def test_embed_writes_pooled_profile_and_tokens(capsys, tmp_path):
    weeks, target = tmp_path / "weeks.npy", tmp_path / "out.npz"
    np.save(weeks, np.random.default_rng(3).normal(size=(2, 10_080)).astype(np.float32))
    status, _, _ = run(capsys, "embed", weeks, "--standardized", "--tokens", "--output", target)
    found = np.load(target)
    assert status == 0
    assert {name: found[name].shape for name in found} == {
        "pooled": (2, 96),
        "profile": (2, 560),
        "tokens": (2, 560, 96),
    }
    assert np.allclose(found["tokens"].mean(axis=1), found["pooled"], atol=1e-6)


def test_embed_insists_on_standardized_rows(capsys, tmp_path):
    with pytest.raises(SystemExit) as left:
        run(capsys, "embed", "weeks.npy", "--output", tmp_path / "out.npz")
    assert left.value.code == 2


def test_weights_are_listed_shown_exported_and_imported_again(capsys, tmp_path):
    _, listed, _ = run(capsys, "weights", "list")
    tag = listed.split()[0]
    assert tag.startswith("pat-s-demo:")
    _, shown, _ = run(capsys, "weights", "show", tag)
    assert json.loads(shown)["architecture"] == "PAT-S"
    archive = tmp_path / "demo.bentomodel"
    assert run(capsys, "weights", "export", tag, archive)[0] == 0
    status, again, _ = run(capsys, "weights", "import", archive)
    assert status == 0
    assert again.split()[0] == tag


def test_a_fault_of_ours_is_not_dressed_up_as_a_refusal(monkeypatch):
    def broken(_):
        raise ZeroDivisionError

    monkeypatch.setattr(weights, "_weights_list", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main(["weights", "list"])


def test_the_scorers_offered_are_those_that_exist():
    assert set(arguments.SCORERS) == set(SleepScorer)
    assert set(arguments.WEAR_MODES) == set(WearMode)
    assert set(arguments.THRESHOLDS) == set(get_args(Threshold))
    assert set(arguments.ENGINES) == set(ENGINES)


@pytest.mark.parametrize("engine", ["auto", "onnxruntime", "torch"])
def test_an_engine_is_checked_row_by_row_against_float64(capsys, engine):
    status, out, _ = run(capsys, "weights", "check", "pat-s-demo", "--engine", engine)
    lines = out.splitlines()
    assert status == 0
    assert f"on {chosen(engine)}, fp32" in lines[0]
    assert [line.split("  ")[0] for line in lines[2:10]] == list(PANEL)
    assert lines[-1] == "within its bound"
    worst = [float(text) for text in lines[10].split()[1:]]
    assert all(0 <= difference < 2e-5 for difference in worst)


def test_an_engine_outside_its_bound_ends_with_1(capsys, monkeypatch):
    monkeypatch.setattr(TorchEngine, "run", lambda self, weeks, want: engine_output(len(weeks)))
    status, out, _ = run(capsys, "weights", "check", "pat-s-demo", "--engine", "torch")
    assert status == 1
    assert out.splitlines()[-1] == "outside its bound: it refuses to serve"
    status, _, err = run(capsys, "analyze", EXAMPLES / "week.json")
    assert status == 0  # on another engine
    monkeypatch.setenv("PAT_ENGINE", "torch")
    status, out, err = run(capsys, "analyze", EXAMPLES / "week.json")
    assert (status, out) == (1, "")
    assert "does not reproduce its golden output (torch in fp32: pooled differs" in err


def engine_output(weeks):
    return EngineOutput(np.zeros((weeks, 96), np.float32), np.zeros((weeks, 560), np.float32))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--engine", "tensorflow"], "expected one of auto, native, onnxruntime, torch, openvino"),
        (["--engine", "onnxruntime", "--precision", "bf16"], "computes in fp32 only"),
    ],
)
def test_an_engine_that_cannot_be_had_is_refused(capsys, arguments, said):
    status, out, err = run(capsys, "weights", "check", "pat-s-demo", *arguments)
    assert (status, out) == (1, "")
    assert said in err


def test_clinical_numbers_may_be_left_out(capsys):
    status, out, _ = run(capsys, "analyze", EXAMPLES / "week.json", "--no-clinical")
    analysis = json.loads(out)
    assert status == 0
    assert len(analysis["weeks"][0]["embedding"]) == 96
    assert {metric["absent"]["reason"] for metric in analysis["rhythm"]["metrics"]} == {"not_requested"}


def test_inspect_says_what_was_understood_and_what_is_possible_but_no_value(capsys):
    status, out, _ = run(capsys, "inspect", EXAMPLES / "week.awd", "--zone", "Europe/Berlin")
    assert status == 0
    assert "format        awd" in out
    assert "PAT           week from 2024-05-14: yes" in out
    assert "oakley-actiware, 8 valid nights of 9" in out
    assert "Sleep onset latency                              no: no_sleep_log." in out
    assert "SYNTH0001" not in out


def test_inspect_tells_a_short_recording_how_much_is_lacking(capsys, tmp_path):
    lines = (EXAMPLES / "week.awd").read_text().splitlines()
    (tmp_path / "short.awd").write_text("\n".join(lines[: 7 + 2 * 1440]))
    _, out, _ = run(capsys, "inspect", tmp_path / "short.awd")
    assert "PAT           no: insufficient_data." in out
    assert "has 1 of 7: wear the device 6 more days" in out


def test_inspect_names_the_sources_the_spans_and_the_journeys(capsys, tmp_path):
    hours = [f"2024-01-01T{hour:02d}:00:00Z" for hour in range(4)]
    document = {
        "zone": "Etc/UTC",
        "epoch_seconds": 60,
        "unit": "steps",
        "timestamps": hours[:3],
        "ends": hours[1:],
        "values": [60, 120, 0],
        "sources": ["watch", "phone", "watch"],
        "travel": [{"from": "2024-01-01T01:00:00Z", "zone": "Asia/Tokyo"}],
    }
    (tmp_path / "steps.json").write_text(json.dumps(document))
    _, out, _ = run(capsys, "inspect", tmp_path / "steps.json")
    assert "sources       watch 120 min, phone 60 min" in out
    assert "source        phone, epochs 60 to 119" in out
    assert "travel        clock of Asia/Tokyo from 2024-01-01T01:00:00+00:00" in out
    _, out, _ = run(capsys, "analyze", tmp_path / "steps.json")
    assert json.loads(out)["recording"]["sources"] == {"watch": 120, "phone": 60}


def test_days_of_a_recording_may_be_chosen(capsys):
    zone = ["--zone", "Europe/Berlin", "--since", "2024-05-15", "--until", "2024-05-16"]
    _, out, _ = run(capsys, "inspect", EXAMPLES / "week.awd", *zone)
    assert "start         2024-05-15T00:00:00+02:00" in out
    assert "end           2024-05-17T00:00:00+02:00" in out
    status, _, err = run(capsys, "inspect", EXAMPLES / "week.awd", "--since", "tomorrow")
    assert (status, err) == (1, "pat: expected since as a date such as 2024-03-31\n")
    status, _, err = run(capsys, "inspect", EXAMPLES / "week.awd", "--since", "2030-01-01")
    assert status == 1
    assert "choose other days" in err


def test_a_hint_that_the_format_cannot_use_is_refused(capsys):
    status, _, err = run(capsys, "inspect", EXAMPLES / "week.awd", "--participant", "21005")
    assert status == 1
    assert "expected the hint participant only with the formats nhanes" in err


def test_the_command_reads_more_epochs_than_a_door_does(capsys, tmp_path):
    fields = {"start": "2024-01-01", "clock": "wall", "epoch_seconds": 1, "unit": "counts"}
    fields["start"] = "2024-01-01T00:00:00"
    (tmp_path / "long.json").write_text(json.dumps({**fields, "values": [1] * 400_001}))
    with pytest.raises(RecordingError, match="use the pat command"):
        read(tmp_path / "long.json")
    _, out, _ = run(capsys, "inspect", tmp_path / "long.json")
    assert "400001 epochs" in out


@pytest.mark.parametrize("form", ["json", "csv"])
def test_convert_writes_the_canonical_form_of_the_same_recording(capsys, tmp_path, form):
    target = tmp_path / f"week.{form}"
    zone = ["--zone", "Europe/Berlin"]
    run(capsys, "convert", EXAMPLES / "week.awd", *zone, "--to", form, "--output", target)
    _, converted, _ = run(capsys, "analyze", target)
    _, original, _ = run(capsys, "analyze", EXAMPLES / "week.awd", *zone)
    digests = [json.loads(text)["provenance"]["input_sha256"] for text in (converted, original)]
    assert digests[0] == digests[1]
