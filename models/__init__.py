"""Networks and their weights; never data types.

config        the sizes that exist, the tensors each must have, the positional table
pat, heads    the networks (torch)
fold          the same encoder with other tensors: one set of keys and values for all heads
onnx_graph    the folded encoder as an ONNX graph
card          what is said of weights beside their numbers
checkpoint    weights in both forms with scaling, golden and provenance, on disk as safetensors
golden        the panel of weeks that proves an engine
reference     what weeks of the cohort and their embeddings are like
scores        what a head says of an embedding, without torch
keras_import  the authors' HDF5 files, every layout
download      the official files
store         in and out of the BentoML model store
"""

__all__ = [
    "card",
    "checkpoint",
    "config",
    "download",
    "fold",
    "golden",
    "heads",
    "keras_import",
    "onnx_graph",
    "pat",
    "reference",
    "scores",
    "store",
]
