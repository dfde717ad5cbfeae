"""A sleep log as people and programs write it: local times or offsets, tables or intervals, never a guess."""

from __future__ import annotations

import pytest

from pat_runner.sleep_log import MOST_WINDOWS, entries, pairs_in_intervals, pairs_in_table
from preprocessing.recording import RecordingError

PAIR = ("2026-03-28T23:10", "2026-03-29T07:00")


def test_local_times_are_those_of_the_zone_across_its_clock_change():
    (window,) = entries([PAIR], "Europe/Berlin")
    assert window.in_bed.isoformat() == "2026-03-28T23:10:00+01:00"
    assert window.out_of_bed.isoformat() == "2026-03-29T07:00:00+02:00"


def test_a_wall_clock_stays_one():
    (window,) = entries([PAIR], None)
    assert window.in_bed.tzinfo is None
    assert entries([], "Europe/Berlin") == ()


def test_tables_and_intervals_say_the_same():
    assert pairs_in_table("In_bed, Out_of_bed\n2026-03-28T23:10,2026-03-29T07:00\n\n") == [PAIR]
    assert pairs_in_intervals("2026-03-28T23:10/2026-03-29T07:00") == [PAIR]
    assert len(pairs_in_intervals("a/b,c/d")) == 2


@pytest.mark.parametrize(
    "made",
    [
        lambda: pairs_in_table(""),
        lambda: pairs_in_table("from,to\na,b\n"),
        lambda: pairs_in_table("in_bed,out_of_bed\na\n"),
        lambda: pairs_in_intervals("2026-03-28T23:10"),
        lambda: pairs_in_intervals("a/b/c"),
        lambda: entries([("late", "early")], None),
        lambda: entries([("2026-03-28T23:10Z", "2026-03-29T07:00Z")], "Europe/Berlin"),
        lambda: entries([PAIR] * (MOST_WINDOWS + 1), None),
    ],
)
def test_what_is_no_log_is_refused(made):
    with pytest.raises(RecordingError) as refused:
        made()
    assert refused.value.where == "sleep_log"
