"""A contender in its own process runs when told to, and says what it took."""

import json
import sys

import numpy as np
import pytest

from benchmarks.encoder import Contender, prepared
from benchmarks.weights import LOGIT_SD, seeded
from benchmarks.workers import Run, Worker, WorkerFailed
from models.checkpoint import load
from models.pat import PAT


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return prepared(seeded("PAT-S"), tmp_path_factory.mktemp("bench") / "PAT-S", minutes=1260)


@pytest.mark.parametrize("name", ["pat onnxruntime", "naive torch", "torch SDPA"])
def test_a_contender_computes_the_reference_and_times_itself(folder, name):
    worker = Worker([sys.executable, "-m", "benchmarks.contenders", name, str(folder), "4", "1"], 1)
    try:
        assert worker.ready["difference"] < 2e-5
        run = worker.run()
        assert 0 < run.cpu_ms < 1000
        assert 0 < run.wall_ms < 1000
        assert 20 < worker.peak_rss_mb() < 2000
    finally:
        worker.end()


def test_a_contender_that_cannot_start_says_why(folder):
    with pytest.raises(WorkerFailed, match="KeyError"):
        Worker([sys.executable, "-m", "benchmarks.contenders", "nobody", str(folder), "1", "1"], 1)


def test_ratios_are_of_one_turn_and_the_median_is_reported():
    runs = [Run(10, 5), Run(30, 15), Run(20, 9)]
    made = Contender("x", "PAT-S", 1, 1, runs=runs, floors_ms=[10, 20, 10]).document()
    assert (made["cpu_ms"], made["wall_ms"], made["times_floor"]) == (20, 9, 1.5)
    assert made["cpu_ms_spread"] == [10, 30]


def test_seeded_weights_are_the_same_and_as_lively_as_they_say(folder):
    stored = load(folder)
    assert stored.digest == seeded("PAT-S").digest
    model = PAT.from_checkpoint(stored)
    import torch

    with torch.inference_mode():
        x = model.embed(torch.from_numpy(np.load(folder / "panel.npy")[:4]))
        attention = model.blocks[0].attention(x)
    assert float(attention.log().std(dim=-1).mean()) == pytest.approx(LOGIT_SD, rel=0.25)
    assert json.loads((folder / "config.json").read_text())["heads"] == 6
