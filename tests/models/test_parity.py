"""PAT as the authors built it: equal to their Keras model and to plain numpy, unlike what is nearly PAT."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch.nn import functional

import models.pat
from models.checkpoint import Checkpoint
from models.config import CONFIGS, ENCODER_PARAMETERS, expected_shapes
from models.golden import panel_weeks
from models.heads import Head
from models.keras_import import IMPORTED_HEAD, import_keras
from models.pat import PAT, ConvEmbedding, golden, reference
from tests.models.keras_files import checkpoint, keras_arrays, naive, naive_of_the_panel
from tests.shared import shared

REFERENCE = "data/pat-reference"
ORDINARY = [0, 1, 2, 3, 4, 6, 7]  # rows of the panel without extreme values
SIZES = {"pat_s_ref": "PAT-S", "pat_m_ref": "PAT-M", "pat_l_ref": "PAT-L", "pat_conv_s_ref": "PAT-Conv-S"}


def encode(model, weeks):
    with torch.inference_mode():
        return model(torch.tensor(weeks), profile=True)


@dataclass(frozen=True)
class Case:
    """Weights with weeks and the tokens that are right for them at some patches."""

    checkpoint: Checkpoint
    weeks: np.ndarray  # (B, T)
    tokens: np.ndarray  # (B, K, 96)
    patches: np.ndarray  # (K,)
    tolerance: float

    def error(self, model=None):
        encoding = encode(model or PAT.from_checkpoint(self.checkpoint), self.weeks)
        return np.abs(encoding.tokens.numpy()[:, self.patches] - self.tokens).max()


def own_case(folder, size):
    weeks = panel_weeks()[:2, :2520]
    tokens, _ = naive(keras_arrays(size), CONFIGS[size], weeks)
    return Case(checkpoint(folder, size), weeks, tokens, np.arange(tokens.shape[1]), 2e-5)


def keras_case(name):
    with np.load(shared(f"{REFERENCE}/golden_{name}.npz")) as stored:
        tokens, patches = stored["encoder_output"][:3], stored["encoder_output_patch_index"]
    weeks = np.load(shared(f"{REFERENCE}/inputs.npy"))[:3]
    return Case(import_keras(shared(f"{REFERENCE}/{name}.h5")), weeks, tokens, patches, 2e-4)


@pytest.fixture(scope="module", params=["numpy", "keras"])
def plain(request, tmp_path_factory):
    return (
        own_case(tmp_path_factory.mktemp("s"), "PAT-S")
        if request.param == "numpy"
        else keras_case("pat_s_ref")
    )


@pytest.fixture(scope="module", params=["numpy", "keras"])
def conv(request, tmp_path_factory):
    if request.param == "numpy":
        return own_case(tmp_path_factory.mktemp("c"), "PAT-Conv-S")
    return keras_case("pat_conv_s_ref")


# Right


@pytest.mark.parametrize("size", CONFIGS)
def test_every_size_has_the_published_number_of_parameters(size):
    model = PAT(CONFIGS[size])
    assert sum(tensor.numel() for tensor in model.parameters()) == ENCODER_PARAMETERS[size]
    assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == expected_shapes(
        CONFIGS[size]
    )


@pytest.mark.parametrize("size", CONFIGS)
def test_every_size_equals_plain_numpy(tmp_path, size):
    weeks = panel_weeks()[:, :1260]
    tokens, profile = naive_of_the_panel(size)
    encoding = encode(PAT.from_checkpoint(checkpoint(tmp_path, size)), weeks)
    assert np.abs(encoding.tokens.numpy() - tokens)[ORDINARY].max() < 2e-5
    assert np.abs(encoding.pooled.numpy() - tokens.mean(axis=1)).max() < 2e-5
    assert np.abs(encoding.profile.numpy() - profile)[ORDINARY].max() < 1e-6


@pytest.mark.parametrize("name", SIZES)
def test_every_size_equals_keras(name):
    weeks, stored = (
        np.load(shared(f"{REFERENCE}/inputs.npy")),
        np.load(shared(f"{REFERENCE}/golden_{name}.npz")),
    )
    loaded = import_keras(shared(f"{REFERENCE}/{name}.h5"))
    encoding = encode(PAT.from_checkpoint(loaded), weeks)
    error = np.abs(
        encoding.tokens.numpy()[:, stored["encoder_output_patch_index"]] - stored["encoder_output"]
    )
    profile = stored[f"attn_profile_layer{loaded.config.layers}"]
    assert loaded.config.name == SIZES[name]
    assert error[:3].max() < 2e-4
    assert error[3].max() < 1.5e-3
    assert np.abs(encoding.pooled.numpy() - stored["pooled"]).max() < 2e-5
    assert np.abs(encoding.profile.numpy() - profile).max() < 1e-6


@pytest.mark.parametrize("name", ["pat_s_ref", "pat_m_ref", "pat_conv_s_ref"])
def test_with_the_table_of_tensorflow_the_tolerance_is_ten_times_smaller(name, monkeypatch):
    table = np.load(shared(f"{REFERENCE}/positional_table_tf215_cpu.npy"))
    monkeypatch.setattr(models.pat, "position_table", lambda n, width: table[:n])
    weeks, stored = (
        np.load(shared(f"{REFERENCE}/inputs.npy")),
        np.load(shared(f"{REFERENCE}/golden_{name}.npz")),
    )
    encoding = encode(PAT.from_checkpoint(import_keras(shared(f"{REFERENCE}/{name}.h5"))), weeks)
    error = np.abs(
        encoding.tokens.numpy()[:, stored["encoder_output_patch_index"]] - stored["encoder_output"]
    )
    assert error[:3].max() < 2e-5
    assert error[3].max() < 3e-4
    assert np.abs(encoding.pooled.numpy() - stored["pooled"]).max() < 3e-6


def test_our_positional_table_is_that_of_tensorflow_but_for_its_rounding():
    theirs = np.load(shared(f"{REFERENCE}/positional_table_tf215_cpu.npy"))
    ours = models.pat.positions(1120).numpy()
    assert ours.dtype == np.float32
    assert np.abs(ours - theirs).max() < 1.2e-4
    assert np.abs(ours[:560] - theirs[:560]).max() < 6.2e-5


def test_three_days_are_encoded_as_keras_encodes_them():
    stored = np.load(shared(f"{REFERENCE}/golden_pat_s_ref_len4320.npz"))
    encoding = encode(PAT.from_checkpoint(import_keras(shared(f"{REFERENCE}/pat_s_ref.h5"))), stored["x"])
    assert np.abs(encoding.tokens.numpy() - stored["encoder_output"]).max() < 2e-4
    assert np.abs(encoding.pooled.numpy() - stored["pooled"]).max() < 2e-5


def test_the_attention_of_every_head_equals_keras():
    stored = np.load(shared(f"{REFERENCE}/golden_pat_s_ref_attn_sample0.npz"))
    model = PAT.from_checkpoint(import_keras(shared(f"{REFERENCE}/pat_s_ref.h5")))
    week = torch.tensor(np.load(shared(f"{REFERENCE}/inputs.npy"))[:1])
    with torch.inference_mode():
        attention = model.blocks[0].attention(model.embed(week))[0].numpy()  # (6, 560, 560)
    assert np.abs(attention[:, stored["rows"]] - stored["attn_layer1_rows_f32"]).max() < 2e-5
    assert np.abs(attention - stored["attn_layer1_f16"].astype(np.float32)).max() < 1e-3


def test_a_fine_tuned_classifier_gives_the_predictions_of_keras():
    stored = np.load(shared(f"{REFERENCE}/golden_pat_s_finetuned_ref.npz"))
    loaded = import_keras(shared(f"{REFERENCE}/pat_s_finetuned_ref.h5"))
    pooled = encode(PAT.from_checkpoint(loaded), np.load(shared(f"{REFERENCE}/inputs.npy"))).pooled
    head = Head.from_checkpoint(loaded, IMPORTED_HEAD)
    with torch.inference_mode():
        assert np.abs(pooled.numpy() - stored["pooled"]).max() < 2e-5
        assert np.abs(head.activations(pooled).numpy() - stored["dense_128"]).max() < 2e-5
        assert np.abs(head(pooled).numpy() - stored["prediction"][:, 0]).max() < 1e-5


def test_the_two_encoder_layouts_hold_the_same_weights():
    weights_only, whole = (
        import_keras(shared(f"{REFERENCE}/pat_s_ref{kind}.h5")) for kind in ("", "_modelsave")
    )
    assert weights_only.digest == whole.digest


def test_a_length_that_is_no_multiple_of_the_patch_is_refused(plain):
    with pytest.raises(ValueError, match=r"multiple of 18 minutes .* found 10081"):
        PAT.from_checkpoint(plain.checkpoint)(torch.zeros(1, 10_081))


def test_weeks_without_a_batch_axis_are_refused(plain):
    with pytest.raises(ValueError, match="batch, minutes"):
        PAT.from_checkpoint(plain.checkpoint)(torch.zeros(10_080))


def test_the_profile_sums_to_one_and_dropout_is_off(plain):
    model = PAT.from_checkpoint(plain.checkpoint)
    first, second = encode(model, plain.weeks), encode(model, plain.weeks)
    assert torch.equal(first.tokens, second.tokens)
    assert first.profile.sum(dim=1).numpy() == pytest.approx(np.ones(len(plain.weeks)), abs=1e-5)
    assert not torch.equal(model.train()(torch.tensor(plain.weeks)).tokens, first.tokens)


def test_the_golden_is_the_float64_pass(tmp_path):
    own = checkpoint(tmp_path)
    tokens, profile = naive_of_the_panel("PAT-S")
    short = reference(own, panel_weeks()[:, :1260])
    assert np.abs(short.pooled - tokens.mean(axis=1)).max() < 1e-7
    assert np.abs(short.profile - profile).max() < 1e-7
    whole = golden(own)
    assert whole.pooled.shape == (8, 96)
    assert whole.profile.shape == (8, 560)


# Nearly right: each of these stands in some public port


def test_the_unchanged_encoder_is_within_tolerance(plain, conv):
    assert plain.error() < plain.tolerance
    assert conv.error() < conv.tolerance


def with_eps(case, eps):
    model = PAT(replace(case.checkpoint.config, layer_norm_eps=eps))
    model.take(case.checkpoint.weights)
    return model.eval()


@pytest.mark.parametrize("eps", [1e-5, 1e-12, 1e-3])
def test_another_layer_norm_epsilon_fails(conv, eps):
    assert conv.error(with_eps(conv, eps)) > 10 * conv.tolerance


def test_the_keras_default_epsilon_fails_also_without_a_convolution(plain):
    assert plain.error(with_eps(plain, 1e-3)) > 3 * plain.tolerance


def interleaved(n, width):
    table = models.config.position_table(n, width)
    return np.stack([table[:, : width // 2], table[:, width // 2 :]], axis=2).reshape(n, width)


def test_sines_and_cosines_taking_turns_fail(plain, monkeypatch):
    monkeypatch.setattr(models.pat, "position_table", interleaved)
    assert plain.error() > 0.1


def test_no_positions_fail(plain, monkeypatch):
    monkeypatch.setattr(models.pat, "position_table", lambda n, width: np.zeros((n, width), np.float32))
    assert plain.error() > 0.1


def scaled_embedding(model):
    model.embedding.weight *= 96**0.5
    model.embedding.bias *= 96**0.5


def scaled_by_the_width_of_a_share(model):
    for block in model.blocks:  # 1 / sqrt(96 / H) in place of 1 / sqrt(96)
        block.query.weight *= model.config.heads**0.5
        block.query.bias *= model.config.heads**0.5


def without(name):
    def mutate(model):
        for block in model.blocks:
            getattr(block, name).bias.zero_()

    return mutate


def swapped_norms(model):
    for block in model.blocks:
        block.norm1, block.norm2 = block.norm2, block.norm1


@pytest.mark.parametrize(
    "mutate",
    [
        scaled_embedding,
        scaled_by_the_width_of_a_share,
        swapped_norms,
        without("query"),
        without("value"),
        without("output"),
        without("expand"),
    ],
    ids=lambda mutate: mutate.__qualname__.split(".")[0],
)
def test_another_scale_order_or_missing_bias_fails(plain, mutate):
    model = PAT.from_checkpoint(plain.checkpoint)
    with torch.no_grad():
        mutate(model)
    assert plain.error(model) > 5e-3


def test_gelu_in_place_of_relu_fails(plain, monkeypatch):
    monkeypatch.setattr(functional, "relu", functional.gelu)
    assert plain.error() > 5e-3


class WithoutRelu(ConvEmbedding):
    def forward(self, patches):
        batch, n, minutes = patches.shape
        return (
            torch.nn.Conv1d.forward(self, patches.reshape(batch * n, 1, minutes))
            .mean(dim=2)
            .reshape(batch, n, -1)
        )


class SumForMean(ConvEmbedding):
    def forward(self, patches):
        return super().forward(patches) * patches.shape[2]


class Flipped(ConvEmbedding):
    def forward(self, patches):
        return super().forward(patches.flip(2))


@pytest.mark.parametrize("embedding", [WithoutRelu, SumForMean, Flipped])
def test_another_convolution_fails(conv, embedding):
    model = PAT.from_checkpoint(conv.checkpoint)
    model.embedding.__class__ = embedding
    assert conv.error(model) > 10 * conv.tolerance
