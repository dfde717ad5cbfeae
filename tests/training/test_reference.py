"""The reference in a card: of weeks as the service sees them; the shipped one is what this code makes."""

import numpy as np
import pytest

from models.checkpoint import load
from pat_runner.pipeline import MAX_MISSING_FRACTION
from tests.shared import ROOT
from training.pretrain import Options, held_out_weeks
from training.reference import main, served_weeks, with_reference
from training.synthetic import cohort

DEMO = ROOT / "models" / "weights" / "pat-s-demo"


def test_what_was_not_worn_is_missing_and_a_week_of_too_little_is_left_out():
    weeks = cohort(3, 5)
    weeks[0, 2000:3000] = 0  # off the wrist
    weeks[1, : int(10_080 * MAX_MISSING_FRACTION) + 60] = np.nan
    seen = served_weeks(weeks)
    assert len(seen) == 2
    assert np.isnan(seen[0, 2100:2900]).all()


@pytest.mark.slow
def test_the_shipped_reference_is_the_one_that_this_code_makes(tmp_path):
    shipped = load(DEMO)
    made = with_reference(shipped, held_out_weeks(Options())).reference
    assert (made.cohort, made.n) == (shipped.reference.cohort, shipped.reference.n)
    for side in ("input", "output"):
        for name, usual in getattr(shipped.reference, side).items():
            again = getattr(made, side)[name]
            assert again.mean == pytest.approx(usual.mean, abs=usual.sd / 1000)
            assert again.sd == pytest.approx(usual.sd, rel=1e-3)


def test_the_card_is_written_anew_and_nothing_else(tmp_path, monkeypatch):
    folder = tmp_path / "demo"
    folder.mkdir()
    for path in DEMO.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    few = cohort(5, 7)
    monkeypatch.setattr("training.pretrain.held_out_weeks", lambda _: few)
    main([str(folder)])
    changed = {path.name for path in DEMO.iterdir() if path.read_bytes() != (folder / path.name).read_bytes()}
    assert changed == {"checkpoint.json"}
    assert load(folder).reference.n == len(served_weeks(few))
    assert load(folder).digest == load(DEMO).digest
