"""The Runner: a batch is its rows, a bad week harms no other, and wrong weights never answer."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from models.pat import golden
from pat_runner.engines import FLOAT32, EngineOptions, Want, chosen
from pat_runner.gate import GoldenMismatch
from pat_runner.runner import MAX_MINUTES, Encoded, Maker, Rejected, Runner
from tests.models.keras_files import checkpoint
from tests.shared import ROOT


@pytest.fixture(scope="module")
def proven(tmp_path_factory):
    own = checkpoint(tmp_path_factory.mktemp("runner"))
    return own.with_golden(golden(own))


@pytest.fixture(scope="module")
def runner(proven):
    return Runner(proven)


class Spy:
    """An engine that remembers the shapes it was given."""

    name, precision, bound, at_once = "spy", "fp32", FLOAT32, 4

    def __init__(self, inner):
        self.inner, self.shapes, self.wants = inner, [], []

    def run(self, weeks, want):
        self.shapes.append(weeks.shape)
        self.wants.append(want)
        return self.inner.run(weeks, want)


@pytest.fixture
def spied(proven):
    spied = Runner(proven)
    spied._engine = Spy(spied._engine)
    return spied


def weeks(n, minutes=1260, seed=0):
    return np.random.default_rng(seed).normal(size=(n, minutes)).astype(np.float32)


PLAIN, PROFILE, TOKENS = Want(), Want(profile=True), Want(tokens=True)
EVERYTHING = Want(profile=True, tokens=True)


def test_a_batch_of_one_equals_the_row_of_a_batch(runner):
    batch = weeks(6, 10_080)  # more than the engine takes at once
    together = runner.run(batch, [EVERYTHING] * 6)
    for row, outcome in enumerate(together):
        (alone,) = runner.run(batch[row : row + 1], [EVERYTHING])
        for part in ("pooled", "profile", "tokens"):
            assert np.abs(getattr(alone, part) - getattr(outcome, part)).max() < (
                1e-5 if part == "tokens" else 1e-6
            )


def test_the_pooled_embedding_is_the_mean_of_the_tokens(runner):
    (outcome,) = runner.run(weeks(1), [EVERYTHING])
    assert outcome.tokens.shape == (70, 96)
    assert np.abs(outcome.tokens.mean(axis=0) - outcome.pooled).max() < 1e-6
    assert outcome.profile.sum() == pytest.approx(1, abs=1e-5)
    assert {array.dtype for array in (outcome.pooled, outcome.profile, outcome.tokens)} == {
        np.dtype(np.float32)
    }


def test_weeks_of_one_length_are_one_pass(spied):
    spied.run(weeks(5), [PLAIN] * 5)
    assert spied._engine.shapes == [(5, 1260)]


def test_weeks_of_several_lengths_are_one_pass_each_and_keep_their_order(spied, runner):
    mixed = [*weeks(2), *weeks(1, 2520), *weeks(2, seed=1)]
    outcomes = spied.run(mixed, [PLAIN] * 5)
    assert sorted(spied._engine.shapes) == [(1, 2520), (4, 1260)]
    for week, outcome in zip(mixed, outcomes, strict=True):
        (alone,) = runner.run([week], [PLAIN])
        assert np.abs(alone.pooled - outcome.pooled).max() < 1e-6


def test_each_gets_what_it_asked_for_and_no_more(spied):
    plain, profile, tokens = spied.run(weeks(3), [PLAIN, PROFILE, TOKENS])
    assert spied._engine.wants == [EVERYTHING]
    assert (plain.profile, plain.tokens, profile.tokens, tokens.profile) == (None, None, None, None)
    assert profile.profile.shape == (70,)
    assert tokens.tokens.shape == (70, 96)


def test_nothing_is_computed_that_nobody_wants(spied):
    spied.run(weeks(2), [PLAIN] * 2)
    assert spied._engine.wants == [PLAIN]


def test_a_bad_week_among_good_ones_harms_only_itself(spied, runner):
    good = weeks(3)
    bad = [np.full(1260, np.nan, np.float32), np.full(1260, np.inf, np.float32), np.zeros(1259, np.float32)]
    empty, endless = np.zeros(0, np.float32), np.zeros(MAX_MINUTES + 18, np.float32)
    items = [good[0], bad[0], good[1], bad[1], bad[2], empty, endless, good[2], np.zeros((2, 18), np.float32)]
    outcomes = spied.run(items, [PLAIN] * len(items))
    codes = [outcome.code if isinstance(outcome, Rejected) else "" for outcome in outcomes]
    wrong = "wrong_length"
    assert codes == ["", "not_finite", "", "not_finite", wrong, wrong, wrong, "", wrong]
    assert spied._engine.shapes == [(3, 1260)]
    for week, outcome in zip(good, [o for o in outcomes if isinstance(o, Encoded)], strict=True):
        assert np.abs(runner.run([week], [PLAIN])[0].pooled - outcome.pooled).max() < 1e-6


def test_a_refusal_names_the_rule_and_no_value(runner):
    (outcome,) = runner.run([np.full(1259, 7.25, np.float32)], [PLAIN])
    assert outcome == Rejected("wrong_length", "expected a multiple of 18 minutes, at most 20160, found 1259")


def test_no_weeks_give_no_outcomes(spied):
    assert spied.run([], []) == []
    assert spied._engine.shapes == []


def test_warming_up_runs_every_batch_size_an_engine_takes_at_once_with_and_without_profile(spied):
    spied.warm(6)
    assert spied._engine.shapes == [(n, 10_080) for n in (1, 1, 2, 2, 4, 4)]
    assert spied._engine.wants == [PLAIN, PROFILE] * 3
    spied._engine.shapes.clear()
    spied._engine.at_once = 1
    spied.warm(6)
    assert spied._engine.shapes == [(1, 10_080)] * 2


# Proof


def test_the_right_weights_reproduce_their_golden(runner):
    runner.warm()
    runner.prove()


@pytest.mark.parametrize("tensor", ["embedding.weight", "blocks.0.query.weight", "blocks.0.norm2.bias"])
def test_a_changed_weight_does_not(proven, tensor):
    changed = np.array(proven.weights[tensor])
    changed.flat[7] += 0.05
    with pytest.raises(GoldenMismatch, match="does not reproduce its golden output"):
        Runner(replace(proven, weights={**proven.weights, tensor: changed})).prove()


def test_a_changed_golden_is_a_mismatch_too(proven):
    other = replace(proven.golden, profile=proven.golden.profile[:, ::-1].copy())
    with pytest.raises(GoldenMismatch, match="profile differs"):
        Runner(proven.with_golden(other)).prove()


def test_an_engine_that_answers_nan_is_a_mismatch(proven):
    broken = Runner(proven)

    class Broken(Spy):
        def run(self, weeks, want):
            output = super().run(weeks, want)
            return replace(output, pooled=np.full_like(output.pooled, np.nan))

    broken._engine = Broken(broken._engine)
    with pytest.raises(GoldenMismatch, match="pooled differs by nan"):
        broken.prove()


def test_without_a_golden_nothing_is_proven(proven):
    with pytest.raises(GoldenMismatch, match="no golden output"):
        Runner(replace(proven, golden=None)).prove()


def test_a_runner_says_what_makes_its_outcomes(proven):
    assert Runner(proven).maker == Maker(proven.digest, chosen("auto"), "fp32")
    assert Runner(proven, EngineOptions("torch")).maker == Maker(proven.digest, "torch", "fp32")


def test_the_runner_is_imported_without_torch_and_onnx():
    rooms = "pat_runner.runner, pat_runner.embed, models.store, models.download"
    code = f"import sys, {rooms}; print([name for name in ('torch', 'onnx') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
