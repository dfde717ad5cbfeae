"""actigraphy-series/1: packed series join to one recording, wherever in the service's answers they stand."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from preprocessing.merging import Source
from preprocessing.readers.actigraphy_series import looks_like, read
from preprocessing.readers.hints import NO_HINTS, Hints
from preprocessing.readers.json_document import document_of
from preprocessing.recording import RecordingError, Refusal
from preprocessing.units import Device, Unit
from tests.preprocessing.damage import outcomes

Json = dict[str, Any]
NAN = np.nan


def changed(fields: Json, changes: Json) -> Json:
    """A change to ``...`` removes the field."""
    return {name: value for name, value in {**fields, **changes}.items() if value is not ...}


def packed(**changes: Any) -> Json:
    """The series of the contract's example."""
    fields = {
        "profile": "actigraphy-series/1",
        "start": "2026-03-01T00:00:00-07:00",
        "time_zone": "America/Denver",
        "epoch_seconds": 60,
        "quantity": "counts",
        "unit": "count/min",
        "values": [0, 0, 31, None, 112],
    }
    return changed(fields, changes)


def metric(raw: Json | None = None, key: str = "m1", **changes: Any) -> Json:
    fields = {
        "metric_id": key,
        "metric_type": "activity_level",
        "activity_data": {},
        "device_id": "watch-01",
        "created_at": "2026-03-02T07:00:00Z",
        "raw_data": packed() if raw is None else raw,
        "metadata": None,
    }
    return changed(fields, changes)


def walked(minute: int, value: Any, minutes: int = 1, **metadata: Any) -> Json:
    """Steps from ``minute`` after midnight whose metadata says when they were taken."""

    def at(k: int) -> str:
        return f"2026-03-01T{k // 60:02d}:{k % 60:02d}:00-07:00"

    fields = {"start": at(minute), "end": at(minute + minutes), "time_zone": "America/Denver"}
    return metric(
        {}, f"s{minute}-{minutes}", activity_data={"steps": value}, metadata=changed(fields, metadata)
    )


def upload(*metrics: Json, **changes: Any) -> Json:
    fields = {"user_id": "u1", "upload_source": "apple_health", "metrics": [*metrics]}
    return changed(fields, changes)


def listed(*items: Json) -> Json:
    return {"data": [*items], "pagination": {"has_next": False}, "links": {"self": "x"}}


def example() -> bytes:
    """Two packed series with wear, a heart rate and a note, made up."""
    first = packed(values=[k * 7 % 50 for k in range(15)], wear=[1] * 15, device_model="GT9X Link")
    second = first | {"start": "2026-03-01T00:15:00-07:00", "values": [0] * 15, "wear": [0] * 15}
    heart = metric({}, "h", metric_type="heart_rate", activity_data=..., biometric_data={"heart_rate": 61})
    mood = {"mood_score": "good", "notes": "a note"}
    note = metric({}, "n", metric_type="mood_assessment", activity_data=..., mental_health_data=mood)
    return json.dumps(upload(metric(first, "a"), metric(second, "b"), heart, note)).encode()


def refusal(document: Any, hints: Hints = NO_HINTS) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        read(document, hints)
    return refused.value


def test_the_contracts_example_becomes_the_recording_it_describes():
    found = read(upload(metric()), NO_HINTS)
    np.testing.assert_array_equal(found.values, [0, 0, 31, NAN, 112])
    assert (found.start.isoformat(), found.zone) == ("2026-03-01T00:00:00-07:00", "America/Denver")
    assert (found.epoch_seconds, found.unit, found.device) == (60, Unit.COUNTS, Device.UNKNOWN)
    assert (found.source_format, found.wear, found.serial) == ("actigraphy-series", None, None)


