"""The encoder as the authors build it in Keras, called as their notebooks call it.

    PYTHON keras_peer.py function|predict FOLDER BATCH THREADS

For an environment with TensorFlow, numpy and safetensors; knows nothing of this project but its files.
``function`` is the model as one compiled tf.function, ``predict`` is Keras's own loop over batches.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import safetensors.numpy
import tensorflow as tf

from benchmarks.obedient import obey


def positions(n: int, width: int) -> np.ndarray:
    """All sines, then all cosines."""
    k = np.arange(width // 2)
    angles = np.arange(n)[:, None] * np.exp(2 * k * (-np.log(10_000.0) / width))
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def build(patch: int, heads: int, layers: int, minutes: int = 10_080) -> keras.Model:
    """The functional model: patches, dense embedding, positions, post-norm blocks, mean over patches."""
    n, width = minutes // patch, 96
    weeks = keras.Input((minutes,))
    x = keras.layers.Dense(width, name="embedding")(keras.layers.Reshape((n, patch))(weeks))
    x = x + positions(n, width)
    for i in range(layers):
        attention = keras.layers.MultiHeadAttention(
            heads, key_dim=width, value_dim=width, name=f"{i}.attention"
        )
        attended, _ = attention(x, x, return_attention_scores=True)
        x = keras.layers.LayerNormalization(epsilon=1e-6, name=f"{i}.norm1")(x + attended)
        inner = keras.layers.Dense(256, activation="relu", name=f"{i}.expand")(x)
        fed = keras.layers.Dense(width, name=f"{i}.contract")(inner)
        x = keras.layers.LayerNormalization(epsilon=1e-6, name=f"{i}.norm2")(x + fed)
    return keras.Model(weeks, keras.ops.mean(x, axis=1))


def fill(model: keras.Model, w: dict[str, np.ndarray], heads: int, layers: int) -> keras.Model:
    """Set the weights, ours being (out, in)."""

    def dense(name: str, source: str) -> None:
        model.get_layer(name).set_weights([w[f"{source}.weight"].T, w[f"{source}.bias"]])

    dense("embedding", "embedding")
    for i in range(layers):
        block, parts = f"blocks.{i}", []
        for name in ("query", "key", "value"):
            parts += [
                w[f"{block}.{name}.weight"].T.reshape(96, heads, 96),
                w[f"{block}.{name}.bias"].reshape(heads, 96),
            ]
        output = w[f"{block}.output.weight"].T.reshape(heads, 96, 96)
        model.get_layer(f"{i}.attention").set_weights([*parts, output, w[f"{block}.output.bias"]])
        for name in ("expand", "contract"):
            dense(f"{i}.{name}", f"{block}.{name}")
        for name in ("norm1", "norm2"):
            model.get_layer(f"{i}.{name}").set_weights(
                [w[f"{block}.{name}.weight"], w[f"{block}.{name}.bias"]]
            )
    return model


def main() -> None:
    """Build, fill and obey."""
    how, folder, batch, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    sizes = json.loads((folder / "config.json").read_text())
    patch, heads, layers = sizes["patch"], sizes["heads"], sizes["layers"]
    weights = safetensors.numpy.load_file(folder / "weights.safetensors")
    model = fill(build(patch, heads, layers), weights, heads, layers)
    if how == "predict":
        obey(lambda weeks: model.predict(weeks, batch_size=batch, verbose=0), folder, batch)
    else:
        compiled = tf.function(lambda weeks: model(weeks, training=False))
        obey(lambda weeks: compiled(tf.constant(weeks)).numpy(), folder, batch)


if __name__ == "__main__":
    main()
