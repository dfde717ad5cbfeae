"""The scorers against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from postprocessing.sleep_scorers import (
    ASLEEP,
    AWAKE,
    OAKLEY_THRESHOLDS,
    UNSCORED,
    actiware_automatic_threshold,
    cole_kripke,
    oakley,
    oakley_score,
    sadeh,
    webster,
)


def impulse(value: float, *, at: int = 12, length: int = 25) -> np.ndarray:
    counts = np.zeros(length)
    counts[at] = value
    return counts


def awake_at(states: np.ndarray, at: int = 12) -> list[int]:
    return (np.flatnonzero(states == AWAKE) - at).tolist()


@pytest.mark.parametrize(
    ("counts", "wakes"),
    [(40, []), (41, [0]), (200, [0]), (201, [-1, 0, 1]), (1000, [-1, 0, 1]), (1001, [-2, -1, 0, 1, 2])],
)
def test_oakley_at_60_s_weighs_a_burst_by_one_a_fifth_and_a_twenty_fifth(counts, wakes):
    assert awake_at(oakley(impulse(counts), 60)) == wakes


@pytest.mark.parametrize(("epoch_seconds", "per_minute"), [(30, 2), (15, 4)])
def test_oakley_at_finer_epochs_weighs_the_epoch_as_often_as_it_fits_into_a_minute(epoch_seconds, per_minute):
    score = oakley_score(impulse(100), epoch_seconds)
    side = np.repeat([4.0, 20.0], per_minute)
    expected = np.concatenate([side, [100.0 * per_minute], side[::-1]])
    reach = 2 * per_minute
    np.testing.assert_array_equal(score[12 - reach : 13 + reach], expected)
    assert score.sum() == expected.sum()


@pytest.mark.parametrize(("epoch_seconds", "edge"), [(60, 2), (30, 4), (15, 8)])
def test_oakley_leaves_the_first_and_last_two_minutes_unscored(epoch_seconds, edge):
    states = oakley(np.zeros(40), epoch_seconds)
    assert (states[:edge] == UNSCORED).all()
    assert (states[-edge:] == UNSCORED).all()
    assert (states[edge:-edge] == ASLEEP).all()


def test_oakley_threshold_moves_the_border():
    assert awake_at(oakley(impulse(41), 60, threshold=20)) == [0]
    assert awake_at(oakley(impulse(41), 60, threshold=80)) == []


@pytest.mark.parametrize("epoch_seconds", [1, 10, 45, 120])
def test_oakley_refuses_an_epoch_that_has_no_published_weights(epoch_seconds):
    with pytest.raises(ValueError, match=r"expected epochs of 15, 30 or 60 s"):
        oakley(np.zeros(10), epoch_seconds)


@pytest.mark.parametrize(
    ("counts", "wakes"),
    [
        (434, []),
        (435, [0]),  # 230 per 100 counts
        (943, [0]),
        (944, [0, 4]),  # 106, four minutes later
        (1315, [0, 4]),
        (1316, [0, 1, 4]),  # 76, one minute later
        (1352, [-1, 0, 1, 4]),  # 74, one minute before
        (1493, [-2, -1, 0, 1, 4]),  # 67, two minutes before
        (1725, [-2, -1, 0, 1, 2, 4]),  # 58
        (1852, [-2, -1, 0, 1, 2, 3, 4]),  # 54
        (1851, [-2, -1, 0, 1, 2, 4]),
    ],
)
def test_cole_kripke_weighs_a_burst_by_the_published_weights(counts, wakes):
    assert awake_at(cole_kripke(impulse(counts))) == wakes


def test_sadeh_of_one_burst_turns_to_wake_between_266_and_267_counts():
    # 7.601 - 0.065 c / 11 - 0.056 c / sqrt(6) - 0.703 ln(c + 1) is -3.98 at 266 and -4.02 at 267
    assert awake_at(sadeh(impulse(266))) == []
    assert awake_at(sadeh(impulse(267))) == [0]


def test_sadeh_caps_counts_at_300():
    np.testing.assert_array_equal(sadeh(impulse(300)), sadeh(impulse(30_000)))


@pytest.mark.parametrize(("level", "expected"), [(49, ASLEEP), (50, AWAKE), (99, AWAKE), (100, ASLEEP)])
def test_sadeh_counts_minutes_from_50_up_to_below_100_as_moderate(level, expected):
    assert sadeh(np.full(21, float(level)))[10] == expected


def test_sadeh_uses_the_sample_deviation_of_the_last_six_minutes():
    # five zeros, then c: SD with n - 1 is c / sqrt(6) = 108.6, with n only 99.1; PS is -4.02 and -3.48
    assert sadeh(impulse(267, at=5, length=11))[5] == AWAKE


@pytest.mark.parametrize("scorer", [cole_kripke, sadeh])
def test_actigraph_scorers_take_the_time_outside_the_recording_as_still(scorer):
    assert (scorer(np.zeros(30)) == ASLEEP).all()
    assert scorer(np.zeros(1)).tolist() == [ASLEEP]


@pytest.mark.parametrize(
    ("scorer", "before", "after"),
    [(lambda counts: oakley(counts, 60), 2, 2), (cole_kripke, 2, 4), (sadeh, 5, 5)],
)
def test_a_missing_minute_leaves_every_window_that_holds_it_unscored(scorer, before, after):
    states = scorer(impulse(np.nan))
    inner = states[2:-2]  # Oakley's edges are unscored anyway
    assert (np.flatnonzero(inner == UNSCORED) + 2 - 12).tolist() == list(range(-before, after + 1))
    assert set(inner.tolist()) == {ASLEEP, UNSCORED}


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 11])
@pytest.mark.parametrize("scorer", [lambda counts: oakley(counts, 60), cole_kripke, sadeh])
def test_every_epoch_gets_a_state_however_short_the_recording(scorer, length):
    assert scorer(np.zeros(length)).shape == (length,)
    assert (scorer(np.full(length, np.nan)) == UNSCORED).all()


def test_the_named_thresholds_are_twenty_forty_and_eighty():
    assert OAKLEY_THRESHOLDS == {"low": 20.0, "medium": 40.0, "high": 80.0}


@pytest.mark.parametrize(("epoch_seconds", "mobile_from"), [(60, 4), (30, 2), (15, 1)])
def test_the_automatic_threshold_is_the_mean_of_the_mobile_minutes(epoch_seconds, mobile_from):
    counts = np.array([0.0, mobile_from - 1, mobile_from, 100.0, np.nan])
    mobile_minutes = 2 * epoch_seconds / 60
    expected = 0.88888 * (2 * mobile_from - 1 + 100) / mobile_minutes
    assert actiware_automatic_threshold(counts, epoch_seconds) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("counts", [np.zeros(9), np.full(9, np.nan), np.full(9, 3.0)])
def test_the_automatic_threshold_needs_an_epoch_that_is_mobile(counts):
    assert actiware_automatic_threshold(counts, 60) is None


def letters(states: np.ndarray) -> str:
    return "".join({ASLEEP: "S", AWAKE: "W", UNSCORED: "-"}[int(state)] for state in states)


def states_of(text: str) -> np.ndarray:
    return np.array([{"S": ASLEEP, "W": AWAKE, "-": UNSCORED}[letter] for letter in text], np.int8)


SLEEP = "S" * 30


@pytest.mark.parametrize(
    ("wake", "added"), [(1, 0), (3, 0), (4, 1), (9, 1), (10, 3), (14, 3), (15, 4), (60, 4)]
)
def test_webster_takes_sleep_away_after_wake(wake, added):
    before = states_of(SLEEP + "W" * wake + SLEEP)
    assert letters(webster(before, 60)) == SLEEP + "W" * (wake + added) + SLEEP[added:]


@pytest.mark.parametrize(
    ("wake", "sleep", "kept"),
    [(10, 10, True), (10, 9, False), (20, 14, False), (20, 15, True), (30, 14, False)],
)
def test_webster_takes_short_sleep_between_long_wake_away(wake, sleep, kept):
    """Rules (b) and (c) take 3 or 4 minutes first; what is left is then judged by (d) and (e)."""
    before = states_of(SLEEP + "W" * wake + "S" * sleep + "W" * wake + SLEEP)
    middle = slice(30 + wake, 30 + wake + sleep)
    assert bool((webster(before, 60)[middle] == ASLEEP).any()) is kept


def test_websters_added_wake_does_not_feed_another_rule():
    # 8 minutes of wake lose one minute of sleep; the 9 that they make, and the 1 after it, stay below 10
    assert letters(webster(states_of(SLEEP + "W" * 9 + SLEEP), 60)) == SLEEP + "W" * 10 + SLEEP[1:]


def test_webster_leaves_what_is_unscored_and_what_lies_behind_it():
    assert letters(webster(states_of("W" * 15 + "S-SSSSS"), 60)) == "W" * 16 + "-SSSSS"


def test_webster_counts_minutes_at_thirty_seconds_too():
    assert letters(webster(states_of(SLEEP + "W" * 8 + SLEEP), 30)) == SLEEP + "W" * 10 + SLEEP[2:]


def test_webster_never_makes_sleep_and_leaves_its_input_alone():
    random = np.random.default_rng(4)
    for _ in range(50):
        states = random.choice([ASLEEP, ASLEEP, AWAKE, UNSCORED], 300).repeat(3).astype(np.int8)
        before = states.copy()
        after = webster(states, 60)
        np.testing.assert_array_equal(states, before)
        assert set(states[after != states].tolist()) <= {ASLEEP}
        assert set(after[after != states].tolist()) <= {AWAKE}
