"""The words between the processes: JSON that carries every bit, and nothing that unpickles."""

import json

import numpy as np
import pytest

from pat_runner.engines import Want
from pat_runner.hop import decode_item, decode_outcome, encode_item, encode_outcome, run
from pat_runner.runner import Encoded, Maker, Rejected

MAKER = Maker("abc", "onnxruntime", "fp32")


def over_the_wire(document):
    return json.loads(json.dumps(document))


@pytest.mark.parametrize("want", [Want(), Want(profile=True), Want(tokens=True)])
def test_an_item_arrives_bit_for_bit(want):
    week = np.array([0.1, -0.0, 3e38, 1e-45, np.nan], np.float32)
    got, wanted = decode_item(over_the_wire(encode_item(week, want)))
    assert got.tobytes() == week.tobytes()
    assert wanted == want


def test_an_outcome_arrives_bit_for_bit_with_what_made_it():
    random = np.random.default_rng(0)
    pooled, profile, tokens = (random.normal(size=s).astype(np.float32) for s in (96, 5, (5, 96)))
    sent = Encoded(pooled, profile, tokens)
    got, maker = decode_outcome(over_the_wire(encode_outcome(sent, MAKER)))
    assert maker == MAKER
    for part in ("pooled", "profile", "tokens"):
        assert np.array_equal(getattr(got, part), getattr(sent, part))


class Counting:
    """Answers each week with its length, as far as it is asked."""

    def run(self, weeks, wants):
        return [Encoded(np.full(96, len(week), np.float32)) for week in weeks]


@pytest.mark.parametrize(
    "bad",
    [{}, {"week": "???", "profile": False, "tokens": False}, {"week": 7}, {"week": "AAA="}, {"week": "AAAA"}],
)
def test_an_item_that_cannot_be_unpacked_harms_no_other(bad):
    good = [encode_item(np.zeros(n, np.float32), Want()) for n in (18, 36)]
    first, wrong, last = run(Counting(), [good[0], bad, good[1]])
    assert (first.pooled[0], last.pooled[0]) == (18, 36)
    assert wrong.code == "undecodable"


def test_what_was_not_wanted_stays_absent():
    got, _ = decode_outcome(over_the_wire(encode_outcome(Encoded(np.zeros(96, np.float32)), MAKER)))
    assert (got.profile, got.tokens) == (None, None)


def test_a_refusal_arrives_with_its_reason():
    refusal = Rejected("not_finite", "expected finite values")
    assert decode_outcome(over_the_wire(encode_outcome(refusal, MAKER))) == (refusal, None)
