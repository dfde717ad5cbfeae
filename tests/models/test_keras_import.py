"""Keras files: every published layout is read, and a hostile or damaged file is refused by name."""

import contextlib
import hashlib

import h5py
import numpy as np
import pytest

from models.checkpoint import CheckpointError
from models.config import CONFIGS
from models.keras_import import IMPORTED_HEAD, ImportOptions, import_keras
from tests.models.keras_files import head_arrays, keras_arrays, write, write_fine_tuned
from tests.shared import shared

QUERY = "encoder_layer_1_transformer/encoder_layer_1_attention/query/kernel:0"
BIAS = "dense/dense/bias:0"
TENSOR = r"tensor (encoder_layer_1_attention/query/kernel:0|dense/bias:0)"


@pytest.fixture
def arrays():
    return keras_arrays("PAT-S")


@pytest.fixture
def good(tmp_path, arrays):
    return write(tmp_path / "good.h5", arrays)


ANY = ImportOptions()


def refused(path, match, options=ANY):
    with pytest.raises(CheckpointError, match=match) as caught:
        import_keras(path, options)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("size", CONFIGS)
def test_the_size_is_read_from_the_arrays(tmp_path, size):
    found = import_keras(write(tmp_path / "any.h5", keras_arrays(size)), ImportOptions(size=size))
    assert (found.config, found.name) == (CONFIGS[size], size.lower())


def test_all_three_layouts_hold_the_same_encoder(tmp_path, arrays, good):
    whole = import_keras(write(tmp_path / "whole.h5", arrays, under="model_weights/"))
    tuned = import_keras(write_fine_tuned(tmp_path / "tuned.h5", arrays, head_arrays()))
    plain = import_keras(good)
    assert whole.digest == plain.digest
    assert all(np.array_equal(tuned.weights[name], array) for name, array in plain.weights.items())
    assert [head.label for head in tuned.heads] == [IMPORTED_HEAD]
    assert not tuned.heads[0].served


def test_kernels_are_turned_to_rows_of_outputs(arrays, good):
    weights, query = import_keras(good).weights, arrays[QUERY]
    assert weights["blocks.0.query.weight"][96 * 2 + 5, 7] == query[7, 2, 5]
    assert weights["embedding.weight"][3, 4] == arrays["dense/dense/kernel:0"][4, 3]


def test_the_card_says_where_the_weights_come_from(good):
    options = ImportOptions(
        name="mine", source="a lab", licence="CC BY 4.0", note="n", sha256=sha256(good).upper()
    )
    found = import_keras(good, options)
    made = found.provenance
    assert (found.name, made.source, made.licence, made.note) == ("mine", "a lab", "CC BY 4.0", "n")
    assert made.source_sha256 == sha256(good)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_another_file_than_the_pinned_one_is_refused_before_it_is_opened(good):
    refused(good, f"expected SHA-256 {'0' * 64}", ImportOptions(sha256="0" * 64))


def test_another_size_than_was_asked_for_is_refused(good):
    refused(good, "expected PAT-M, found PAT-S", ImportOptions(size="PAT-M"))


# Structure


def test_a_missing_tensor_is_refused_by_name(tmp_path, arrays):
    del arrays[BIAS]
    refused(write(tmp_path / "x.h5", arrays), "tensor dense/bias:0: missing")


def test_a_renamed_tensor_is_refused_by_name(tmp_path, arrays):
    arrays["dense/dense/beta:0"] = arrays.pop(BIAS)
    refused(write(tmp_path / "x.h5", arrays), "tensor dense/b")


def test_a_surplus_tensor_is_refused_by_name(tmp_path, arrays):
    arrays["final_norm/gamma:0"] = np.ones(96, np.float32)
    refused(write(tmp_path / "x.h5", arrays), "tensor final_norm/gamma:0: not part")


def test_a_tensor_that_stands_twice_is_refused(tmp_path, arrays):
    arrays["model_weights/" + BIAS] = arrays[BIAS]
    refused(write(tmp_path / "x.h5", arrays), "found twice")


