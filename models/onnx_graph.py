"""The folded encoder as an ONNX graph without weights, for ONNX Runtime (the only importer of onnx).

Inputs: ``weeks`` float32 (B, T), standardised; ``positions`` float32 (N, 96), N = T / patch; ``profiled``.
Outputs: ``pooled`` (B, 96); ``profile`` (B, N), all zeros unless ``profiled``; ``tokens`` (B, N, 96).

Attention has one head as wide as the model: the queries of all heads stand in one long sequence, for the
fold gives them the same keys and values. ONNX Runtime's MultiHeadAttention never writes their scores to
memory. Where the profile is wanted, the last layer takes the queries a head's worth at a time and adds up
the columns of each piece's softmax before the piece is forgotten: the same pass, without heads x N x N.

The weights lie in ``folded.safetensors`` beside the graph, which names them by offset and length, so that
any program can load the folder of a checkpoint with ONNX Runtime as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from models.config import PATConfig
from models.fold import folded_shapes

__all__ = ["WEIGHTS_FILE", "build"]

WEIGHTS_FILE = "folded.safetensors"
_OPSET = 18
_IR_VERSION = 10
_MICROSOFT = "com.microsoft"

Places = Mapping[str, tuple[int, int]]  # name of a tensor -> (offset, bytes) in the weights file


def build(config: PATConfig, places: Places) -> bytes:
    """Return the serialised graph of ``config`` with its weights at ``places`` in ``WEIGHTS_FILE``."""
    nodes = _Nodes(config)
    _encoder(nodes)
    d = config.width
    graph = helper.make_graph(
        nodes.made,
        config.name,
        inputs=[
            _value("weeks", "B", "T"),
            _value("positions", "N", d),
            helper.make_tensor_value_info("profiled", TensorProto.BOOL, []),
        ],
        outputs=[_value("pooled", "B", d), _value("profile", "B", "N"), _value("tokens", "B", "N", d)],
        initializer=[*nodes.constants, *_weights(config, places)],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)],
        ir_version=_IR_VERSION,
        producer_name="pat-service",
    )
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised


class _Nodes:
    """Nodes and small constants of a graph under construction; every node bears its first output's name."""

    def __init__(self, config: PATConfig) -> None:
        self.config = config
        self.made: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, kind: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> str:
        """Append a node and return the name of its first output."""
        self.made.append(helper.make_node(kind, inputs, outputs, name=outputs[0], **attributes))
        return outputs[0]

    def integers(self, name: str, *values: int) -> str:
        """Add a constant (len(values),) and return its name."""
        self.constants.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def linear(self, x: str, layer: str, out: str) -> str:
        """Append ``x @ W + b`` of ``layer``."""
        product = self.add("MatMul", [x, f"{layer}.weight"], f"{out}.product")
        return self.add("Add", [product, f"{layer}.bias"], out)

    def normalised(self, x: str, y: str, layer: str, out: str) -> str:
        """Append LayerNorm of the residual sum ``x + y``."""
        inputs = [self.add("Add", [x, y], f"{out}.sum"), f"{layer}.weight", f"{layer}.bias"]
        return self.add("LayerNormalization", inputs, out, axis=-1, epsilon=self.config.layer_norm_eps)


def _encoder(nodes: _Nodes) -> None:
    config = nodes.config
    nodes.integers("axis1", 1)
    nodes.integers("as_queries", 0, -1, config.width)  # (B, N, H * 96) -> (B, N * H, 96)
    nodes.integers("as_patches", 0, -1, config.heads * config.width)  # and back
    x = nodes.add("Add", [_embedded(nodes), "positions"], "embedded")  # (B, N, 96)
    for i in range(config.layers):
        x = _block(nodes, x, f"blocks.{i}", last=i == config.layers - 1)
    nodes.add("ReduceMean", [x, "axis1"], "pooled", keepdims=0)


def _embedded(nodes: _Nodes) -> str:
    patch = nodes.config.patch
    patches = nodes.add("Reshape", ["weeks", nodes.integers("as_minutes", 0, -1, patch)], "patches")
    if not nodes.config.conv:
        return nodes.linear(patches, "embedding", "embedding")
    signals = nodes.add("Reshape", [patches, nodes.integers("as_signals", -1, 1, patch)], "signals")
    inputs = [signals, "embedding.weight", "embedding.bias"]  # (B * N, 1, P)
    filtered = nodes.add("Conv", inputs, "filtered", kernel_shape=[3], pads=[1, 1])
    rectified = nodes.add("Relu", [filtered], "rectified")  # (B * N, 96, P)
    means = nodes.add("ReduceMean", [rectified, nodes.integers("axis2", 2)], "means", keepdims=0)
    shape = nodes.add("Shape", [patches], "patches.shape", start=0, end=2)  # B, N
    whole = nodes.add("Concat", [shape, nodes.integers("width", nodes.config.width)], "as_tokens", axis=0)
    return nodes.add("Reshape", [means, whole], "embedding")


