"""A head for tests: trained on a label planted in synthetic people (they sleep late), with held-out evidence.

It says nothing about any real person, is never shipped, and shows what a head's output becomes in FHIR.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from models.checkpoint import Checkpoint, load
from models.config import Evidence, HeadConfig, Platt
from models.heads import Head
from pat_runner.engines import Want
from pat_runner.runner import Runner
from tests.shared import ROOT
from training.synthetic import PersonTraits, people, week

__all__ = ["LABEL", "Planted", "planted", "with_planted_head"]

LABEL = "planted_late_sleeper"
LATER_HOURS = 4.0  # how much later the people with the label sleep
THRESHOLD = 0.5
DEMO = ROOT / "models" / "weights" / "pat-s-demo"


@dataclass(frozen=True)
class Planted:
    """Pooled embeddings (n, 96) of synthetic people and their planted label (n,)."""

    pooled: np.ndarray
    late: np.ndarray


def planted(checkpoint: Checkpoint, runner: Runner, n: int, seed: int) -> Planted:
    """Encode a week of each of ``n`` people, of whom every second one sleeps late."""
    late = np.arange(n) % 2 == 1
    lives = zip(people(n, seed), late, strict=True)
    counts = np.stack([week(_moved(traits, moved), rng, first) for (traits, rng, first), moved in lives])
    assert checkpoint.scaling is not None
    outcomes = runner.run(checkpoint.scaling.apply(counts), [Want()] * n)
    return Planted(np.stack([outcome.pooled for outcome in outcomes]), late)


def _moved(traits: PersonTraits, late: bool) -> PersonTraits:
    return replace(traits, midsleep_hour=traits.midsleep_hour + LATER_HOURS * late)


def with_planted_head() -> Checkpoint:
    """Train on 60 people, calibrate on 40 others, and give as evidence what 60 further ones show."""
    checkpoint = load(DEMO)
    runner = Runner(checkpoint)
    head = _trained(planted(checkpoint, runner, 60, seed=101))
    platt = _platt(head, planted(checkpoint, runner, 40, seed=102))
    evidence = _evidence(head, planted(checkpoint, runner, 60, seed=103))
    config = HeadConfig(LABEL, "planted label of synthetic people", "binary", THRESHOLD, platt, evidence)
    own = {f"heads.{LABEL}.{name}": tensor.numpy().copy() for name, tensor in head.state_dict().items()}
    return replace(checkpoint, heads=(config,), weights={**checkpoint.weights, **own})


def _trained(people: Planted) -> Head:
    torch.manual_seed(7)
    head = Head(HeadConfig(LABEL, "planted"))
    optimiser = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=0.05)
    inputs, labels = torch.from_numpy(people.pooled), torch.from_numpy(people.late.astype(np.float32))
    for _ in range(100):
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy(head(inputs), labels).backward()
        optimiser.step()
    return head.eval()


def _logits(head: Head, people: Planted) -> np.ndarray:
    with torch.no_grad():
        scores = head(torch.from_numpy(people.pooled)).numpy().astype(np.float64)
    return np.log(scores) - np.log1p(-scores)


def _platt(head: Head, people: Planted) -> Platt:
    """Fit p = sigmoid(slope * logit + intercept) by Newton's method."""
    design = np.stack([_logits(head, people), np.ones(people.late.size)], axis=1)
    fitted = np.array([1.0, 0.0])
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ fitted))
        curvature = design.T @ (design * (p * (1 - p))[:, None]) + 1e-9 * np.eye(2)
        fitted = fitted + np.linalg.solve(curvature, design.T @ (people.late - p))
    return Platt(float(fitted[0]), float(fitted[1]))


def _evidence(head: Head, people: Planted) -> Evidence:
    logits, late = _logits(head, people), people.late
    rng = np.random.default_rng(11)
    drawn = (rng.integers(0, late.size, late.size) for _ in range(500))
    low, high = np.quantile([_auc(logits[rows], late[rows]) for rows in drawn], [0.025, 0.975])
    cohort = "synthetic people of training/synthetic.py, planted label"
    return Evidence(cohort, int(late.size), int(late.sum()), _auc(logits, late), float(low), float(high))


def _auc(logits: np.ndarray, late: np.ndarray) -> float:
    """Share of pairs in which the late one scores higher (Mann-Whitney)."""
    higher = logits[late][:, None] - logits[~late][None]
    return float(np.mean(higher > 0) + np.mean(higher == 0) / 2)
