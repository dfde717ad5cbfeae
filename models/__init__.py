"""Networks and their weights; never data types.

config        the sizes that exist, the tensors each must have, the positional table
pat, heads    the networks (torch)
checkpoint    weights with scaling, golden and provenance, on disk as safetensors
keras_import  the authors' HDF5 files, every layout
download      the official files
store         in and out of the BentoML model store
"""

__all__ = ["checkpoint", "config", "download", "heads", "keras_import", "pat", "store"]
