"""Weight files made to harm: what tests/models does not try already (links, external storage, archives)."""

import hashlib
import json
import struct
import tracemalloc

import pytest

from models.checkpoint import CARD, FILES, CheckpointError, load, save
from tests.models.keras_files import checkpoint

pytestmark = pytest.mark.security
WEIGHTS = FILES[0]
MOST_BYTES = 2 * 64 * 1024 * 1024  # twice what a file may have


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(whole, tmp_path):
    save(whole, tmp_path / "pat")
    return tmp_path / "pat"


def placed(folder, data):
    """Put ``data`` in the place of the weights, with a card that agrees."""
    (folder / WEIGHTS).write_bytes(data)
    card = json.loads((folder / CARD).read_text())
    card["files"][WEIGHTS] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / CARD).write_text(json.dumps(card))


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(shape, offsets, dtype="F32"):
    return {"embedding.bias": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


HOSTILE = {
    "a header of 2^63 bytes": struct.pack("<Q", 2**63) + b"{}",
    "a header longer than the file": struct.pack("<Q", 10**6) + b"{}",
    "four terabytes in no data": safetensors(tensor([2**40], [0, 2**42])),
    "a shape that overflows": safetensors(tensor([2**62, 4], [0, 0])),
    "a shape below zero": safetensors(tensor([-96], [0, 384]), bytes(384)),
    "data that end before they begin": safetensors(tensor([96], [384, 0]), bytes(384)),
    "data beyond the file": safetensors(tensor([96], [0, 384]), bytes(10)),
    "data of another size": safetensors(tensor([96], [0, 4]), bytes(4)),
    "bytes that belong to no tensor": safetensors(tensor([96], [0, 384]), bytes(1000)),
    "a type that there is not": safetensors(tensor([96], [0, 384], "OBJECT"), bytes(384)),
    "a name as a path": safetensors(
        {"../../x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)
    ),
    "a header that is deep": safetensors(b"[" * 100_000),
    "a header that is no text": safetensors(b"\xff\xfe{}"),
    "a list": safetensors(b"[]"),
    "no tensor": safetensors({}),
    "a pickle of torch": b"PK\x03\x04" + bytes(100),
    "a pickle": b"\x80\x04cposix\nsystem\n(Vtouch /tmp/x\ntR.",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_safetensors_are_refused_in_little_memory_though_the_card_agrees(folder, case):
    placed(folder, HOSTILE[case])
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError):
            load(folder)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


def test_overlapping_tensors_are_refused(folder):
    names = ("embedding.bias", "embedding.weight")
    placed(
        folder,
        safetensors({n: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in names}, bytes(4)),
    )
    with pytest.raises(CheckpointError):
        load(folder)
