"""A head trained on a planted synthetic label gives a RiskAssessment per week, with its evidence."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import numpy as np
import pytest

from models.scores import probabilities
from pat_runner.account import AnalyzeOptions, ModelCard
from pat_runner.engines import EngineOptions
from pat_runner.pipeline import analyze
from pat_runner.runner import Runner
from postprocessing.analysis import Analysis, Prediction
from postprocessing.fhir import BundleOptions, bundle
from postprocessing.wording import claims
from tests.fhir_tools import validate
from tests.pat_runner.planted_head import LABEL, with_planted_head
from training.synthetic import recording

pytestmark = pytest.mark.fhir

ENGINE = EngineOptions("onnxruntime")


@pytest.fixture(scope="module")
def checkpoint():
    return with_planted_head()


def analysed(checkpoint, source):
    """The Analysis with the head's prediction of every week; the pipeline itself serves no head yet."""
    runner = Runner(checkpoint, ENGINE)

    class Local:
        async def run(self, weeks, want):
            return runner.run(weeks, [want] * len(weeks))

    card = ModelCard.of("pat-s-planted:1", checkpoint, ENGINE)
    made = asyncio.run(analyze(source, AnalyzeOptions(profile=True), Local(), card))
    weeks = tuple(with_prediction(week, checkpoint) for week in made.weeks)
    return Analysis.model_validate(made.model_copy(update={"weeks": weeks}).model_dump())


def with_prediction(week, checkpoint):
    [config] = checkpoint.heads
    assert config.served
    evidence = config.evidence
    prediction = Prediction(
        head=config.label,
        probability=float(probabilities(checkpoint, np.array([week.embedding]))[LABEL][0]),
        threshold=config.threshold,
        calibrated=week.calibration == "reference_cohort" and config.calibration is not None,
        evidence=(
            f"{evidence.cohort}, n = {evidence.n}, of them {evidence.positives} positive, "
            f"AUC {evidence.auc:.2f} ({evidence.auc_low:.2f} to {evidence.auc_high:.2f})."
        ),
        checkpoint="pat-s-planted:1",
    )
    return week.model_copy(update={"predictions": (prediction,), "predictions_absent": None})


def test_the_planted_label_is_found_again_in_people_the_head_never_saw(checkpoint):
    [config] = checkpoint.heads
    assert config.evidence.auc_low > 0.8
    assert config.evidence.n == 60


@pytest.fixture(scope="module")
def fortnight():
    return recording(seed=5, days=15, start=datetime(2026, 3, 2), zone="Europe/Oslo")


def test_each_week_has_a_risk_assessment_in_percent_that_passes_the_validator(
    checkpoint, fortnight, tmp_path
):
    analysis = analysed(checkpoint, fortnight)
    assert len(analysis.weeks) == 2
    issued = datetime(2026, 11, 22, tzinfo=UTC)
    wish = BundleOptions(issued=issued, kind="transaction", subject="Patient/1")
    document = bundle(analysis, fortnight, wish)
    risks = [
        entry["resource"]
        for entry in document["entry"]
        if entry["resource"]["resourceType"] == "RiskAssessment"
    ]
    assert len(risks) == 2
    for risk, week in zip(risks, analysis.weeks, strict=True):
        [said] = risk["prediction"]
        assert said["probabilityDecimal"] == round(100 * week.predictions[0].probability, 1)
        assert "Calibrated probability. Threshold 0.5. synthetic people" in said["rationale"]
        assert risk["status"] == "preliminary"
        assert risk["method"]["text"] == f"{LABEL} (pat-s-planted:1)"
    assert "planted label, n = 60" in json.dumps(document)
    assert claims(json.dumps(risks)) == ()
    path = tmp_path / "planted.json"
    path.write_text(json.dumps(document))
    assert [finding for finding in validate([path]) if finding.severity == "error"] == []