SHAPES = {
    "bare": packed(),
    "metric": metric(),
    "upload": upload(metric()),
    "S1": listed({**metric(), "processing_id": "p", "server_timestamp": "2026-03-02T07:05:02+00:00"}),
    "S2": listed({"pk": "x", "user_id": "u1", "metrics": {"activity_level": metric()}}),
    "S3": listed({"user_id": "u1", "metric_index": 0, "metric_data": metric(), "created_at": "x"}),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_series_is_found_in_every_shape_of_the_service(shape: str):
    assert looks_like(SHAPES[shape])
    np.testing.assert_array_equal(read(SHAPES[shape], NO_HINTS).values, [0, 0, 31, NAN, 112])


def test_the_example_joins_its_series_with_wear_and_sets_the_rest_aside():
    found = read(document_of(example()), NO_HINTS)
    assert found.values.tolist() == [*(k * 7 % 50 for k in range(15)), *[0] * 15]
    assert found.wear.tolist() == [True] * 15 + [False] * 15
    assert (found.device, found.unit) == (Device.ACTIGRAPH_GT3X, Unit.COUNTS)
    assert found.tidying.set_aside == 2


@pytest.mark.parametrize(
    ("quantity", "unit", "expected", "values"),
    [
        ("counts", "count", Unit.COUNTS, [10, 4]),
        ("counts", "counts/min", Unit.COUNTS, [5, 2]),
        ("counts", "{counts}/min", Unit.COUNTS, [5, 2]),
        ("counts", "counts/epoch", Unit.COUNTS, [10, 4]),
        ("counts", "actiwatch_counts", Unit.ACTIWATCH_COUNTS, [10, 4]),
        ("mims", "MIMS", Unit.MIMS, [10, 4]),
        ("mims", "MIMS/min", Unit.MIMS, [5, 2]),
        ("enmo", "mg", Unit.ENMO_MG, [10, 4]),
        ("enmo", "enmo_mg", Unit.ENMO_MG, [10, 4]),
        ("steps", "steps/min", Unit.STEPS, [5, 2]),
        ("steps", "count", Unit.STEPS, [10, 4]),
    ],
)
def test_an_amount_per_minute_is_halved_over_30_seconds_and_a_level_is_not(quantity, unit, expected, values):
    found = read(packed(quantity=quantity, unit=unit, epoch_seconds=30, values=[10, 4]), NO_HINTS)
    assert (found.unit, found.values.tolist()) == (expected, values)


@pytest.mark.parametrize(
    ("model", "hints", "device", "unit"),
    [
        ("wGT3X-BT", NO_HINTS, Device.ACTIGRAPH_GT3X, Unit.COUNTS),
        (
            "wGT3X-BT",
            Hints(unit=Unit.ACTIGRAPH_AXIS1_COUNTS),
            Device.ACTIGRAPH_GT3X,
            Unit.ACTIGRAPH_AXIS1_COUNTS,
        ),
        ("Actiwatch Spectrum", NO_HINTS, Device.PHILIPS_ACTIWATCH, Unit.PHILIPS_ACTIWATCH_COUNTS),
        ("CamNtech Actiwatch 7", NO_HINTS, Device.ACTIWATCH, Unit.ACTIWATCH_COUNTS),
        ("Actiwatch", NO_HINTS, Device.UNKNOWN, Unit.COUNTS),
        ("Actiwatch", Hints(unit=Unit.ACTIWATCH_COUNTS), Device.UNKNOWN, Unit.ACTIWATCH_COUNTS),
        ("actigraph-7164", NO_HINTS, Device.ACTIGRAPH_7164, Unit.ACTIGRAPH_7164_COUNTS),
        ("Example Watch 9", Hints(device=Device.MOTIONWATCH), Device.MOTIONWATCH, Unit.COUNTS),
    ],
)
def test_the_model_names_the_counts_only_where_it_leaves_no_doubt(model, hints, device, unit):
    found = read(packed(device_model=model), hints)
    assert (found.device, found.unit) == (device, unit)


def test_metadata_fills_what_the_series_does_not_say():
    bare = packed(start=..., time_zone=..., epoch_seconds=..., unit=...)
    metadata = {
        "start": "2026-03-01T00:00:00-07:00",
        "end": "2026-03-01T00:05:00-07:00",
        "epoch_seconds": 60,
        "time_zone": "America/Denver",
        "unit": "count/min",
    }
    assert read(metric(bare, metadata=metadata), NO_HINTS).epochs == 5
    same_instant = {"start": "2026-03-01T07:00:00Z"}
    assert read(metric(metadata=metadata | same_instant), NO_HINTS).epochs == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("start", "2026-03-01T00:01:00-07:00"),
        ("end", "2026-03-01T00:09:00-07:00"),
        ("epoch_seconds", 30),
        ("time_zone", "America/Phoenix"),
        ("unit", "count"),
    ],
)
def test_a_conflict_between_series_and_metadata_is_refused(name: str, value: Any):
    refused = refusal(metric(metadata={name: value}))
    assert (refused.code, refused.where) == (Refusal.INVALID_FIELD, name)


