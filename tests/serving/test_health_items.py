"""What the health data service lists, sorted: any order and any garbage, each metric counted once."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.health_errors import NothingUsable
from serving.health_items import Sorted, Wanted
from tests.health_data.metrics import START, VALUES, envelope, later, metric, named, packed, plain, steps

WANTED = Wanted(date(2024, 5, 13), date(2024, 5, 21))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = (
    "metric_id",
    "metric_type",
    "raw_data",
    "metadata",
    "activity_data",
    "user_id",
    "metrics",
    "metric_data",
)
SERIES = ("profile", "start", "time_zone", "epoch_seconds", "quantity", "values", "samples", "deviceTimeZone")
KNOWN = st.sampled_from(
    ["actigraphy-series/1", "pat-analysis/1", "2024-05-13T16:20:00Z", "counts", "Europe/Berlin"]
)
DAMAGED = st.dictionaries(
    st.sampled_from(FIELDS),
    JSON | st.dictionaries(st.sampled_from(SERIES), KNOWN | JSON, max_size=8),
    max_size=8,
)


def aside(item: Any, wanted: Wanted = WANTED) -> str:
    """Why the one item is set aside, nothing if it is used."""
    found = Sorted(wanted)
    found.take([item])
    return ",".join(found.source(1, truncated=False)["set_aside"])


def series(**changes: Any) -> Any:
    made = packed(VALUES[:60])
    raw = {name: value for name, value in {**made["raw_data"], **changes}.items() if value is not ...}
    return {**made, "raw_data": raw}


BEFORE = "2024-05-12T10:00:00+02:00"
CASES = {
    "series": (series(), ""),
    "a zone from the request": (series(time_zone=...), "no_time_zone"),
    "an instant without a clock": (series(start="2024-05-13T14:20:00Z"), ""),
    "naive": (series(start="2024-05-13T14:20:00"), "naive_timestamp"),
    "seconds since 1970": (series(start=1715609999), "unreadable"),
    "a day": (series(start="2024-05-13"), "unreadable"),
    "no day": (series(start="2024-13-13T00:00:00Z"), "unreadable"),
    "the last instant": (series(start="9999-12-31T23:59:59-12:00"), "unreadable"),
    "no start": (series(start=...), "no_epoch_information"),
    "no epoch": (series(epoch_seconds=None), "no_epoch_information"),
    "a fraction of a second": (series(epoch_seconds=0.5), "unreadable"),
    "an endless epoch": (series(epoch_seconds=10**18), "unreadable"),
    "no values": (series(values=[]), "unreadable"),
    "a zone out of the folder": (series(time_zone="../../etc/passwd"), "unreadable"),
    "a fixed offset": (series(time_zone="+02:00"), ""),
    "before": (packed(VALUES[:60], later(START, -1100)), "out_of_period"),
    "after": (packed(VALUES[:60], later(START, 11_980)), "out_of_period"),
    "until the first midnight": (packed([1], later(START, -981)), "out_of_period"),
    "from the first midnight": (packed([1], later(START, -980)), ""),
    "plain": (plain(0, 8000), "no_epoch_information"),
    "steps": (steps(0, 8), ""),
    "steps with a length": (steps(0, 8, end=..., epoch_seconds=60), ""),
    "steps until": (steps(0, 8, start=..., epoch_seconds=60), ""),
    "steps of a moment before": (
        steps(0, 8, start="2024-05-12T10:00:00+02:00", end="2024-05-12T10:00:00+02:00"),
        "out_of_period",
    ),
    "steps of no length": (steps(0, 8, epoch_seconds="60"), "unreadable"),
    "fewer than no steps": (steps(0, -1), "unreadable"),
    "true steps": (steps(0, True), "unreadable"),
    "no steps": (steps(0, None), "other_quantity"),
    "steps without a zone": (steps(0, 8, time_zone=...), "no_time_zone"),
    "samples": (envelope([(0, 4)]), ""),
    "samples without a zone": (envelope([(0, 4)], None), "no_time_zone"),
    "samples of nowhere": (envelope([(0, 4)], "Nowhere"), "unreadable"),
    "an analysis": (metric(named("a"), START, raw_data={"profile": "pat-analysis/1"}), "own_analysis"),
    "a heart rate": (metric(named("h"), START, metric_type="heart_rate"), "other_quantity"),
    "a word of another version": (metric(named("x"), START, metric_type="teleported"), "unknown_type"),
    "a packed series of another word": ({**series(), "metric_type": "teleported"}, ""),
    "text": ("text", "unreadable"),
    "raw text": ({**series(), "raw_data": "text"}, "unreadable"),
}


@pytest.mark.parametrize("which", CASES)
def test_why_a_metric_is_set_aside(which):
    item, why = CASES[which]
    assert aside(item) == why


def test_what_the_request_says_is_used_where_a_metric_says_nothing():
    assert aside(series(time_zone=...), Wanted(WANTED.since, WANTED.until, zone="Europe/Berlin")) == ""
    assert aside(steps(0, 8), Wanted(WANTED.since, WANTED.until, quantity="counts")) == "other_quantity"


@given(st.permutations(range(5)))
def test_the_order_of_what_is_listed_changes_nothing_but_the_order(order):
    items = [series(), packed([1], later(START, 60)), plain(1, 5), "text", metric(named("h"), START)]
    found = Sorted(WANTED)
    found.take([items[k] for k in order])
    assert found.source(1, truncated=False)["set_aside"] == {
        "no_epoch_information": 1,
        "other_quantity": 1,
        "unreadable": 1,
    }
    assert len(json.loads(found.document({}))["data"]) == 2


@settings(max_examples=100)
@given(st.lists(DAMAGED | JSON, max_size=5))
def test_whatever_is_listed_is_used_or_counted_and_nothing_breaks(items):
    found = Sorted(WANTED)
    found.take(items)
    found.take(items)  # as a page that shifted
    source = found.source(2, truncated=False)
    assert source["used"] + sum(source["set_aside"].values()) == source["listed"]
    if source["used"] == 0:
        with pytest.raises(NothingUsable):
            found.document(source)


def test_a_shifted_page_is_no_duplicate_and_a_second_upload_is():
    found = Sorted(WANTED)
    first, second = ({**series(), "processing_id": name} for name in ("one", "two"))
    assert found.take([first])
    assert not found.take([first])
    assert found.take([second])
    source = found.source(3, truncated=False)
    assert (source["listed"], source["set_aside"]) == (2, {"duplicate": 1})
    assert source["processing_ids"] == ["one"]


def test_free_text_goes_no_further():
    found = Sorted(WANTED)
    found.take(
        [{**series(), "mental_health_data": {"notes": "a note"}, "biometric_data": {"heart_rate": 61}}]
    )
    assert b"a note" not in found.document({})
    assert b"heart_rate" not in found.document({})
