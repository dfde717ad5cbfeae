"""Sleep numbers against what the vendors' programs printed for the same recordings."""

from __future__ import annotations

import numpy as np
import pytest

from postprocessing.analysis import MetricCode
from postprocessing.sleep import AWAKE, UNSCORED, cole_kripke, night_values, oakley, oakley_score, sadeh
from preprocessing.runs import runs
from tests.postprocessing.oracles import actilife, actiware_rows, array, number

WAKE_PRINTED = {
    "rpx_eng": ("Wake Time", "Efficiency", "Sleep Time"),
    "rpx_ger": ("Wachzeit", "Effizienz", "Schlafzeit"),
}
THIRTY_SECONDS = ("rpx_eng", "rpx_ger", "rpx_ger2")


@pytest.mark.parametrize(("scorer", "letters"), [(sadeh, "sadeh"), (cole_kripke, "cole_kripke")])
def test_actigraph_scorers_agree_with_actilife_on_every_minute(scorer, letters):
    vendor = actilife()
    states = scorer(np.array(vendor["axis1"], dtype=np.float64))
    assert states.size == 1500
    assert "".join("S" if state == 1 else "W" for state in states) == vendor[letters]


def vendor_states(name: str) -> np.ndarray:
    """Actiware's states (n,) as ours: 1 sleep, 0 wake, -1 unscored."""
    states = array(name, "sleepwake")
    return np.where(states < 0, UNSCORED, 1 - states).astype(np.int8)


def agreement(name: str, epoch_seconds: int) -> tuple[int, int]:
    """Epochs that Actiware scored and those of them scored alike, missing counts taken as 0 as it does."""
    vendor = vendor_states(name)
    asleep = oakley_score(np.nan_to_num(array(name, "activity").astype(np.float64)), epoch_seconds) <= 40
    scored = vendor != UNSCORED
    return int(scored.sum()), int((asleep == vendor)[scored].sum())


def test_oakley_agrees_with_actiware_on_every_minute():
    assert agreement("rpx_fr", 60) == (11_552, 11_552)


def test_oakley_agrees_with_actiware_at_thirty_seconds_on_all_epochs_but_one():
    scored, alike = np.sum([agreement(name, 30) for name in THIRTY_SECONDS], axis=0)
    assert (scored, alike) == (59_738, 59_737)


@pytest.mark.parametrize(
    ("name", "epoch_seconds"), [("rpx_fr", 60), *((name, 30) for name in THIRTY_SECONDS)]
)
def test_what_oakley_leaves_unscored_beyond_the_vendor_is_beside_missing_epochs_or_the_edges(
    name, epoch_seconds
):
    counts, vendor = array(name, "activity").astype(np.float64), vendor_states(name)
    ours = oakley(counts, epoch_seconds)
    both = (ours != UNSCORED) & (vendor != UNSCORED)
    assert int((ours != vendor)[both].sum()) == (1 if name == "rpx_ger" else 0)  # a sum of exactly 40
    extra = np.flatnonzero((ours == UNSCORED) & (vendor != UNSCORED))
    reach = 2 * 60 // epoch_seconds
    missing = np.flatnonzero(np.isnan(np.pad(counts, reach, constant_values=np.nan))) - reach
    assert all(np.abs(missing - epoch).min() <= reach for epoch in extra)


@pytest.mark.parametrize("name", ["rpx_eng", "rpx_ger"])
def test_sleep_time_and_efficiency_are_those_actiware_prints(name):
    """On the vendor's intervals and states; its efficiency is sleep in SLEEP over the length of REST."""
    wake, efficiency, sleep = WAKE_PRINTED[name]
    interval, states = array(name, "interval"), vendor_states(name)
    rests = list(zip(*runs((interval == 1) | (interval == 2)), strict=True))
    rows = actiware_rows(name, "SLEEP")
    assert len(rests) == len(rows) == 7
    for (first, end), row in zip(rests, rows, strict=True):
        inside = np.where(interval[first:end] == 2, states[first:end], AWAKE).astype(np.int8)
        found = night_values(inside, 30)
        assert found[MetricCode.TOTAL_SLEEP_TIME] == number(row[sleep])
        assert round(found[MetricCode.SLEEP_EFFICIENCY], 2) == number(row[efficiency])
        # our night ends with the last sleep epoch, the vendor's sleep interval may hold wake at its edges
        assert 0 <= number(row[wake]) - found[MetricCode.WAKE_AFTER_SLEEP_ONSET] <= 2


def test_the_first_night_of_the_english_export_is_531_and_a_half_of_592_minutes():
    rest, sleep = actiware_rows("rpx_eng", "REST")[0], actiware_rows("rpx_eng", "SLEEP")[0]
    assert (number(rest["Duration"]), number(sleep["Sleep Time"])) == (592, 531.5)
    first, end = (int(edge[0]) for edge in runs(array("rpx_eng", "interval") >= 1))
    interval, states = array("rpx_eng", "interval")[first:end], vendor_states("rpx_eng")[first:end]
    found = night_values(np.where(interval == 2, states, AWAKE).astype(np.int8), 30)
    assert found[MetricCode.TIME_IN_BED] == 592
    assert found[MetricCode.TOTAL_SLEEP_TIME] == 531.5
    assert found[MetricCode.SLEEP_EFFICIENCY] == pytest.approx(100 * 531.5 / 592, rel=1e-14)
    assert found[MetricCode.WAKE_AFTER_SLEEP_ONSET] == 44.5
