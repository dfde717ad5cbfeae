"""Fitbit: the export and the intraday series give minutes on the clock that the caller names."""

from __future__ import annotations

import json
import random
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from preprocessing.merging import SOURCES, Source
from preprocessing.readers.fitbit import looks_like, read
from preprocessing.readers.hints import NO_HINTS, Format, Hints
from preprocessing.readers.json_document import document_of
from preprocessing.recording import Flag, RecordingError, Refusal
from preprocessing.units import Device, Unit
from tests.preprocessing.damage import outcomes

STEPS = Hints(unit=Unit.STEPS, zone="Europe/Berlin")
BERLIN = Hints(zone="Europe/Berlin")


def entry(label: str, value: Any) -> dict[str, Any]:
    return {"dateTime": label, "value": value}


def export(start: str, values: list[int]) -> list[dict[str, Any]]:
    """Entries a minute apart from a local ``start``, labelled as the account export does."""
    first = datetime.fromisoformat(start)
    labels = [(first + timedelta(minutes=k)).strftime("%m/%d/%y %H:%M:%S") for k in range(len(values))]
    return [entry(label, str(value)) for label, value in zip(labels, values, strict=True)]


def example() -> bytes:
    """Twenty minutes of an export, made up."""
    return json.dumps(export("2024-01-02 08:00", [k * 11 % 90 for k in range(20)])).encode()


def day(
    points: list[tuple[str, Any]], when: str = "2024-01-02", interval: Any = 1, **changes: Any
) -> dict[str, Any]:
    """One intraday document; a change to ``...`` removes the field."""
    dataset = [{"time": time, "value": value} for time, value in points]
    series = {"dataset": dataset, "datasetInterval": interval, "datasetType": "minute"}
    totals = [{"dateTime": when, "value": "9999"}]
    fields = {"activities-steps": totals, "activities-steps-intraday": series, **changes}
    return {name: field for name, field in fields.items() if field is not ...}


def refusal(document: Any, hints: Hints = STEPS) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        read(document, hints)
    return refused.value


def test_an_export_becomes_minutes_on_the_clock_of_the_hint():
    found = read(document_of(example()), STEPS)
    assert found.values.tolist() == [k * 11 % 90 for k in range(20)]
    assert (found.start.isoformat(), found.zone) == ("2024-01-02T08:00:00+01:00", "Europe/Berlin")
    assert (found.epoch_seconds, found.unit, found.device) == (60, Unit.STEPS, Device.UNKNOWN)
    assert found.source is not None
    assert set(found.source.tolist()) == {SOURCES.index(Source.WATCH)}
    assert (found.source_format, found.serial, found.wear) == ("fitbit-steps", None, None)
    assert found.flags == {Flag.UNVERIFIED_FORMAT}
    utc = read(document_of(example()), Hints(unit=Unit.STEPS, zone="UTC"))
    assert utc.start.isoformat() == "2024-01-02T08:00:00+00:00"


def test_both_forms_are_recognised_and_nothing_else():
    assert looks_like(document_of(example()))
    assert looks_like(day([]))
    assert looks_like([day([])])
    assert looks_like({"activities-steps": []})
    heart_rate = [{"dateTime": "01/02/24 08:00:00", "value": {"bpm": 60, "confidence": 3}}]
    sleep = [{"dateOfSleep": "2024-01-02", "startTime": "2024-01-01T23:00:00.000"}]
    iso = [entry("2024-01-02 08:00:00", "1")]
    for other in (heart_rate, sleep, iso, [], {}, [1], entry("01/02/24 08:00:00", "1"), "steps", None):
        assert not looks_like(other)


def test_the_file_says_neither_its_clock_nor_its_quantity():
    assert refusal(document_of(example()), Hints(unit=Unit.STEPS)).code is Refusal.NO_TIME_ZONE
    assert refusal(day([("08:00:00", 1)]), NO_HINTS).code is Refusal.NO_TIME_ZONE
    assert refusal(document_of(example()), BERLIN).code is Refusal.UNKNOWN_UNIT
    named = Hints(zone="Europe/Berlin", format=Format.FITBIT_STEPS)
    assert read(document_of(example()), named).epochs == 20


def test_calories_in_the_same_form_are_no_steps():
    assert (
        refusal([entry("01/02/24 08:00:00", "1.23"), entry("01/02/24 08:01:00", "1.2")]).where
        == "entries[0].value"
    )


