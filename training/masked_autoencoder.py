"""The masked autoencoder that PAT is pretrained with: hide most of a week, restore it from the rest.

Ruan et al. (arXiv:2411.15240) and their notebooks: 90 % of the patches are hidden, the encoder sees the
visible ones at their own positions, a decoder of one block restores the others, the answer passes 2 * tanh.
Departures, none of which makes the question easier:

- the error counts hidden patches of every sample and no others (the original's "masked" loss took patch
  numbers for minute numbers, so it scored some hundred minutes of one sample; its released loss scores all);
- each sample has its own mask (the original shares one per batch);
- in training the decoder may be asked for some of the hidden patches only: an unbiased sample of that error;
- training/pretrain.py trains without dropout.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # the name everybody reads

from models.config import PATConfig
from models.pat import PAT, Block, positions
from preprocessing.scaling import Scaling, Weeks

__all__ = [
    "MASKED_SHARE",
    "Decoder",
    "MaskedAutoencoder",
    "hidden_count",
    "orders",
    "squared_error",
    "targets",
]

MASKED_SHARE = 0.9  # best of 0.25, 0.50, 0.75, 0.90 in the paper


def hidden_count(patches: int) -> int:
    """How many of ``patches`` are hidden: 504 of 560."""
    return round(MASKED_SHARE * patches)


def orders(batch: int, patches: int, random: torch.Generator) -> Tensor:
    """One random order of the patches per sample, (batch, patches); the first ``hidden_count`` are hidden."""
    return torch.rand(batch, patches, generator=random).argsort(dim=1)


def targets(scaling: Scaling, weeks: Weeks) -> Tensor:
    """Standardise ``weeks`` (N, T) and keep what is not recorded as NaN, so that no error counts there."""
    standardised = scaling.apply(weeks)
    standardised[np.isnan(weeks)] = np.nan
    return torch.from_numpy(standardised)


def squared_error(restored: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of squared errors over the recorded minutes of ``hidden`` (B, M, P), and the number of those."""
    recorded = ~torch.isnan(hidden)
    difference = (restored - hidden.nan_to_num(nan=0.0)) * recorded
    return difference.square().sum(), recorded.sum()


def take(patches: Tensor, chosen: Tensor) -> Tensor:
    """Pick patches (B, M, D) of ``patches`` (B, N, D) by their numbers ``chosen`` (B, M)."""
    return patches.gather(1, chosen.unsqueeze(-1).expand(-1, -1, patches.shape[-1]))


class Decoder(Block):
    """The decoder's block; it answers only where it is asked."""

    def answer(self, tokens: Tensor, asked: Tensor) -> Tensor:
        """Rows ``asked`` (B, M) of what the block makes of ``tokens`` (B, N, 96): (B, M, 96)."""
        x = take(tokens, asked)
        query, key, value = (
            self.split(self.query(x)),
            self.split(self.key(tokens)),
            self.split(self.value(tokens)),
        )
        mixed = F.scaled_dot_product_attention(query, key, value, scale=self.config.width**-0.5)
        x = self.norm1(x + self.dropout(self.output(mixed.transpose(1, 2).flatten(2))))
        return self.norm2(x + self.dropout(self.contract(F.relu(self.expand(x)))))  # type: ignore[no-any-return]  # torch: Module call is Any


class MaskedAutoencoder(nn.Module):
    """Encoder, mask token, decoder and output; only the encoder is kept after pretraining."""

    def __init__(self, config: PATConfig) -> None:
        super().__init__()
        self.encoder = PAT(config)
        self.mask_token = nn.Parameter(torch.zeros(config.width))
        self.decoder = Decoder(config)
        self.restore = nn.Linear(config.width, config.patch)

    def initialise(self, random: torch.Generator) -> MaskedAutoencoder:
        """Draw all weights from ``random``: Glorot uniform, zero biases, as in Keras."""
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight, generator=random)
                nn.init.zeros_(layer.bias)
        nn.init.normal_(self.mask_token, std=0.02, generator=random)
        return self

    def forward(self, weeks: Tensor, order: Tensor, asked: int) -> tuple[Tensor, Tensor]:
        """Hide nine tenths of ``weeks`` (B, T), NaN = not recorded, and restore ``asked`` of the hidden.

        Returns restored and true values (B, asked, P) of the first hidden patches of ``order`` (B, N).
        """
        n = order.shape[1]
        visible, wanted = order[:, hidden_count(n) :], order[:, :asked]
        seen = take(self.encoder.embed(weeks.nan_to_num(nan=0.0)), visible)  # (B, N - hidden, 96)
        for block in self.encoder.blocks:
            seen = block(seen)
        blank = self.mask_token.expand(*order.shape, -1)
        tokens = blank.scatter(1, visible.unsqueeze(-1).expand_as(seen), seen)
        tokens = tokens + positions(n, seen.shape[-1])
        restored = self.restore(self.decoder.answer(tokens, wanted))
        return 2 * torch.tanh(restored), take(weeks.reshape(*order.shape, -1), wanted)