def test_without_a_zone_the_hint_is_needed_even_beside_an_offset():
    assert refusal(packed(time_zone=...)).code is Refusal.NO_TIME_ZONE
    assert refusal(walked(0, 5, time_zone=...)).code is Refusal.NO_TIME_ZONE
    assert read(packed(time_zone=...), Hints(zone="America/Denver")).zone == "America/Denver"


def test_series_in_any_order_and_twice_are_one_recording():
    first = metric(packed(values=[1, 2]), "a")
    second = metric(packed(values=[5], start="2026-03-01T00:04:00-07:00"), "b")
    found, again = read(upload(first, second), NO_HINTS), read(upload(second, first, second), NO_HINTS)
    np.testing.assert_array_equal(found.values, [1, 2, NAN, NAN, 5])
    np.testing.assert_array_equal(again.values, found.values)
    assert (found.tidying.gaps, again.tidying.duplicates, again.start) == (2, 1, found.start)


@pytest.mark.parametrize(
    ("second", "code", "where"),
    [
        (metric(packed(quantity="mims", unit="MIMS"), "b"), Refusal.MIXED_QUANTITIES, "unit"),
        (metric(packed(epoch_seconds=30), "b"), Refusal.INVALID_FIELD, "epoch_seconds"),
        (metric(packed(time_zone="America/Phoenix"), "b"), Refusal.INVALID_FIELD, "zone"),
        (metric(packed(device_model="ActTrust"), "b"), Refusal.INVALID_FIELD, "device"),
        (metric(packed(), "b", device_id="4321"), Refusal.INVALID_FIELD, "device"),
        (metric(packed(wear=[1] * 5), "b"), Refusal.INVALID_FIELD, "wear"),
        (metric(packed(start="2026-03-01T00:05:00-07:00"), "m1"), Refusal.INVALID_FIELD, "id"),
        (walked(0, 5), Refusal.MIXED_QUANTITIES, None),
    ],
)
def test_series_that_are_not_of_one_recording_are_refused(second, code, where):
    refused = refusal(upload(metric(packed(device_model="MotionWatch")), second))
    assert (refused.code, refused.where) == (code, where)
    assert "4321" not in str(refused)