def test_order_and_copies_change_nothing():
    document = document_of(example())
    once = read(document, STEPS)
    shuffled = document * 2
    random.Random(5).shuffle(shuffled)
    again = read(shuffled, STEPS)
    np.testing.assert_array_equal(again.values, once.values)
    assert (again.start, again.flags, again.tidying.duplicates) == (once.start, once.flags, 20)


def test_zero_is_a_value_and_a_missing_entry_is_a_gap():
    found = read([*export("2024-01-02 08:00", [0, 0, 7]), entry("01/02/24 08:05:00", "3")], STEPS)
    np.testing.assert_array_equal(found.values, [0, 0, 7, np.nan, np.nan, 3])


def test_two_digit_years_are_read_as_posix_does():
    found = read(export("1995-06-24 16:00", [1, 2]), STEPS)
    assert found.start.isoformat() == "1995-06-24T16:00:00+02:00"
    assert read(export("2068-06-24 16:00", [1, 2]), STEPS).start.year == 2068


def test_the_second_occurrence_in_the_repeated_hour_is_its_second_pass():
    evening = export("2024-10-27 01:59", [1] * 61) + export("2024-10-27 02:00", [2] * 61)
    found = read(evening, STEPS)
    assert found.values.tolist() == [1] * 61 + [2] * 61
    assert found.start.isoformat() == "2024-10-27T01:59:00+02:00"
    assert found.end.isoformat() == "2024-10-27T03:01:00+01:00"


def test_a_label_that_the_zone_never_shows_is_refused():
    assert refusal(export("2024-03-31 02:00", [1, 2])).code is Refusal.INVALID_FIELD
    assert read(export("2024-03-31 02:00", [1, 2]), Hints(unit=Unit.STEPS, zone="UTC")).epochs == 2


def test_entries_too_sparse_to_show_their_length_need_the_hint():
    sparse = [entry("01/02/24 08:00:00", "3"), entry("01/02/24 08:15:00", "4")]
    assert refusal(sparse).code is Refusal.NO_EPOCH_INFORMATION
    assert refusal(sparse[:1]).code is Refusal.NO_EPOCH_INFORMATION
    told = Hints(unit=Unit.STEPS, zone="Europe/Berlin", epoch_seconds=60)
    assert read(sparse, told).values[[0, 15]].tolist() == [3, 4]
    close = [entry("01/02/24 08:00:00", "3"), entry("01/02/24 08:00:30", "4")]
    assert refusal(close, told).code is Refusal.INVALID_FIELD


def test_an_intraday_day_becomes_minutes_and_its_total_is_not_read():
    found = read(day([("00:00:00", 4), ("00:01:00", 0), ("00:03:00", 9)]), BERLIN)
    np.testing.assert_array_equal(found.values, [4, 0, np.nan, 9])
    assert (found.start.isoformat(), found.tidying.set_aside) == ("2024-01-02T00:00:00+01:00", 0)
    assert found.flags == {Flag.UNVERIFIED_FORMAT}


@pytest.mark.parametrize(("interval", "value", "each"), [(5, 20, 4), (15, 30, 2)])
def test_longer_intervals_are_spread_over_their_minutes(interval, value, each):
    found = read(day([("10:00:00", value)], interval=interval), BERLIN)
    np.testing.assert_allclose(found.values, [each] * interval)
    assert found.flags == {Flag.UNVERIFIED_FORMAT, Flag.SPREAD_SAMPLES}


def test_seconds_add_up_to_minutes():
    seconds = {"dataset": [{"time": f"10:00:{k:02d}", "value": 1} for k in range(60)], "datasetInterval": 1}
    found = read(day([], **{"activities-steps-intraday": {**seconds, "datasetType": "second"}}), BERLIN)
    assert found.values.tolist() == [60]


def test_documents_of_several_days_in_any_order_make_one_recording():
    days = [day([("23:59:00", 1)]), day([("00:00:00", 2)], "2024-01-03")]
    found = read(days, BERLIN)
    assert (found.values.tolist(), found.start.isoformat()) == ([1, 2], "2024-01-02T23:59:00+01:00")
    for other in (days[::-1], days * 2):
        np.testing.assert_array_equal(read(other, BERLIN).values, found.values)
    assert read(days, Hints(zone="Europe/Berlin", since=date(2024, 1, 3))).values.tolist() == [2]


def test_a_day_twice_does_not_become_a_second_pass():
    night = day([("02:30:00", 5), ("02:30:00", 6)], "2024-10-27")
    found = read([night, night], BERLIN)
    assert (found.values[[0, 60]].tolist(), found.epochs) == ([5, 6], 61)


