"""PyTorch's own ways to a faster model, on the readable reference: torch.compile and a plain ONNX export.

    PYTHON torch_peer.py compile|export FOLDER BATCH THREADS

For an environment that holds this project's packages and onnxscript.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.obedient import obey
from models.checkpoint import load
from models.pat import PAT


class Pooled(torch.nn.Module):
    """The model with nothing but its embedding."""

    def __init__(self, model: PAT) -> None:
        super().__init__()
        self.model = model

    def forward(self, weeks: torch.Tensor) -> torch.Tensor:
        """Embed weeks (B, T) as (B, 96)."""
        pooled: torch.Tensor = self.model(weeks).pooled
        return pooled


def exported(model: torch.nn.Module, batch: int, threads: int) -> Any:
    """ONNX Runtime on what torch.onnx.export makes of the model."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plain.onnx"
        torch.onnx.export(model, (torch.zeros(batch, 10_080),), str(path), dynamo=True, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (name,) = [value.name for value in session.get_inputs()]
    return lambda weeks: session.run(None, {name: weeks})[0]


def main() -> None:
    """Load, make faster and obey."""
    how, folder, batch, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(threads)
    model = Pooled(PAT.from_checkpoint(load(folder))).eval()
    if how == "export":
        obey(exported(model, batch, threads), folder, batch)
        return
    compiled = torch.compile(model)

    def encode(weeks: Any) -> Any:
        with torch.inference_mode():
            return compiled(torch.from_numpy(weeks)).numpy()

    obey(encode, folder, batch)


if __name__ == "__main__":
    main()