def test_series_of_several_users_are_refused():
    items = [{"user_id": user, "metric_data": metric(key=user)} for user in ("u1", "u4321")]
    refused = refusal(listed(*items))
    assert (refused.code, refused.where) == (Refusal.INVALID_FIELD, "user_id")
    assert "4321" not in str(refused)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"start": ...}, Refusal.NO_EPOCH_INFORMATION),
        ({"epoch_seconds": ...}, Refusal.NO_EPOCH_INFORMATION),
        ({"start": "2026-03-01T00:00:00"}, Refusal.NAIVE_TIMESTAMP),
        ({"start": "2026-03-01T00:00:00-06:00"}, Refusal.INVALID_FIELD),
        ({"start": 1_772_000_000}, Refusal.INVALID_FIELD),
        ({"start": "now"}, Refusal.INVALID_FIELD),
        ({"time_zone": "Mars/Olympus"}, Refusal.NO_TIME_ZONE),
        ({"epoch_seconds": 0}, Refusal.INVALID_FIELD),
        ({"epoch_seconds": True}, Refusal.INVALID_FIELD),
        ({"epoch_seconds": 60.0}, Refusal.INVALID_FIELD),
        ({"epoch_seconds": 10**30}, Refusal.INVALID_FIELD),
        ({"epoch_seconds": 86_400}, Refusal.RESOLUTION_TOO_COARSE),
        ({"quantity": "heart_rate"}, Refusal.NO_SAMPLES),
        ({"quantity": ...}, Refusal.NO_SAMPLES),
        ({"unit": "furlongs"}, Refusal.UNKNOWN_UNIT),
        ({"unit": "mims"}, Refusal.UNKNOWN_UNIT),
        ({"unit": ...}, Refusal.UNKNOWN_UNIT),
        ({"quantity": "enmo", "unit": "mg/min"}, Refusal.UNKNOWN_UNIT),
        ({"quantity": "enmo", "unit": "g"}, Refusal.UNKNOWN_UNIT),
        ({"values": ...}, Refusal.NO_EPOCH_INFORMATION),
        ({"values": []}, Refusal.NO_SAMPLES),
        ({"values": [1, True]}, Refusal.INVALID_FIELD),
        ({"values": [1, "4321"]}, Refusal.INVALID_FIELD),
        ({"values": [1, -4321]}, Refusal.INVALID_FIELD),
        ({"values": [10**400]}, Refusal.INVALID_FIELD),
        ({"values": [1e999]}, Refusal.INVALID_FIELD),
        ({"wear": [1]}, Refusal.INVALID_FIELD),
        ({"wear": [1, 1, 2, 1, 1]}, Refusal.INVALID_FIELD),
        ({"wear": [True] * 5}, Refusal.INVALID_FIELD),
        ({"profile": "actigraphy-series/2"}, Refusal.NO_SAMPLES),
        ({"profile": "pat-analysis/1"}, Refusal.NO_SAMPLES),
    ],
)
def test_what_is_wrong_in_a_series_is_refused(change, code):
    refused = refusal(metric(packed(**change)))
    assert refused.code is code
    assert "4321" not in str(refused)


def test_a_hint_says_the_epoch_and_the_unit_that_are_missing():
    found = read(packed(epoch_seconds=..., unit=...), Hints(epoch_seconds=60, unit=Unit.COUNTS))
    assert (found.epoch_seconds, found.unit) == (60, Unit.COUNTS)


@pytest.mark.parametrize(
    "hints",
    [
        Hints(unit=Unit.MIMS),
        Hints(epoch_seconds=30),
        Hints(zone="Europe/Oslo"),
        Hints(device=Device.AXIVITY),
    ],
)
def test_a_hint_that_contradicts_the_series_is_refused(hints: Hints):
    assert refusal(packed(device_model="MotionWatch"), hints).code is Refusal.INVALID_FIELD


def test_metadata_makes_steps_of_a_metric_an_event():
    found = read(upload(walked(0, 12), walked(1, 0), walked(3, 30, 2)), NO_HINTS)
    np.testing.assert_array_equal(found.values, [12, 0, NAN, 15, 15])
    assert (found.unit, found.zone, found.epoch_seconds) == (Unit.STEPS, "America/Denver", 60)
    by_length = walked(0, 12, end=..., epoch_seconds=120)
    assert read(by_length, NO_HINTS).values.tolist() == [6, 6]
    assert read(walked(0, 12, epoch_seconds=60), NO_HINTS).values.tolist() == [12]


def test_one_zone_that_some_metrics_name_is_that_of_all():
    assert read(upload(walked(0, 12), walked(1, 5, time_zone=...)), NO_HINTS).zone == "America/Denver"


