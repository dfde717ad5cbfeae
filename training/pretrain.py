"""Pretrain a small PAT on synthetic weeks, so that the service can be shown and tested with nobody's data.

    python -m training.pretrain --output models/weights/pat-s-demo

The result is a demonstration: it has no clinical meaning. The same seed, options, machine and pinned packages
give the same bytes. Held-out people are drawn apart and play no part in training or stopping: the schedule is
fixed. docs/demonstration-weights.md has the numbers.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from models.checkpoint import Checkpoint, CheckpointProvenance, save
from models.config import CONFIGS
from models.pat import golden
from preprocessing.scaling import Scaling
from preprocessing.units import Device, Unit, WearSite
from training.masked_autoencoder import MaskedAutoencoder, hidden_count, orders, squared_error, targets
from training.reference import with_reference
from training.synthetic import cohort

__all__ = ["Options", "Pretrained", "held_out_weeks", "main", "masked_error", "pretrain", "to_checkpoint"]

log = logging.getLogger(__name__)
CONFIG = CONFIGS["PAT-S"]
COHORT = "synthetic-demo-1"


@dataclass(frozen=True)
class Options:
    """All that decides the result, with the values of the demonstration weights."""

    seed: int = 0
    weeks: int = 4000  # one per person
    held_out: int = 400
    updates: int = 1200
    batch: int = 64
    asked: int = 64  # of the 504 hidden patches of each sample, per update
    peak_rate: float = 3e-3
    threads: int = 2


@dataclass(frozen=True)
class Pretrained:
    """The trained network, its cohort's scaling, and the error on people it never met."""

    network: MaskedAutoencoder
    scaling: Scaling
    error: float  # mean squared, over the hidden minutes of held-out weeks, in squared cohort SDs
    mean_error: float  # the same, when the cohort's mean of each minute is the answer

    @property
    def ratio(self) -> float:
        """Share of the variance of hidden minutes that is left; 1 = as bad as the mean of each minute."""
        return self.error / self.mean_error


def pretrain(options: Options) -> Pretrained:
    """Make the cohort, fit its scaling, train, and measure on held-out people."""
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    weeks = cohort(options.weeks, (options.seed, 1))
    scaling = Scaling.fit(
        weeks,
        unit=Unit.ACTIWATCH_COUNTS,
        device=Device.SYNTHETIC_DEMO,
        wear_site=WearSite.WRIST,
        cohort=COHORT,
    )
    network = MaskedAutoencoder(CONFIG).initialise(_random(options))
    _train(network, targets(scaling, weeks), options)
    error, mean_error = masked_error(network, targets(scaling, held_out_weeks(options)), options)
    return Pretrained(network, scaling, error, mean_error)


def held_out_weeks(options: Options) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Weeks (held_out, 10_080) of people who are in no training cohort of any size."""
    return cohort(options.held_out, (options.seed, 2))


def _random(options: Options) -> torch.Generator:
    return torch.Generator().manual_seed(options.seed)


def _train(network: MaskedAutoencoder, weeks: Tensor, options: Options) -> None:
    """Adam with a warm-up and a cosine decline over a fixed number of updates."""
    network.eval()  # without dropout: at some twenty passes with fresh masks there is nothing to overfit
    optimizer = torch.optim.Adam(network.parameters(), lr=options.peak_rate, eps=1e-7)  # as Keras
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.peak_rate, total_steps=options.updates, pct_start=0.1, cycle_momentum=False
    )
    patches = CONFIG.patches(weeks.shape[1])
    random = _random(options)
    for update, batch in enumerate(_batches(len(weeks), options, random), start=1):
        squares, minutes = squared_error(
            *network(weeks[batch], orders(len(batch), patches, random), options.asked)
        )
        loss = squares / minutes
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
        optimizer.step()
        rate.step()
        if update % 50 == 0:
            log.info("update %d of %d: error %.4f", update, options.updates, loss.item())


def _batches(n: int, options: Options, random: torch.Generator) -> Iterator[Tensor]:
    """Row numbers of each update's batch: every week once before any a second time."""
    rows = torch.empty(0, dtype=torch.int64)
    for _ in range(options.updates):
        while len(rows) < options.batch:
            rows = torch.cat([rows, torch.randperm(n, generator=random)])
        yield rows[: options.batch]
        rows = rows[options.batch :]


def masked_error(network: MaskedAutoencoder, weeks: Tensor, options: Options) -> tuple[float, float]:
    """Mean squared error over the hidden recorded minutes of ``weeks`` (N, T): network's and mean's."""
    patches = CONFIG.patches(weeks.shape[1])
    order = orders(len(weeks), patches, _random(options))
    totals = np.zeros(3)
    with torch.inference_mode():
        for rows, shuffled in zip(torch.split(weeks, 25), torch.split(order, 25), strict=True):
            restored, hidden = network(rows, shuffled, hidden_count(patches))
            squares, minutes = squared_error(restored, hidden)
            totals += [
                squares.item(),
                squared_error(torch.zeros_like(hidden), hidden)[0].item(),
                minutes.item(),
            ]
    return float(totals[0] / totals[2]), float(totals[1] / totals[2])


def to_checkpoint(trained: Pretrained, options: Options, created: str) -> Checkpoint:
    """The encoder alone as a checkpoint, with its scaling and its golden from the float64 reference."""
    weights = {name: tensor.numpy().copy() for name, tensor in trained.network.encoder.state_dict().items()}
    note = (
        f"Demonstration only, no clinical meaning. seed {options.seed}, {options.weeks} synthetic weeks, "
        f"{options.updates} updates of {options.batch}; masked error on {options.held_out} held-out people "
        f"{trained.ratio:.4f} of that of the per-minute mean; "
        f"torch {torch.__version__}, numpy {np.__version__}"
    )
    provenance = CheckpointProvenance(
        source="own pretraining on synthetic weeks (training.pretrain); architecture of arXiv:2411.15240",
        licence="Apache-2.0",
        created=created,
        note=note,
    )
    checkpoint = Checkpoint("pat-s-demo", CONFIG, weights, provenance, trained.scaling)
    return checkpoint.with_golden(golden(checkpoint))


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, pretrain, write the checkpoint folder and, if asked, the decoder for tests."""
    parser = argparse.ArgumentParser(prog="python -m training.pretrain", description=__doc__)
    for name, default in vars(Options()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    parser.add_argument("--output", type=Path, required=True, help="checkpoint folder")
    parser.add_argument(
        "--created", default=datetime.now(UTC).date().isoformat(), help="date written into the provenance"
    )
    parser.add_argument(
        "--decoder", type=Path, help="also write the decoder, in half precision, to this file"
    )
    given = vars(parser.parse_args(arguments))
    output, created, decoder = (given.pop(name) for name in ("output", "created", "decoder"))
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = Options(**given)
    trained = pretrain(options)
    log.info("held-out error %.4f, mean %.4f, ratio %.4f", trained.error, trained.mean_error, trained.ratio)
    save(with_reference(to_checkpoint(trained, options, created), held_out_weeks(options)), output)
    if decoder:
        safetensors.torch.save_file(_decoder(trained.network), decoder)


def _decoder(network: MaskedAutoencoder) -> dict[str, Tensor]:
    """All that is not encoder, in half precision: needed to reproduce the held-out error."""
    state = network.state_dict().items()
    return {name: tensor.half() for name, tensor in state if not name.startswith("encoder.")}


if __name__ == "__main__":
    main()
