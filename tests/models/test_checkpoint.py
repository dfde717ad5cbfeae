"""A checkpoint on disk: what was saved comes back bit for bit, and anything else is refused by name."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy

from models.checkpoint import (
    CARD,
    FILES,
    CheckpointError,
    CheckpointMissing,
    CheckpointProvenance,
    load,
    save,
    save_folded,
)
from models.config import CONFIGS
from models.heads import Head
from models.keras_import import import_keras
from models.pat import PAT, golden
from models.reference import INPUT, OUTPUT, Reference, Statistic
from preprocessing.scaling import Scaling
from preprocessing.units import Device, Unit, WearSite
from tests.models.keras_files import checkpoint, head_arrays, keras_arrays, write_fine_tuned


def scaling():
    random = np.random.default_rng(3)
    place = {"unit": Unit.COUNTS, "device": Device.SYNTHETIC_DEMO, "wear_site": WearSite.WRIST}
    return Scaling(random.random(10_080), 1.5 + random.random(10_080), cohort="a cohort", n=200, **place)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    file = write_fine_tuned(folder / "f.h5", keras_arrays("PAT-S"), head_arrays())
    made = replace(import_keras(file), scaling=scaling())
    return made.with_golden(golden(made))


@pytest.fixture
def folder(whole, tmp_path):
    save_folded(whole, tmp_path / "pat")
    return tmp_path / "pat"


def test_what_is_saved_comes_back_bit_for_bit(whole, folder):
    back = load(folder, whole.digest)
    assert (back.name, back.config, back.provenance, back.heads) == (
        whole.name,
        whole.config,
        whole.provenance,
        whole.heads,
    )
    assert back.digest == whole.digest
    assert back.scaling.digest == whole.scaling.digest
    assert back.weights.keys() == whole.weights.keys()
    assert vars(back)["graph"] == whole.graph  # read, not made again
    assert all(np.array_equal(vars(back)["folded"][name], array) for name, array in whole.folded.items())
    for name, array in whole.weights.items():
        assert array.tobytes() == back.weights[name].tobytes()
    for part in ("weeks", "pooled", "profile"):
        assert getattr(back.golden, part).tobytes() == getattr(whole.golden, part).tobytes()


def test_saving_twice_gives_the_same_bytes(whole, folder, tmp_path):
    save_folded(whole, tmp_path / "again")
    for name in (CARD, *FILES):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_a_folder_without_the_folded_form_is_the_same_checkpoint(whole, tmp_path):
    save(whole, tmp_path / "bare")
    assert not (tmp_path / "bare" / "folded.safetensors").exists()
    back = load(tmp_path / "bare", whole.digest)
    assert back.graph == whole.graph
    for name, array in whole.folded.items():
        assert array.tobytes() == back.folded[name].tobytes()


@pytest.mark.parametrize("file", ["folded.safetensors", "encoder.onnx"])
def test_another_folded_form_is_refused_even_if_the_card_agrees(folder, file):
    data = bytearray((folder / file).read_bytes())
    data[-1] ^= 1
    (folder / file).write_bytes(data)
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edited(folder, lambda card: card["files"].update({file: entry}))
    with pytest.raises(CheckpointError, match=r"expected content .*checkpoint\.json"):
        load(folder)


def test_saving_over_another_checkpoint_leaves_nothing_of_it(whole, folder):
    bare = replace(whole, scaling=None, golden=None)
    save(bare, folder)
    assert sorted(path.name for path in folder.iterdir()) == [CARD, FILES[0]]
    assert load(folder).digest == bare.digest


def test_weights_cannot_be_changed_in_place(whole):
    with pytest.raises(ValueError, match="read-only"):
        whole.weights["embedding.bias"][0] = 1
    with pytest.raises(TypeError):
        whole.weights["embedding.bias"] = np.zeros(96, np.float32)


def test_the_digest_is_of_what_answers_depend_on(whole):
    other = dict(whole.weights)
    other["embedding.bias"] = other["embedding.bias"] + np.float32(1e-6)
    elsewhere = CheckpointProvenance("elsewhere", "another licence", "2020-01-01")
    assert replace(whole, name="other", provenance=elsewhere, golden=None).digest == whole.digest
    assert replace(whole, weights=other).digest != whole.digest
    assert replace(whole, scaling=None).digest != whole.digest
    assert replace(whole, heads=(replace(whole.heads[0], threshold=0.5),)).digest != whole.digest


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [0.0, 0.5, 0.999])
def test_one_flipped_bit_is_refused_by_file_name(folder, name, where):
    data = bytearray((folder / name).read_bytes())
    data[int(where * len(data))] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"pat/{name}: SHA-256"):
        load(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_refused_by_name(folder, name):
    (folder / name).write_bytes((folder / name).read_bytes()[:-8])
    with pytest.raises(CheckpointError, match=rf"pat/{name}: expected \d+ bytes, found \d+"):
        load(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused_by_name(folder, name):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"pat/{name}: No such file"):
        load(folder)


def test_a_link_in_place_of_a_file_is_refused(folder, tmp_path):
    (folder / FILES[0]).rename(tmp_path / "elsewhere")
    (folder / FILES[0]).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match=FILES[0]):
        load(folder)


def test_a_folder_without_a_card_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointMissing, match=CARD):
        load(tmp_path)


def edited(folder, change):
    card = json.loads((folder / CARD).read_text())
    change(card)
    (folder / CARD).write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.update(format="pat-checkpoint/9"), "format"),
        (lambda card: card.update(extra=1), "extra"),
        (lambda card: card.pop("provenance"), "provenance"),
        (lambda card: card.update(architecture="PAT-XL"), "architecture: expected one of PAT-S"),
        (lambda card: card.update(architecture="PAT-M"), "tensor blocks"),
        (lambda card: card.update(name="../pat"), "name: expected"),
        (lambda card: card.update(heads=[]), r"tensor heads\.imported.* not part of this architecture"),
        (lambda card: card.update(scaling=None), "scaling: expected in the card and as a file"),
        (lambda card: card["scaling"].update(n=201), "expected content .*checkpoint.json"),
        (lambda card: card.update(format="pat-checkpoint/1"), "format: .*import the original weights again"),
        (lambda card: card["files"].pop("weights.safetensors"), "files: expected"),
        (lambda card: card["files"].pop("folded.safetensors"), "expected folded.* encoder.onnx, or neither"),
        (lambda card: card["files"].pop("encoder.onnx"), "expected folded.* encoder.onnx, or neither"),
        (lambda card: card["files"].update({"../x": {"bytes": 1, "sha256": ""}}), "files: expected"),
        (lambda card: card.update(digest="0" * 64), "expected content 0000"),
    ],
)
def test_an_edited_card_is_refused(folder, change, message):
    edited(folder, change)
    with pytest.raises(CheckpointError, match=message):
        load(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": NaN}', "\x00"])
def test_a_card_that_is_not_json_is_refused(folder, text):
    (folder / CARD).write_text(text)
    with pytest.raises(CheckpointError, match=CARD):
        load(folder)


def test_an_endless_card_is_refused(folder):
    (folder / CARD).write_text(" " * 300_000)
    with pytest.raises(CheckpointError, match="at most 262144 bytes"):
        load(folder)


def test_whole_but_other_content_is_refused_by_the_pin(whole, folder):
    other = dict(whole.weights)
    other["embedding.bias"] = other["embedding.bias"] + np.float32(1)
    save(replace(whole, weights=other), folder)
    with pytest.raises(CheckpointError, match=f"expected content {whole.digest} \\(the pin\\)"):
        load(folder, whole.digest)


def test_weights_that_are_no_safetensors_are_refused_even_if_the_card_agrees(folder):
    data = b"\x80\x04junk" * 100
    (folder / FILES[0]).write_bytes(data)
    file = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edited(folder, lambda card: card["files"].update({FILES[0]: file}))
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load(folder)


def changed(whole, **tensors):
    return {**whole.weights, **tensors}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("embedding.bias"), r"tensor embedding\.bias: missing"),
        (
            lambda w: w.update({"blocks.1.query.bias": w["embedding.bias"]}),
            r"tensor blocks\.1\.query\.bias: not part",
        ),
        (
            lambda w: w.update({"embedding.weight": w["embedding.weight"].T}),
            r"tensor embedding\.weight: expected .*\(96, 18\)",
        ),
        (
            lambda w: w.update({"embedding.bias": w["embedding.bias"].astype(np.float64)}),
            "expected float32 .*float64",
        ),
        (
            lambda w: w.update({"embedding.bias": np.full(96, np.nan, np.float32)}),
            r"tensor embedding\.bias: expected finite",
        ),
    ],
)
def test_a_checkpoint_cannot_be_made_of_other_tensors(whole, change, message):
    weights = dict(whole.weights)
    change(weights)
    with pytest.raises(CheckpointError, match=message):
        replace(whole, weights=weights)


def test_an_architecture_of_its_own_is_refused(whole):
    with pytest.raises(CheckpointError, match="architecture"):
        replace(whole, config=replace(CONFIGS["PAT-S"], layer_norm_eps=1e-5))


def test_a_golden_of_another_shape_is_refused(whole):
    with pytest.raises(CheckpointError, match="tensor profile"):
        replace(whole, golden=replace(whole.golden, profile=whole.golden.profile[:, 1:]))
    with pytest.raises(CheckpointError, match="golden weeks"):
        replace(whole, golden=replace(whole.golden, weeks=whole.golden.weeks[:, 1:]))


def test_a_network_gives_the_weights_it_took(tmp_path):
    own = checkpoint(tmp_path)
    for name, array in PAT.from_checkpoint(own).weights().items():
        assert np.array_equal(array, own.weights[name])


def test_a_network_refuses_weights_of_another_size(tmp_path):
    with pytest.raises(CheckpointError, match="tensor"):
        PAT(CONFIGS["PAT-M"]).take(checkpoint(tmp_path).weights)


def test_the_files_are_plain_safetensors(folder):
    arrays = safetensors.numpy.load_file(folder / FILES[0])
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}


def test_a_head_that_is_not_there_is_refused(whole):
    with pytest.raises(CheckpointError, match="head sleep: not in pat-s, which holds imported"):
        Head.from_checkpoint(whole, "sleep")


def test_a_scaling_that_no_cohort_can_have_is_refused(whole, folder):
    arrays = {"mean": whole.scaling.mean, "sd": np.zeros(10_080)}
    data = safetensors.numpy.save(arrays)
    (folder / "scaling.safetensors").write_bytes(data)
    file = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edited(folder, lambda card: card["files"].update({"scaling.safetensors": file}))
    with pytest.raises(CheckpointError, match=r"scaling\.safetensors: scaling sd"):
        load(folder)


def described():
    return Reference(
        "a cohort",
        200,
        {name: Statistic(1.0, 0.5) for name in INPUT},
        {name: Statistic(0.0, 2.0) for name in OUTPUT},
    )


def test_a_reference_comes_back_and_changes_no_digest(whole, tmp_path):
    told = replace(whole, reference=described())
    assert told.digest == whole.digest
    save(told, tmp_path / "told")
    assert load(tmp_path / "told").reference == described()


def test_a_card_without_a_reference_is_as_it_was_before_there_were_any(folder):
    assert "reference" not in json.loads((folder / CARD).read_text())
    assert load(folder).reference is None


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("n",), 1),
        (("input", "mean", "sd"), -1),
        (("input", "mean"), None),
        (("output", "median"), {"mean": 0, "sd": 1}),
        (("note",), "more"),
    ],
)
def test_a_reference_that_is_none_is_refused(whole, tmp_path, place, value):
    save(replace(whole, reference=described()), tmp_path / "told")
    card = json.loads((tmp_path / "told" / CARD).read_text())
    at = card["reference"]
    for step in place[:-1]:
        at = at[step]
    if value is None:
        del at[place[-1]]
    else:
        at[place[-1]] = value
    (tmp_path / "told" / CARD).write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match="reference"):
        load(tmp_path / "told")
