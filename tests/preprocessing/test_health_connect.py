"""Health Connect: each documented spelling, the offset that the person saw, sources by Android's numbers."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from preprocessing.merging import SOURCES, Source
from preprocessing.readers.health_connect import looks_like, read
from preprocessing.readers.hints import NO_HINTS, Hints
from preprocessing.readers.json_document import document_of
from preprocessing.recording import Flag, Recording, RecordingError, Refusal
from preprocessing.units import Device, Unit
from tests.preprocessing.damage import outcomes

BERLIN = Hints(zone="Europe/Berlin")
WINTER = {"id": "+01:00", "totalSeconds": 3600}


def record(minute: int, count: Any, **changes: Any) -> dict[str, Any]:
    """Steps of a minute from ``minute`` after 08:00 UTC; a change to ``...`` removes the field."""
    fields = {
        "recordType": "Steps",
        "startTime": f"2026-03-01T08:{minute:02d}:00Z",
        "endTime": f"2026-03-01T08:{minute:02d}:59.999Z",
        "startZoneOffset": WINTER,
        "endZoneOffset": WINTER,
        "count": count,
        "metadata": metadata(f"id-{minute}"),
        **changes,
    }
    return {name: field for name, field in fields.items() if field is not ...}


def metadata(identifier: str = "id", **changes: Any) -> dict[str, Any]:
    device = {"type": 1, "manufacturer": "Example", "model": "W1"}
    more = {"clientRecordId": None, "clientRecordVersion": 0, "dataOrigin": "com.example.app"}
    return {"id": identifier, **more, "device": device, "recordingMethod": 2, **changes}


def example() -> bytes:
    """Twenty minutes of a watch, a phone at the same time, a heart rate and an entry by hand, made up."""
    phone = metadata("p", device={"type": 2, "manufacturer": None, "model": None})
    heart = record(
        3, ..., recordType="HeartRate", samples=[{"time": "2026-03-01T08:03:00Z", "beatsPerMinute": 60}]
    )
    by_hand = record(30, 50, metadata=metadata("m", device=None, recordingMethod=3))
    records = [record(k, k * 3) for k in range(20)]
    records += [record(4, 900, metadata=phone), heart, by_hand]
    return json.dumps({"records": records, "pageToken": None}).encode()


def sdk(*records: Any, provider: str = "health_connect") -> dict[str, Any]:
    data = {"records": [*records], "workouts": [], "sleep": []}
    return {
        "provider": provider,
        "sdkVersion": "0.1.0",
        "syncTimestamp": "2026-03-02T00:00:00Z",
        "data": data,
    }


def sdk_record(minute: int, value: Any, **changes: Any) -> dict[str, Any]:
    source = {
        "appId": "com.example",
        "deviceModel": "W1",
        "deviceType": "watch",
        "recordingMethod": "automatic",
    }
    times = {"startDate": f"2026-03-01T08:{minute:02d}:00Z", "endDate": f"2026-03-01T08:{minute + 1:02d}:00Z"}
    rest = {
        "id": f"s{minute}",
        "type": "STEP_COUNT",
        "zoneOffset": "+01:00",
        "source": source,
        "unit": "count",
    }
    return {**times, **rest, "value": value, "parentId": None, "metadata": None, **changes}


def refusal(document: Any, hints: Hints = NO_HINTS) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        read(document, hints)
    return refused.value


def sources(found: Recording) -> list[str]:
    assert found.source is not None
    return [SOURCES[k] for k in found.source.tolist() if k >= 0]


def source_of(**changes: Any) -> str:
    return sources(read([record(0, 1, metadata=metadata(**changes))], NO_HINTS))[0]


def test_records_become_minutes_of_steps_on_the_clock_that_the_person_saw():
    found = read(document_of(example()), NO_HINTS)
    assert (found.start.isoformat(), found.zone) == ("2026-03-01T09:00:00+01:00", "+01:00")
    np.testing.assert_allclose(found.values[:20], [k * 3 for k in range(20)], atol=0.02)
    assert np.isnan(found.values[20:30]).all()
    assert found.values[30] == 50
    assert set(sources(found)) == {Source.WATCH, Source.MANUAL}
    assert (found.epoch_seconds, found.unit, found.device) == (60, Unit.STEPS, Device.UNKNOWN)
    assert (found.source_format, found.serial, found.wear) == ("health-connect", None, None)
    assert found.flags == {Flag.UNVERIFIED_FORMAT}
    assert (found.tidying.set_aside, found.tidying.gaps) == (1, 10)


def test_the_documented_spellings_give_the_same_recording():
    plain = [record(k, k + 1) for k in range(5)]
    text = [
        {**one, "type": "Steps", "recordType": None, "startZoneOffset": "+01:00", "endZoneOffset": "+01:00"}
        for one in plain
    ]
    typed = [
        {**one, "recordType": "StepsRecord", "metadata": metadata(f"id-{k}", device=1)}
        for k, one in enumerate(plain)
    ]
    forms = [plain, {"records": plain}, text, {"records": text, "pageToken": "x"}, typed]
    found = [read(form, NO_HINTS) for form in forms]
    for other in found[1:]:
        np.testing.assert_array_equal(other.values, found[0].values)
        assert (other.start, other.zone, sources(other)) == (found[0].start, found[0].zone, sources(found[0]))


def test_the_sdk_payload_is_read_and_its_other_types_are_set_aside():
    heart = sdk_record(1, 60, type="HEART_RATE", unit="bpm")
    by_hand = sdk_record(3, 9, source={"deviceType": "phone", "recordingMethod": "manual"})
    phone = sdk_record(4, 7, source={"deviceType": "unknown", "deviceModel": "Example Phone"}, unit=None)
    found = read(sdk(sdk_record(0, 5), heart, by_hand, phone), NO_HINTS)
    np.testing.assert_array_equal(found.values, [5, np.nan, np.nan, 9, 7])
    assert (found.zone, found.tidying.set_aside) == ("+01:00", 1)
    assert sources(found) == [Source.WATCH, Source.MANUAL, Source.PHONE]
    assert refusal(sdk(sdk_record(0, 5, unit="km"))).code is Refusal.UNKNOWN_UNIT
    assert read(sdk(sdk_record(0, 5), sdk_record(1, 5, unit="km")), NO_HINTS).tidying.set_aside == 1


def test_the_documented_forms_are_recognised_and_nothing_else():
    assert looks_like(document_of(example()))
    assert looks_like([record(0, 1)])
    assert looks_like([{"type": "Weight", "time": "2026-03-01T08:00:00Z", "metadata": {}}])
    assert looks_like(sdk())
    assert looks_like(sdk(provider="google"))
    others = (
        [],
        {},
        {"records": []},
        {"records": [1]},
        [{"startTime": 1, "count": 2}],
        [{"count": 2}],
        sdk(provider="x"),
    )
    for other in (*others, "records", None, {"provider": ["google"], "data": {"records": []}}):
        assert not looks_like(other)


def test_a_record_that_names_no_type_needs_the_hint_unit():
    untold = [record(0, 4, recordType=...)]
    assert refusal(untold).code is Refusal.UNKNOWN_UNIT
    assert read(untold, Hints(unit=Unit.STEPS)).values.tolist() == [pytest.approx(4)]
    weight = {"time": "2026-03-01T08:00:00Z", "weight": {"inGrams": 1}, "metadata": {}}
    assert read([weight, *untold], Hints(unit=Unit.STEPS)).tidying.set_aside == 1
    assert refusal([weight]).code is Refusal.NO_SAMPLES


def test_order_and_copies_change_nothing():
    document = document_of(example())
    once = read(document, NO_HINTS)
    shuffled = document["records"] * 2
    random.Random(3).shuffle(shuffled)
    again = read(shuffled, NO_HINTS)
    np.testing.assert_array_equal(again.values, once.values)
    assert (again.start, again.flags, again.tidying.duplicates) == (once.start, once.flags, 22)


def test_devices_and_methods_are_androids_numbers():
    assert source_of(device={"type": 1}) == Source.WATCH
    assert source_of(device={"type": 2}) == Source.PHONE
    assert source_of(device={"type": 6}) == Source.WATCH
    assert source_of(device={"type": 4, "model": "Watch"}) == Source.OTHER
    assert source_of(device={"type": 0, "model": "Pixel Watch"}) == Source.WATCH
    assert source_of(device={"model": "Example Phone"}) == Source.PHONE
    assert source_of(device=None) == Source.OTHER
    assert source_of(device=0) == Source.OTHER
    assert source_of(device=2) == Source.PHONE
    assert [source_of(recordingMethod=method) for method in (None, 0, 1, 2)] == [Source.WATCH] * 4
    assert source_of(recordingMethod=3) == Source.MANUAL


def test_offsets_that_differ_tell_travel_and_need_the_hint_zone():
    away = {"id": "-05:00", "totalSeconds": -18_000}
    records = [record(0, 1), record(1, 2, startZoneOffset=away, endZoneOffset=away), record(2, 3)]
    assert refusal(records).code is Refusal.NO_TIME_ZONE
    found = read(records, BERLIN)
    assert [(change.instant.isoformat(), change.zone) for change in found.travel] == [
        ("2026-03-01T08:01:00+00:00", "-05:00"),
        ("2026-03-01T08:02:00+00:00", "Europe/Berlin"),
    ]
    assert found.flags == {Flag.UNVERIFIED_FORMAT, Flag.ZONE_CHANGED}


def test_a_record_without_offset_needs_the_hint_zone_and_then_tells_no_travel():
    unknown = record(1, 2, startZoneOffset=None, endZoneOffset=...)
    assert refusal([unknown]).code is Refusal.NO_TIME_ZONE
    assert refusal([record(0, 1), unknown]).code is Refusal.NO_TIME_ZONE
    assert read([record(0, 1), unknown], BERLIN).travel == ()
    assert read([unknown], BERLIN).start.isoformat() == "2026-03-01T09:01:00+01:00"
    assert read([record(1, 2, startZoneOffset=None)], NO_HINTS).zone == "+01:00"


def test_without_offsets_of_records_the_one_that_their_times_are_written_with_counts_unless_zero():
    times = {"startTime": "2026-03-01T09:00:00+01:00", "endTime": "2026-03-01T09:01:00+01:00"}
    none = {"startZoneOffset": None, "endZoneOffset": None}
    assert read([record(0, 1, **times, **none)], NO_HINTS).zone == "+01:00"
    instants = {name: time.replace("+01:00", "+00:00") for name, time in times.items()}
    assert refusal([record(0, 1, **instants, **none)]).code is Refusal.NO_TIME_ZONE


@pytest.mark.parametrize(
    ("offset", "zone"),
    [
        ("+05:45", "+05:45"),
        ("Z", "+00:00"),
        ({"id": "Z", "totalSeconds": 0}, "+00:00"),
        ({"totalSeconds": -12_600}, "-03:30"),
        ({"id": "-09:30"}, "-09:30"),
        ("+18:00", "+18:00"),
    ],
)
def test_an_offset_is_read_as_android_writes_it(offset, zone):
    found = read([record(0, 1, startZoneOffset=offset)], NO_HINTS)
    assert found.zone in (zone, "UTC")


def test_naive_times_are_set_aside_and_refused_where_nothing_else_is_left():
    naive = record(4, 9, startTime="2026-03-01T08:04:00")
    found = read([record(0, 1), naive], NO_HINTS)
    assert (found.epochs, found.tidying.set_aside) == (1, 1)
    assert refusal([naive]).code is Refusal.NAIVE_TIMESTAMP


def test_a_total_of_a_day_is_never_a_minute():
    day = record(0, 8000, startTime="2026-03-01T00:00:00Z", endTime="2026-03-02T00:00:00Z")
    assert refusal([day]).code is Refusal.RESOLUTION_TOO_COARSE


@pytest.mark.parametrize(
    ("document", "hints", "code", "where"),
    [
        ({}, NO_HINTS, Refusal.INVALID_FIELD, "records"),
        ("records", NO_HINTS, Refusal.INVALID_FIELD, "records"),
        ([1], NO_HINTS, Refusal.INVALID_FIELD, "records"),
        ([], NO_HINTS, Refusal.NO_SAMPLES, None),
        ([record(0, 1), record(1, True)], NO_HINTS, Refusal.INVALID_FIELD, "records[1].count"),
        ([record(0, ...)], NO_HINTS, Refusal.INVALID_FIELD, "records[0].count"),
        ([record(0, -1)], NO_HINTS, Refusal.INVALID_FIELD, "records[0].count"),
        ([record(0, "1")], NO_HINTS, Refusal.INVALID_FIELD, "records[0].count"),
        ([record(0, float("inf"))], NO_HINTS, Refusal.INVALID_FIELD, "records[0].count"),
        (
            [record(0, 1, startTime=1_700_000_000_000)],
            NO_HINTS,
            Refusal.INVALID_FIELD,
            "records[0].startTime",
        ),
        ([record(0, 1, endTime="2026-03-01T07:00:00Z")], NO_HINTS, Refusal.INVALID_FIELD, "records[0]"),
        ([record(0, 1, startZoneOffset=3600)], NO_HINTS, Refusal.INVALID_FIELD, "records[0].startZoneOffset"),
        ([record(0, 1, startZoneOffset="+1")], NO_HINTS, Refusal.INVALID_FIELD, "records[0].startZoneOffset"),
        (
            [record(0, 1, startZoneOffset="+19:00")],
            NO_HINTS,
            Refusal.INVALID_FIELD,
            "records[0].startZoneOffset",
        ),
        ([record(0, 1, startZoneOffset={})], NO_HINTS, Refusal.INVALID_FIELD, "records[0].startZoneOffset"),
        (
            [record(0, 1, startZoneOffset={"id": "+02:00", "totalSeconds": 3600})],
            NO_HINTS,
            Refusal.INVALID_FIELD,
            "records[0].startZoneOffset",
        ),
        ([record(0, 1, metadata=[])], NO_HINTS, Refusal.INVALID_FIELD, "records[0].metadata"),
        (
            [record(0, 1, metadata=metadata(device="w"))],
            NO_HINTS,
            Refusal.INVALID_FIELD,
            "records[0].metadata.device",
        ),
        (
            [record(0, 1, metadata=metadata(recordingMethod="3"))],
            NO_HINTS,
            Refusal.INVALID_FIELD,
            "records[0].metadata.recordingMethod",
        ),
        ([record(0, 1)], Hints(unit=Unit.COUNTS), Refusal.INVALID_FIELD, "unit"),
        ([record(0, 1)], Hints(epoch_seconds=30), Refusal.INVALID_FIELD, "epoch_seconds"),
        (sdk(sdk_record(0, None)), NO_HINTS, Refusal.INVALID_FIELD, "data.records[0].value"),
        (sdk(), NO_HINTS, Refusal.NO_SAMPLES, None),
    ],
    ids=range(23),
)
def test_what_is_wrong_or_contradicted_is_refused_by_its_place(document, hints, code, where):
    refused = refusal(document, hints)
    assert (refused.code, refused.where) == (code, where)


def test_damage_is_read_or_refused_and_nothing_else():
    assert outcomes(lambda data: read(document_of(data), NO_HINTS), example()) == {"read", "refused"}
    payload = json.dumps(sdk(*[sdk_record(k, k) for k in range(9)])).encode()
    assert outcomes(lambda data: read(document_of(data), BERLIN), payload) == {"read", "refused"}
