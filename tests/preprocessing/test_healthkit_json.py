"""HealthKit JSON: both bodies give minutes of steps, on the right clock, each step counted once."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from preprocessing.merging import SOURCES, Source
from preprocessing.readers.healthkit_json import looks_like, read
from preprocessing.readers.hints import NO_HINTS, Hints
from preprocessing.readers.json_document import document_of
from preprocessing.recording import Flag, Recording, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite
from tests.preprocessing.damage import outcomes

STEPS = "HKQuantityTypeIdentifierStepCount"
HEART = "HKQuantityTypeIdentifierHeartRate"
SLEEP = "HKCategoryTypeIdentifierSleepAnalysis"
WATCH = {"bundleId": "com.example.health", "name": "Example Watch"}
PHONE = {"bundleId": "com.example.health", "name": "Example iPhone"}


def sample(minute: int, value: Any, minutes: int = 1, **changes: Any) -> dict[str, Any]:
    """Steps from ``minute`` after 08:00 UTC; a change to ``...`` removes the field."""
    fields = {
        "uuid": f"00000000-0000-4000-8000-{minute:06d}{minutes:06d}",
        "type": STEPS,
        "startDate": f"2026-03-01T{8 + minute // 60:02d}:{minute % 60:02d}:00Z",
        "endDate": f"2026-03-01T{8 + (minute + minutes) // 60:02d}:{(minute + minutes) % 60:02d}:00Z",
        "value": value,
        "unit": "count",
        "source": WATCH,
        **changes,
    }
    return {name: field for name, field in fields.items() if field is not ...}


def envelope(*samples: Any, **changes: Any) -> dict[str, Any]:
    fields = {
        "deviceTimeZone": "Europe/Berlin",
        "uploadId": "u-1",
        "sdkVersion": "1.0.0",
        "samples": [*samples],
    }
    return {name: field for name, field in {**fields, **changes}.items() if field is not ...}


def example() -> bytes:
    """A watch and a phone that overlap, a heart rate, a night of sleep and a value typed in, made up."""
    heart = sample(1, 71, type=HEART, unit="count/min")
    sleep = sample(2, ..., type=SLEEP, unit=..., categoryValue=1)
    by_hand = sample(40, 300, 10, source=PHONE, metadata={"HKWasUserEntered": True})
    steps = [sample(k, k * 7 % 50) for k in range(30)]
    phone = sample(20, 200, 20, source=PHONE, device={"model": "iPhone", "name": "iPhone"})
    return json.dumps(envelope(*steps, heart, sleep, phone, by_hand)).encode()


def quantity(minute: int, value: Any, **changes: Any) -> dict[str, Any]:
    made = sample(minute, value)
    fields = {"identifier": STEPS, "type": STEPS, "value": float(value), "unit": "count"}
    times = {"start_date": made["startDate"], "end_date": made["endDate"], "source_name": "Example Watch"}
    return {**fields, **times, "device": None, "metadata": {}, **changes}


def upload(*samples: Any, **changes: Any) -> dict[str, Any]:
    lists = {"category_samples": [], "workouts": [], "correlation_samples": []}
    return {"user_id": "u", "quantity_samples": [*samples], **lists, "upload_metadata": {}, **changes}


def refusal(document: Any, hints: Hints = NO_HINTS) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        read(document, hints)
    return refused.value


def sources(found: Recording) -> list[str]:
    assert found.source is not None
    return [SOURCES[k] if k >= 0 else "" for k in found.source.tolist()]


def test_an_envelope_becomes_minutes_of_steps_in_its_stated_zone():
    found = read(document_of(example()), NO_HINTS)
    assert (found.start.isoformat(), found.zone) == ("2026-03-01T09:00:00+01:00", "Europe/Berlin")
    assert found.values[:30].tolist() == [k * 7 % 50 for k in range(30)]
    np.testing.assert_allclose(found.values[30:40], 10)  # the phone counts only where the watch was silent
    np.testing.assert_allclose(found.values[40:], 30)
    assert sources(found) == [Source.WATCH] * 30 + [Source.PHONE] * 10 + [Source.MANUAL] * 10
    assert (found.epoch_seconds, found.unit, found.wear) == (60, Unit.STEPS, None)
    assert (found.device, found.wear_site, found.serial) == (Device.UNKNOWN, WearSite.UNKNOWN, None)
    assert found.source_format == "healthkit-json"
    assert found.flags == {Flag.UNVERIFIED_FORMAT, Flag.SPREAD_SAMPLES}
    assert (found.tidying.set_aside, found.tidying.overlaps, found.tidying.unsorted) == (2, 1, 1)


def test_both_bodies_are_recognised_and_nothing_else():
    assert looks_like(document_of(example()))
    assert looks_like(envelope(deviceTimeZone=...))
    assert looks_like(upload())
    for other in (
        [],
        {},
        {"samples": []},
        {"deviceTimeZone": "UTC"},
        {"quantity_samples": 1},
        "samples",
        None,
        3,
    ):
        assert not looks_like(other)


def test_order_and_copies_change_nothing():
    document = document_of(example())
    once = read(document, NO_HINTS)
    shuffled = document["samples"] * 2
    random.Random(7).shuffle(shuffled)
    again = read({**document, "samples": shuffled}, NO_HINTS)
    np.testing.assert_array_equal(again.values, once.values)
    assert (again.start, again.flags, sources(again)) == (once.start, once.flags, sources(once))
    assert (again.tidying.duplicates, again.tidying.conflicts, again.tidying.set_aside) == (32, 0, 4)


def test_zero_is_a_value_and_a_silent_minute_is_not_recorded():
    found = read(envelope(sample(0, 0), sample(2, 5.5)), NO_HINTS)
    np.testing.assert_array_equal(found.values, [0, np.nan, 5.5])
    assert found.tidying.gaps == 1


def test_a_point_in_time_belongs_to_its_minute():
    point = sample(3, 9)
    point["startDate"] = point["endDate"] = "2026-03-01T08:03:20.250Z"
    found = read(envelope(point), NO_HINTS)
    assert (found.start.isoformat(), found.values.tolist()) == ("2026-03-01T09:03:00+01:00", [9])


def test_the_source_is_told_by_device_then_name_then_bundle():
    kinds = {
        Source.WATCH: sample(0, 1, source=PHONE, device={"model": "Watch", "name": None}),
        Source.PHONE: sample(0, 1, source=PHONE),
        Source.OTHER: sample(0, 1, source={"bundleId": "com.example.app", "name": "Pedometer"}),
        Source.MANUAL: sample(0, 1, metadata={"HKWasUserEntered": 1}),
    }
    assert {kind: sources(read(envelope(one), NO_HINTS)) for kind, one in kinds.items()} == {
        kind: [kind] for kind in kinds
    }
    assert sources(read(envelope(sample(0, 1, source=...)), NO_HINTS)) == [Source.OTHER]
    assert sources(read(envelope(sample(0, 1, metadata={"HKWasUserEntered": False})), NO_HINTS)) == [
        Source.WATCH
    ]


def test_the_hinted_priority_decides_between_sources():
    both = envelope(sample(0, 1), sample(0, 9, uuid="p", source=PHONE))
    assert read(both, NO_HINTS).values.tolist() == [1]
    assert read(both, Hints(source_priority=(Source.PHONE,))).values.tolist() == [9]


def test_the_zone_of_a_sample_tells_travel():
    away = {"HKTimeZone": "America/New_York"}
    found = read(envelope(sample(0, 1), sample(1, 2, metadata=away), sample(2, 3)), NO_HINTS)
    assert [(change.instant.isoformat(), change.zone) for change in found.travel] == [
        ("2026-03-01T08:01:00+00:00", "-05:00"),
        ("2026-03-01T08:02:00+00:00", "Europe/Berlin"),
    ]
    assert found.zone == "Europe/Berlin"
    assert Flag.ZONE_CHANGED in found.flags
    at_home = read(envelope(sample(0, 1, metadata={"HKTimeZone": "Europe/Oslo"})), NO_HINTS)
    assert (at_home.travel, Flag.ZONE_CHANGED in at_home.flags) == ((), False)


def test_the_offset_of_a_sample_is_that_of_its_instant():
    def summer(second: int) -> dict[str, Any]:
        times = {
            "startDate": f"2026-07-01T08:00:{second:02d}Z",
            "endDate": f"2026-07-01T08:00:{second + 1:02d}Z",
        }
        return sample(0, 1, uuid=str(second), metadata={"HKTimeZone": "Europe/Paris"}, **times)

    assert read(envelope(summer(0), summer(5)), NO_HINTS).travel == ()


def test_naive_times_are_set_aside_and_refused_where_nothing_else_is_left():
    naive = sample(5, 4, startDate="2026-03-01T08:05:00")
    found = read(envelope(sample(0, 1), naive), NO_HINTS)
    assert (found.values.tolist(), found.tidying.set_aside) == ([1], 1)
    assert refusal(envelope(naive, sample(0, 1, unit="km"))).code is Refusal.NAIVE_TIMESTAMP


def test_steps_have_no_other_unit_than_count():
    found = read(envelope(sample(0, 1), sample(1, 2, unit=...), sample(2, 3, unit="km")), NO_HINTS)
    assert (found.values.tolist(), found.tidying.set_aside) == ([1, 2], 1)
    assert refusal(envelope(sample(2, 3, unit="km"))).code is Refusal.UNKNOWN_UNIT


def test_unknown_types_are_counted_and_never_raised():
    odd = [sample(1, 1, type=kind) for kind in ("HKFuture", None, 7, ["a"], {"b": 1}, ...)]
    assert read(envelope(sample(0, 1), *odd, {}), NO_HINTS).tidying.set_aside == 7
    assert refusal(envelope(*odd)).code is Refusal.NO_SAMPLES
    assert refusal(envelope()).code is Refusal.NO_SAMPLES


def test_samples_longer_than_an_hour_are_never_minutes():
    assert refusal(envelope(sample(0, 8000, 61))).code is Refusal.RESOLUTION_TOO_COARSE
    found = read(envelope(sample(0, 8000, 61), sample(0, 5)), NO_HINTS)
    assert (found.values.tolist(), found.tidying.set_aside) == ([5], 1)


def test_an_envelope_without_zone_needs_the_hint_and_one_with_it_refuses_another():
    assert refusal(envelope(sample(0, 1), deviceTimeZone=...)).code is Refusal.NO_TIME_ZONE
    assert refusal(envelope(sample(0, 1), deviceTimeZone=None)).code is Refusal.NO_TIME_ZONE
    hinted = read(envelope(sample(0, 1), deviceTimeZone=...), Hints(zone="Asia/Kathmandu"))
    assert hinted.start.isoformat() == "2026-03-01T13:45:00+05:45"
    assert refusal(envelope(sample(0, 1)), Hints(zone="Asia/Tokyo")).code is Refusal.INVALID_FIELD
    assert read(envelope(sample(0, 1)), Hints(zone="Europe/Berlin")).zone == "Europe/Berlin"


def test_an_upload_needs_a_zone_or_one_offset_other_than_zero():
    assert refusal(upload(quantity(0, 1))).code is Refusal.NO_TIME_ZONE
    utc = {"start_date": "2026-03-01T08:00:00+00:00", "end_date": "2026-03-01T08:01:00+00:00"}
    assert refusal(upload(quantity(0, 1, **utc))).code is Refusal.NO_TIME_ZONE
    local = {"start_date": "2026-03-01T09:00:00+01:00", "end_date": "2026-03-01T09:01:00+01:00"}
    found = read(upload(quantity(0, 4, **local)), NO_HINTS)
    assert (found.start.isoformat(), found.zone) == ("2026-03-01T09:00:00+01:00", "+01:00")
    summer = {"start_date": "2026-03-30T09:00:00+02:00", "end_date": "2026-03-30T09:01:00+02:00"}
    assert refusal(upload(quantity(0, 4, **local), quantity(1, 4, **summer))).code is Refusal.NO_TIME_ZONE


def test_a_zone_that_each_sample_names_is_that_of_the_recording_and_one_that_some_name_is_travel():
    oslo = {"HKTimeZone": "Europe/Oslo"}
    assert read(upload(quantity(0, 1, metadata=oslo)), NO_HINTS).zone == "Europe/Oslo"
    some = upload(quantity(0, 1, metadata=oslo), quantity(1, 2))
    assert refusal(some).code is Refusal.NO_TIME_ZONE
    found = read(some, Hints(zone="Asia/Tokyo"))
    assert [change.zone for change in found.travel] == ["+01:00", "Asia/Tokyo"]


def test_an_upload_sets_its_other_lists_aside():
    others = {"category_samples": [{}, {}], "workouts": [{}], "correlation_samples": [{}]}
    heart = quantity(1, 70, identifier=HEART, type="quantity")
    typed = quantity(1, 2, identifier="steps")
    found = read(upload(quantity(0, 1), heart, typed, **others), Hints(zone="Europe/Berlin"))
    assert (found.values.tolist(), found.tidying.set_aside) == ([1, 2], 5)
    assert sources(found) == [Source.WATCH, Source.WATCH]


@pytest.mark.parametrize(
    ("document", "hints", "code", "where"),
    [
        ([], NO_HINTS, Refusal.INVALID_FIELD, "document"),
        ({"steps": []}, NO_HINTS, Refusal.INVALID_FIELD, "document"),
        (envelope(samples={}), NO_HINTS, Refusal.INVALID_FIELD, "samples"),
        (envelope(1), NO_HINTS, Refusal.INVALID_FIELD, "samples"),
        (envelope(sample(0, 1, uuid=...)), NO_HINTS, Refusal.INVALID_FIELD, "samples[0].uuid"),
        (envelope(sample(0, 1), sample(1, True)), NO_HINTS, Refusal.INVALID_FIELD, "samples[1].value"),
        (envelope(sample(0, "12")), NO_HINTS, Refusal.INVALID_FIELD, "samples[0].value"),
        (envelope(sample(0, ...)), NO_HINTS, Refusal.INVALID_FIELD, "samples[0].value"),
        (envelope(sample(0, -1)), NO_HINTS, Refusal.INVALID_FIELD, "samples[0].value"),
        (envelope(sample(0, float("inf"))), NO_HINTS, Refusal.INVALID_FIELD, "samples[0].value"),
        (envelope(sample(0, 10**400)), NO_HINTS, Refusal.INVALID_FIELD, "samples[0].value"),
        (envelope(sample(0, 1e8)), NO_HINTS, Refusal.INVALID_FIELD, "values"),
        (envelope(sample(0, 1, startDate=0)), NO_HINTS, Refusal.INVALID_FIELD, "samples[0].startDate"),
        (envelope(sample(0, 1, endDate="later")), NO_HINTS, Refusal.INVALID_FIELD, "samples[0].endDate"),
        (envelope(sample(0, 1, endDate=...)), NO_HINTS, Refusal.INVALID_FIELD, "samples[0].endDate"),
        (envelope(sample(0, 1, endDate="2026-02-30T08:00Z")), NO_HINTS, Refusal.INVALID_FIELD, "end"),
        (envelope(sample(5, 1, -1)), NO_HINTS, Refusal.INVALID_FIELD, "samples[0]"),
        (envelope(sample(0, 1, unit=1)), NO_HINTS, Refusal.INVALID_FIELD, "samples[0].unit"),
        (envelope(sample(0, 1, source="w")), NO_HINTS, Refusal.INVALID_FIELD, "samples[0].source"),
        (
            envelope(sample(0, 1, metadata={"HKTimeZone": "Mars"})),
            NO_HINTS,
            Refusal.INVALID_FIELD,
            "samples[0].metadata.HKTimeZone",
        ),
        (
            envelope(sample(0, 1, metadata={"HKWasUserEntered": "yes"})),
            NO_HINTS,
            Refusal.INVALID_FIELD,
            "samples[0].metadata.HKWasUserEntered",
        ),
        (envelope(sample(0, 1), deviceTimeZone=1), NO_HINTS, Refusal.INVALID_FIELD, "deviceTimeZone"),
        (envelope(sample(0, 1), deviceTimeZone="Mars"), NO_HINTS, Refusal.NO_TIME_ZONE, "zone"),
        (envelope(sample(0, 1)), Hints(epoch_seconds=30), Refusal.INVALID_FIELD, "epoch_seconds"),
        (envelope(sample(0, 1)), Hints(unit=Unit.COUNTS), Refusal.INVALID_FIELD, "unit"),
        (upload(workouts=3), Hints(zone="UTC"), Refusal.INVALID_FIELD, "workouts"),
        (
            upload({**quantity(0, 1), "value": {}}),
            Hints(zone="UTC"),
            Refusal.INVALID_FIELD,
            "quantity_samples[0].value",
        ),
    ],
    ids=range(27),
)
def test_what_is_wrong_or_contradicted_is_refused_by_its_place(document, hints, code, where):
    refused = refusal(document, hints)
    assert (refused.code, refused.where) == (code, where)


def test_days_outside_since_and_until_are_left_out():
    early = sample(0, 7, uuid="e", startDate="2026-02-27T08:00:00Z", endDate="2026-02-27T08:01:00Z")
    found = read(
        envelope(early, sample(0, 1)), Hints(since=read(envelope(sample(0, 1)), NO_HINTS).start.date())
    )
    assert found.values.tolist() == [1]


def test_a_message_never_repeats_a_value_or_a_name():
    named = sample(0, -4711, source={"bundleId": "b", "name": "Erika's Watch"})
    assert "4711" not in str(refusal(envelope(named)))
    assert "Erika" not in str(refusal(envelope(sample(0, 1, source={"name": ["Erika"]}))))


def test_damage_is_read_or_refused_and_nothing_else():
    assert outcomes(lambda data: read(document_of(data), NO_HINTS), example()) == {"read", "refused"}
    body = json.dumps(upload(*[quantity(k, k) for k in range(9)], workouts=[{}])).encode()
    assert outcomes(lambda data: read(document_of(data), Hints(zone="Asia/Tokyo")), body) == {
        "read",
        "refused",
    }
