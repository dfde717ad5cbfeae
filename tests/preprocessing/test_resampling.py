"""Resampling: what went in comes out, split by overlap, averaged by the time a level holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocessing.recording import RecordingError
from preprocessing.resampling import Grid, Spans, binned, coarser, grid_over, pieces_of, spread
from preprocessing.units import Unit
from tests.preprocessing.inputs import recording

MINUTE = 60_000_000  # microseconds
NAN = np.nan

starts = st.integers(-(10**15), 10**15)
steps = st.sampled_from([1_000_000, 5_000_000, MINUTE])


@st.composite
def points(draw):
    """Sorted instants (n,), whole values (n,) and a grid over them."""
    first, step = draw(starts), draw(steps)
    gaps = draw(st.lists(st.integers(0, 3 * step), max_size=30))
    micros = first + np.cumsum([0, *gaps], dtype=np.int64)
    values = np.array(draw(st.lists(st.integers(0, 1000), min_size=len(micros), max_size=len(micros))), float)
    return micros, values, grid_over(int(micros[0]), int(micros[-1]) + 1, step)


@st.composite
def spans(draw):
    """Spans that follow one another with gaps between, and a grid over them."""
    first, step = draw(starts), draw(steps)
    pairs = draw(
        st.lists(st.tuples(st.integers(0, 2 * step), st.integers(1, 4 * step)), min_size=1, max_size=20)
    )
    ends = first + np.cumsum([gap + length for gap, length in pairs], dtype=np.int64)
    begins = ends - np.array([length for _, length in pairs])
    values = np.array(draw(st.lists(st.integers(0, 1000), min_size=len(pairs), max_size=len(pairs))), float)
    return Spans(begins, ends, values), grid_over(int(begins[0]), int(ends[-1]), step)


def test_a_grid_begins_at_whole_steps_and_covers_the_last_sample():
    assert grid_over(90, 121, 60) == Grid(60, 60, 2)
    assert grid_over(60, 120, 60) == Grid(60, 60, 1)
    assert grid_over(-1, 1, 60) == Grid(-60, 60, 2)


@settings(deadline=None)
@given(points())
def test_the_epochs_of_points_add_up_to_the_points(case):
    micros, values, grid = case
    made = binned(micros, values, grid, average=False)
    assert made.size == grid.epochs
    assert np.nansum(made) == values.sum()


@settings(deadline=None)
@given(points())
def test_each_epoch_holds_the_points_of_its_time_and_no_other(case):
    micros, values, grid = case
    slot = (micros - grid.start) // grid.step
    expected = [values[slot == k].sum() if (slot == k).any() else NAN for k in range(grid.epochs)]
    np.testing.assert_array_equal(binned(micros, values, grid, average=False), expected)
    means = [
        values[slot == k].sum() / (slot == k).sum() if (slot == k).any() else NAN for k in range(grid.epochs)
    ]
    np.testing.assert_array_equal(binned(micros, values, grid, average=True), means)


def test_a_missing_point_makes_its_epoch_missing_and_no_other():
    micros = np.arange(0, 4 * MINUTE, MINUTE // 2)
    values = np.array([1, 2, NAN, 4, 5, 6, NAN, NAN])
    grid = grid_over(0, 4 * MINUTE, MINUTE)
    np.testing.assert_array_equal(binned(micros, values, grid, average=False), [3, NAN, 11, NAN])
    np.testing.assert_array_equal(binned(micros, values, grid, average=True), [1.5, NAN, 5.5, NAN])


def test_no_points_leave_every_epoch_missing():
    made = binned(np.empty(0, np.int64), np.empty(0), Grid(0, MINUTE, 3), average=False)
    assert np.isnan(made).tolist() == [True, True, True]


@settings(deadline=None)
@given(spans())
def test_the_epochs_of_spans_add_up_to_the_amounts(case):
    held, grid = case
    made = spread(held, grid, average=False)
    assert made.size == grid.epochs
    np.testing.assert_allclose(np.nansum(made), held.values.sum(), rtol=1e-12)


@settings(deadline=None)
@given(spans())
def test_pieces_tile_each_span_and_stay_in_their_epoch(case):
    held, grid = case
    which, epoch, length = pieces_of(held, grid)
    assert length.min() > 0
    assert length.max() <= grid.step
    assert epoch.min() >= 0
    assert epoch.max() < grid.epochs
    assert np.bincount(which, weights=length).tolist() == (held.end - held.start).tolist()


@settings(deadline=None)
@given(spans(), st.integers(1, 1000))
def test_a_constant_level_stays_that_level(case, level):
    held, grid = case
    constant = Spans(held.start, held.end, np.full(held.values.size, float(level)))
    made = spread(constant, grid, average=True)
    np.testing.assert_allclose(made[~np.isnan(made)], level, rtol=1e-12)


def test_an_amount_that_crosses_a_border_is_split_by_overlap():
    held = Spans(np.array([30, 120]), np.array([105, 150]), np.array([75.0, 8.0]))
    np.testing.assert_array_equal(spread(held, Grid(0, 60, 4), average=False), [30, 45, 8, NAN])


def test_a_level_is_weighted_by_the_time_it_holds():
    held = Spans(np.array([0, 15]), np.array([15, 60]), np.array([8.0, 4.0]))
    assert spread(held, Grid(0, 60, 1), average=True).tolist() == [5]


def test_a_missing_span_makes_the_epochs_missing_that_it_reaches():
    held = Spans(np.array([0, 60, 90]), np.array([60, 90, 180]), np.array([6.0, NAN, 9.0]))
    np.testing.assert_array_equal(spread(held, Grid(0, 60, 3), average=False), [6, NAN, 6])
    np.testing.assert_array_equal(spread(held, Grid(0, 60, 3), average=True), [6, NAN, 9])


@settings(deadline=None)
@given(spans())
def test_spans_that_fill_whole_epochs_stay_what_they_are(case):
    held, grid = case
    whole = grid.start + np.arange(held.values.size, dtype=np.int64) * grid.step
    exact = Spans(whole, whole + grid.step, held.values)
    same = Grid(grid.start, grid.step, held.values.size)
    np.testing.assert_array_equal(spread(exact, same, average=False), held.values)
    np.testing.assert_array_equal(spread(exact, same, average=True), held.values)


def test_a_coarser_recording_holds_the_same_amounts_from_the_first_whole_epoch():
    values = np.arange(100.0)
    values[50] = np.nan
    worn = np.ones(100, dtype=bool)
    worn[3] = False
    fine = recording("2024-01-01T00:00:50", values=values, epoch_seconds=10, wear=worn)
    found = coarser(fine, 60)
    assert found.start.isoformat() == "2024-01-01T00:01:00+01:00"
    assert (found.epoch_seconds, found.epochs) == (60, 16)
    np.testing.assert_array_equal(found.values, values[1:97].reshape(16, 6).sum(axis=1))
    assert np.flatnonzero(~found.wear).tolist() == [0]
    levels = coarser(recording(values=values[:12], epoch_seconds=10, unit=Unit.ENMO_MG), 60)
    assert levels.values.tolist() == [2.5, 8.5]


def test_epochs_off_the_grid_are_joined_from_the_first():
    fine = recording("2024-01-01T00:00:05", values=np.ones(12), epoch_seconds=10)
    assert coarser(fine, 60).start == fine.start


@pytest.mark.parametrize(
    ("seconds", "code"), [(5, "invalid_field"), (25, "invalid_field"), (3600, "no_samples")]
)
def test_epochs_that_no_parts_make_up_are_refused(seconds, code):
    with pytest.raises(RecordingError) as refused:
        coarser(recording(values=np.ones(12), epoch_seconds=10), seconds)
    assert refused.value.code == code
