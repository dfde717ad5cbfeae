"""Sleep numbers against what the vendors' programs printed for the same recordings."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from postprocessing.metrics import MetricCode
from postprocessing.rest_periods import TudorLockeRule, tudor_locke_periods
from postprocessing.sleep_nights import fragmentation_values, night_values
from postprocessing.sleep_regularity import sleep_regularity
from postprocessing.sleep_scorers import (
    AWAKE,
    UNSCORED,
    actiware_automatic_threshold,
    cole_kripke,
    oakley,
    oakley_score,
    sadeh,
)
from preprocessing.calendar import wall_clock_of
from preprocessing.runs import runs
from tests.postprocessing.oracles import (
    SEGMENTS,
    actilife,
    actiware_rows,
    array,
    library_states,
    number,
    recording,
    scalars,
)

WAKE_PRINTED = {
    "rpx_eng": ("Wake Time", "Efficiency", "Sleep Time"),
    "rpx_ger": ("Wachzeit", "Effizienz", "Schlafzeit"),
}
BED = ("in_bed_time", "out_bed_time")
PRINTED_BY_ACTILIFE = {  # column and decimal places
    MetricCode.TIME_IN_BED: ("duration", 0),
    MetricCode.TOTAL_SLEEP_TIME: ("total_sleep_time", 0),
    MetricCode.WAKE_AFTER_SLEEP_ONSET: ("wake_after_onset", 0),
    MetricCode.AWAKENINGS: ("nb_awakenings", 0),
    MetricCode.MEAN_AWAKENING_LENGTH: ("ave_awakening", 2),
    MetricCode.SLEEP_EFFICIENCY: ("efficiency", 2),
    MetricCode.MOVEMENT_INDEX: ("movement_index", 3),
    MetricCode.FRAGMENTATION_INDEX: ("fragmentation_index", 3),
    MetricCode.SLEEP_FRAGMENTATION_INDEX: ("sleep_fragmentation_index", 3),
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


def actilife_periods() -> list[tuple[TudorLockeRule, list[dict[str, Any]]]]:
    """ActiLife's rows under each of its settings."""
    rows = actilife()["sleep_periods"]
    names = (
        "n_bedtime_start",
        "n_wake_time_end",
        "min_sleep_period",
        "max_sleep_period",
        "min_nonzero_epochs",
    )
    settings = sorted({tuple(row[name] for name in names) for row in rows})
    return [
        (TudorLockeRule(*setting), [row for row in rows if tuple(row[name] for name in names) == setting])
        for setting in settings
    ]


def test_tudor_locke_finds_actilifes_periods_and_no_others():
    """Ten periods under three settings; sleep that runs into the end of the file is none."""
    vendor = actilife()
    counts, start = np.array(vendor["axis1"], np.float64), datetime.fromisoformat(vendor["start"])
    found = 0
    for rule, rows in actilife_periods():
        edges = [
            [(datetime.fromisoformat(row[edge]) - start) // timedelta(minutes=1) for edge in BED]
            for row in rows
        ]
        assert tudor_locke_periods(sadeh(counts), counts, 60, rule).tolist() == edges
        found += len(edges)
    assert found == 10


def test_the_statistics_of_each_period_are_those_actilife_prints():
    counts = np.array(actilife()["axis1"], np.float64)
    states = sadeh(counts)
    for rule, rows in actilife_periods():
        for (first, end), row in zip(tudor_locke_periods(states, counts, 60, rule), rows, strict=True):
            found = night_values(states[first:end], 60) | fragmentation_values(
                states[first:end], counts[first:end], 60
            )
            assert {
                code: round(found[code], places) for code, (_, places) in PRINTED_BY_ACTILIFE.items()
            } == {code: row[name] for code, (name, _) in PRINTED_BY_ACTILIFE.items()}


def test_a_stretch_of_sleep_at_the_end_of_the_file_is_dropped_as_actilife_does():
    states = sadeh(np.array(actilife()["axis1"], np.float64))
    first, stop = runs(states == 1)
    assert stop[-1] == 1500
    assert stop[-1] - first[-1] >= 5


def test_wake_and_sleep_bouts_are_those_actiware_prints():
    states, interval = vendor_states("rpx_ger"), array("rpx_ger", "interval")
    rows = actiware_rows("rpx_ger", "SLEEP")
    inside = list(zip(*runs(interval == 2), strict=True))
    assert len(inside) == len(rows) == 7
    for (first, end), row in zip(inside, rows, strict=True):
        assert len(runs(states[first:end] == 0)[0]) == number(row["Anz. Wachphasen"])
        assert len(runs(states[first:end] == 1)[0]) == number(row["Anz. Schlafphasen"])


@pytest.mark.parametrize(("name", "part"), SEGMENTS)
def test_the_automatic_threshold_is_pyactigraphys(name, part):
    """The library takes sums below the threshold as sleep, and leaves two minutes at each end as wake."""
    counts = recording(name, part).values
    threshold = actiware_automatic_threshold(counts, 60)
    ours = oakley_score(np.nan_to_num(counts), 60) < threshold
    library = library_states(name, part, "oakley_auto_pyA") == 1
    near = np.convolve(np.isnan(np.pad(counts, 2, constant_values=np.nan)), np.ones(5))[4:-4] > 0
    np.testing.assert_array_equal(ours[~near], library[~near])


@pytest.mark.parametrize(
    ("name", "part"), [one for one in SEGMENTS if one[1].startswith("week7") or one[0].startswith("nhanes")]
)
def test_regularity_of_whole_weeks_is_pyactigraphys(name, part):
    states = library_states(name, part, "oakley40_pyA")
    labels = wall_clock_of(recording(name, part))
    found = sleep_regularity(states, labels, 60)
    assert found.day_pairs == 6
    assert found.index == pytest.approx(scalars(name, part)["SRI_oakley40"], abs=1e-9)
