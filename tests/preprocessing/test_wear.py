"""Wear: zeros are sleep until a rule says otherwise."""

from __future__ import annotations

import json
from datetime import datetime

import numpy as np
import pytest

from preprocessing.readers import read
from preprocessing.recording import Flag, RecordingError, Refusal
from preprocessing.runs import runs
from preprocessing.units import Unit, WearSite
from preprocessing.wear import ChoiRule, TroianoRule, WearMode, assess, choi_nonwear, troiano_nonwear
from tests.preprocessing.inputs import document, recording
from tests.shared import shared

HIP = {"unit": Unit.ACTIGRAPH_AXIS1_COUNTS, "wear_site": WearSite.HIP}


def zeros_between(zeros: int, epochs: int = 2000) -> np.ndarray:
    """Ones with ``zeros`` zeros from index 100."""
    values = np.ones(epochs)
    values[100 : 100 + zeros] = 0
    return values


def test_runs_are_the_stretches_of_a_mask():
    first, stop = runs(np.array([1, 1, 0, 1, 0, 0, 1], dtype=bool))
    assert (first.tolist(), stop.tolist()) == ([0, 3, 6], [2, 4, 7])
    assert runs(np.zeros(3, dtype=bool))[0].size == 0


def test_what_the_device_says_comes_first():
    worn = np.arange(2000) % 2 == 0
    found = assess(recording(values=zeros_between(900), wear=worn))
    assert found.rule == "device_flags"
    np.testing.assert_array_equal(found.worn, worn)


def test_as_recorded_takes_every_recorded_epoch_as_worn():
    values = zeros_between(900)
    values[5] = np.nan
    found = assess(recording(values=values, wear=np.zeros(2000, dtype=bool)), WearMode.AS_RECORDED)
    assert found.rule == "as_recorded"
    np.testing.assert_array_equal(found.worn, ~np.isnan(values))


@pytest.mark.parametrize("site", [WearSite.WRIST, WearSite.UNKNOWN])
@pytest.mark.parametrize(("zeros", "off"), [(719, 0), (720, 720), (721, 721)])
def test_on_the_wrist_only_twelve_hours_of_zeros_are_non_wear(site, zeros, off):
    found = assess(recording(values=zeros_between(zeros), wear_site=site))
    assert found.rule == "wrist_zero_run_720"
    assert (~found.worn).sum() == off


def test_the_rule_counts_time_not_epochs():
    long = assess(recording(values=zeros_between(1440), epoch_seconds=30))
    short = assess(recording(values=zeros_between(1439), epoch_seconds=30))
    assert ((~long.worn).sum(), (~short.worn).sum()) == (1440, 0)


def test_what_is_not_recorded_is_not_worn_and_ends_a_run_of_zeros():
    values = zeros_between(800)
    values[500] = np.nan
    found = assess(recording(values=values))
    assert np.flatnonzero(~found.worn).tolist() == [500]


def test_a_device_that_never_shows_zero_is_not_assessable():
    floor = read(document(values=[3] * 2880, wear_site="wrist"))
    found = assess(floor)
    assert found.rule == "not_assessable"
    assert found.flags == {Flag.NONWEAR_NOT_ASSESSABLE}
    assert found.worn.all()


@pytest.mark.parametrize(("zeros", "off"), [(89, 0), (90, 90)])
def test_on_the_hip_ninety_minutes_of_zeros_are_non_wear(zeros, off):
    found = assess(recording(values=zeros_between(zeros), **HIP))
    assert found.rule == "choi2011"
    assert (~found.worn).sum() == off


@pytest.mark.parametrize(("mode", "zeros", "off"), [("choi2011", 80, 0), ("troiano2008", 80, 80)])
def test_a_rule_may_be_named_where_it_was_published_for(mode, zeros, off):
    found = assess(recording(values=zeros_between(zeros), **HIP), WearMode(mode))
    assert found.rule == mode
    assert (~found.worn).sum() == off


@pytest.mark.parametrize("mode", ["choi2011", "troiano2008"])
@pytest.mark.parametrize(
    "where",
    [{**HIP, "wear_site": WearSite.WRIST}, {**HIP, "wear_site": WearSite.UNKNOWN}, {"unit": Unit.STEPS}],
)
def test_a_rule_that_would_take_sleep_for_non_wear_is_refused(mode, where):
    with pytest.raises(RecordingError) as refused:
        assess(recording(**where), WearMode(mode))
    assert (refused.value.code, refused.value.where) == (Refusal.INVALID_FIELD, "wear")