def test_other_series_and_days_with_totals_only_are_set_aside():
    heart = {
        "dataset": [{"time": "00:00:00", "value": 60}] * 3,
        "datasetInterval": 1,
        "datasetType": "minute",
    }
    total = {"activities-steps": [{"dateTime": "2024-01-03", "value": "8000"}]}
    found = read([day([("00:00:00", 1)], **{"activities-heart-intraday": heart}), total], BERLIN)
    assert (found.values.tolist(), found.tidying.set_aside) == ([1], 4)
    assert refusal([total], BERLIN).code is Refusal.RESOLUTION_TOO_COARSE
    assert refusal(day([]), BERLIN).code is Refusal.NO_SAMPLES


@pytest.mark.parametrize(
    ("document", "hints", "code", "where"),
    [
        ([], STEPS, Refusal.NO_SAMPLES, None),
        ({}, STEPS, Refusal.INVALID_FIELD, "entries"),
        ("x", STEPS, Refusal.INVALID_FIELD, "entries"),
        ([1], STEPS, Refusal.INVALID_FIELD, "entries"),
        ([entry("01/02/24 08:00", "1")], STEPS, Refusal.INVALID_FIELD, "entries[0].dateTime"),
        ([entry("13/02/24 08:00:00", "1")], STEPS, Refusal.INVALID_FIELD, "dateTime"),
        ([entry(None, "1")], STEPS, Refusal.INVALID_FIELD, "entries[0].dateTime"),
        ([entry("01/02/24 08:00:00", 1)], STEPS, Refusal.INVALID_FIELD, "entries[0].value"),
        ([entry("01/02/24 08:00:00", "-1")], STEPS, Refusal.INVALID_FIELD, "entries[0].value"),
        ([entry("01/02/24 08:00:00", None)], STEPS, Refusal.INVALID_FIELD, "entries[0].value"),
        ([entry("01/02/24 08:00:00", {"bpm": 1})], STEPS, Refusal.INVALID_FIELD, "entries[0].value"),
        (export("2024-01-02", [1, 2]), Hints(unit=Unit.COUNTS, zone="UTC"), Refusal.UNKNOWN_UNIT, "unit"),
        (
            export("2024-01-02", [1, 2]),
            Hints(unit=Unit.STEPS, zone="UTC", epoch_seconds=30),
            Refusal.INVALID_FIELD,
            "epoch_seconds",
        ),
        (export("2024-01-02", [9_999_999, 1]), STEPS, Refusal.INVALID_FIELD, "values"),
        (
            day([("00:00:00", True)]),
            BERLIN,
            Refusal.INVALID_FIELD,
            "days[0].activities-steps-intraday.dataset[0].value",
        ),
        (
            day([("00:00", 1)]),
            BERLIN,
            Refusal.INVALID_FIELD,
            "days[0].activities-steps-intraday.dataset[0].time",
        ),
        (
            day([("25:00:00", 1)]),
            BERLIN,
            Refusal.INVALID_FIELD,
            "days[0].activities-steps-intraday.dataset.time",
        ),
        (
            day([("00:00:00", 1)], interval=7),
            BERLIN,
            Refusal.INVALID_FIELD,
            "days[0].activities-steps-intraday.datasetInterval",
        ),
        (day([], **{"activities-steps": ...}), BERLIN, Refusal.INVALID_FIELD, "days[0].activities-steps"),
        (
            day([], **{"activities-steps": [{"dateTime": "2024-01-02"}, {"dateTime": "2024-01-03"}]}),
            BERLIN,
            Refusal.INVALID_FIELD,
            "days[0].activities-steps",
        ),
        (day([("00:00:00", 1)], when="today"), BERLIN, Refusal.INVALID_FIELD, "days[0].activities-steps"),
        (day([("00:00:00", 1)]), Hints(zone="UTC", unit=Unit.COUNTS), Refusal.INVALID_FIELD, "unit"),
        ([day([])] * 1101, BERLIN, Refusal.TOO_MANY_EPOCHS, "days"),
    ],
    ids=range(23),
)
def test_what_is_wrong_or_contradicted_is_refused_by_its_place(document, hints, code, where):
    refused = refusal(document, hints)
    assert (refused.code, refused.where) == (code, where)


def test_damage_is_read_or_refused_and_nothing_else():
    assert outcomes(lambda data: read(document_of(data), STEPS), example()) == {"read", "refused"}
    body = json.dumps(
        [day([("08:00:00", 1), ("08:01:00", 2)]), day([("00:00:00", 3)], "2024-01-03")]
    ).encode()
    assert outcomes(lambda data: read(document_of(data), BERLIN), body) == {"read", "refused"}
