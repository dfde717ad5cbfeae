"""Merging: every moment is counted once, by the source that comes first, in whatever order samples come."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocessing.merging import SOURCES, Events, Source, merged

MINUTE = 60_000_000


def events(*rows: tuple, ids: list[str] | None = None) -> Events:
    """Events from rows (start minute, end minute, value, source)."""
    start, end, values, source = zip(*rows, strict=True)
    return Events(
        np.array(start, dtype=np.int64) * MINUTE,
        np.array(end, dtype=np.int64) * MINUTE,
        np.array(values, dtype=np.float64),
        np.array([SOURCES.index(name) for name in source], dtype=np.int8),
        ids,
    )


def rows(found) -> list[tuple]:
    """Start and end in minutes, value, source."""
    return [
        (start / MINUTE, end / MINUTE, value, SOURCES[source])
        for start, end, value, source in zip(
            found.start.tolist(),
            found.end.tolist(),
            found.values.tolist(),
            found.source.tolist(),
            strict=True,
        )
    ]


def test_the_phone_keeps_only_what_the_watch_does_not_cover():
    found = merged(
        events((0, 10, 100, Source.WATCH), (5, 15, 80, Source.PHONE), (20, 30, 7, Source.PHONE)),
        (),
        average=False,
    )
    assert rows(found) == [
        (0, 10, 100, Source.WATCH),
        (10, 15, 40, Source.PHONE),
        (20, 30, 7, Source.PHONE),
    ]
    assert (found.duplicates, found.conflicts, found.overlaps) == (0, 0, 1)


def test_the_caller_may_put_another_source_first():
    given_events = events((0, 10, 100, Source.WATCH), (5, 15, 80, Source.PHONE))
    found = merged(given_events, (Source.PHONE,), average=False)
    assert rows(found) == [(0, 5, 50, Source.WATCH), (5, 15, 80, Source.PHONE)]


def test_a_sample_may_be_cut_in_two():
    found = merged(events((0, 10, 10, Source.PHONE), (4, 6, 50, Source.WATCH)), (), average=False)
    assert rows(found) == [(0, 4, 4, Source.PHONE), (4, 6, 50, Source.WATCH), (6, 10, 4, Source.PHONE)]


def test_levels_keep_their_value_when_they_are_cut():
    found = merged(events((0, 10, 10, Source.PHONE), (4, 10, 50, Source.WATCH)), (), average=True)
    assert rows(found) == [(0, 4, 10, Source.PHONE), (4, 10, 50, Source.WATCH)]


def test_zero_is_a_value_and_covers_its_time():
    found = merged(events((0, 10, 0, Source.WATCH), (0, 10, 90, Source.PHONE)), (), average=False)
    assert rows(found) == [(0, 10, 0, Source.WATCH)]


def test_copies_with_one_id_are_one_event_and_the_largest_is_kept():
    found = merged(
        events(
            (0, 1, 5, Source.WATCH),
            (0, 1, 5, Source.PHONE),
            (3, 4, 2, Source.WATCH),
            (3, 4, 9, Source.WATCH),
            ids=["a", "a", "b", "b"],
        ),
        (),
        average=False,
    )
    assert rows(found) == [(0, 1, 5, Source.WATCH), (3, 4, 9, Source.WATCH)]
    assert (found.duplicates, found.conflicts) == (2, 1)


def test_points_in_time_stay_and_are_covered_like_spans():
    found = merged(
        events((0, 0, 3, Source.PHONE), (5, 5, 4, Source.PHONE), (5, 6, 9, Source.WATCH)), (), average=False
    )
    assert [(value, source) for _, _, value, source in rows(found)] == [(3, Source.PHONE), (9, Source.WATCH)]


def test_three_records_of_one_night_never_exceed_it():
    """Watch, phone and manual sleep were once summed to 27.6 hours in a day."""
    found = merged(
        events(
            (0, 480, 480, Source.WATCH),
            (10, 500, 490, Source.PHONE),
            (0, 540, 540, Source.MANUAL),
            (1380, 1440, 60, Source.MANUAL),
        ),
        (),
        average=False,
    )
    assert found.values.sum() == 600
    assert int((found.end - found.start).sum()) == 600 * MINUTE


ROWS = st.lists(
    st.tuples(
        st.integers(0, 300),
        st.integers(0, 40),
        st.integers(0, 500),
        st.sampled_from(SOURCES),
    ),
    min_size=1,
    max_size=40,
)


@settings(deadline=None, max_examples=200)
@given(rows_=ROWS, seed=st.randoms(use_true_random=False))
def test_order_and_copies_change_nothing(rows_, seed):
    made = [(start, start + length, value, source) for start, length, value, source in rows_]
    shuffled = made + made[: len(made) // 2]
    seed.shuffle(shuffled)
    assert rows(merged(events(*made), (), average=False)) == rows(
        merged(events(*shuffled), (), average=False)
    )


@settings(deadline=None, max_examples=200)
@given(rows_=ROWS)
def test_every_moment_is_counted_once_by_the_first_source_that_covers_it(rows_):
    made = [(start, start + length + 1, value, source) for start, length, value, source in rows_]
    found = rows(merged(events(*made), (), average=False))
    assert all(end <= start for (_, end, _, _), (start, _, _, _) in pairwise(found))
    for minute in range(345):
        covering = {source for start, end, _, source in made if start <= minute < end}
        kept = [source for start, end, _, source in found if start <= minute < end]
        assert kept == ([min(covering, key=SOURCES.index)] if covering else [])


@settings(deadline=None, max_examples=100)
@given(starts=st.sets(st.integers(0, 300), min_size=1), values=st.data())
def test_what_does_not_overlap_is_kept_whole(starts, values):
    made = [
        (start, start + 1, values.draw(st.integers(0, 99)), values.draw(st.sampled_from(SOURCES)))
        for start in sorted(starts)
    ]
    assert rows(merged(events(*made), (), average=False)) == made
