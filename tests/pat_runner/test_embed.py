"""The plain door: an array file in, arrays out, nothing unpickled on the way."""

import numpy as np
import pytest

from models.keras_import import import_keras
from pat_runner.embed import WEEKS_AT_ONCE, embed, read_weeks
from pat_runner.runner import Runner
from preprocessing.recording import RecordingError
from tests.models.keras_files import checkpoint
from tests.shared import shared


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    return Runner(checkpoint(tmp_path_factory.mktemp("embed")))


def stored(path, array, **options):
    np.save(path, array, **options)
    return path


def refused(path, match):
    with pytest.raises(RecordingError, match=match):
        read_weeks(path)


def test_an_array_is_read_as_it_is(tmp_path):
    weeks = np.random.default_rng(0).normal(size=(3, 36)).astype(np.float32)
    assert np.array_equal(read_weeks(stored(tmp_path / "w.npy", weeks)), weeks)


def test_more_weeks_than_a_part_come_back_in_order(runner):
    weeks = np.random.default_rng(0).normal(size=(WEEKS_AT_ONCE + 3, 36)).astype(np.float32)
    arrays = embed(runner, weeks, tokens=True)
    assert {name: array.shape for name, array in arrays.items()} == {
        "pooled": (67, 96),
        "profile": (67, 2),
        "tokens": (67, 2, 96),
    }
    assert np.abs(embed(runner, weeks[-1:])["pooled"][0] - arrays["pooled"][-1]).max() < 1e-6
    assert "tokens" not in embed(runner, weeks[:1])


def test_a_bad_row_is_named_and_there_is_no_partial_result(runner):
    weeks = np.zeros((WEEKS_AT_ONCE + 2, 36), np.float32)
    weeks[-1, 0] = np.nan
    with pytest.raises(RecordingError, match="finite") as caught:
        embed(runner, weeks)
    assert caught.value.where == f"row {WEEKS_AT_ONCE + 1}"


@pytest.mark.parametrize(
    "array",
    [np.zeros((2, 36)), np.zeros(36, np.float32), np.zeros((0, 36), np.float32), np.zeros((2, 36), ">f4")],
)
def test_another_type_or_shape_is_refused(tmp_path, array):
    refused(stored(tmp_path / "w.npy", array), "float32 array")


def test_python_objects_are_refused_unread(tmp_path):
    marker = tmp_path / "marker"

    class Evil:
        def __reduce__(self):
            return (marker.write_text, ("x",))

    refused(
        stored(tmp_path / "w.npy", np.array([[Evil()]], dtype=object), allow_pickle=True),
        "without Python objects",
    )
    assert not marker.exists()


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x80\x04K\x01.", b"1,2,3\n"])
def test_another_kind_of_file_is_refused(tmp_path, content):
    (tmp_path / "w.npy").write_bytes(content)
    refused(tmp_path / "w.npy", "npy file")


def test_a_header_that_declares_more_than_the_file_holds_is_refused(tmp_path):
    path = stored(tmp_path / "w.npy", np.zeros((1, 36), np.float32))
    path.write_bytes(path.read_bytes()[:-4])
    refused(path, "npy file")


def test_an_npz_and_an_enormous_file_are_refused(tmp_path):
    np.savez(tmp_path / "w.npz", weeks=np.zeros((1, 36), np.float32))
    refused(tmp_path / "w.npz", "one float32 array")
    with (tmp_path / "huge.npy").open("wb") as file:
        file.truncate(1_000_000_001)
    refused(tmp_path / "huge.npy", "at most 1000000000 bytes")


def test_it_gives_the_outputs_of_keras():
    folder = shared("data/pat-reference")
    arrays = embed(
        Runner(import_keras(folder / "pat_s_ref.h5")), read_weeks(folder / "inputs.npy"), tokens=True
    )
    with np.load(folder / "golden_pat_s_ref.npz") as expected:
        assert np.abs(arrays["pooled"] - expected["pooled"]).max() < 2e-5
        assert np.abs(arrays["profile"] - expected["attn_profile_layer1"]).max() < 1e-6
        assert np.abs(arrays["tokens"] - expected["encoder_output"])[:3].max() < 2e-4