def _block(nodes: _Nodes, x: str, name: str, *, last: bool) -> str:
    scores = nodes.linear(x, f"{name}.scores", f"{name}.q")
    queries = nodes.add("Reshape", [scores, "as_queries"], f"{name}.queries")
    attend = _attended_or_counted if last else _attended
    mixed = nodes.add("Reshape", [attend(nodes, queries, x, name), "as_patches"], f"{name}.mixed")
    x = nodes.normalised(x, nodes.linear(mixed, f"{name}.mix", f"{name}.a"), f"{name}.norm1", f"{name}.x1")
    inner = nodes.add("Relu", [nodes.linear(x, f"{name}.expand", f"{name}.f")], f"{name}.relu")
    fed = nodes.linear(inner, f"{name}.contract", f"{name}.g")
    return nodes.normalised(x, fed, f"{name}.norm2", "tokens" if last else f"{name}.x2")


def _attended(nodes: _Nodes, queries: str, x: str, name: str) -> str:
    out = f"{name}.attended"
    inputs = [queries, x, x]
    return nodes.add("MultiHeadAttention", inputs, out, domain=_MICROSOFT, num_heads=1, scale=1.0)


def _attended_or_counted(nodes: _Nodes, queries: str, x: str, name: str) -> str:
    """Attend plainly or, if ``profiled``, in pieces whose columns are added up: graph output ``profile``."""
    nodes.constants.append(helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]))
    shape = nodes.add("Shape", [x], f"{name}.shape", start=0, end=2)  # B, N
    plain, counted = _Nodes(nodes.config), _Nodes(nodes.config)
    mixed = _attended(plain, queries, x, f"{name}.plain")
    branches = {
        "else_branch": _branch(plain, mixed, plain.add("Expand", ["zero", shape], f"{name}.unseen")),
        "then_branch": _branch(counted, *_counted(counted, queries, x, f"{name}.counted")),
    }
    return nodes.add("If", ["profiled"], f"{name}.attended", "profile", **branches)


def _branch(nodes: _Nodes, mixed: str, profile: str) -> Any:
    outputs = [_value(mixed, "B", "Q", nodes.config.width), _value(profile, "B", "N")]
    return helper.make_graph(nodes.made, mixed, [], outputs)


def _counted(nodes: _Nodes, queries: str, x: str, name: str) -> tuple[str, str]:
    """Append attention in as many pieces as heads: what was mixed, and each key's share of all attention."""
    keys = nodes.add("Transpose", [x], f"{name}.keys", perm=[0, 2, 1])  # (B, 96, N)
    pieces = [f"{name}.queries{i}" for i in range(nodes.config.heads)]  # (B, N, 96) each
    nodes.add("Split", [queries], *pieces, axis=1, num_outputs=len(pieces))
    mixed, received = [], ""
    for i, piece in enumerate(pieces):
        scores = nodes.add("MatMul", [piece, keys], f"{name}.scores{i}")
        shares = nodes.add("Softmax", [scores], f"{name}.shares{i}", axis=-1)  # (B, N, N)
        mixed.append(nodes.add("MatMul", [shares, x], f"{name}.mixed{i}"))
        columns = nodes.add("ReduceSum", [shares, "axis1"], f"{name}.columns{i}", keepdims=0)
        received = nodes.add("Add", [received, columns], f"{name}.received{i}") if received else columns
    total = nodes.add("ReduceSum", [received, "axis1"], f"{name}.total", keepdims=1)
    profile = nodes.add("Div", [received, total], f"{name}.profile")
    return nodes.add("Concat", mixed, f"{name}.mixed", axis=1), profile


def _value(name: str, *shape: str | int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def _weights(config: PATConfig, places: Places) -> list[TensorProto]:
    return [_weight(name, shape, *places[name]) for name, shape in folded_shapes(config).items()]


def _weight(name: str, shape: tuple[int, ...], offset: int, length: int) -> TensorProto:
    external = TensorProto.EXTERNAL
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape, data_location=external)
    for key, value in (("location", WEIGHTS_FILE), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor
