"""Writes into the card of a demonstration checkpoint what weeks of its cohort are like; trains nothing.

    python -m training.reference models/weights/pat-s-demo

The weeks are those of people who played no part in training, prepared as the service prepares weeks: non-wear
is detected, and a week with too much missing is left out. The weights and their digest stay as they are.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.checkpoint import Checkpoint, load, save
from models.reference import Reference
from pat_runner.engines import EngineOptions, Want
from pat_runner.pipeline import MAX_MISSING_FRACTION
from pat_runner.runner import Encoded, Runner
from preprocessing.recording import Recording
from preprocessing.units import Device, Unit, WearSite
from preprocessing.wear import WearMode, assess
from preprocessing.week import weeks_of

__all__ = ["main", "served_weeks", "with_reference"]

Weeks = npt.NDArray[np.float32]


def with_reference(checkpoint: Checkpoint, cohort: Weeks) -> Checkpoint:
    """Return ``checkpoint`` with what raw weeks (N, 10_080) of its ``cohort`` are like."""
    assert checkpoint.scaling is not None  # noqa: S101  # the demonstration weights have one
    weeks = served_weeks(cohort)
    runner = Runner(checkpoint, EngineOptions("onnxruntime"))
    outcomes = runner.run(checkpoint.scaling.apply(weeks), [Want()] * len(weeks))
    embeddings = np.stack([outcome.pooled for outcome in outcomes if isinstance(outcome, Encoded)])
    return replace(checkpoint, reference=Reference.of(checkpoint.scaling.cohort, weeks, embeddings))


def served_weeks(weeks: Weeks) -> Weeks:
    """Return raw ``weeks`` as the service sees them: without non-wear, and without those it leaves out."""
    return np.stack(list(_seen(weeks)))


def _seen(weeks: Weeks) -> Iterator[Weeks]:
    for counts in weeks:
        recording = Recording(
            start=datetime(2026, 1, 5),  # wall clock, on a Monday
            zone=None,
            epoch_seconds=60,
            values=counts.astype(np.float64),
            unit=Unit.ACTIWATCH_COUNTS,
            device=Device.SYNTHETIC_DEMO,
            wear_site=WearSite.WRIST,
        )
        wear = assess(recording, WearMode.DETECT)
        for week in weeks_of(recording, wear.worn):
            if week.missing_fraction <= MAX_MISSING_FRACTION:
                yield week.counts


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and write the card anew."""
    from training.pretrain import Options, held_out_weeks  # noqa: PLC0415  # which imports this module

    parser = argparse.ArgumentParser(prog="python -m training.reference", description=__doc__)
    parser.add_argument("folder", type=Path, help="checkpoint folder")
    folder = parser.parse_args(arguments).folder
    save(with_reference(load(folder), held_out_weeks(Options())), folder)


if __name__ == "__main__":
    main()