@pytest.mark.parametrize(
    ("spike", "at", "off"),
    [
        (2, 150, 120),  # two minutes with 50 and 68 zeros around: an artefact
        (3, 150, 0),  # three minutes are movement, and neither side is long enough alone
        (2, 125, 0),  # only 25 zeros before it: 93 zeros after it
        (2, 129, 0),
        (2, 130, 120),  # exactly 30 zeros before it
    ],
)
def test_a_short_spike_among_zeros_is_an_artefact(spike, at, off):
    values = zeros_between(120)
    values[at : at + spike] = 50
    expected = off if off else sum(n for n in (at - 100, 220 - at - spike) if n >= 90)
    assert (~assess(recording(values=values, **HIP)).worn).sum() == expected


def test_a_missing_epoch_is_no_artefact():
    values = zeros_between(120)
    values[150] = np.nan
    assert choi_nonwear(values, 60).sum() == 0


def test_choi_counts_time_not_epochs():
    values = np.repeat(zeros_between(120), 2)
    values[300:304] = 50
    assert choi_nonwear(values, 30).sum() == 240


def vendor_nonwear(kind, minutes):
    """The vendor's settings row and non-wear minutes of the ActiLife day for one of its settings."""
    day = json.loads(shared("data/clinical/actilife_gt3x_day01.json").read_text())
    rows = [
        row
        for row in day[f"{kind}_periods"]
        if row["min_period_len"] == minutes and row.get("endat_nnz_seq", True)
    ]
    start = datetime.fromisoformat(day["start"])
    nonwear = np.zeros(len(day["axis1"]), dtype=bool)
    for row in rows:
        begin, end = (datetime.fromisoformat(row[f"period_{edge}"]) - start for edge in ("start", "end"))
        nonwear[int(begin.total_seconds() // 60) : int(end.total_seconds() // 60)] = not row["wear"]
    return rows[0], np.array(day["axis1"], dtype=np.float64), nonwear


@pytest.mark.parametrize("minutes", [60, 45, 30])
def test_choi_agrees_with_the_vendor_at_each_of_its_settings(minutes):
    settings, counts, expected = vendor_nonwear("choi", minutes)
    rule = ChoiRule(minutes, settings["min_window_len"], settings["spike_tolerance"])
    np.testing.assert_array_equal(choi_nonwear(counts, 60, rule), expected)


@pytest.mark.parametrize("minutes", [60, 45, 30])
def test_troiano_agrees_with_the_vendor_at_each_of_its_consecutive_settings(minutes):
    settings, counts, expected = vendor_nonwear("troiano", minutes)
    rule = TroianoRule(minutes, settings["spike_tolerance"], settings["spike_stoplevel"])
    np.testing.assert_array_equal(troiano_nonwear(counts, 60, rule), expected)


@pytest.mark.parametrize(
    ("between", "nonwear"),
    [
        ([100, 100], 82),  # two minutes at the stop level are an artefact
        ([100, 101], 0),  # a minute above it ends the period
        ([1, 1, 1], 0),  # and so do three minutes of anything
        ([np.nan], 0),  # and a minute that was not recorded
    ],
)
def test_troiano_tolerates_two_quiet_minutes_inside_and_nothing_more(between, nonwear):
    values = np.concatenate([[500.0], np.zeros(40), between, np.zeros(40), [500.0]])
    assert troiano_nonwear(values, 60).sum() == nonwear


def test_troiano_counts_time_not_epochs():
    values = np.concatenate([[500.0], np.zeros(80), [50.0, 50.0], np.zeros(80), [500.0]])
    assert troiano_nonwear(values, 30).sum() == 162


def test_the_longest_sleep_of_a_public_cohort_stays_worn():
    with np.load(shared("data/clinical/recordings.npz")) as recordings:
        for number in (1, 2):
            values = recordings[f"depresjon_control_{number}|activity"][:10_080].astype(np.float64)
            found = assess(recording(values=values, wear_site=WearSite.WRIST))
            first, stop = runs(values == 0)
            assert found.worn.all() == ((stop - first).max() < 720)


def test_the_noise_floors_of_a_public_cohort_are_seen_and_no_others():
    with np.load(shared("data/cohorts/depresjon.npz")) as cohort:
        activity, offsets = cohort["activity"], cohort["offsets"]
        flagged = {
            str(name)
            for name, first, stop in zip(cohort["participants"], offsets[:-1], offsets[1:], strict=True)
            if Flag.CONSTANT_FLOOR in read(document(values=activity[first:stop].tolist())).flags
        }
    assert flagged == {"condition_2", "condition_3", "control_22", "control_30"}