def test_a_transposed_tensor_is_refused_by_name(tmp_path, arrays):
    arrays["dense/dense/kernel:0"] = arrays["dense/dense/kernel:0"].T.copy()
    refused(
        write(tmp_path / "x.h5", arrays),
        r"tensor dense/kernel:0: expected shape \(18, 96\), found \(96, 18\)",
    )


def test_heads_that_share_the_width_are_refused(tmp_path, arrays):
    arrays[QUERY] = arrays[QUERY][:, :, :16].copy()
    refused(write(tmp_path / "x.h5", arrays), r"query/kernel:0: expected shape \(96, 6, 96\)")


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<f2", "<i4", "S4"])
def test_another_type_is_refused_by_name(tmp_path, arrays, dtype):
    arrays[BIAS] = arrays[BIAS].astype(dtype)
    refused(write(tmp_path / "x.h5", arrays), "tensor dense/bias:0: expected float32")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_by_name(tmp_path, arrays, value):
    arrays[QUERY][3, 2, 1] = value
    refused(write(tmp_path / "x.h5", arrays), TENSOR + ": expected finite")


def test_half_a_head_is_refused(tmp_path, arrays):
    head = head_arrays()
    del head["output/output/bias:0"]
    refused(write_fine_tuned(tmp_path / "x.h5", arrays, head), "tensor output/bias:0: missing")


def test_a_block_too_few_is_refused(tmp_path):
    arrays = {k: v for k, v in keras_arrays("PAT-L").items() if "layer_4" not in k}
    refused(write(tmp_path / "x.h5", arrays), "found 3 layers of 12 heads")


def test_random_placeholders_with_other_names_are_refused(tmp_path):
    random = np.random.default_rng(42)
    arrays = {f"layer_{i}/weights": random.normal(size=(96, 96)).astype(np.float32) for i in range(4)}
    refused(write(tmp_path / "PAT-S_29k_weights.h5", arrays), "missing")


# Hostile HDF5


def replaced(path, name):
    file = h5py.File(path, "a")
    del file[name]
    return file


def test_an_external_link_is_refused(tmp_path, arrays, good):
    write(tmp_path / "other.h5", {BIAS: arrays[BIAS]})
    with replaced(good, BIAS) as file:
        file[BIAS] = h5py.ExternalLink(str(tmp_path / "other.h5"), BIAS)
    refused(good, f"tensor {BIAS}: .* found a link")


def test_a_soft_link_is_refused(good):
    with replaced(good, BIAS) as file:
        file[BIAS] = h5py.SoftLink("/encoder_layer_1_transformer/encoder_layer_1_norm1/beta:0")
    refused(good, f"tensor {BIAS}: .* found a link")


def test_external_storage_is_refused_and_the_other_file_stays_unread(tmp_path, good):
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 384)
    with replaced(good, BIAS) as file:
        file.create_dataset(BIAS, (96,), "<f4", external=[(str(secret), 0, 384)])
    refused(good, "tensor dense/bias:0: .*external")


