"""The gate: what is within its bound may serve, what is outside may not, and the figures are right."""

from dataclasses import replace

import numpy as np
import pytest

from models.config import Platt
from models.golden import PANEL, Golden, panel_weeks
from models.keras_import import import_keras
from models.pat import golden
from pat_runner.engines import ENGINES, FLOAT32, EngineOptions, EngineOutput, engine, native
from pat_runner.gate import GoldenMismatch, compare, prove
from tests.models.keras_files import head_arrays, keras_arrays, write_fine_tuned
from tests.shared import missing


@pytest.fixture(scope="module")
def proven(tmp_path_factory):
    path = tmp_path_factory.mktemp("gate") / "f.h5"
    own = import_keras(write_fine_tuned(path, keras_arrays("PAT-S"), head_arrays()))
    return own.with_golden(golden(own))


class Answers:
    """An engine that answers what it is told to."""

    name, precision, bound, at_once = "told", "fp32", FLOAT32, 1

    def __init__(self, pooled, profile):
        self.output = EngineOutput(
            pooled.astype(np.float32), None if profile is None else profile.astype(np.float32)
        )

    def run(self, weeks, want):
        return self.output


def off(golden, pooled=0.0, profile=0.0):
    """Answers that are wrong in one number of row 3."""
    found, shares = golden.pooled.copy(), golden.profile.copy()
    found[3, 7] += pooled
    shares[3, 11] += profile
    return Answers(found, shares)


def test_the_panel_is_the_kinds_of_weeks_it_names():
    weeks = panel_weeks()
    assert weeks.shape == (len(PANEL), 10_080)
    assert weeks.dtype == np.float32
    assert not weeks[4].any()
    assert np.abs(weeks[5]).max() == 250
    assert np.flatnonzero(weeks[6] == 0).tolist() == list(range(6 * 1440 + 120, 6 * 1440 + 180))
    assert (weeks[7] == 0).sum() == 2 * 1440
    assert np.abs(weeks[[0, 1, 2, 3]]).max() < 7


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_is_within_its_bound_with_room(proven, name):
    if name == "native" and native.library_file() is None:
        missing("there was no C compiler to build the native engine with")
    loaded = engine(proven, EngineOptions(name))
    prove(loaded, proven)
    found = compare(loaded, proven)
    assert found.rows == PANEL
    for part, limit in vars(loaded.bound).items():
        assert 0 <= found.worst(part) < limit / 2


def test_the_figures_are_those_of_the_rows(proven):
    found = compare(off(proven.golden, pooled=1e-3, profile=1e-5), proven)
    assert found.pooled == pytest.approx([0, 0, 0, 1e-3, 0, 0, 0, 0], abs=1e-6)
    assert found.profile == pytest.approx([0, 0, 0, 1e-5, 0, 0, 0, 0], abs=1e-7)
    assert np.argmax(found.centred) == np.argmax(found.cosine) == np.argmax(found.probability) == 3
    assert found.centred[3] > 10 * found.cosine[3]


def test_a_cosine_is_a_cosine(proven):
    pooled = proven.golden.pooled
    turned = pooled[::-1]
    found = compare(Answers(turned, proven.golden.profile), proven)
    lengths = np.linalg.norm(pooled, axis=1) * np.linalg.norm(turned, axis=1)
    assert found.cosine == pytest.approx(1 - (pooled * turned).sum(axis=1) / lengths, abs=1e-6)


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        ({"pooled": 1e-4}, "pooled differs by 1.0e-04, may differ by 2e-05"),
        ({"profile": 1e-5}, "profile differs by"),
        ({"pooled": 0.1}, "centred differs by"),
        ({"pooled": 0.1}, "probability differs by"),
        ({"pooled": np.nan}, "pooled differs by nan"),
    ],
)
def test_an_engine_outside_its_bound_is_refused_with_the_figure(proven, wrong, part):
    with pytest.raises(
        GoldenMismatch, match=f"pat-s: does not reproduce its golden output .told in fp32: .*{part}"
    ):
        prove(off(proven.golden, **wrong), proven)


def test_a_missing_profile_is_outside(proven):
    with pytest.raises(GoldenMismatch, match="profile differs by inf"):
        prove(Answers(proven.golden.pooled, None), proven)


def test_without_a_golden_nothing_is_proven(proven):
    with pytest.raises(GoldenMismatch, match="no golden output"):
        prove(off(proven.golden), replace(proven, golden=None))


def test_a_panel_of_one_week_has_no_centre_to_judge_by(proven):
    one = Golden(*(part[:1] for part in vars(proven.golden).values()))
    found = compare(Answers(one.pooled + 1e-6, one.profile), proven.with_golden(one))
    assert (found.rows, found.worst("centred")) == (("row 0",), 0)


def test_the_probability_is_the_calibrated_one(proven):
    flat = replace(proven, heads=(replace(proven.heads[0], calibration=Platt(0.0, 1.0)),))
    wrong = off(proven.golden, pooled=0.1)
    assert compare(wrong, proven).worst("probability") > 0
    assert compare(wrong, flat).worst("probability") == 0
