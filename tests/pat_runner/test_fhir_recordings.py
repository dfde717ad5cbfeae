"""Bundles of everything that the readers read here, examples and real recordings, pass the FHIR validator."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from models.checkpoint import load
from pat_runner.account import AnalyzeOptions, ModelCard
from pat_runner.engines import EngineOptions
from pat_runner.pipeline import analyze
from pat_runner.runner import Runner
from postprocessing.fhir import BundleOptions, bundle
from preprocessing.readers import Hints, read
from preprocessing.recording import Recording, RecordingError
from preprocessing.units import Device, Unit, WearSite
from tests.fhir_tools import validate
from tests.postprocessing.oracles import SEGMENTS, recording
from tests.preprocessing.examples import FILES
from tests.shared import ROOT, shared

pytestmark = [pytest.mark.fhir, pytest.mark.slow]

DEMO = ROOT / "models" / "weights" / "pat-s-demo"
ENGINE = EngineOptions("onnxruntime")
ISSUED = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
COUNTS = Hints(unit=Unit.COUNTS)
NEED_A_HINT = {"public-cohort.csv": COUNTS}
NO_RECORDING = {"README.md", "sample-summary.json"}
RAW = {".gt3x", ".bin", ".cwa"}  # three-axial acceleration, which no reader reads


@pytest.fixture(scope="module")
def made():
    """Makes the two Bundles of a recording with the demonstration weights, everything asked for."""
    checkpoint = load(DEMO)
    runner, card = Runner(checkpoint, ENGINE), ModelCard.of("pat-s-demo:1", checkpoint, ENGINE)

    class Local:
        async def run(self, weeks, want):
            return runner.run(weeks, [want] * len(weeks))

    def bundles(source: Recording, *, intervals: bool = False):
        options = AnalyzeOptions(profile=True, intervals=intervals)
        analysis = asyncio.run(analyze(source, options, Local(), card))
        for kind in ("collection", "transaction"):
            wish = BundleOptions(issued=ISSUED, kind=kind, subject="Patient/example")
            yield bundle(analysis, source, wish)

    return bundles


def written(bundles: Iterable[tuple[str, dict]], folder: Path) -> list[Path]:
    files = []
    for name, document in bundles:
        files.append(folder / f"{len(files):03}-{name}-{document['type']}.json")
        files[-1].write_text(json.dumps(document, allow_nan=False))
    return files


def errors(files: list[Path]) -> list:
    return [finding for finding in validate(files) if finding.severity == "error"]


def examples() -> dict[str, Recording]:
    folder = ROOT / "examples"
    found = {
        path.name: read(path.read_bytes(), NEED_A_HINT.get(path.name, Hints()))
        for path in sorted(folder.glob("*.*"))
        if path.suffix != ".py"
    }
    formats = folder / "formats"
    return found | {name: read((formats / name).read_bytes(), case.hints) for name, case in FILES.items()}


def test_bundles_of_every_example_pass_the_validator(made, tmp_path):
    sources = examples()
    assert len(sources) >= 4 + 17
    bundles = ((name, document) for name, source in sources.items() for document in made(source))
    files = written(bundles, tmp_path)
    assert len(files) == 2 * len(sources)
    assert errors(files) == []


def device_files() -> dict[str, Recording]:
    """Every device file here that a reader reads; the others are named in the tests."""
    found = {}
    for path in sorted(shared("data/devices").rglob("*.*")):
        if path.name in NO_RECORDING or path.suffix in RAW:
            continue
        try:
            found[path.name] = read(path.read_bytes())
        except RecordingError:
            if path.parent.name != "open-mhealth":  # most of those samples are other measurements
                raise
    return found


def test_bundles_of_every_device_file_that_a_reader_reads_pass_the_validator(made, tmp_path):
    sources = device_files()
    assert len(sources) >= 16
    documents = [
        (name, document) for name, source in sources.items() for document in made(source, intervals=True)
    ]
    assert errors(written(documents, tmp_path)) == []
    texts = json.dumps([document for _, document in documents])
    assert "interval-low" in texts
    assert "attention" in texts


def test_bundles_of_every_clinical_recording_pass_the_validator(made, tmp_path):
    bundles = ((name, document) for name, part in SEGMENTS for document in made(recording(name, part)))
    files = written(bundles, tmp_path)
    assert len(files) == 2 * len(SEGMENTS)
    assert errors(files) == []


def cohort() -> dict[str, Recording]:
    """The people of Depresjon on wall clock, and those of NHANES with seven days in a row."""
    people = {}
    with np.load(shared("data/cohorts/depresjon.npz")) as arrays:
        for index, name in enumerate(arrays["participants"]):
            first, end = arrays["offsets"][index : index + 2]
            counts = arrays["activity"][first:end].astype(float)
            people[str(name)] = minutes(counts, arrays["start"][index].item(), Unit.ACTIWATCH_COUNTS)
    with np.load(shared("data/cohorts/nhanes_sample.npz")) as arrays:
        for index, number in enumerate(arrays["seqn"]):
            first, end = arrays["offsets"][index : index + 2]
            if end - first == 7:
                counts = arrays["counts"][first:end].astype(float).ravel()
                whole = minutes(counts, datetime(2006, 1, 1), Unit.ACTIGRAPH_7164_COUNTS)
                people[str(number)] = replace(whole, device=Device.ACTIGRAPH_7164, wear_site=WearSite.HIP)
    return people


def minutes(counts: np.ndarray, start: datetime, unit: Unit) -> Recording:
    return Recording(
        start, None, 60, counts, unit, Device.ACTIWATCH, WearSite.WRIST, source_format="cohort-csv"
    )


@pytest.mark.slow
def test_bundles_of_the_people_of_two_cohorts_pass_the_validator(made, tmp_path):
    people = cohort()
    assert len(people) >= 55 + 28
    bundles = ((name, document) for name, source in people.items() for document in made(source))
    files = written(bundles, tmp_path)
    assert len(files) == 2 * len(people)
    assert errors(files) == []
