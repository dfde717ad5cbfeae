"""The classifier on PAT's pooled embedding: 96 numbers go in, one score comes out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.checkpoint import Checkpoint, CheckpointError
from models.config import HEAD_HIDDEN, HeadConfig

__all__ = ["Head"]


class Head(nn.Module):
    """Dense 128 with ReLU, then one sigmoid (Ruan et al., fine-tuning notebook; dropout 0.1 before it).

    The score is a probability only through the calibration of its HeadConfig. A head imported without
    evidence can be computed here, to check the import, but is never served.
    """

    def __init__(self, config: HeadConfig, width: int = 96) -> None:
        super().__init__()
        self.config = config
        self.dropout = nn.Dropout(0.1)
        self.hidden = nn.Linear(width, HEAD_HIDDEN)
        self.output = nn.Linear(HEAD_HIDDEN, 1)

    def forward(self, pooled: Tensor) -> Tensor:
        """Score ``pooled`` (B, 96) as (B,), each in (0, 1)."""
        logits: Tensor = self.output(self.activations(self.dropout(pooled)))
        return torch.sigmoid(logits).squeeze(1)

    def activations(self, pooled: Tensor) -> Tensor:
        """Return the hidden layer's activations (B, 128)."""
        return torch.relu(self.hidden(pooled))

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, label: str) -> Head:
        """Build the head ``label`` in inference mode; raises CheckpointError if there is none."""
        config = next((head for head in checkpoint.heads if head.label == label), None)
        if config is None:
            known = ", ".join(head.label for head in checkpoint.heads) or "no head"
            raise CheckpointError(f"head {label:.40}: not in {checkpoint.name}, which holds {known}")
        head, prefix = cls(config, checkpoint.config.width), f"heads.{label}."
        own = {k.removeprefix(prefix): v for k, v in checkpoint.weights.items() if k.startswith(prefix)}
        head.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in own.items()})
        return head.eval()