def test_an_error_in_metrics_by_type_does_not_repeat_the_type():
    refused = refusal({"metrics": {"4321": metric(packed(epoch_seconds=0))}})
    assert (refused.code, refused.where) == (Refusal.INVALID_FIELD, "metrics[0].raw_data.epoch_seconds")
    assert "4321" not in str(refused)


def test_sources_are_those_that_metadata_device_or_upload_name():
    watch = {**walked(0, 12), "device_id": "watch-01"}
    phone = {**walked(0, 30, 2, source_priority="phone"), "device_id": "x"}
    found = read(upload(watch, phone), NO_HINTS)
    assert found.values.tolist() == [12, 15]
    assert [found.sources[k] for k in found.source] == [Source.WATCH, Source.PHONE]
    typed = read(upload(walked(0, 5), upload_source="manual"), NO_HINTS)
    assert [typed.sources[k] for k in typed.source] == [Source.MANUAL]


def test_a_permutation_and_copies_of_events_change_nothing():
    metrics = [walked(k, k * 7 % 50) for k in range(30)]
    shuffled = [*metrics, *metrics[:7]]
    random.Random(4).shuffle(shuffled)
    found, again = read(upload(*metrics), NO_HINTS), read(upload(*shuffled), NO_HINTS)
    np.testing.assert_array_equal(again.values, found.values)
    assert (again.start, again.tidying.duplicates) == (found.start, 7)


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (metric({}, activity_data={"steps": 8000}), Refusal.NO_EPOCH_INFORMATION),
        (walked(0, 8000, end=...), Refusal.NO_EPOCH_INFORMATION),
        (walked(0, 8000, 1200), Refusal.RESOLUTION_TOO_COARSE),
        (walked(0, 12, unit="km"), Refusal.UNKNOWN_UNIT),
        (walked(0, 12, start="2026-03-01T00:00:00"), Refusal.NAIVE_TIMESTAMP),
        (walked(0, 12, epoch_seconds=30), Refusal.INVALID_FIELD),
        (walked(0, 12, source_priority=1), Refusal.INVALID_FIELD),
        (walked(0, -4321), Refusal.INVALID_FIELD),
        (walked(0, "4321"), Refusal.INVALID_FIELD),
        (walked(5, 12, -2), Refusal.INVALID_FIELD),
        (metric({}, metric_type="heart_rate", activity_data=...), Refusal.NO_SAMPLES),
        (listed(), Refusal.NO_SAMPLES),
        (upload(), Refusal.NO_SAMPLES),
        (upload(metrics=[1]), Refusal.INVALID_FIELD),
        ([], Refusal.UNPARSABLE),
    ],
)
def test_what_is_no_minute_of_steps_is_refused(document, code):
    refused = refusal(document)
    assert refused.code is code
    assert "4321" not in str(refused)


def test_beside_usable_metrics_others_are_set_aside_and_counted():
    daily = metric({}, "d", activity_data={"steps": 8000})
    result = metric({"profile": "pat-analysis/1"}, "r")
    assert read(upload(metric(), daily, result), NO_HINTS).tidying.set_aside == 2


def test_a_document_is_told_by_its_profile_or_the_fields_of_metrics():
    assert looks_like(listed())
    for other in ({"values": []}, {"data": [1]}, {"data": {}}, {"samples": []}, [packed()], "x"):
        assert not looks_like(other)


def test_too_many_values_are_refused():
    assert refusal(packed(), Hints(max_epochs=4)).code is Refusal.TOO_MANY_EPOCHS
    assert refusal(upload(*[metric()] * 20_161)).code is Refusal.TOO_MANY_EPOCHS
    far = upload(metric(), metric(packed(start="2026-03-02T00:00:00-07:00"), "b"))
    assert refusal(far, Hints(max_epochs=100)).code is Refusal.TOO_MANY_EPOCHS


def test_damaged_copies_are_read_or_refused():
    assert outcomes(lambda copied: read(document_of(copied), NO_HINTS), example()) == {"read", "refused"}
