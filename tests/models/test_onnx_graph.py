"""The graph: valid ONNX without a weight of its own, and loadable by anyone from a checkpoint's folder."""

import numpy as np
import onnx
import onnxruntime
import pytest

from models.checkpoint import save_folded
from models.config import CONFIGS, position_table
from models.fold import folded_shapes
from models.golden import panel_weeks
from models.pat import reference
from tests.models.keras_files import checkpoint


@pytest.mark.parametrize("size", CONFIGS)
def test_every_size_is_valid_onnx_without_weights(tmp_path, size):
    own = checkpoint(tmp_path, size)
    save_folded(own, tmp_path / "stored")
    onnx.checker.check_model(tmp_path / "stored" / "encoder.onnx")
    model = onnx.load_model_from_string(own.graph)
    external = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer if tensor.data_location}
    assert external == folded_shapes(own.config)
    assert len(own.graph) < 30_000


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path):
    assert checkpoint(tmp_path).graph == checkpoint(tmp_path).graph


@pytest.mark.parametrize("size", ["PAT-S", "PAT-Conv-S"])
def test_a_folder_is_loaded_by_onnx_runtime_as_it_is(tmp_path, size):
    own, weeks = checkpoint(tmp_path, size), panel_weeks()[:3, :2520]
    save_folded(own, tmp_path / "stored")
    session = onnxruntime.InferenceSession(
        tmp_path / "stored" / "encoder.onnx", providers=["CPUExecutionProvider"]
    )
    expected = reference(own, weeks)
    inputs = {"weeks": weeks, "positions": position_table(140)}
    pooled, profile, tokens = session.run(None, {**inputs, "profiled": np.array(True)})
    assert np.abs(pooled - expected.pooled).max() < 2e-5
    assert np.abs(profile - expected.profile).max() < 1e-6
    assert np.abs(tokens.mean(axis=1) - pooled).max() < 1e-5
    plain, unseen = session.run(["pooled", "profile"], {**inputs, "profiled": np.array(False)})
    assert np.abs(plain - expected.pooled).max() < 2e-5
    assert not unseen.any()
