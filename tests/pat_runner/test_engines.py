"""Every engine is the same function: as Keras computes it, as plain numpy does, alone and in company."""

import subprocess
import sys
import threading
from functools import cache

import numpy as np
import pytest
import torch

from benchmarks.weights import seeded
from models.checkpoint import save_folded
from models.config import CONFIGS
from models.golden import panel_weeks
from models.keras_import import import_keras
from models.pat import golden
from pat_runner import engines
from pat_runner.engines import (
    ENGINES,
    EngineOptions,
    EngineUnavailable,
    UnknownEngine,
    Want,
    chosen,
    engine,
    native,
)
from pat_runner.engines.native import NativeEngine, instruction_sets
from pat_runner.engines.torch import FoldedEncoder, TorchEngine
from pat_runner.gate import compare, prove
from tests.models.keras_files import checkpoint, keras_arrays, naive, naive_of_the_panel
from tests.shared import ROOT, missing, shared

REFERENCE = "data/pat-reference"
SIZES = {"pat_s_ref": 1, "pat_m_ref": 2, "pat_l_ref": 4, "pat_conv_s_ref": 1}  # layers
EVERYTHING = Want(profile=True, tokens=True)
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")


def available(name, checkpoint, **options):
    """Load an engine; where its library could not be built here, that is the reason to skip."""
    if name == "native" and native.library_file() is None:
        missing("there was no C compiler to build the native engine with")
    return engine(checkpoint, EngineOptions(name, **options))


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("engines"))


# Right


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("size", SIZES)
def test_every_engine_equals_keras(name, size):
    weeks = np.load(shared(f"{REFERENCE}/inputs.npy"))
    loaded = available(name, import_keras(shared(f"{REFERENCE}/{size}.h5")))
    output = loaded.run(weeks, EVERYTHING)
    with np.load(shared(f"{REFERENCE}/golden_{size}.npz")) as expected:
        patches = expected["encoder_output_patch_index"]
        tokens = np.abs(output.tokens[:, patches] - expected["encoder_output"])
        profile = expected[f"attn_profile_layer{SIZES[size]}"]
        assert np.abs(output.pooled - expected["pooled"]).max() < 2e-5
    assert np.abs(output.profile - profile).max() < 1e-6
    assert tokens[:3].max() < 2e-4
    assert tokens[3].max() < 1.5e-3
    assert np.abs(loaded.run(weeks, Want()).pooled - output.pooled).max() < 1e-5


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("size", CONFIGS)
def test_every_engine_equals_plain_numpy_in_every_size(tmp_path, name, size):
    weeks = panel_weeks()[:, :1260]
    tokens, profile = naive_of_the_panel(size)
    output = available(name, checkpoint(tmp_path, size)).run(weeks, EVERYTHING)
    assert np.abs(output.pooled - tokens.mean(axis=1)).max() < 2e-5
    assert np.abs(output.profile - profile).max() < 1e-6
    assert np.abs(output.tokens - tokens).max() < 1e-4


@pytest.mark.parametrize("name", ENGINES)
def test_a_row_of_a_batch_is_the_week_alone_and_threads_change_nothing(own, name):
    weeks = panel_weeks()[:5]
    together = available(name, own, threads=2).run(weeks, EVERYTHING)
    single = available(name, own)
    for row, week in enumerate(weeks):
        alone = single.run(week[None], EVERYTHING)
        assert np.abs(alone.pooled[0] - together.pooled[row]).max() < 1e-5
        assert np.abs(alone.profile[0] - together.profile[row]).max() < 1e-6


@pytest.mark.parametrize(("n", "by_one_thread_each"), [(1, False), (2, False), (3, True), (7, True)])
def test_onnx_runtime_gives_each_thread_a_week_where_there_are_enough(own, n, by_one_thread_each):
    loaded, names = engine(own, EngineOptions("onnxruntime", threads=3)), set()

    class Noting:
        def __init__(self, session):
            self.session = session

        def run(self, *arguments):
            names.add(threading.current_thread().name.split("_")[0])
            return self.session.run(*arguments)

    loaded._alone, loaded._beside = Noting(loaded._alone), Noting(loaded._beside)
    loaded.run(panel_weeks()[:n, :360], Want())
    assert names == ({"week"} if by_one_thread_each else {"MainThread"})


