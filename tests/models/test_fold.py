"""The fold: the same function with other tensors, the same bytes on every machine."""

import hashlib

import numpy as np
import pytest

from models.config import CONFIGS, expected_shapes
from models.fold import _product, fold, folded_shapes
from tests.models.keras_files import checkpoint


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("fold"))


def softmax(scores):
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


def heads_of(array, heads):
    return array.astype(np.float64).reshape(heads, 96, -1)


@pytest.mark.parametrize("size", CONFIGS)
def test_every_size_has_the_shapes_it_says(tmp_path, size):
    own = checkpoint(tmp_path, size)
    folded = fold(own.config, own.weights)
    assert {name: array.shape for name, array in folded.items()} == folded_shapes(own.config)
    assert {array.dtype for array in folded.values()} == {np.dtype(np.float32)}


def test_attention_of_every_head_is_the_same_function(own):
    """Scores differ by a constant per row, so shares are equal; so is what is mixed and merged."""
    w, f, h = own.weights, fold(own.config, own.weights), own.config.heads
    x = np.random.default_rng(0).normal(size=(20, 96))
    query, key, value = (
        np.einsum("nd,hod->hno", x, heads_of(w[f"blocks.0.{name}.weight"], h))
        + w[f"blocks.0.{name}.bias"].astype(np.float64).reshape(h, 1, 96)
        for name in ("query", "key", "value")
    )
    shares = softmax(query @ key.transpose(0, 2, 1) / np.sqrt(96))  # (H, N, N)
    concatenated = (shares @ value).transpose(1, 0, 2).reshape(20, -1)
    right = concatenated @ w["blocks.0.output.weight"].T.astype(np.float64) + w["blocks.0.output.bias"]
    scores = x @ f["blocks.0.scores.weight"].astype(np.float64) + f["blocks.0.scores.bias"]
    ours = softmax(scores.reshape(20, h, 96).transpose(1, 0, 2) @ x.T)
    mixed = (ours @ x).transpose(1, 0, 2).reshape(20, -1)
    assert np.abs(ours - shares).max() < 1e-6
    assert np.abs(mixed @ f["blocks.0.mix.weight"] + f["blocks.0.mix.bias"] - right).max() < 1e-5


def test_what_has_no_heads_is_only_turned_round(own):
    folded = fold(own.config, own.weights)
    for name in ("embedding", "blocks.0.expand", "blocks.0.contract"):
        assert np.array_equal(folded[f"{name}.weight"], own.weights[f"{name}.weight"].T)
        assert np.array_equal(folded[f"{name}.bias"], own.weights[f"{name}.bias"])


def test_sums_are_taken_in_a_fixed_order():
    random = np.random.default_rng(0)
    left, right = random.normal(size=(2, 5, 7)), random.normal(size=(2, 7, 3))
    expected = np.zeros((2, 5, 3))
    for h, m, n in np.ndindex(2, 5, 3):
        total = 0.0
        for k in range(7):
            total += float(left[h, m, k]) * float(right[h, k, n])
        expected[h, m, n] = total
    assert np.array_equal(_product(left, right), expected)


def test_the_same_weights_fold_to_these_bytes_on_every_machine():
    """Of seeded integers, so that nothing depends on a machine's random numbers either."""
    config, weights = CONFIGS["PAT-S"], {}
    for seed, (name, shape) in enumerate(expected_shapes(config).items()):
        values = (np.arange(np.prod(shape)) * 7919 + seed * 104_729) % 20_011
        weights[name] = ((values - 10_000) / 30_000).astype(np.float32).reshape(shape)
    content = hashlib.sha256()
    for name, array in sorted(fold(config, weights).items()):
        content.update(name.encode() + array.astype("<f4").tobytes())
    assert content.hexdigest() == "5189e10187df6af4929a1aa1aef7675e81b1820d9aff1c1a4dc2680fe552eb3e"
