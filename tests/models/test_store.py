"""The model store: what goes in comes out, the tag is the content, and archives are judged before use."""

import io
import lzma
import tarfile
from dataclasses import replace
from pathlib import Path

import bentoml
import numpy as np
import pytest

from models import checkpoint as files
from models import store
from models.checkpoint import CARD, FILES, CheckpointError, CheckpointMissing
from models.keras_import import ImportOptions
from tests.models.keras_files import checkpoint, keras_arrays, write


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("mine"), name="store-test", licence="CC0")


@pytest.fixture
def tag(mine):
    yield (tag := store.save(mine))
    if any(entry.tag == tag for entry in store.entries()):
        store.delete(tag)


def folder_of(tag):
    return Path(bentoml.models.get(tag).path)


def test_the_version_is_the_beginning_of_the_digest(mine, tag):
    assert tag == f"store-test:{mine.digest[:16]}"


def test_saving_adds_the_golden_and_changes_nothing_else(mine, tag):
    loaded = store.load(tag, mine.digest)
    assert mine.golden is None
    assert loaded.golden.pooled.shape == (8, 96)
    assert loaded.digest == mine.digest
    assert all(np.array_equal(loaded.weights[name], array) for name, array in mine.weights.items())


def test_saving_the_same_content_again_is_one_entry(mine, tag):
    assert store.save(replace(mine, provenance=replace(mine.provenance, created="1999-01-01"))) == tag
    assert [entry.tag for entry in store.entries()].count(tag) == 1


def test_a_name_alone_and_latest_resolve_to_the_newest(tag):
    assert store.resolve("store-test") == store.resolve("store-test:latest") == tag


def test_the_list_and_the_card_say_what_it_is(mine, tag):
    entry = next(entry for entry in store.entries() if entry.tag == tag)
    assert (entry.architecture, entry.sha256, entry.source) == ("PAT-S", mine.digest, mine.provenance.source)
    card = store.manifest("store-test")
    assert (card["tag"], card["digest"], card["provenance"]["licence"]) == (tag, mine.digest, "CC0")
    assert set(card["files"]) == set(FILES) - {"scaling.safetensors"}


def test_models_of_others_are_not_listed(tag):
    with bentoml.models.create("someone-elses") as model:
        (Path(model.path) / "x").write_text("x")
    assert "someone-elses" not in {entry.tag.split(":")[0] for entry in store.entries()}
    with pytest.raises(CheckpointMissing, match=CARD):
        store.load("someone-elses")
    bentoml.models.delete(str(bentoml.models.get("someone-elses").tag))


@pytest.mark.parametrize("unknown", ["nowhere", "store-test:0000", "../../etc", "a:b:c", ""])
def test_an_unknown_tag_is_missing(tag, unknown):
    with pytest.raises(CheckpointMissing, match="pat weights import"):
        store.load(unknown)


def test_damage_in_the_store_is_refused_by_file_name(tag):
    path = folder_of(tag) / FILES[0]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: SHA-256"):
        store.load(tag)


def test_other_content_under_the_same_tag_is_refused(mine, tag):
    other = replace(mine, weights={**mine.weights, "embedding.bias": np.zeros(96, np.float32)})
    files.save(other, folder_of(tag))
    with pytest.raises(CheckpointError, match="not that of its version"):
        store.load(tag)


def test_the_pin_refuses_another_digest(tag):
    with pytest.raises(CheckpointError, match="the pin"):
        store.load(tag, "0" * 64)


def test_a_deleted_checkpoint_is_missing(mine):
    tag = store.save(mine)
    store.delete(tag)
    with pytest.raises(CheckpointMissing):
        store.load(tag)


# Archives


def test_an_exported_archive_comes_back_under_its_tag(mine, tag, tmp_path):
    path = store.export("store-test", tmp_path / "x.bentomodel")
    store.delete(tag)
    assert store.import_path(path) == tag
    assert store.load(tag).digest == mine.digest


def test_bentoml_itself_reads_the_archive(tag, tmp_path):
    path = store.export(tag, tmp_path / "x.bentomodel")
    store.delete(tag)
    assert str(bentoml.models.import_model(str(path)).tag) == tag
    assert store.load(tag).name == "store-test"


def test_an_archive_needs_its_own_suffix(tag, tmp_path):
    with pytest.raises(CheckpointError, match="bentomodel"):
        store.export(tag, tmp_path / "x.zip")


def archive(path, *members, compress=lzma.compress):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content, kind in members:
            info = tarfile.TarInfo(name)
            info.size, info.type = len(content), kind
            info.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            tar.addfile(info, io.BytesIO(content))
    path.write_bytes(compress(buffer.getvalue()))
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../evil", tarfile.REGTYPE),
        ("/tmp/evil", tarfile.REGTYPE),
        ("folder/checkpoint.json", tarfile.REGTYPE),
        ("evil.py", tarfile.REGTYPE),
        ("checkpoint.json", tarfile.SYMTYPE),
        ("checkpoint.json", tarfile.LNKTYPE),
        ("checkpoint.json", tarfile.CHRTYPE),
        ("checkpoint.json", tarfile.FIFOTYPE),
        ("folder", tarfile.DIRTYPE),
    ],
)
def test_an_archive_with_any_other_member_is_refused(tmp_path, name, kind):
    before = store.entries()
    with pytest.raises(CheckpointError, match="not part of a checkpoint"):
        store.import_archive(archive(tmp_path / "x.bentomodel", (name, b"", kind)))
    assert store.entries() == before
    assert not (tmp_path.parent / "evil").exists()


def test_a_member_that_stands_twice_is_refused(tmp_path):
    twice = [(CARD, b"{}", tarfile.REGTYPE)] * 2
    with pytest.raises(CheckpointError, match="not part of a checkpoint"):
        store.import_archive(archive(tmp_path / "x.bentomodel", *twice))


def test_an_archive_that_swells_is_refused(tmp_path):
    path = tmp_path / "bomb.bentomodel"
    path.write_bytes(lzma.compress(bytes(70 * 1024 * 1024)))
    assert path.stat().st_size < 20_000
    with pytest.raises(CheckpointError, match="larger than 67108864 bytes"):
        store.import_archive(path)


def test_a_truncated_or_foreign_archive_is_refused(tag, tmp_path):
    path = store.export(tag, tmp_path / "x.bentomodel")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"x\.bentomodel: cut off"):
        store.import_archive(path)
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(CheckpointError, match="another file"):
        store.import_archive(path)
    path.write_bytes(lzma.compress(b"not a tar" * 1000))
    with pytest.raises(CheckpointError, match="expected an archive"):
        store.import_archive(path)


def test_an_archive_with_damaged_weights_never_enters_the_store(tag, tmp_path):
    members = [(p.name, p.read_bytes(), tarfile.REGTYPE) for p in folder_of(tag).iterdir()]
    store.delete(tag)
    damaged = [(n, c[:-1] + bytes([c[-1] ^ 1]) if n == FILES[0] else c, k) for n, c, k in members]
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: SHA-256"):
        store.import_archive(archive(tmp_path / "x.bentomodel", *damaged))
    with pytest.raises(CheckpointMissing):
        store.load(tag)


# Any path


def test_a_folder_and_a_keras_file_are_imported_too(mine, tag, tmp_path):
    store.delete(tag)
    files.save(mine, tmp_path / "folder")
    assert store.import_path(tmp_path / "folder") == tag
    h5 = write(tmp_path / "x.h5", keras_arrays("PAT-S"))
    assert store.import_path(h5, ImportOptions(name="store-test")) == tag