@pytest.mark.parametrize("name", ENGINES)
def test_outputs_are_what_was_wanted_in_float32_and_belong_to_the_caller(own, name):
    loaded, weeks = available(name, own), panel_weeks()[:2, :360]
    plain, profiled = loaded.run(weeks, Want()), loaded.run(weeks, Want(profile=True))
    before = (plain.pooled.copy(), profiled.profile.copy())
    everything = loaded.run(weeks[::-1].copy(), EVERYTHING)  # must not write into earlier answers
    assert (plain.profile, plain.tokens, profiled.tokens) == (None, None, None)
    assert np.array_equal(plain.pooled, before[0])
    assert np.array_equal(profiled.profile, before[1])
    assert everything.profile.sum(axis=1) == pytest.approx([1, 1], abs=1e-5)
    arrays = (everything.pooled, everything.profile, everything.tokens)
    assert [array.shape for array in arrays] == [(2, 96), (2, 20), (2, 20, 96)]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}


@cache
def any_week(minutes):
    weeks = np.random.default_rng(0).normal(size=(1, minutes)).astype(np.float32)
    return weeks, *naive(keras_arrays("PAT-S"), CONFIGS["PAT-S"], weeks)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("minutes", [18, 36, 126, 4320, 20_160])
def test_any_length_of_whole_patches_is_encoded(own, name, minutes):
    weeks, tokens, profile = any_week(minutes)
    output = available(name, own).run(weeks, EVERYTHING)
    assert np.abs(output.tokens - tokens).max() < 2e-4
    assert np.abs(output.profile - profile).max() < 1e-6


@pytest.mark.parametrize("name", ENGINES)
def test_bf16_is_within_its_bound_or_refused(own, name):
    """Which of the two depends on the machine; a quiet float32 under the name of bf16 is neither."""
    try:
        loaded = engine(own, EngineOptions(name, "bf16"))
    except EngineUnavailable as error:
        assert "bf16" in str(error)  # noqa: PT017  # both ways are right
    else:
        assert (loaded.precision, loaded.bound.centred) == ("bf16", 1e-3)
        exact = engine(own, EngineOptions(name)).run(panel_weeks(), Want())
        assert 0 < np.abs(loaded.run(panel_weeks(), Want()).pooled - exact.pooled).max() < 0.1


# Chosen


@pytest.mark.parametrize(("built", "expected"), [(True, "native"), (False, "onnxruntime")])
def test_without_a_gpu_auto_is_the_kernel_where_it_was_built(monkeypatch, built, expected):
    monkeypatch.setattr(engines, "_has_gpu", lambda: False)
    monkeypatch.setattr(native, "is_fast_here", lambda: built)
    assert chosen("auto") == expected


def test_with_a_gpu_auto_is_torch_if_its_build_knows_cuda(monkeypatch, tmp_path):
    monkeypatch.setattr(engines, "_GPUS", tmp_path)
    monkeypatch.setattr(native, "is_fast_here", lambda: False)
    assert chosen("auto") == "onnxruntime"
    (tmp_path / "0000:01:00.0").mkdir()
    monkeypatch.setattr(engines, "_torch_knows_cuda", lambda: True)
    assert chosen("auto") == "torch"
    monkeypatch.setattr(engines, "_torch_knows_cuda", lambda: False)
    assert chosen("auto") == "onnxruntime"


def test_the_build_of_torch_is_told_without_importing_it():
    asked = "engines._torch_knows_cuda(), 'torch' in sys.modules"
    code = f"import sys; from pat_runner import engines; print({asked})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(torch.version.cuda is not None), "False"]


def test_an_unknown_engine_is_refused_with_the_names(own):
    with pytest.raises(
        UnknownEngine, match="engine tensorflow: expected one of auto, native, onnxruntime, t"
    ):
        engine(own, EngineOptions("tensorflow"))


def test_an_engine_whose_library_is_missing_says_so(own, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "pat_runner.engines.openvino", raising=False)
    with pytest.raises(EngineUnavailable, match=r"openvino: its library is not installed \(openvino\)"):
        engine(own, EngineOptions("openvino"))


@pytest.mark.parametrize("name", ENGINES)
def test_only_torch_loads_torch_and_none_loads_onnx(tmp_path, name):
    """With a stored checkpoint, as a serving process has it."""
    available(name, checkpoint(tmp_path))
    code = (
        "import sys; from pathlib import Path; from models.checkpoint import load;"
        "from pat_runner.engines import *; from pat_runner.runner import Runner;"
        f"Runner(load(Path({str(tmp_path)!r})), EngineOptions({name!r})).warm();"
        "print([name for name in ('torch', 'onnx') if name in sys.modules])"
    )
    save_folded(checkpoint(tmp_path), tmp_path)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(["torch"] if name == "torch" else [])


# The kernel


@pytest.fixture
def built():
    if native.library_file() is None:
        missing("there was no C compiler to build the native engine with")


