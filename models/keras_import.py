"""Import of the authors' Keras weights: every layout they published, with h5py alone, strictly and safely.

Layouts: ``save_weights`` (layer groups at the root), ``model.save`` (under ``model_weights/``) and a
fine-tuned classifier (encoder under ``model_weights/encoder_model/``, head beside it). HDF5 is an attack
surface: a small file can declare terabytes, or show another file of this machine as its own data. So the
structure is judged before any value is read, and the model configuration inside is never interpreted.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np

from models.checkpoint import (
    MAX_FILE_BYTES,
    Checkpoint,
    CheckpointError,
    CheckpointProvenance,
    Floats,
    read_limited,
)
from models.config import CONFIGS, HEAD_HIDDEN, HeadConfig, PATConfig, Shapes

__all__ = ["HDF5_SIGNATURE", "IMPORTED_HEAD", "ImportOptions", "import_keras"]

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
IMPORTED_HEAD = "imported"  # label of a fine-tuned file's head; it brings no evidence, so it is not served
MAX_DEPTH = 8
MAX_MEMBERS = 1000  # a fine-tuned PAT-L has about 250

Datasets = dict[str, h5py.Dataset]


@dataclass(frozen=True)
class ImportOptions:
    """What the importer demands (``sha256``, ``size``) and what it writes on the card (the rest)."""

    name: str | None = None  # default: from the architecture
    size: str | None = None  # a name of CONFIGS
    sha256: str | None = None
    source: str | None = None
    licence: str = "not stated"
    note: str = ""


def import_keras(path: Path, options: ImportOptions = ImportOptions()) -> Checkpoint:
    """Read the encoder, and the head if there is one, of a Keras HDF5 file.

    Raises CheckpointError naming the file and tensor; nothing else escapes, whatever the file holds.
    """
    content = read_limited(path, MAX_FILE_BYTES)
    digest = hashlib.sha256(content).hexdigest()
    if options.sha256 is not None and digest != options.sha256.lower():
        expected = f"expected SHA-256 {options.sha256:.64}, found {digest}"
        raise CheckpointError(f"{path.name}: {expected}; get the file again, or pin what is meant")
    if not content.startswith(HDF5_SIGNATURE):
        raise CheckpointError(f"{path.name}: expected a Keras HDF5 file (.h5), found another kind of file")
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            return _checkpoint(_datasets(file), options, _provenance(path, digest, options))
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error}") from error
    except Exception as error:  # a damaged file fails anywhere in the HDF5 library, in many kinds
        raise CheckpointError(f"{path.name}: the HDF5 structure is damaged; get the file again") from error


def _provenance(path: Path, digest: str, options: ImportOptions) -> CheckpointProvenance:
    return CheckpointProvenance(
        source=options.source or f"Keras file {path.name}",
        licence=options.licence,
        created=datetime.now(UTC).date().isoformat(),
        source_sha256=digest,
        note=options.note,
    )


def _checkpoint(datasets: Datasets, options: ImportOptions, provenance: CheckpointProvenance) -> Checkpoint:
    config = _architecture(datasets)
    if options.size not in (None, config.name):
        raise CheckpointError(f"expected {options.size}, found {config.name}; use the file of that size")
    with_head = any(key.startswith(("dense_128/", "output/")) for key in datasets)
    sources = _encoder_sources(config) | (_head_sources(config) if with_head else {})
    _judge(datasets, {source.key: source.shape for source in sources.values()})
    return Checkpoint(
        name=options.name or config.name.lower(),
        config=config,
        weights={name: source.read(datasets) for name, source in sources.items()},
        provenance=provenance,
        heads=(HeadConfig(label=IMPORTED_HEAD, task="not stated"),) if with_head else (),
    )


def _datasets(file: h5py.File) -> Datasets:
    """Return every dataset by its key; hard links only, bounded; optimizer state is left out."""
    found: Datasets = {}
    for path, dataset in _walk(file):
        key = _key(path)
        if key in found:
            raise CheckpointError(f"tensor {key:.120}: found twice; use the original file")
        found[key] = dataset
    return found


def _walk(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    waiting: list[tuple[str, h5py.Group]] = [("", file)]
    members = 0
    while waiting:
        prefix, group = waiting.pop()
        members += len(group)
        if members > MAX_MEMBERS or prefix.count("/") > MAX_DEPTH:
            limits = f"{MAX_MEMBERS} members and {MAX_DEPTH} levels"
            raise CheckpointError(f"group {prefix:.120}: expected at most {limits}; this is no PAT file")
        for name in group:
            path = prefix + name
            member = _member(group, name, path)
            if path == "optimizer_weights":
                continue
            if isinstance(member, h5py.Group):
                waiting.append((path + "/", member))
            else:
                yield path, member


def _member(group: h5py.Group, name: str, path: str) -> h5py.Group | h5py.Dataset:
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise CheckpointError(f"tensor {path:.120}: expected data of this file, found a link; refused")
    member = group[name]
    if not isinstance(member, h5py.Group | h5py.Dataset):
        raise CheckpointError(f"tensor {path:.120}: expected a group or a dataset; refused")
    return member


def _key(path: str) -> str:
    """Drop the levels in which the layouts differ, so that a tensor has one key in all of them."""
    path = path.removeprefix("model_weights/").removeprefix("encoder_model/")
    path = re.sub(r"^encoder_layer_(\d+)_transformer/(?=encoder_layer_\1_)", "", path)
    return re.sub(r"^([^/]+)/(?=\1/)", "", path)


def _architecture(datasets: Datasets) -> PATConfig:
    """Tell the architecture from the arrays: kind of embedding, number of heads and layers."""
    conv = "conv1d_patch_embedding/kernel:0" in datasets
    query = datasets.get("encoder_layer_1_attention/query/kernel:0")
    if query is None or len(query.shape) != 3:
        raise CheckpointError(
            "tensor encoder_layer_1_attention/query/kernel:0: missing; this is no PAT encoder"
        )
    layers = len({match[1] for key in datasets if (match := re.match(r"encoder_layer_(\d+)_", key))})
    for config in CONFIGS.values():
        if (config.conv, config.heads, config.layers) == (conv, query.shape[1], layers):
            return config
    found = f"{layers} layers of {query.shape[1]} heads"
    raise CheckpointError(
        f"expected one of {', '.join(CONFIGS)}, found {found}; tensors are missing or foreign"
    )


def _judge(datasets: Datasets, shapes: Shapes) -> None:
    """Raise CheckpointError unless ``datasets`` are exactly those of ``shapes``, each of plain float32."""
    for key in sorted(shapes.keys() - datasets.keys()):
        raise CheckpointError(f"tensor {key}: missing; use the complete file")
    for key in sorted(datasets.keys() - shapes.keys()):
        raise CheckpointError(f"tensor {key:.120}: not part of this architecture; use the original file")
    for key, shape in shapes.items():
        _judge_shape(key, datasets[key], shape)
        _judge_storage(key, datasets[key])


def _judge_shape(key: str, dataset: h5py.Dataset, shape: tuple[int, ...]) -> None:
    if dataset.dtype != np.dtype("<f4"):
        raise CheckpointError(f"tensor {key}: expected float32, found another type; use the original file")
    if dataset.shape != shape:
        raise CheckpointError(
            f"tensor {key}: expected shape {shape}, found {dataset.shape}; use the original file"
        )


def _judge_storage(key: str, dataset: h5py.Dataset) -> None:
    """Refuse data that lies elsewhere (external, virtual), is filtered, or was declared but never written."""
    properties = dataset.id.get_create_plist()
    plain = (
        properties.get_layout() in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT) and not properties.get_nfilters()
    )
    if dataset.external is not None or dataset.is_virtual or not plain:
        raise CheckpointError(
            f"tensor {key}: expected plain data of this file; external, virtual or filtered is refused"
        )
    if dataset.nbytes != 4 * dataset.size or dataset.id.get_storage_size() != dataset.nbytes:
        raise CheckpointError(f"tensor {key}: declared but not fully written; get the file again")


@dataclass(frozen=True)
class _Source:
    """Where a tensor of ours stands in a Keras file, and how it is laid out there."""

    key: str
    shape: tuple[int, ...]
    ins: int = 0  # leading axes of a kernel that are inputs; 0 for a vector

    def read(self, datasets: Mapping[str, h5py.Dataset]) -> Floats:
        """Read the values; a kernel (in..., out...) becomes a matrix (out, in)."""
        values: Floats = datasets[self.key][()]
        if not np.isfinite(values).all():
            raise CheckpointError(
                f"tensor {self.key}: expected finite values; the file is damaged, get it again"
            )
        if not self.ins:
            return values.reshape(-1)
        return np.ascontiguousarray(values.reshape(int(np.prod(self.shape[: self.ins])), -1).T)


@dataclass(frozen=True)
class _ConvSource(_Source):
    def read(self, datasets: Mapping[str, h5py.Dataset]) -> Floats:
        """Read a kernel (3, 1, out) as (out, 1, 3)."""
        return np.ascontiguousarray(super().read(datasets)[:, None, :])


def _encoder_sources(config: PATConfig) -> dict[str, _Source]:
    d = config.width
    sources = _dense("embedding", "dense", config.patch, d)
    if config.conv:
        kernel = _ConvSource("conv1d_patch_embedding/kernel:0", (3, 1, d), ins=2)
        bias = _Source("conv1d_patch_embedding/bias:0", (d,))
        sources = {"embedding.weight": kernel, "embedding.bias": bias}
    for i in range(config.layers):
        sources |= _block_sources(f"blocks.{i}", f"encoder_layer_{i + 1}", config)
    return sources


def _block_sources(ours: str, theirs: str, config: PATConfig) -> dict[str, _Source]:
    d, heads, ff = config.width, config.heads, config.feed_forward
    sources: dict[str, _Source] = {}
    for name in ("query", "key", "value"):
        layer = f"{theirs}_attention/{name}"
        sources[f"{ours}.{name}.weight"] = _Source(f"{layer}/kernel:0", (d, heads, d), ins=1)
        sources[f"{ours}.{name}.bias"] = _Source(f"{layer}/bias:0", (heads, d))
    output = f"{theirs}_attention/attention_output"
    sources[f"{ours}.output.weight"] = _Source(f"{output}/kernel:0", (heads, d, d), ins=2)
    sources[f"{ours}.output.bias"] = _Source(f"{output}/bias:0", (d,))
    for name in ("norm1", "norm2"):
        sources[f"{ours}.{name}.weight"] = _Source(f"{theirs}_{name}/gamma:0", (d,))
        sources[f"{ours}.{name}.bias"] = _Source(f"{theirs}_{name}/beta:0", (d,))
    expand, contract = f"{theirs}_ff1", f"{theirs}_ff2"
    return sources | _dense(f"{ours}.expand", expand, d, ff) | _dense(f"{ours}.contract", contract, ff, d)


def _head_sources(config: PATConfig) -> dict[str, _Source]:
    hidden = _dense(f"heads.{IMPORTED_HEAD}.hidden", "dense_128", config.width, HEAD_HIDDEN)
    return hidden | _dense(f"heads.{IMPORTED_HEAD}.output", "output", HEAD_HIDDEN, 1)


def _dense(ours: str, theirs: str, into: int, out: int) -> dict[str, _Source]:
    return {
        f"{ours}.weight": _Source(f"{theirs}/kernel:0", (into, out), ins=1),
        f"{ours}.bias": _Source(f"{theirs}/bias:0", (out,)),
    }
