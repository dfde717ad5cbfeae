"""The words between the processes: frames and JSON that carry every bit, and nothing that unpickles."""

import json

import numpy as np
import pytest

from pat_runner.engines import Want
from pat_runner.hop import decode_outcome, encode_outcome, item, most_bytes, pack, run, unpack
from pat_runner.runner import Encoded, Maker, Rejected

MAKER = Maker("abc", "onnxruntime", "fp32")


def over_the_wire(document):
    return json.loads(json.dumps(document))


def test_weeks_arrive_bit_for_bit_each_with_what_is_wanted_of_it():
    weeks = [np.array([0.1, -0.0, 3e38, 1e-45, np.nan], np.float32), np.zeros(18, np.float32)]
    wants = [Want(profile=True), Want(tokens=True)]
    got = unpack(pack([item(week, want) for week, want in zip(weeks, wants, strict=True)]))
    assert [asked["week"].tobytes() for asked in got] == [week.tobytes() for week in weeks]
    assert [Want(asked["profile"], asked["tokens"]) for asked in got] == wants


@pytest.mark.parametrize(
    "frame",
    [
        *(b"", b"\n", b"{}\n", b"7\n", b"[]\n", b"\x80\x04."),
        *(b"[[1.0, true, true]]\nabcd", b"[[true, true, true]]\nabcd", b"[[1, true]]\nabcd"),
        *(
            b"[[-1, true, true]]\n",
            b"[[1, 1, 1]]\nabcd",
            b"[[2, true, true]]\nabcd",
            b"[[1, true, true]]\nabc",
        ),
    ],
)
def test_what_is_no_frame_is_refused(frame):
    with pytest.raises(ValueError, match=r"expected|Expecting|buffer|decode"):
        unpack(frame)


def test_no_frame_of_as_many_weeks_is_larger():
    week = np.zeros(20_160, np.float32)
    assert len(pack([item(week, Want(profile=False, tokens=False))] * 8)) <= most_bytes(8)


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


WEEK = np.zeros(18, np.float32)


@pytest.mark.parametrize(
    "bad",
    [
        *({}, {"week": WEEK}, 7),
        {"week": "AAAA", "profile": False, "tokens": False},
        {"week": WEEK, "profile": 1, "tokens": 0},
    ],
)
def test_what_is_no_item_harms_no_other(bad):
    good = [item(np.zeros(n, np.float32), Want()) for n in (18, 36)]
    first, wrong, last = run(Counting(), [good[0], bad, good[1]])
    assert (first.pooled[0], last.pooled[0]) == (18, 36)
    assert wrong.code == "undecodable"


def test_what_was_not_wanted_stays_absent():
    got, _ = decode_outcome(over_the_wire(encode_outcome(Encoded(np.zeros(96, np.float32)), MAKER)))
    assert (got.profile, got.tokens) == (None, None)


def test_a_refusal_arrives_with_its_reason():
    refusal = Rejected("not_finite", "expected finite values")
    assert decode_outcome(over_the_wire(encode_outcome(refusal, MAKER))) == (refusal, None)
