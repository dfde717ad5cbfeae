"""A Checkpoint: the weights of one encoder with all that gives them meaning, as files that prove themselves.

A folder holds ``checkpoint.json`` (the card, with size and SHA-256 of every other file),
``weights.safetensors`` and, where present, ``scaling.safetensors``, ``golden.safetensors`` and the encoder
folded for the engines: ``folded.safetensors`` and the graph ``encoder.onnx``, which the model store adds.
Nothing is parsed before its hash is right.

Errors:

    CheckpointError           weights that are damaged, foreign or incomplete; names the file or tensor
      CheckpointMissing       there is no such checkpoint where it was looked for
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from pydantic import ValidationError

from models.card import Card, CheckpointProvenance, File, ReferenceCard, ScalingCard
from models.config import (
    CONFIGS,
    ENCODER_PARAMETERS,
    HeadConfig,
    PATConfig,
    Shapes,
    expected_shapes,
    head_shapes,
)
from models.fold import fold, folded_shapes
from models.golden import Golden
from models.reference import Reference, Statistic
from preprocessing.scaling import WEEK_MINUTES, Scaling

__all__ = [
    "CARD",
    "FILES",
    "MAX_FILE_BYTES",
    "Arrays",
    "Checkpoint",
    "CheckpointError",
    "CheckpointMissing",
    "CheckpointProvenance",
    "Floats",
    "check_arrays",
    "load",
    "read_limited",
    "save",
    "save_folded",
]

CARD = "checkpoint.json"
WEIGHTS, FOLDED, SCALING, GOLDEN = (
    f"{name}.safetensors" for name in ("weights", "folded", "scaling", "golden")
)
GRAPH = "encoder.onnx"
FILES = (WEIGHTS, SCALING, GOLDEN, FOLDED, GRAPH)
MAX_CARD_BYTES = 256 * 1024
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
MAX_FILE_BYTES = 64 * 1024 * 1024  # eight times PAT-L

Floats = npt.NDArray[np.float32]
Arrays = Mapping[str, npt.NDArray[Any]]


class CheckpointError(ValueError):
    """Weights cannot be used; the message names the file or tensor and says what to do."""


class CheckpointMissing(CheckpointError):  # noqa: N818  # it says what is the case, as KeyError does
    """There is no such checkpoint."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """One encoder: its architecture, weights, cohort scaling, heads, golden output and origin.

    ``weights`` holds float32 arrays by the names of ``expected_shapes`` and ``head_shapes``, no more and no
    fewer; they are read-only. Raises CheckpointError for anything else, so that every Checkpoint is whole.
    ``folded`` and ``graph``, what engines compute with, follow from the weights; one of the model store
    brings them along.
    """

    name: str
    config: PATConfig
    weights: Mapping[str, Floats]
    provenance: CheckpointProvenance
    scaling: Scaling | None = None
    heads: tuple[HeadConfig, ...] = ()
    golden: Golden | None = None
    reference: Reference | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise CheckpointError("name: expected up to 63 of a-z, 0-9, '.', '_' and '-'; choose another")
        if CONFIGS.get(self.config.name) != self.config:
            raise CheckpointError(f"architecture: expected one of {', '.join(CONFIGS)}, unchanged")
        check_arrays(self.weights, self.shapes)
        total = sum(self.weights[name].size for name in expected_shapes(self.config))
        if total != ENCODER_PARAMETERS[self.config.name]:
            raise CheckpointError(f"{self.config.name}: {total} encoder parameters are no published size")
        if self.golden is not None:
            _check_golden(self.golden, self.config)
        object.__setattr__(self, "weights", _read_only(self.weights))

    @property
    def shapes(self) -> Shapes:
        """Name and shape of every tensor, encoder and heads."""
        shapes = expected_shapes(self.config)
        for head in self.heads:
            shapes |= head_shapes(head.label, self.config)
        return shapes

    @cached_property
    def folded(self) -> Mapping[str, Floats]:
        """The encoder's tensors in the folded form, by the names of ``folded_shapes``; read-only."""
        return _read_only(fold(self.config, self.weights))

    @cached_property
    def graph(self) -> bytes:
        """The folded encoder as an ONNX graph whose weights lie in the file of ``folded``."""
        from models import onnx_graph  # noqa: PLC0415  # imports onnx, which no serving process needs

        return onnx_graph.build(self.config, _places(safetensors.numpy.save(dict(self.folded))))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that an answer depends on: architecture, weights, both forms, heads and scaling.

        Name, provenance, golden and reference are left out: they change no answer, and equal content has one
        digest.
        """
        described = [asdict(self.config), [asdict(head) for head in self.heads]]
        content = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
        for name, array in (*self.weights.items(), *self.folded.items()):
            content.update(f"{name}{list(array.shape)}".encode())
            content.update(array.astype("<f4", order="C").tobytes())
        content.update(self.graph)
        content.update((self.scaling.digest if self.scaling else "no scaling").encode())
        return content.hexdigest()

    def with_golden(self, golden: Golden) -> Checkpoint:
        """Return the same checkpoint with ``golden``."""
        return replace(self, golden=golden)


def _read_only(weights: Mapping[str, Floats]) -> Mapping[str, Floats]:
    own = {name: np.array(array, order="C") for name, array in sorted(weights.items())}
    for array in own.values():
        array.setflags(write=False)
    return MappingProxyType(own)


def _places(stored: bytes) -> dict[str, tuple[int, int]]:
    """Return (offset, bytes) of every tensor in a safetensors file."""
    start = 8 + int.from_bytes(stored[:8], "little")
    header = json.loads(stored[8:start])
    spans = {name: entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"}
    return {name: (start + begin, end - begin) for name, (begin, end) in spans.items()}


def check_arrays(arrays: Arrays, shapes: Shapes, dtype: str = "float32") -> None:
    """Raise CheckpointError unless ``arrays`` are exactly those of ``shapes``, of ``dtype``, and finite."""
    for name in sorted(shapes.keys() - arrays.keys()):
        raise CheckpointError(f"tensor {name}: missing; use the complete file")
    for name in sorted(arrays.keys() - shapes.keys()):
        raise CheckpointError(f"tensor {name:.80}: not part of this architecture; use a file of its size")
    for name, shape in shapes.items():
        _check_array(name, arrays[name], shape, dtype)


def _check_array(name: str, array: npt.NDArray[Any], shape: tuple[int, ...], dtype: str) -> None:
    if array.shape != shape or array.dtype != np.dtype(dtype):
        found = f"{array.dtype} {array.shape}"
        raise CheckpointError(
            f"tensor {name}: expected {dtype} {shape}, found {found}; use the original file"
        )
    if not np.isfinite(array).all():
        raise CheckpointError(
            f"tensor {name}: expected finite values only; the file is damaged, get it again"
        )


def _check_golden(golden: Golden, config: PATConfig) -> None:
    shape = golden.weeks.shape
    if len(shape) != 2 or shape[0] == 0 or shape[1] % config.patch:
        raise CheckpointError(f"golden weeks: expected (M, T), found {shape}; compute the golden again")
    rows, patches = shape[0], config.patches(shape[1])
    check_arrays({"weeks": golden.weeks}, {"weeks": shape})
    outputs = {"pooled": golden.pooled, "profile": golden.profile}
    check_arrays(outputs, {"pooled": (rows, config.width), "profile": (rows, patches)}, "float64")


def save(checkpoint: Checkpoint, folder: Path) -> None:
    """Write ``checkpoint`` into ``folder``, the card last: without its card a folder is no checkpoint."""
    _write(checkpoint, dict(_contents(checkpoint)), folder)


def save_folded(checkpoint: Checkpoint, folder: Path) -> None:
    """Write ``checkpoint`` into ``folder`` in both forms, so that no process need fold it again."""
    folded = {FOLDED: safetensors.numpy.save(dict(checkpoint.folded)), GRAPH: checkpoint.graph}
    _write(checkpoint, {**dict(_contents(checkpoint)), **folded}, folder)


def _write(checkpoint: Checkpoint, contents: Mapping[str, bytes], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in (CARD, *FILES):
        (folder / name).unlink(missing_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    partial = folder / f"{CARD}.partial"
    partial.write_text(_card(checkpoint, contents))
    partial.replace(folder / CARD)


def _contents(checkpoint: Checkpoint) -> Iterator[tuple[str, bytes]]:
    yield WEIGHTS, safetensors.numpy.save(dict(checkpoint.weights))
    if (scaling := checkpoint.scaling) is not None:
        yield SCALING, safetensors.numpy.save({"mean": scaling.mean, "sd": scaling.sd})
    if checkpoint.golden is not None:
        yield GOLDEN, safetensors.numpy.save(vars(checkpoint.golden))


def _card(checkpoint: Checkpoint, contents: Mapping[str, bytes]) -> str:
    scaling = checkpoint.scaling
    described = Card(
        format="pat-checkpoint/2",
        name=checkpoint.name,
        architecture=checkpoint.config.name,
        digest=checkpoint.digest,
        provenance=checkpoint.provenance,
        heads=checkpoint.heads,
        scaling=ScalingCard.model_validate(scaling) if scaling else None,
        files={name: File(bytes=len(data), sha256=_sha256(data)) for name, data in contents.items()},
        reference=ReferenceCard.model_validate(checkpoint.reference) if checkpoint.reference else None,
    )
    left_out = {"reference"} if checkpoint.reference is None else set()  # as cards without one were written
    return json.dumps(described.model_dump(mode="json", exclude=left_out), indent=2, sort_keys=True) + "\n"


def load(folder: Path, expected_digest: str | None = None) -> Checkpoint:
    """Read and verify a checkpoint folder; ``expected_digest`` pins its content.

    Raises CheckpointMissing without a card, and CheckpointError naming the file or tensor that is damaged,
    foreign or not the pinned one.
    """
    described = _read_card(folder)
    contents = {name: _read_file(folder / name, file) for name, file in described.files.items()}
    try:
        checkpoint = _assemble(described, contents)
    except CheckpointError as error:
        raise CheckpointError(f"{folder.name}: {error}") from error
    for expected, by in ((described.digest, CARD), (expected_digest, "the pin")):
        if expected is not None and checkpoint.digest != expected:
            found = f"expected content {expected:.64} ({by}), found {checkpoint.digest}"
            raise CheckpointError(f"{folder.name}: {found}; restore the files, or pin what is meant")
    return checkpoint


def _read_card(folder: Path) -> Card:
    where = f"{folder.name}/{CARD}"
    if not (folder / CARD).exists():
        raise CheckpointMissing(f"{where}: not there; expected a checkpoint folder")
    try:
        described = Card.model_validate_json(read_limited(folder / CARD, MAX_CARD_BYTES))
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors()[0]["loc"])
        todo = "import the original weights again" if field == "format" else "restore the original file"
        raise CheckpointError(f"{where}: {field:.80}: not as expected; {todo}") from None
    if described.architecture not in CONFIGS:
        raise CheckpointError(f"{where}: architecture: expected one of {', '.join(CONFIGS)}")
    if not {WEIGHTS} <= described.files.keys() <= set(FILES):
        raise CheckpointError(f"{where}: files: expected {', '.join(FILES)}, all but the first optional")
    if (FOLDED in described.files) != (GRAPH in described.files):
        raise CheckpointError(f"{where}: files: expected {FOLDED} and {GRAPH}, or neither")
    if (SCALING in described.files) != (described.scaling is not None):
        raise CheckpointError(f"{where}: scaling: expected in the card and as a file, or in neither")
    return described


def _read_file(path: Path, file: File) -> bytes:
    where = f"{path.parent.name}/{path.name}"
    data = read_limited(path, MAX_FILE_BYTES)
    if len(data) != file.bytes:
        raise CheckpointError(
            f"{where}: expected {file.bytes} bytes, found {len(data)}; restore the original"
        )
    if _sha256(data) != file.sha256:
        raise CheckpointError(
            f"{where}: SHA-256 is not that of {CARD}; the file is damaged, restore the original"
        )
    return data


def _arrays(name: str, data: bytes) -> Arrays:
    try:
        return safetensors.numpy.load(data)
    except Exception as error:  # the parser raises several kinds for foreign content
        raise CheckpointError(f"{name}: not a safetensors file; restore the original") from error


def read_limited(path: Path, limit_bytes: int) -> bytes:
    """Read a regular file of at most ``limit_bytes``, through no link; raises CheckpointError naming it."""
    where = f"{path.parent.name}/{path.name}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as stream:
            data = stream.read(limit_bytes + 1)
    except OSError as error:
        raise CheckpointError(f"{where}: {error.strerror}; expected a regular file") from error
    if len(data) > limit_bytes:
        raise CheckpointError(f"{where}: expected at most {limit_bytes} bytes; this is no PAT checkpoint")
    return data


def _assemble(described: Card, contents: Mapping[str, bytes]) -> Checkpoint:
    parsed = {name: _arrays(name, data) for name, data in contents.items() if name != GRAPH}
    scaling, golden = parsed.get(SCALING), parsed.get(GOLDEN)
    checkpoint = Checkpoint(
        name=described.name,
        config=CONFIGS[described.architecture],
        weights=parsed[WEIGHTS],
        provenance=described.provenance,
        scaling=_scaling(described.scaling, scaling) if described.scaling and scaling is not None else None,
        heads=described.heads,
        golden=_golden(golden) if golden is not None else None,
        reference=_reference(described.reference) if described.reference else None,
    )
    if FOLDED in parsed:
        check_arrays(parsed[FOLDED], folded_shapes(checkpoint.config))
        vars(checkpoint).update(folded=_read_only(parsed[FOLDED]), graph=contents[GRAPH])  # the cached ones
    return checkpoint


def _scaling(described: ScalingCard, arrays: Arrays) -> Scaling:
    check_arrays(arrays, {"mean": (WEEK_MINUTES,), "sd": (WEEK_MINUTES,)}, "float64")
    try:
        return Scaling(arrays["mean"], arrays["sd"], **dict(described))
    except ValueError as error:
        raise CheckpointError(f"{SCALING}: {error}; restore the original") from error


def _reference(described: ReferenceCard) -> Reference:
    return Reference(
        described.cohort,
        described.n,
        {name: Statistic(**dict(found)) for name, found in described.input.items()},
        {name: Statistic(**dict(found)) for name, found in described.output.items()},
    )


def _golden(arrays: Arrays) -> Golden:
    if arrays.keys() != {"weeks", "pooled", "profile"}:
        raise CheckpointError(f"{GOLDEN}: expected weeks, pooled and profile; compute the golden again")
    return Golden(**arrays)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
