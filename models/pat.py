"""PAT, the Pretrained Actigraphy Transformer: a standardised week goes in, one vector per patch comes out.

This is the reference: the whole encoder of Ruan et al. (arXiv:2411.15240) in one file, as the official
notebooks build it. Faster engines are proven against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # the name everybody reads

from models.checkpoint import Checkpoint, Floats, check_arrays
from models.config import PATConfig, expected_shapes, position_table
from models.golden import Golden, panel_weeks

__all__ = ["PAT", "Block", "ConvEmbedding", "Encoding", "golden", "positions", "reference"]

DROPOUT = 0.1  # training only; never on attention weights


@dataclass(frozen=True)
class Encoding:
    """What the encoder says of a batch: one vector per patch, and where its last layer looked."""

    tokens: Tensor  # (B, N, 96)
    profile: Tensor | None = None  # (B, N), each row sums to 1

    @property
    def pooled(self) -> Tensor:
        """The embedding (B, 96): the mean over patches."""
        return self.tokens.mean(dim=1)


def positions(n: int, width: int = 96) -> Tensor:
    """Return the positional table (n, width), float32; see ``models.config.position_table``."""
    return torch.from_numpy(position_table(n, width))


class ConvEmbedding(nn.Conv1d):
    """PAT-Conv's embedding: convolution inside each patch (zero-padded), ReLU, mean over its minutes."""

    def __init__(self, width: int) -> None:
        super().__init__(1, width, kernel_size=3, padding=1)

    def forward(self, patches: Tensor) -> Tensor:
        """Embed ``patches`` (B, N, P) as (B, N, width)."""
        batch, n, minutes = patches.shape
        filtered = super().forward(patches.reshape(batch * n, 1, minutes))  # (B * N, width, P)
        return F.relu(filtered).mean(dim=2).reshape(batch, n, -1)


class Block(nn.Module):
    """One transformer block: attention, then feed-forward, each with residual and LayerNorm after it."""

    def __init__(self, config: PATConfig) -> None:
        super().__init__()
        self.config = config
        width, wide = config.width, config.heads * config.width
        self.query = nn.Linear(width, wide)
        self.key = nn.Linear(width, wide)
        self.value = nn.Linear(width, wide)
        self.output = nn.Linear(wide, width)
        self.norm1 = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.expand = nn.Linear(width, config.feed_forward)
        self.contract = nn.Linear(config.feed_forward, width)
        self.norm2 = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        """Transform ``x`` (B, N, 96) into the same shape."""
        x = self.norm1(x + self.dropout(self.attend(x)))
        transformed: Tensor = self.norm2(x + self.dropout(self.contract(F.relu(self.expand(x)))))
        return transformed

    def attend(self, x: Tensor) -> Tensor:
        """Mix the patches of ``x`` (B, N, 96) by self-attention, without a mask."""
        query, key, value = (self.split(layer(x)) for layer in (self.query, self.key, self.value))
        scale = self.config.width**-0.5
        mixed = F.scaled_dot_product_attention(query, key, value, scale=scale)  # (B, H, N, 96)
        attended: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return attended

    def split(self, x: Tensor) -> Tensor:
        """View (B, N, H * 96) as one sequence per head, (B, H, N, 96)."""
        batch, n, _ = x.shape
        return x.view(batch, n, self.config.heads, self.config.width).transpose(1, 2)

    def attention(self, x: Tensor) -> Tensor:
        """Return the attention weights (B, H, queries, keys) that ``attend`` gives to ``x`` (B, N, 96)."""
        query, key = self.split(self.query(x)), self.split(self.key(x))
        return torch.softmax(query @ key.transpose(2, 3) * self.config.width**-0.5, dim=-1)

    def received(self, x: Tensor) -> Tensor:
        """Return the share of attention that each patch of ``x`` receives, (B, N), each row summing to 1.

        Summed over the queries, averaged over heads, as in the official explainability notebook. It shows
        where the layer looked; it attributes no prediction.
        """
        received = self.attention(x).sum(dim=2).mean(dim=1)  # (B, N)
        return received / received.sum(dim=1, keepdim=True)


class PAT(nn.Module):
    """The encoder. Dropout acts in training mode only; call ``eval()`` for inference."""

    def __init__(self, config: PATConfig) -> None:
        super().__init__()
        self.config = config
        dense = nn.Linear(config.patch, config.width)
        self.embedding: nn.Module = ConvEmbedding(config.width) if config.conv else dense
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))

    def forward(self, weeks: Tensor, profile: bool = False) -> Encoding:
        """Encode standardised ``weeks`` (B, T), T any multiple of the patch; ValueError for another length.

        With ``profile`` the attention received in the last layer is returned as well.
        """
        x = self.embed(weeks)  # (B, N, 96)
        for block in self.blocks[:-1]:
            x = block(x)
        last = cast("Block", self.blocks[-1])
        return Encoding(last(x), last.received(x) if profile else None)

    def embed(self, weeks: Tensor) -> Tensor:
        """Cut ``weeks`` (B, T) into patches, embed them and add their positions: (B, N, 96)."""
        if weeks.dim() != 2:
            raise ValueError(f"expected weeks of shape (batch, minutes), found {tuple(weeks.shape)}")
        n = self.config.patches(weeks.shape[1])
        tokens: Tensor = self.embedding(weeks.reshape(-1, n, self.config.patch))
        return tokens + positions(n, self.config.width).to(tokens)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> PAT:
        """Build the encoder in inference mode; every tensor must match by name and shape, both ways."""
        model = cls(checkpoint.config)
        model.take({name: checkpoint.weights[name] for name in expected_shapes(checkpoint.config)})
        return model.eval()

    def take(self, weights: Mapping[str, Floats]) -> None:
        """Take over ``weights``; raises CheckpointError at any missing, surplus or misshapen tensor."""
        check_arrays(weights, {name: tuple(tensor.shape) for name, tensor in self.state_dict().items()})
        self.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})

    def weights(self) -> dict[str, Floats]:
        """Return a copy of every tensor by name, float32, as a Checkpoint holds them."""
        return {
            name: tensor.detach().cpu().float().numpy().copy() for name, tensor in self.state_dict().items()
        }


def reference(checkpoint: Checkpoint, weeks: Floats) -> Golden:
    """Encode ``weeks`` (N, T) in float64 arithmetic, one after the other: what engines are compared with."""
    model = PAT.from_checkpoint(checkpoint).double()
    with torch.inference_mode():
        encodings = [model(torch.from_numpy(week[None]).double(), profile=True) for week in weeks]
    pooled = [encoding.pooled.numpy() for encoding in encodings]
    profile = [encoding.profile.numpy() for encoding in encodings]
    return Golden(weeks, np.concatenate(pooled), np.concatenate(profile))


def golden(checkpoint: Checkpoint) -> Golden:
    """Compute the golden of ``checkpoint``: its float64 outputs on the panel of seeded weeks."""
    return reference(checkpoint, panel_weeks())
