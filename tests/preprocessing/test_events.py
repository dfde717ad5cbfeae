"""Samples with a start and an end: split among minutes, merged by source, counted, never guessed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocessing.merging import Source
from preprocessing.readers import Hints, canonical_csv, canonical_json, read
from preprocessing.readers.events import kind_of_source, zone_of_events
from preprocessing.readers.hints import NO_HINTS
from preprocessing.recording import Flag, RecordingError, Refusal
from preprocessing.units import Unit
from tests.preprocessing.inputs import document

NAN = np.nan


def spans(rows: list[tuple], **changes: object) -> bytes:
    """A canonical document of samples (start, end, value, source) on 2024-01-01 in UTC."""
    start, end, values, sources = zip(*rows, strict=True)
    return document(
        **{
            "start": ...,
            "zone": "Etc/UTC",
            "unit": "steps",
            "device": "unknown",
            "timestamps": [f"2024-01-01T{clock}Z" for clock in start],
            "ends": [f"2024-01-01T{clock}Z" for clock in end],
            "values": list(values),
            "sources": list(sources),
            **changes,
        }
    )


def refusal(data: bytes, hints: Hints = NO_HINTS) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        read(data, hints)
    return refused.value


def test_a_sample_across_minutes_is_split_by_overlap():
    found = read(spans([("08:00:30", "08:02:00", 90, "watch"), ("08:03:10", "08:03:20", 4, "phone")]))
    np.testing.assert_array_equal(found.values, [30, 60, NAN, 4])
    assert found.start.isoformat() == "2024-01-01T08:00:00+00:00"
    assert (found.unit, found.epoch_seconds) == (Unit.STEPS, 60)
    assert found.flags == {Flag.SPREAD_SAMPLES}
    assert found.tidying.gaps == 1
    assert [found.sources[k] if k >= 0 else None for k in found.source] == ["watch", "watch", None, "phone"]


def test_zero_is_a_value_and_what_no_sample_reaches_is_not_recorded():
    found = read(spans([("08:00:00", "08:01:00", 0, "watch"), ("08:02:00", "08:03:00", 3, "watch")]))
    np.testing.assert_array_equal(found.values, [0, NAN, 3])


def test_a_daily_total_is_not_a_minute():
    total = ("00:00:00", "23:59:00", 8000, "phone")
    assert refusal(spans([total])).code is Refusal.RESOLUTION_TOO_COARSE
    found = read(spans([total, ("08:00:00", "08:01:00", 12, "watch")]))
    assert found.values.tolist() == [12]
    assert found.tidying.set_aside == 1


def test_overlapping_sources_are_counted_once():
    rows = [("08:00:00", "08:10:00", 100, "watch"), ("08:05:00", "08:15:00", 80, "phone")]
    found = read(spans(rows))
    assert np.nansum(found.values) == pytest.approx(140)
    assert found.tidying.overlaps == 1
    first = read(spans(rows), Hints(source_priority=(Source.PHONE,)))
    assert np.nansum(first.values) == pytest.approx(130)


def test_levels_are_averaged_over_the_time_they_hold():
    rows = [("08:00:00", "08:00:45", 10, "watch"), ("08:00:45", "08:01:30", 50, "watch")]
    found = read(spans(rows, unit="enmo_mg"))
    np.testing.assert_allclose(found.values, [20, 50])


def test_offsets_of_spans_only_place_them():
    found = read(spans([("23:30:00", "23:31:00", 7, "watch")], zone="Europe/Berlin"))
    assert found.start.isoformat() == "2024-01-02T00:30:00+01:00"
    local = {"timestamps": ["2024-01-01T08:00:00"], "ends": ["2024-01-01T08:01:00"]}
    found = read(spans([("08:00:00", "08:01:00", 7, "watch")], zone="Europe/Berlin", **local))
    assert found.start.isoformat() == "2024-01-01T08:00:00+01:00"


def test_ids_make_copies_one_sample():
    rows = [("08:00:00", "08:01:00", 10, "watch"), ("08:02:00", "08:03:00", 10, "watch")]
    assert np.nansum(read(spans(rows, ids=["a", "a"])).values) == 10


def test_days_are_chosen_before_anything_is_refused_for_its_length():
    rows = [("08:00:00", "08:01:00", 1, "watch"), ("08:01:00", "08:02:00", 2, "watch")]
    fields = json.loads(spans(rows))
    fields["timestamps"][0], fields["ends"][0] = "2010-01-01T08:00:00Z", "2010-01-01T08:01:00Z"
    data = json.dumps(fields).encode()
    from datetime import date

    assert refusal(data).code is Refusal.TOO_MANY_EPOCHS
    assert read(data, Hints(since=date(2024, 1, 1))).values.tolist() == [2]
    assert read(data, Hints(until=date(2010, 1, 1))).values.tolist() == [1]
    assert refusal(data, Hints(since=date(2025, 1, 1))).code is Refusal.NO_SAMPLES


@pytest.mark.parametrize(
    ("changes", "code", "where"),
    [
        ({"ends": ["2024-01-01T07:00:00Z"]}, Refusal.INVALID_FIELD, "end"),
        ({"sources": ["sock"]}, Refusal.INVALID_FIELD, "sources"),
        ({"sources": []}, Refusal.INVALID_FIELD, "sources"),
        ({"ends": ...}, Refusal.INVALID_FIELD, "sampling"),
        ({"sampling": "irregular"}, Refusal.INVALID_FIELD, "sampling"),
        ({"sampling": "daily", "ends": ..., "sources": ...}, Refusal.INVALID_FIELD, "sampling"),
        ({"wear": [True]}, Refusal.INVALID_FIELD, "sampling"),
        ({"values": [None]}, Refusal.NO_SAMPLES, None),
        ({"values": [-1]}, Refusal.INVALID_FIELD, "values"),
        ({"timestamps": ..., "start": "2024-01-01T08:00:00Z"}, Refusal.INVALID_FIELD, "sampling"),
        ({"epoch_seconds": 0}, Refusal.NO_EPOCH_INFORMATION, "epoch_seconds"),
    ],
)
def test_what_does_not_go_together_is_refused(changes, code, where):
    refused = refusal(spans([("08:00:00", "08:01:00", 10, "watch")], **changes))
    assert (refused.code, refused.where) == (code, where)


def test_hints_for_sources_are_refused_where_nothing_has_sources():
    refused = refusal(document(), Hints(source_priority=(Source.PHONE,)))
    assert (refused.code, refused.where) == (Refusal.INVALID_FIELD, "source_priority")


@settings(deadline=None, max_examples=100)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 80_000), st.integers(0, 3600), st.integers(0, 900)), min_size=1, max_size=30
    ),
    seed=st.randoms(use_true_random=False),
)
def test_order_and_copies_change_nothing_and_nothing_is_made_up(rows, seed):
    def clock(second: int) -> str:
        return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"

    made = [
        (clock(start), clock(min(start + length, 86_399)), value, "watch") for start, length, value in rows
    ]
    shuffled = made + made[:3]
    seed.shuffle(shuffled)
    found, again = read(spans(made)), read(spans(shuffled))
    np.testing.assert_array_equal(found.values, again.values)
    assert np.nansum(found.values) <= sum(value for *_, value, _ in made) + 1e-6


@settings(deadline=None, max_examples=100)
@given(starts=st.lists(st.integers(0, 800), min_size=1, max_size=40, unique=True), data=st.data())
def test_what_went_in_comes_out_where_nothing_overlaps(starts, data):
    def clock(second: int) -> str:
        return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"

    rows = [(clock(k * 100), clock(k * 100 + 100), data.draw(st.integers(0, 900)), "phone") for k in starts]
    assert np.nansum(read(spans(rows)).values) == pytest.approx(sum(row[2] for row in rows))


def test_points_off_any_grid_are_added_up_in_their_minute():
    stamps = ["2024-01-01T00:00:01", "2024-01-01T00:00:59.5", "2024-01-01T00:02:00", "2024-01-01T00:02:00"]
    found = read(document(start=..., timestamps=stamps, values=[1, 2, 4, 3], sampling="irregular"))
    np.testing.assert_array_equal(found.values, [3, NAN, 4])
    assert found.flags == {Flag.RESAMPLED}
    assert (found.tidying.duplicates, found.tidying.conflicts, found.tidying.gaps) == (1, 1, 1)
    mean = read(
        document(start=..., timestamps=stamps, values=[1, 2, 4, 3], sampling="irregular", unit="enmo_mg")
    )
    np.testing.assert_array_equal(mean.values, [1.5, NAN, 4])


def test_a_clock_that_drifts_keeps_every_count():
    seconds = np.arange(2000) * 60.05
    stamps = [
        str(np.datetime64("2024-01-01T00:00:00", "ms") + np.timedelta64(int(s * 1000), "ms")) for s in seconds
    ]
    found = read(document(start=..., timestamps=stamps, values=[7] * 2000))
    assert Flag.RESAMPLED in found.flags
    assert np.nansum(found.values) == pytest.approx(14_000)
    assert found.epochs == 2002


def test_a_clock_that_jumps_keeps_every_count_at_its_time():
    before = [f"2024-01-01T00:{m:02d}:00" for m in range(10)]
    after = [f"2024-01-01T01:{m:02d}:30" for m in range(10)]
    found = read(document(start=..., timestamps=before + after, values=[4] * 20))
    assert found.values[:10].tolist() == [4] * 10
    assert np.isnan(found.values[10:60]).all()
    assert found.values[60:71].tolist() == [2] + [4] * 9 + [2]
    assert found.flags == {Flag.RESAMPLED}


def test_travel_is_kept_written_and_read_again():
    travel = [{"from": "2024-01-01T03:00:00Z", "zone": "America/New_York"}]
    found = read(document(travel=travel))
    assert Flag.ZONE_CHANGED in found.flags
    assert [(change.instant.isoformat(), change.zone) for change in found.travel] == [
        ("2024-01-01T03:00:00+00:00", "America/New_York")
    ]
    assert read(canonical_json.dumps(found).encode()).travel == found.travel
    assert read(canonical_csv.dumps(found).encode()).travel == found.travel


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"travel": [{"from": "2024-01-01T03:00:00Z", "zone": "Mars/Base"}]}, Refusal.NO_TIME_ZONE),
        ({"travel": [{"from": "2024-01-01T03:00:00", "zone": "Europe/Oslo"}]}, Refusal.NAIVE_TIMESTAMP),
        ({"travel": [{"from": "soon", "zone": "Europe/Oslo"}]}, Refusal.INVALID_FIELD),
        ({"travel": [{"zone": "Europe/Oslo"}]}, Refusal.INVALID_FIELD),
        ({"travel": [{"from": 3, "zone": "Europe/Oslo"}]}, Refusal.INVALID_FIELD),
        ({"travel": ["Europe/Oslo"]}, Refusal.INVALID_FIELD),
        (
            {
                "travel": [{"from": "2024-01-01T03:00:00Z", "zone": "Europe/Oslo"}],
                "zone": ...,
                "clock": "wall",
                "start": "2024-01-01T00:00:00",
            },
            Refusal.NO_TIME_ZONE,
        ),
    ],
)
def test_travel_that_says_nothing_certain_is_refused(changes, code):
    assert refusal(document(**changes)).code is code


def test_the_canonical_table_says_spans_too():
    table = (
        b"# zone: Etc/UTC\n# epoch_seconds: 60\n# unit: steps\ntimestamp,end,value,source,id\n"
        b"2024-01-01T08:00:00Z,2024-01-01T08:02:00Z,10,watch,a\n"
        b"2024-01-01T08:00:00Z,2024-01-01T08:02:00Z,10,watch,a\n"
    )
    assert read(table).values.tolist() == [5, 5]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Apple Watch von J.", Source.WATCH),
        ("com.apple.health.Watch", Source.WATCH),
        ("Watch6,2", Source.WATCH),
        ("iPhone14,5", Source.PHONE),
        ("Galaxy Watch on phone", Source.WATCH),
        ("Husband's scale", Source.OTHER),
        ("Stopwatcher", Source.OTHER),
        ("", Source.OTHER),
    ],
)
def test_the_kind_of_a_source_is_told_by_whole_words(text, kind):
    assert kind_of_source(text) is kind


def test_the_zone_is_the_one_stated_or_hinted_or_shared():
    offsets = np.array([3600, 3600])
    assert zone_of_events("Europe/Oslo", None, Hints()) == "Europe/Oslo"
    assert zone_of_events(None, offsets, Hints(zone="Europe/Oslo")) == "Europe/Oslo"
    assert zone_of_events(None, offsets, Hints()) == "+01:00"
    assert zone_of_events(None, -offsets // 2, Hints()) == "-00:30"
    for bad in (None, np.array([3600, 7200]), np.array([])):
        with pytest.raises(RecordingError) as refused:
            zone_of_events(None, bad, Hints())
        assert refused.value.code is Refusal.NO_TIME_ZONE
    with pytest.raises(RecordingError) as refused:
        zone_of_events("Europe/Oslo", None, Hints(zone="Asia/Tokyo"))
    assert refused.value.code is Refusal.INVALID_FIELD
