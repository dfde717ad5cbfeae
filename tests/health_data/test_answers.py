"""The whole chain over HTTP: the answer is that of the recording itself, or the refusal says why not."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.health_data.asking import ANNA, found, numbers, refused
from tests.health_data.metrics import (
    START,
    VALUES,
    ZONE,
    days,
    envelope,
    later,
    metric,
    named,
    packed,
    plain,
    recording,
    steps,
    upload,
)

pytestmark = [pytest.mark.e2e, pytest.mark.fhir]


@pytest.mark.parametrize("store", ["S1", "S2", "S3"])
def test_the_answer_is_that_of_the_recording_itself_in_every_store(double, ask, direct, store):
    double.become(store=store)
    double.keep(*days())
    answer = found(ask())
    assert numbers(answer["analysis"]) == direct(recording())
    assert answer["source"]["used"] == len(answer["source"]["processing_ids"]) == 9
    assert (answer["source"]["truncated"], answer["source"]["set_aside"]) == (False, {})
    assert answer["source"]["loss_possible"] == (store == "S2")
    assert answer["written_back"] is None


def test_only_the_list_is_asked_with_the_caller_s_token_explicit_offsets_and_times_with_offset(double, ask):
    double.become()
    double.keep(*days())
    found(ask())
    calls = double.told()["calls"]
    assert {(call["method"], call["path"]) for call in calls} == {("GET", "/api/v1/health-data/")}
    assert [call["query"]["offset"] for call in calls] == ["0", "1000", "2000"]
    assert all(call["query"]["start_date"].endswith("+00:00") for call in calls)
    assert all(call["authorization"].startswith("Bearer ey") for call in calls)
    assert not {"data_type", "cursor", "source"} & set(calls[0]["query"])


@pytest.mark.slow
def test_a_week_of_single_minutes_is_read_from_all_its_pages(double, ask, direct):
    week = VALUES[:10_080]
    metrics = [packed([value], START + timedelta(minutes=at)) for at, value in enumerate(week)]
    uploads = [
        upload(*metrics[at : at + 1000], arrived=START + timedelta(minutes=at + 1001))
        for at in range(0, len(metrics), 1000)
    ]
    for store, pages in (("S1", 13), ("S2", 8), ("S3", 13)):
        double.become(store=store)
        double.keep(*uploads)
        answer = found(ask())
        assert numbers(answer["analysis"]) == direct(recording(week))
        assert (answer["source"]["pages"], answer["source"]["used"]) == (pages, 10_080)
        assert len(answer["source"]["processing_ids"]) == 11


def test_steps_whose_metadata_say_when_are_the_steps_of_those_minutes(double, ask, direct):
    double.become()
    amounts = [minute % 7 for minute in range(1440)]
    double.keep(upload(*(steps(minute, amount) for minute, amount in enumerate(amounts))))
    answer = found(ask())
    assert numbers(answer["analysis"]) == direct(recording(amounts, unit="steps"))


def test_envelopes_of_healthkit_are_joined(double, ask, direct):
    double.become()
    amounts = [minute % 7 for minute in range(2880)]
    halves = [list(enumerate(amounts))[:1440], list(enumerate(amounts))[1440:]]
    double.keep(*(upload(envelope(half)) for half in halves))
    answer = found(ask())
    assert numbers(answer["analysis"]) == direct(recording(amounts, unit="steps"))
    assert answer["source"]["used"] == 2


def test_the_days_of_a_clock_change_are_those_of_the_zone(double, ask, direct):
    values, start = VALUES[:10_080], datetime(2024, 3, 28, tzinfo=ZoneInfo(ZONE))
    double.become()
    double.keep(*days(values, start))
    answer = found(ask(since="2024-03-28", until="2024-04-04"))
    assert numbers(answer["analysis"]) == direct(recording(values, start))
    assert answer["analysis"]["weeks"][0]["dst_transition"]


def test_late_uploads_are_found_and_those_after_the_margin_are_not(double, ask, direct):
    end = START + timedelta(minutes=len(VALUES))
    for store in ("S2", "S3"):
        double.become(store=store)
        double.keep(upload(packed(), arrived=end + timedelta(days=13)))
        assert numbers(found(ask())["analysis"]) == direct(recording())
        double.become(store=store)
        double.keep(upload(packed(), arrived=end + timedelta(days=20)))
        assert refused(ask()) == (422, "no_data")


def test_the_period_is_what_was_measured_in_it(double, ask, direct):
    double.become()
    double.keep(*days())
    answer = found(ask(since="2024-05-15", until="2024-05-17"))
    begin = START.replace(day=15, hour=0, minute=0)
    first = round((begin - START).total_seconds() / 60)
    assert numbers(answer["analysis"]) == direct(recording(VALUES[first : first + 3 * 1440], begin))
    assert answer["source"]["set_aside"] == {"out_of_period": 5}


def test_what_is_uploaded_twice_counts_once(double, ask, direct):
    double.become()
    again = [upload(*one["metrics"], arrived=START + timedelta(days=9)) for one in days()]
    double.keep(*days(), *again, upload(packed(), arrived=START + timedelta(days=10)))
    answer = found(ask())
    assert numbers(answer["analysis"]) == direct(recording())
    assert answer["source"]["set_aside"] == {"duplicate": 9}


def test_naive_times_are_set_aside_and_their_minutes_stay_missing(double, ask, direct):
    naive = packed(VALUES[1440:2880], START + timedelta(days=1))
    naive["raw_data"]["start"] = naive["raw_data"]["start"][:19]
    double.become()
    double.keep(
        upload(packed(VALUES[:1440])), upload(naive), upload(packed(VALUES[2880:], START + timedelta(days=2)))
    )
    answer = found(ask())
    gap = [*VALUES[:1440], *[None] * 1440, *VALUES[2880:]]
    assert numbers(answer["analysis"]) == direct(recording(gap))
    assert answer["source"]["set_aside"] == {"naive_timestamp": 1}


def test_naive_minutes_among_others_are_missing_minutes(double, ask, direct):
    minutes = [packed([value], later(START, at)) for at, value in enumerate(VALUES[:2000])]
    for metric_of in minutes[::10]:
        metric_of["raw_data"]["start"] = metric_of["raw_data"]["start"][:19]
        metric_of["created_at"] = metric_of["created_at"][:19]
    double.become()
    double.keep(upload(*minutes))
    answer = found(ask())
    kept = [None if at % 10 == 0 else value for at, value in enumerate(VALUES[:2000])]
    assert numbers(answer["analysis"]) == direct(recording(kept[1:], later(START, 1)))
    assert answer["source"]["set_aside"] == {"naive_timestamp": 200}


def test_other_metrics_other_words_and_garbage_are_counted_and_harm_nothing(double, ask, direct):
    heart = metric(named("heart"), START, metric_type="heart_rate", biometric_data={"heart_rate": 61})
    note = metric(
        named("note"), START, metric_type="mood_assessment", mental_health_data={"notes": "secret-text"}
    )
    garbage: list[Any] = [
        "text",
        7,
        None,
        [],
        {"metric_id": named("g1"), "metric_type": "teleported", "created_at": START.isoformat()},
        {"metric_id": 5, "raw_data": "x", "created_at": START.isoformat()},
        packed(start=START, values="x", time_zone="Europe/Berlin")["raw_data"],
        metric(named("g2"), START, raw_data={"profile": "actigraphy-series/1", "quantity": "counts"}),
        packed([1], epoch_seconds=True),
        packed([2], time_zone="Nowhere/At_All"),
        packed([3], start=START) | {"raw_data": {**packed([3])["raw_data"], "start": 1715609999}},
        steps(3, "many"),
        steps(4, 1e400),
    ]
    for store in ("S1", "S3"):
        double.become(store=store)
        double.keep(*days(), upload(heart, note, *garbage[:-1], arrived=START + timedelta(days=9)))
        answer = found(ask())
        assert numbers(answer["analysis"]) == direct(recording())
        aside = answer["source"]["set_aside"]
        assert aside["other_quantity"] == 2
        assert aside["unknown_type"] >= 1
        assert sum(aside.values()) + answer["source"]["used"] == answer["source"]["listed"]


A_DAY = {"end": (START + timedelta(days=1)).isoformat()}
MIMS = packed([1.5], quantity="mims", unit="mims")
TOKYO = envelope([(1, 4), (2, 4)], "Asia/Tokyo")
REFUSED = {
    "nothing": ([], "no_data"),
    "plain steps": ([upload(*(plain(minute, 9) for minute in range(60)))], "no_epoch_information"),
    "a day's total": (
        [upload(steps(0, 8000, **A_DAY))],
        "resolution_too_coarse",
    ),
    "no zone": ([upload(packed(time_zone=...))], "no_time_zone"),
    "naive": ([upload(packed(start=START.replace(tzinfo=None)))], "naive_timestamp"),
    "two quantities": ([upload(packed(), steps(0, 4))], "mixed_quantities"),
    "series and samples": ([upload(packed(), envelope([(0, 4)]))], "mixed_quantities"),
    "units": (
        [upload(packed(VALUES[:1440]), packed([1.5], quantity="mims", unit="mims"))],
        "mixed_quantities",
    ),
    "unknown unit": ([upload(packed(unit="furlongs"))], "unknown_unit"),
    "two zones of samples": (
        [upload(envelope([(0, 4)]), envelope([(1, 4), (2, 4)], "Asia/Tokyo"))],
        "invalid_field",
    ),
    "a heart rate": ([upload(metric(named("h"), START, metric_type="heart_rate"))], "no_data"),
}


@pytest.mark.parametrize("which", REFUSED)
def test_what_cannot_be_analysed_is_refused_by_name_and_counted(double, ask, which):
    uploads, code = REFUSED[which]
    double.become()
    double.keep(*uploads)
    assert refused(ask()) == (422, code)


def test_a_zone_and_a_quantity_may_be_asked_for(double, ask, direct):
    double.become()
    double.keep(upload(packed(time_zone=...), steps(0, 4)))
    answer = found(ask(zone=ZONE, quantity="counts"))
    assert numbers(answer["analysis"]) == direct(recording())
    assert answer["source"]["set_aside"] == {"other_quantity": 1}


def test_the_fhir_answer_says_where_it_comes_from_in_its_headers(double, ask):
    double.become()
    double.keep(*days())
    answer = ask(accept="application/fhir+json")
    assert (answer.status_code, answer.json()["resourceType"]) == (200, "Bundle")
    assert f"Patient/{ANNA}" in answer.text
    source = json.loads(answer.headers["x-pat-source"])
    assert (source["used"], source["processing_ids"], source["truncated"]) == (9, 9, False)
    assert "x-pat-written-back" not in answer.headers
    answer = ask(accept="application/fhir+json", write_back=True, **{"return": "transaction"})
    assert (answer.status_code, answer.json()["type"]) == (200, "transaction")
    assert json.loads(answer.headers["x-pat-written-back"])["status"] == "stored"
    assert ask(accept="text/html").status_code == 406


def test_another_user_s_uploads_are_set_aside(double, ask):
    double.become(store="S3", users={ANNA: named("somebody else")})
    double.keep(*days())
    answer = ask()
    assert refused(answer) == (422, "no_data")
    assert answer.json()["source"]["set_aside"] == {"another_person": 9}
