"""Head scores in numpy are those of the torch head."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.config import Platt
from models.heads import Head
from models.keras_import import import_keras
from models.scores import probabilities
from tests.models.keras_files import checkpoint, head_arrays, keras_arrays, write_fine_tuned


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    path = tmp_path_factory.mktemp("tuned") / "f.h5"
    return import_keras(write_fine_tuned(path, keras_arrays("PAT-S"), head_arrays()))


def pooled(n=5):
    return np.random.default_rng(0).normal(size=(n, 96)).astype(np.float32)


def test_they_equal_the_torch_head(tuned):
    with torch.inference_mode():
        expected = Head.from_checkpoint(tuned, "imported")(torch.tensor(pooled())).numpy()
    assert np.abs(probabilities(tuned, pooled())["imported"] - expected).max() < 1e-6


def test_calibration_is_applied_to_the_logit(tuned):
    plain = probabilities(tuned, pooled())["imported"]
    calibrated = replace(tuned, heads=(replace(tuned.heads[0], calibration=Platt(2.0, -0.5)),))
    logits = np.log(plain / (1 - plain))
    expected = 1 / (1 + np.exp(-(2 * logits - 0.5)))
    assert np.abs(probabilities(calibrated, pooled())["imported"] - expected).max() < 1e-12


def test_extremes_are_0_and_1_without_a_warning(tuned):
    with np.errstate(all="raise"):
        found = probabilities(tuned, np.float32(1e30) * pooled(2))["imported"]
    assert (np.minimum(found, 1 - found) < 1e-300).all()


def test_a_checkpoint_without_heads_scores_nothing(tmp_path):
    assert probabilities(checkpoint(tmp_path), pooled()) == {}