def test_a_virtual_dataset_is_refused(tmp_path, arrays, good):
    write(tmp_path / "other.h5", {BIAS: arrays[BIAS]})
    layout = h5py.VirtualLayout((96,), "<f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), BIAS, (96,))
    with replaced(good, BIAS) as file:
        file.create_virtual_dataset(BIAS, layout)
    refused(good, "tensor dense/bias:0: .*virtual")


def test_a_dataset_that_declares_terabytes_is_refused_unread(good):
    with replaced(good, BIAS) as file:
        file.create_dataset(BIAS, (10**12,), "<f4", chunks=(1024,))
    assert good.stat().st_size < 2_000_000
    refused(good, r"tensor dense/bias:0: expected shape \(96,\), found \(1000000000000,\)")


def test_a_dataset_that_was_declared_but_never_written_is_refused(good):
    with replaced(good, BIAS) as file:
        file.create_dataset(BIAS, (96,), "<f4")
    refused(good, "tensor dense/bias:0: declared but not fully written")


@pytest.mark.parametrize(
    "options", [{"compression": "gzip"}, {"chunks": (96,)}, {"chunks": (96,), "fletcher32": True}]
)
def test_filtered_or_chunked_data_are_refused(arrays, good, options):
    with replaced(good, BIAS) as file:
        file.create_dataset(BIAS, data=arrays[BIAS], **options)
    refused(good, "tensor dense/bias:0: expected plain data")


def test_object_references_and_compounds_are_refused(good):
    with replaced(good, BIAS) as file:
        file.create_dataset(BIAS, (96,), h5py.ref_dtype)
    refused(good, "tensor dense/bias:0: expected float32")
    with replaced(good, BIAS) as file:
        file.create_dataset(BIAS, (96,), np.dtype([("a", "<f4")]))
    refused(good, "tensor dense/bias:0: expected float32")


def test_a_named_type_is_refused(good):
    with h5py.File(good, "a") as file:
        file["type"] = np.dtype("<f4")
    refused(good, "tensor type: expected a group or a dataset")


def test_a_group_inside_itself_ends(good):
    with h5py.File(good, "a") as file:
        file["dense/loop"] = file["dense"]
    refused(good, "levels")


def test_a_tree_with_very_many_members_is_refused(good):
    with h5py.File(good, "a") as file:
        for i in range(1001):
            file.create_group(f"reshape/{i}")
    refused(good, "at most 1000 members")


# Damage


@pytest.mark.parametrize(
    "content", [b"", b"not hdf5", b"version https://git-lfs.github.com/spec/v1\n", b"\x89HDF\r\n\x1a\n"]
)
def test_another_kind_of_file_is_refused(tmp_path, content):
    (tmp_path / "x.h5").write_bytes(content)
    refused(tmp_path / "x.h5", "expected a Keras HDF5 file|damaged")


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.99])
def test_a_truncated_file_is_refused(good, kept):
    data = good.read_bytes()
    good.write_bytes(data[: int(kept * len(data))])
    refused(good, "damaged|missing|not fully written")


def test_a_missing_file_a_folder_and_a_link_are_refused(tmp_path, good):
    (tmp_path / "folder.h5").mkdir()
    (tmp_path / "link.h5").symlink_to(good)
    refused(tmp_path / "absent.h5", "No such file")
    refused(tmp_path / "folder.h5", "regular file")
    refused(tmp_path / "link.h5", "regular file")


def test_an_enormous_file_is_refused_before_it_is_opened(tmp_path):
    with (tmp_path / "huge.h5").open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    refused(tmp_path / "huge.h5", "at most 67108864 bytes")


def test_a_flipped_bit_is_refused_by_its_pin(good):
    pin = sha256(good)
    for damaged in flipped(good.read_bytes(), 20):
        good.write_bytes(damaged)
        refused(good, "expected SHA-256", ImportOptions(sha256=pin))


def test_without_a_pin_damage_is_still_only_one_kind_of_error(good):
    refusals = 0
    for damaged in flipped(good.read_bytes(), 150):
        good.write_bytes(damaged)
        with contextlib.suppress(CheckpointError):
            import_keras(good)  # a flipped bit of a weight goes unseen here: that is what the pin is for
            refusals -= 1
        refusals += 1
    assert refusals


def flipped(data, times):
    random = np.random.default_rng(0)
    for position in random.integers(0, 16_384, times):  # where the structure stands
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(random.integers(8))
        yield damaged


@pytest.mark.parametrize(
    "name", ["pat_s_ref", "pat_s_ref_modelsave", "pat_s_finetuned_ref", "pat_m_ref", "pat_l_ref"]
)
def test_files_written_by_keras_itself_are_read(name):
    assert (
        import_keras(shared(f"data/pat-reference/{name}.h5")).config.name
        == f"PAT-{name.split('_')[1].upper()}"
    )
