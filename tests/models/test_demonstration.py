"""The weights that ship with the project reproduce their golden output."""

import pytest

from models.checkpoint import load
from models.pat import golden
from pat_runner.runner import Runner
from tests.shared import ROOT, missing

DEMO = ROOT / "models" / "weights" / "pat-s-demo"


@pytest.fixture(scope="module")
def demo():
    if not DEMO.exists():
        missing("the demonstration weights are not built (make pretrain)")
    return load(DEMO)


def test_the_demonstration_weights_reproduce_their_golden(demo):
    Runner(demo).prove()


def test_their_golden_is_the_float64_pass_of_this_code(demo):
    again = golden(demo)
    assert abs(again.pooled - demo.golden.pooled).max() < 1e-9
    assert abs(again.profile - demo.golden.profile).max() < 1e-9


def test_they_say_what_they_are(demo):
    assert (demo.config.name, demo.scaling.device) == ("PAT-S", "synthetic-demo")
    assert demo.heads == ()
    assert demo.provenance.licence
    assert sum(path.stat().st_size for path in DEMO.iterdir()) < 2_000_000