@pytest.mark.usefixtures("built")
def test_every_instruction_set_of_this_processor_is_the_same_function(tmp_path):
    assert list(instruction_sets())[-1] == "any"
    for size in ("PAT-S", "PAT-L", "PAT-Conv-S"):
        weeks = panel_weeks()[3:6, :1206]  # 67 or 134 patches fill no panel
        tokens, profile = naive(keras_arrays(size), CONFIGS[size], weeks)
        for name in instruction_sets():
            for threads in (1, 3):
                output = NativeEngine(checkpoint(tmp_path, size), threads, name).run(weeks, EVERYTHING)
                assert np.abs(output.tokens - tokens).max() < 2e-4, (size, name)
                assert np.abs(output.profile - profile).max() < 1e-6, (size, name)


@pytest.mark.usefixtures("built")
def test_an_instruction_set_that_disagrees_is_not_used(own, monkeypatch):
    assert engine(own, EngineOptions("native")).instruction_set == next(iter(instruction_sets()))
    monkeypatch.setattr(native, "_agrees", lambda fast, plain: False)
    assert engine(own, EngineOptions("native")).instruction_set == "any"


@pytest.mark.usefixtures("built")
def test_a_difference_of_instruction_sets_is_seen(own):
    fast, plain = (NativeEngine(own, 1, name) for name in (next(iter(instruction_sets())), "any"))
    assert native._agrees(fast, plain)
    fast._weights.embedding_bias[3] += 0.1
    assert not native._agrees(fast, plain)


@pytest.mark.usefixtures("built")
def test_weeks_beside_each_other_do_not_share_memory(own):
    weeks = panel_weeks()
    alone = NativeEngine(own, 1).run(weeks, EVERYTHING)
    for _ in range(5):
        beside = NativeEngine(own, 4).run(weeks, EVERYTHING)
        for part in ("pooled", "profile", "tokens"):
            assert np.array_equal(getattr(alone, part), getattr(beside, part))


@pytest.mark.usefixtures("built")
def test_scores_far_beyond_what_exponentials_can_hold_give_no_nan(own):
    weeks = np.float32(1e4) * panel_weeks()[:2, :1260]
    output = NativeEngine(own, 1).run(weeks, EVERYTHING)
    assert np.isfinite(output.tokens).all()
    assert output.profile.sum(axis=1) == pytest.approx([1, 1], abs=1e-5)
    expected = engine(own, EngineOptions("torch")).run(weeks, Want())
    assert np.abs(output.pooled - expected.pooled).max() < 1e-3


def test_without_its_library_or_with_a_foreign_one_the_kernel_is_unavailable(own, monkeypatch, tmp_path):
    native._library.cache_clear()
    monkeypatch.setattr(native, "library_file", lambda: None)
    with pytest.raises(EngineUnavailable, match="was not built; install again where there is a C compiler"):
        engine(own, EngineOptions("native"))
    assert not native.is_fast_here()
    (tmp_path / "foreign.so").write_bytes(b"MZ")
    monkeypatch.setattr(native, "library_file", lambda: tmp_path / "foreign.so")
    with pytest.raises(EngineUnavailable, match="is for another machine"):
        engine(own, EngineOptions("native"))
    assert not native.is_fast_here()


# PyTorch in bf16 and on CUDA


@pytest.mark.parametrize("size", ["PAT-S", "PAT-M"])
def test_bf16_attention_is_within_its_bound_where_attention_is_ordinary(size):
    """The arithmetic of the CUDA engine in bf16, on whatever is here: only slower without such a GPU."""
    made = seeded(size)
    proven = made.with_golden(golden(made))
    loaded = TorchEngine(FoldedEncoder(proven, torch.device("cpu"), torch.bfloat16), "bf16")
    found = compare(loaded, proven)
    assert found.outside(loaded.bound) == []
    assert found.worst("centred") < 1e-3
    assert 0 < found.worst("probability") < 0.01


@CUDA
@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("size", ["PAT-S", "PAT-L"])
def test_cuda_is_within_its_bound_in_every_batch_size(tmp_path, size, precision):
    made = checkpoint(tmp_path, size)
    proven = made.with_golden(golden(made))
    loaded = engine(proven, EngineOptions("torch", precision))
    prove(loaded, proven)
    weeks = np.tile(panel_weeks(), (33, 1))[:260]  # beyond what one pass takes
    whole = loaded.run(weeks, EVERYTHING)
    for n in (1, 3, 8):
        part = loaded.run(weeks[:n], EVERYTHING)
        assert np.abs(part.pooled - whole.pooled[:n]).max() < loaded.bound.pooled
    assert whole.pooled.shape == (260, 96)
