"""Open mHealth: step counts over intervals become minutes of steps; averages and other schemas do not."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from preprocessing.merging import Source
from preprocessing.readers.hints import NO_HINTS, Hints
from preprocessing.readers.json_document import document_of
from preprocessing.readers.open_mhealth import looks_like, read
from preprocessing.recording import Flag, RecordingError, Refusal
from preprocessing.units import Unit
from tests.preprocessing.damage import outcomes
from tests.shared import shared

Json = dict[str, Any]
DENVER = Hints(zone="America/Denver")
FOLDER = "data/devices/open-mhealth"


def at(minute: int, offset: str = "-07:00") -> str:
    return f"2026-03-01T{8 + minute // 60:02d}:{minute % 60:02d}:00{offset}"


def interval(minute: int, minutes: int = 1, offset: str = "-07:00") -> Json:
    return {
        "time_interval": {
            "start_date_time": at(minute, offset),
            "end_date_time": at(minute + minutes, offset),
        }
    }


def body(minute: int, value: Any, minutes: int = 1, **changes: Any) -> Json:
    """omh:step-count 3.0; a change to ``...`` removes the field."""
    fields = {
        "step_count": {"value": value, "unit": "steps"},
        "effective_time_frame": interval(minute, minutes),
    }
    return {name: field for name, field in {**fields, **changes}.items() if field is not ...}


def point(measure: Json, key: str | None = None, **header: Any) -> Json:
    fields = {
        "id": key,
        "schema_id": {"namespace": "omh", "name": "step-count", "version": "3.0"},
        "acquisition_provenance": {"source_name": "Example Watch", "modality": "sensed"},
        **header,
    }
    return {"header": fields, "body": measure}


def activity(minute: int, value: Any, minutes: int = 1, unit: str = "steps") -> Json:
    return {
        "activity_name": "walking",
        "base_movement_quantity": {"value": value, "unit": unit},
        "effective_time_frame": interval(minute, minutes),
    }


def example() -> bytes:
    """A watch and a phone that overlap, a self-report, a heart rate and an average, made up."""
    phone = {"acquisition_provenance": {"source_name": "Example iPhone"}}
    told = {"acquisition_provenance": {"source_name": "Diary", "modality": "self-reported"}}
    heart = {"schema_id": {"namespace": "omh", "name": "heart-rate", "version": "1.0"}}
    points = [
        *(point(body(k, k * 7 % 50), f"w{k}") for k in range(20)),
        point(body(15, 200, 20), "p1", **phone),
        point(body(40, 30, 5), "d1", **told),
        point(
            {"heart_rate": {"value": 61, "unit": "beats/min"}, "effective_time_frame": interval(0)}, **heart
        ),
        point(body(0, 900, 60, descriptive_statistic="average"), "a1"),
    ]
    return json.dumps(points).encode()


def refusal(document: Any, hints: Hints = NO_HINTS) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        read(document, hints)
    return refused.value


def test_the_example_counts_each_moment_once():
    found = read(document_of(example()), DENVER)
    assert found.values[:20].tolist() == [k * 7 % 50 for k in range(20)]
    assert found.values[20:35].tolist() == [10] * 15
    assert found.values[40:45].tolist() == [6] * 5
    assert (found.unit, found.epoch_seconds, found.source_format) == (Unit.STEPS, 60, "open-mhealth")
    assert [found.sources[k] for k in found.source[[0, 20, 40]]] == [
        Source.WATCH,
        Source.PHONE,
        Source.MANUAL,
    ]
    assert found.tidying.set_aside == 2
    assert Flag.UNVERIFIED_FORMAT not in found.flags


def test_a_single_data_point_a_body_and_a_list_of_bodies_read_alike():
    for document in (point(body(0, 12)), body(0, 12), [body(0, 12)], [point(body(0, 12)), body(0, 12)]):
        found = read(document, NO_HINTS)
        assert (found.values.tolist(), found.zone) == ([12], "-07:00")


def test_versions_1_and_2_write_a_plain_number():
    assert read(body(0, ..., step_count=7), NO_HINTS).values.tolist() == [7]
    schema = {"namespace": "omh", "name": "step-count", "version": "2.0"}
    assert read(point(body(0, ..., step_count=0), schema_id=schema), NO_HINTS).values.tolist() == [0]


@pytest.mark.parametrize(
    ("duration", "minutes"),
    [
        ({"value": 2, "unit": "min"}, 2),
        ({"value": 120, "unit": "sec"}, 2),
        ({"value": 120_000, "unit": "ms"}, 2),
        ({"value": 1.2e11, "unit": "ns"}, 2),
        ({"value": 1.2e14, "unit": "ps"}, 2),
        ({"value": 0.5, "unit": "h"}, 30),
        ({"value": 1 / 144, "unit": "d"}, 10),
        ({"value": 1 / 1008, "unit": "wk"}, 10),
    ],
)
@pytest.mark.parametrize("anchor", ["start_date_time", "end_date_time"])
def test_a_duration_and_one_end_make_the_interval(duration: Json, minutes: int, anchor: str):
    frame = {"time_interval": {anchor: at(60), "duration": duration}}
    found = read(body(0, 60, effective_time_frame=frame), NO_HINTS)
    assert (found.epochs, round(found.values.sum(), 6)) == (minutes, 60)
    begin = found.start if anchor == "start_date_time" else found.end
    assert begin.isoformat() == at(60)


def test_ieee_physical_activity_counts_steps_as_base_movement():
    header = {"schema_id": {"namespace": "ieee", "name": "physical-activity", "version": "1.0"}}
    found = read(point(activity(0, 12), "a", **header), NO_HINTS)
    assert found.values.tolist() == [12]
    assert Flag.UNVERIFIED_FORMAT in found.flags
    assert refusal(point(activity(0, 12, unit="strokes"), **header)).code is Refusal.UNKNOWN_UNIT


def test_a_list_of_activities_in_one_data_point_is_read_and_an_empty_value_is_not_recorded():
    document = {
        "header": {"uuid": "P-1", "timezone": "mst"},
        "body": {"activity": [activity(0, 12), activity(1, ""), activity(2, 0)]},
    }
    found = read(document, NO_HINTS)
    np.testing.assert_array_equal(found.values, [12, np.nan, 0])
    assert found.tidying.set_aside == 1


def test_copies_are_told_by_the_id_of_the_data_point():
    found = read([point(body(0, 12), "a"), point(body(0, 30, 2), "a")], NO_HINTS)
    assert found.values.tolist() == [15, 15]
    assert found.tidying.duplicates == 1
    uuid = {"uuid": "u", "id": ...}
    documents = [point(body(0, 12), **uuid), point(body(0, 30, 2), **uuid)]
    for document in documents:
        del document["header"]["id"]
    assert read(documents, NO_HINTS).tidying.duplicates == 1


def test_a_permutation_and_copies_change_nothing():
    points = json.loads(example())
    shuffled = [*points, *points[:9]]
    random.Random(5).shuffle(shuffled)
    found, again = read(points, DENVER), read(shuffled, DENVER)
    np.testing.assert_array_equal(again.values, found.values)
    assert (again.start, again.flags, again.tidying.duplicates) == (found.start, found.flags, 9)


def test_times_in_utc_name_no_zone():
    document = body(0, 12, effective_time_frame=interval(0, 1, "Z"))
    assert refusal(document).code is Refusal.NO_TIME_ZONE
    assert read(document, DENVER).start.isoformat() == "2026-03-01T01:00:00-07:00"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (body(0, 12, descriptive_statistic="maximum"), Refusal.RESOLUTION_TOO_COARSE),
        (body(0, 12, 600), Refusal.RESOLUTION_TOO_COARSE),
        (
            body(
                0,
                12,
                effective_time_frame={
                    "time_interval": {"start_date_time": at(0), "duration": {"value": 1, "unit": "Mo"}}
                },
            ),
            Refusal.RESOLUTION_TOO_COARSE,
        ),
        (
            body(
                0,
                12,
                effective_time_frame={
                    "time_interval": {"start_date_time": at(0), "duration": {"value": 1, "unit": "s"}}
                },
            ),
            Refusal.INVALID_FIELD,
        ),
        (
            body(
                0,
                12,
                effective_time_frame={
                    "time_interval": {"start_date_time": at(0), "duration": {"value": 1e300, "unit": "h"}}
                },
            ),
            Refusal.INVALID_FIELD,
        ),
        (
            body(
                0,
                12,
                effective_time_frame={"time_interval": {"date": "2026-03-01", "part_of_day": "morning"}},
            ),
            Refusal.NO_EPOCH_INFORMATION,
        ),
        (body(0, 12, effective_time_frame={"date_time": at(0)}), Refusal.NO_EPOCH_INFORMATION),
        (body(0, 12, effective_time_frame=...), Refusal.NO_EPOCH_INFORMATION),
        (body(0, 12, effective_time_frame=interval(0, 1, "")), Refusal.NAIVE_TIMESTAMP),
        (body(0, 12, effective_time_frame=interval(0, -1)), Refusal.INVALID_FIELD),
        (body(0, 12, effective_time_frame=[]), Refusal.INVALID_FIELD),
        (body(0, -4321), Refusal.INVALID_FIELD),
        (body(0, "4321"), Refusal.INVALID_FIELD),
        (body(0, 10**400), Refusal.INVALID_FIELD),
        (body(0, 43_210_000), Refusal.INVALID_FIELD),
        (body(0, None), Refusal.NO_SAMPLES),
        (body(0, 5, step_count={"value": 5}), Refusal.UNKNOWN_UNIT),
        (point(body(0, 5), schema_id={"namespace": "omh", "name": "heart-rate"}), Refusal.NO_SAMPLES),
        (
            point(body(0, 5), schema_id={"namespace": "omh", "name": "step-count", "version": "9.0"}),
            Refusal.NO_SAMPLES,
        ),
        (point(body(0, 5), schema_id={"namespace": "acme", "name": "step-count"}), Refusal.NO_SAMPLES),
        ([point(body(0, 5), user_id="4321"), point(body(1, 5), user_id="b")], Refusal.INVALID_FIELD),
        ([], Refusal.NO_SAMPLES),
        ([1], Refusal.UNPARSABLE),
    ],
)
def test_what_is_no_plain_amount_of_steps_over_a_known_time_is_refused(document, code):
    refused = refusal(document)
    assert refused.code is code
    assert "4321" not in str(refused)


@pytest.mark.parametrize("hints", [Hints(unit=Unit.COUNTS), Hints(epoch_seconds=30)])
def test_a_hint_that_contradicts_the_format_is_refused(hints: Hints):
    assert refusal(body(0, 12), hints).code is Refusal.INVALID_FIELD


def test_a_document_is_told_by_its_envelope_or_time_frame():
    assert looks_like(body(0, 1))
    assert looks_like([point(body(0, 1))])
    assert looks_like({"step_count": 5})
    for other in (
        {"values": []},
        [],
        [[1]],
        "semi-recumbent",
        {"header": {}},
        [{"dateTime": "", "value": ""}],
    ):
        assert not looks_like(other)


EXPECTED = {  # the published samples: steps of an hour, or the refusal that a person would expect
    "omh__step-count__2.0__shouldPass__valid-step-count": 6000,
    "omh__step-count__3.0__shouldPass__valid-step-count": 10_600,
    "omh__step-count__2.0__shouldPass__with-average": Refusal.RESOLUTION_TOO_COARSE,
    "omh__step-count__2.0__shouldPass__with-maximum": Refusal.RESOLUTION_TOO_COARSE,
    "omh__step-count__2.0__shouldPass__with-session": Refusal.RESOLUTION_TOO_COARSE,
    "omh__step-count__3.0__shouldPass__with-average": Refusal.RESOLUTION_TOO_COARSE,
    "omh__step-count__3.0__shouldPass__with-maximum": Refusal.RESOLUTION_TOO_COARSE,
    "omh__step-count__3.0__shouldPass__with-session": Refusal.RESOLUTION_TOO_COARSE,
    "omh__acceleration__1.0__shouldPass__valid-acceleration": Refusal.NO_SAMPLES,
    "omh__acceleration__2.0__shouldPass__valid-acceleration": Refusal.NO_SAMPLES,
    "omh__minutes-moderate-activity__1.0__shouldPass__with-time-frame": Refusal.NO_SAMPLES,
    "omh__physical-activity__1.2__shouldPass__with-calories-burned": Refusal.NO_SAMPLES,
    "omh__sleep-episode__1.0__shouldPass__valid-sleep-episode": Refusal.NO_SAMPLES,
    "omh__sleep-episode__1.1__shouldPass__valid-sleep-episode": Refusal.NO_SAMPLES,
    "ieee__ambient-sound__1.0__shouldPass__valid-ambient-sound": Refusal.NO_SAMPLES,
}


def test_every_published_sample_is_read_or_refused_as_a_person_would_expect():
    for path in sorted(shared(FOLDER).glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        expected = EXPECTED.get(path.stem)
        assert looks_like(document) is (expected is not None), path.stem
        if isinstance(expected, Refusal):
            assert refusal(document, DENVER).code is expected
        elif expected is not None:
            found = read(document, DENVER)
            assert (found.epochs, round(found.values.sum(), 6)) == (60, expected)
            assert found.start.isoformat() == "2016-02-04T23:25:00-07:00"
            assert Flag.SPREAD_SAMPLES in found.flags


def test_damaged_copies_are_read_or_refused():
    assert outcomes(lambda copied: read(document_of(copied), DENVER), example()) == {"read", "refused"}
