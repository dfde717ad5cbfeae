"""Random Keras weights in the authors' layouts, and PAT once more in plain numpy: a second opinion."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import h5py
import numpy as np

from models.config import CONFIGS, PATConfig
from models.golden import panel_weeks
from models.keras_import import ImportOptions, import_keras

Arrays = dict[str, np.ndarray]


def keras_arrays(size: str, seed: int = 0) -> Arrays:
    """Random weights by Keras path, chosen so that mistakes show (large attention, real biases)."""
    config, random = CONFIGS[size], np.random.default_rng(seed)
    h, d, ff, p = config.heads, config.width, config.feed_forward, config.patch

    def noise(scale, *shape):
        return (scale * random.normal(size=shape)).astype(np.float32)

    arrays = {"dense/dense/kernel:0": noise(p**-0.5, p, d), "dense/dense/bias:0": noise(0.15, d)}
    if config.conv:
        conv = "conv1d_patch_embedding/conv1d_patch_embedding"
        arrays = {f"{conv}/kernel:0": noise(0.6, 3, 1, d), f"{conv}/bias:0": noise(0.15, d)}
    for i in range(1, config.layers + 1):
        layer = f"encoder_layer_{i}_transformer/encoder_layer_{i}"
        for name in ("query", "key", "value"):
            arrays[f"{layer}_attention/{name}/kernel:0"] = noise(2 * d**-0.5, d, h, d)
            arrays[f"{layer}_attention/{name}/bias:0"] = noise(0.15, h, d)
        arrays[f"{layer}_attention/attention_output/kernel:0"] = noise((h * d) ** -0.5, h, d, d)
        arrays[f"{layer}_attention/attention_output/bias:0"] = noise(0.15, d)
        for name, gain in (("norm1", 0.003 if config.conv else 1.0), ("norm2", 1.0)):
            arrays[f"{layer}_{name}/gamma:0"] = np.float32(gain) * (1 + noise(0.25, d))
            arrays[f"{layer}_{name}/beta:0"] = np.float32(gain) * noise(0.25, d)
        dampened = 0.003 if config.conv else 1.0  # leaves norm2 a variance near its epsilon
        arrays |= {
            f"{layer}_ff1/kernel:0": noise(d**-0.5, d, ff),
            f"{layer}_ff1/bias:0": noise(0.15 * dampened, ff),
        }
        arrays |= {
            f"{layer}_ff2/kernel:0": noise(ff**-0.5, ff, d),
            f"{layer}_ff2/bias:0": noise(0.15 * dampened, d),
        }
    return arrays


def head_arrays(seed: int = 1) -> Arrays:
    random = np.random.default_rng(seed)
    shapes = {"dense_128/dense_128": (96, 128), "output/output": (128, 1)}
    kernels = {
        f"{name}/kernel:0": random.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()
    }
    return kernels | {
        f"{n}/bias:0": random.normal(0, 0.1, s[1]).astype(np.float32) for n, s in shapes.items()
    }


def write(path: Path, arrays: Arrays, under: str = "") -> Path:
    """Write ``arrays`` as Keras does, with the empty groups and attributes of the official files."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = "2.15.0", "tensorflow"
        for name in ("inputs", "reshape", "top_level_model_weights"):
            file.create_group(under + name)
        for name, array in arrays.items():
            file.create_dataset(under + name, data=array)
    return path


def write_fine_tuned(path: Path, encoder: Arrays, head: Arrays) -> Path:
    """The layout of a fine-tuned classifier: block groups and one level of the embedding are gone."""
    flat = {"/".join(name.split("/")[1:]): array for name, array in encoder.items()}
    arrays = {f"model_weights/encoder_model/{name}": array for name, array in flat.items()}
    arrays |= {f"model_weights/{name}": array for name, array in head.items()}
    arrays["optimizer_weights/Adam/m/output/bias:0"] = np.zeros(1, np.float32)
    return write(path, arrays, "")


def checkpoint(folder: Path, size: str = "PAT-S", seed: int = 0, **options):
    """A whole Checkpoint of random weights, by way of a Keras file."""
    return import_keras(write(folder / f"{size}.h5", keras_arrays(size, seed)), ImportOptions(**options))


@cache
def naive_of_the_panel(size: str) -> tuple[np.ndarray, np.ndarray]:
    """``naive`` for an eighth of each week of the panel, weights as in ``checkpoint``; not to be changed."""
    return naive(keras_arrays(size), CONFIGS[size], panel_weeks()[:, :1260])


def naive(arrays: Arrays, config: PATConfig, weeks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """PAT in float64 numpy, straight from the Keras arrays: tokens (B, N, 96), profile (B, N)."""
    w = {name.split("_transformer/")[-1]: array.astype(np.float64) for name, array in arrays.items()}
    n = weeks.shape[1] // config.patch
    patches = weeks.astype(np.float64).reshape(len(weeks), n, config.patch)
    if config.conv:
        conv = "conv1d_patch_embedding/conv1d_patch_embedding"
        padded = np.pad(patches, ((0, 0), (0, 0), (1, 1)))
        minutes = [padded[:, :, m : m + 3] @ w[f"{conv}/kernel:0"][:, 0] for m in range(config.patch)]
        x = np.mean([np.maximum(minute + w[f"{conv}/bias:0"], 0) for minute in minutes], axis=0)
    else:
        x = patches @ w["dense/dense/kernel:0"] + w["dense/dense/bias:0"]
    rates = 10_000.0 ** (-np.arange(48) / 48)
    x = x + np.hstack([np.sin(np.outer(np.arange(n), rates)), np.cos(np.outer(np.arange(n), rates))])
    attention = np.empty(0)
    for i in range(1, config.layers + 1):
        x, attention = _naive_block(w, f"encoder_layer_{i}", x)
    received = attention.sum(axis=2).mean(axis=1)
    return x, received / received.sum(axis=1, keepdims=True)


def _naive_block(w: Arrays, layer: str, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    def project(name):
        return (
            np.einsum("bnd,dhk->bhnk", x, w[f"{layer}_attention/{name}/kernel:0"])
            + w[f"{layer}_attention/{name}/bias:0"][None, :, None]
        )

    def norm(y, name):
        centred = y - y.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
        return scaled * w[f"{layer}_{name}/gamma:0"] + w[f"{layer}_{name}/beta:0"]

    q, k, v = project("query"), project("key"), project("value")
    scores = np.exp(np.einsum("bhqk,bhtk->bhqt", q, k) / np.sqrt(96))
    attention = scores / scores.sum(-1, keepdims=True)
    mixed = np.einsum(
        "bhqt,bhtk,hkd->bqd", attention, v, w[f"{layer}_attention/attention_output/kernel:0"], optimize=True
    )
    x = norm(x + mixed + w[f"{layer}_attention/attention_output/bias:0"], "norm1")
    hidden = np.maximum(x @ w[f"{layer}_ff1/kernel:0"] + w[f"{layer}_ff1/bias:0"], 0)
    return norm(x + hidden @ w[f"{layer}_ff2/kernel:0"] + w[f"{layer}_ff2/bias:0"], "norm2"), attention
